// The two subresources of pods that write a part of the spec: /ephemeralcontainers and /resize. Whatever else a body
// holds stays as it is stored (upstream: dropNonEphemeralContainerUpdates, dropNonResizeUpdates). Pure.
#pragma once
#include <string_view>

#include "base/json.h"

namespace k8lite::apiserver {

bool writes_pod_part(std::string_view subresource);
// `current` with the part that `subresource` writes taken from `wanted`, and its name, uid and resourceVersion, which
// are preconditions.
json::Node with_pod_part(json::Node current, const json::Node& wanted, std::string_view subresource);

}  // namespace k8lite::apiserver
