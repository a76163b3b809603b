// The default roles and bindings against what is stored: an upgrade adds what is new, and takes nothing away that somebody added.
// Pure. (Kubernetes documentation, "Using RBAC Authorization", "Auto-reconciliation".)
#pragma once
#include <optional>

#include "base/json.h"

namespace k8lite::apiserver::authz {

// Marks a default as one: label kubernetes.io/bootstrapping, annotation rbac.authorization.kubernetes.io/autoupdate.
void mark_default(json::Node& object);
// `stored` with what it lacks of the default: permissions, selectors of aggregation, subjects, labels and annotations. Nothing when
// it lacks nothing, or when its annotation autoupdate is "false".
std::optional<json::Node> with_missing_defaults(const json::Doc& stored, const json::Node& wanted);

}  // namespace k8lite::apiserver::authz
