// What becomes of a CustomResourceDefinition, decided without looking around: which of its names it gets, and its
// conditions. Names are given to who asks first and are kept; within a group no two definitions have a resource name,
// short name or kind in common. Reasons and messages are Kubernetes'.
#pragma once
#include <optional>

#include "controllers/context.h"

namespace k8lite::controllers {

// The status with acceptedNames and the conditions NamesAccepted and Established as they must be, when it is not what
// it is. `others`: the other definitions of the group. Established waits for a second look, so that whoever sees it
// finds the resource served.
std::optional<json::Node> plan_names(const json::Doc& definition, const std::vector<json::Doc>& others, Instant now);

// The status with the condition Terminating set to this.
json::Node terminating_status(const json::Doc& definition, bool terminating, std::string_view reason,
                              std::string_view message, Instant now);

}  // namespace k8lite::controllers
