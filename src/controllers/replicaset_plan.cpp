#include "controllers/replicaset_plan.h"

#include <algorithm>
#include <tuple>

#include "api/selector.h"
#include "base/strings.h"

namespace k8lite::controllers {
namespace {

using json::Doc;
using json::Node;

int64_t restarts(const Doc& pod) {
  int64_t n = 0;
  for (json::Value c : pod.path("status.containerStatuses").items()) n = std::max(n, c["restartCount"].int_or(0));
  return n;
}

// Smaller goes first.
auto rank(const Doc& pod, int64_t on_node) {
  auto phase = [&pod] {
    std::string p = pod.path("status.phase").str();
    return p == "Pending" ? 0 : p == "Unknown" ? 1 : 2;
  };
  int64_t cost = parse_int(pod["metadata"]["annotations"]["controller.kubernetes.io/pod-deletion-cost"].str()).value_or(0);
  // Who became ready later goes first: the others have proved themselves longer.
  int64_t ready_since = 0;
  for (json::Value c : pod.path("status.conditions").items())
    if (c["type"].equals("Ready") && c["status"].equals("True"))
      if (auto t = parse_rfc3339(c["lastTransitionTime"].str())) ready_since = t->us;
  auto created = parse_rfc3339(pod.path("metadata.creationTimestamp").str());
  return std::make_tuple(!pod.path("spec.nodeName").empty(), phase(), pod_is_ready(pod.root()), cost, -on_node, -ready_since, -restarts(pod), created ? -created->us : 0, name_of(pod));
}

}  // namespace

ReplicaSetPlan plan_replica_set(const Doc& set, const std::vector<Doc>& pods, Instant now) {
  ReplicaSetPlan plan;
  int64_t wanted = set.path("spec.replicas").int_or(1), min_ready = set.path("spec.minReadySeconds").int_or(0);
  std::vector<Doc> active;
  int64_t ready = 0, available = 0, labeled = 0, terminating = 0;
  Node template_labels = set.path("spec.template.metadata.labels").to_node();
  for (const Doc& p : pods) {
    if (p.path("metadata.deletionTimestamp")) ++terminating;
    if (!pod_is_active(p.root())) continue;
    active.push_back(p);
    ready += pod_is_ready(p.root());
    available += pod_is_available(p.root(), min_ready, now);
    bool all = true;
    for (const auto& [k, v] : template_labels.members()) all &= p["metadata"]["labels"][k].equals(v.str());
    labeled += all;
  }
  auto have = static_cast<int64_t>(active.size());
  if (have < wanted) plan.create = wanted - have;
  if (have > wanted) {
    std::map<std::string, int64_t> on_node;
    for (const Doc& p : active) ++on_node[p.path("spec.nodeName").str()];
    std::sort(active.begin(), active.end(), [&](const Doc& a, const Doc& b) { return rank(a, on_node[a.path("spec.nodeName").str()]) < rank(b, on_node[b.path("spec.nodeName").str()]); });
    for (int64_t i = 0; i < have - wanted; ++i) plan.remove.push_back(name_of(active[static_cast<size_t>(i)]));
  }
  plan.status = Node::obj({{"replicas", have}, {"observedGeneration", set.path("metadata.generation").int_or(0)}});
  if (labeled) plan.status.set("fullyLabeledReplicas", labeled);
  if (ready) plan.status.set("readyReplicas", ready);
  if (available) plan.status.set("availableReplicas", available);
  if (terminating) plan.status.set("terminatingReplicas", terminating);
  if (set.path("status.conditions")) plan.status.set("conditions", set.path("status.conditions").to_node());
  return plan;
}

}  // namespace k8lite::controllers
