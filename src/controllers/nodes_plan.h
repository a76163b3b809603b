// What happens to a node: its pod network, its conditions when it falls silent, its taints, which pods are evicted from it. Pure.
// (Kubernetes documentation, "Nodes", "Taints and Tolerations".)
#pragma once
#include "controllers/context.h"

namespace k8lite::controllers {

inline constexpr Duration kNodeGrace = seconds(40);

struct NodePlan {
  std::string pod_cidr;                  // to be given; "" : has one
  bool unknown = false;                  // its conditions become Unknown
  bool change_taints = false;
  json::Node taints;                     // the wanted ones
  std::vector<std::string> evict;        // pod keys
  Duration again{0};                     // when something is due
};
// `silent_for`: how long ago this process saw the node's lease renewed. Taints of conditions and of silence are put on and taken off,
// others stay; every NoExecute taint gets the time it was seen first, which is when the pods' tolerationSeconds begin.
NodePlan plan_node(const json::Doc& node, Duration silent_for, const std::vector<json::Doc>& pods, Instant now);
// The first free network of the given size below the cluster's; "" when there is none.
std::string next_pod_cidr(const std::string& cluster_cidr, const std::vector<std::string>& used, int bits = 24);

}  // namespace k8lite::controllers
