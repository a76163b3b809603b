// May a pod that has come to this node begin here? Pods bound by hand, static ones, and those that two schedulers gave
// the same room come without anybody having asked. Pure; reasons and messages are those of upstream's node agent.
// (Kubernetes documentation: "Kubelet", "Guaranteed Scheduling For Critical Add-On Pods".)
#pragma once
#include <string>
#include <vector>

#include "api/usage.h"
#include "base/json.h"

namespace k8lite::kubelet {

struct NodeOffer {
  api::Usage allocatable;         // what pods may have; "pods" among it
  std::vector<json::Value> pods;  // those that were let in and have not ended
  json::Value node;               // its object; missing while it is not known: then it cannot be asked for labels and taints
};
struct Admission {
  std::string reason, message;       // why not; "": it may begin
  std::vector<std::string> preempt;  // uids of pods that go for it, since it is critical
};
Admission admit(json::Value pod, const NodeOffer& offer);

}  // namespace k8lite::kubelet
