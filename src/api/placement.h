// May this pod stand on this node? The rules shared by the scheduler and the DaemonSet controller: taints, node selector, node affinity.
// Pure. (Kubernetes documentation, "Taints and Tolerations", "Assigning Pods to Nodes".)
#pragma once
#include "base/json.h"

namespace k8lite::api {

bool tolerates(json::Value toleration, json::Value taint);
// The first taint of the node with one of the effects that no toleration of `tolerations` covers; missing when there is none.
// NoExecute alone is asked with `only_no_execute`; PreferNoSchedule never counts.
json::Value untolerated_taint(json::Value tolerations, json::Value node, bool only_no_execute = false);
// One NodeSelectorTerm: all of its expressions and fields. A term with neither matches nothing.
bool node_selector_term_matches(json::Value term, json::Value node);
// spec.nodeSelector and the required node affinity of a pod's spec.
bool node_selected(json::Value pod_spec, json::Value node);

}  // namespace k8lite::api
