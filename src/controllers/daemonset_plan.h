// Which nodes get a daemon's pod, which pods go, and the status. Pure. (Kubernetes documentation, "DaemonSet"; KEP-1591 for surge.)
#pragma once
#include "controllers/context.h"

namespace k8lite::controllers {

struct DaemonSetPlan {
  std::vector<std::string> create;  // nodes
  std::vector<std::string> remove;  // pod names
  std::vector<std::string> failed;  // of those, pods that had failed: told in an event
  json::Node status;
};
// `pods`: those it controls; `hash`: the label controller-revision-hash of the template as it is now.
DaemonSetPlan plan_daemon_set(const json::Doc& set, const std::vector<json::Doc>& nodes, const std::vector<json::Doc>& pods, const std::string& hash, Instant now);
// The pod for one node: bound to it by affinity, with the tolerations that daemons have, labelled with the hash.
json::Node daemon_pod(const json::Doc& set, json::Node pod, const std::string& node, const std::string& hash);
// The node a daemon's pod is meant for, also before it is scheduled; "" when unknown.
std::string target_node(json::Value pod);

}  // namespace k8lite::controllers
