// How many pods a ReplicaSet should make or which it should end, and its status. Pure. (Kubernetes documentation, "ReplicaSet".)
#pragma once
#include "controllers/context.h"

namespace k8lite::controllers {

struct ReplicaSetPlan {
  int64_t create = 0;
  std::vector<std::string> remove;  // names
  json::Node status;
};
// `pods` are those it controls. Victims: not assigned before assigned, pending before running, not ready before ready, lower deletion
// cost, more pods on the same node, ready for a shorter time, more restarts, younger.
ReplicaSetPlan plan_replica_set(const json::Doc& set, const std::vector<json::Doc>& pods, Instant now);

}  // namespace k8lite::controllers
