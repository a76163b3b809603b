// The patch of `kubectl apply`: what changed from the last applied configuration to the new one, against the live object. Pure.
#pragma once
#include "api/schema/schema.h"
#include "base/json.h"

namespace k8lite::kubectl {

// `original`: last applied (null: unknown), `modified`: wanted, `current`: live. With a type the result is a strategic merge patch,
// without one a JSON merge patch. {} when nothing is to be done.
json::Node three_way_patch(const json::Node& original, const json::Node& modified, const json::Node& current, const api::schema::Type* type);

}  // namespace k8lite::kubectl
