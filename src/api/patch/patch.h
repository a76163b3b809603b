// Patches that need no schema: JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7386). Pure. A patch that fails leaves an error and
// no half-changed document: the caller's object is only replaced by the returned one.
#pragma once
#include "base/json.h"
#include "base/result.h"

namespace k8lite::api::patch {

constexpr size_t kMaxOperations = 10'000;  // as the Kubernetes API server bounds a JSON patch

// Applies the operations in order. BadRequest for a malformed patch; Invalid when an operation cannot be done or a test fails, naming
// the operation's number, kind and path.
Result<json::Node> apply_json_patch(json::Node document, const json::Node& operations);

// RFC 7386: null removes, objects merge, everything else replaces.
json::Node apply_merge_patch(json::Node document, const json::Node& patch);

// The smallest merge patch that turns `from` into `to`; {} when they are equal. Exact only where `to` holds no null members, which
// a merge patch cannot express.
json::Node make_merge_patch(const json::Node& from, const json::Node& to);

}  // namespace k8lite::api::patch
