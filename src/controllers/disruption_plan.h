// How many pods of a PodDisruptionBudget may go now. Pure. (Kubernetes documentation, "Specifying a Disruption Budget".)
#pragma once
#include "controllers/context.h"

namespace k8lite::controllers {

struct DisruptionPlan {
  json::Node status;
  Duration again{0};
};
// `pods`: those its selector matches; `expected`: how many their controllers want together.
DisruptionPlan plan_disruption(const json::Doc& budget, const std::vector<json::Doc>& pods, int64_t expected, Instant now);

// The status when the expected pods cannot be counted: nobody may go.
json::Node failed_disruption(const json::Doc& budget, const std::string& why, Instant now);

}  // namespace k8lite::controllers
