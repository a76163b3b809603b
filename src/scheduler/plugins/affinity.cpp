// Pod affinity and anti-affinity: which domains hold pods that this one wants beside it or not, and pods that do not
// want this one. (Kubernetes documentation, "Inter-pod affinity and anti-affinity"; KEP-3633.)
#include <algorithm>

#include "scheduler/cycle.h"

namespace k8lite::scheduler {
namespace {

void count(DomainCounts& counts, const std::string& key, const NodeInfo& node, int64_t by) {
  std::string buffer;
  std::string_view domain = node.label(key, buffer);
  if (domain.empty()) return;
  auto& of_key = counts[key];
  int64_t& n = of_key[std::string(domain)];
  if ((n += by) == 0) of_key.erase(std::string(domain));
  if (of_key.empty()) counts.erase(key);
}

int64_t counted(const DomainCounts& counts, std::string_view key, const NodeInfo& node) {
  auto of_key = counts.find(key);
  if (of_key == counts.end()) return 0;
  std::string buffer;
  auto it = of_key->second.find(node.label(key, buffer));
  return it == of_key->second.end() ? 0 : it->second;
}

bool all_select(const std::vector<PodTerm>& terms, const PodInfo& other, const Snapshot& snapshot) {
  return std::all_of(terms.begin(), terms.end(), [&](const PodTerm& t) { return t.selects(other, snapshot); });
}

void count_pod(const PodInfo& pod, const Snapshot& snapshot, CycleState& state, const PodInfo& other,
               const NodeInfo& node, int by) {
  if (!pod.affinity.empty() && all_select(pod.affinity, other, snapshot))
    for (const PodTerm& t : pod.affinity) count(state.affinity, t.topology, node, by);
  for (const PodTerm& t : pod.anti_affinity)
    if (t.selects(other, snapshot)) count(state.anti, t.topology, node, by);
}

void count_existing(const PodInfo& pod, const Snapshot& snapshot, CycleState& state, const PodInfo& other,
                    const NodeInfo& node, int by) {
  for (const PodTerm& t : other.anti_affinity)
    if (t.selects(pod, snapshot)) count(state.existing_anti, t.topology, node, by);
}

// Each term's domain holds a pod that all terms select; the first pod of a group that wants to be together starts it.
bool affinity_holds(const FilterInput& in, const NodeInfo& n) {
  bool there = true;
  for (const PodTerm& t : in.pod.affinity) {
    if (!n.labels[t.topology]) return false;
    there &= counted(in.state.affinity, t.topology, n) > 0;
  }
  return there || (in.state.affinity.empty() && all_select(in.pod.affinity, in.pod, in.snapshot));
}

}  // namespace

void count_affinity(const PodInfo& pod, const Snapshot& snapshot, CycleState& state) {
  for (const auto& [other, node] : snapshot.pods_with_anti_affinity())
    count_existing(pod, snapshot, state, *other, *node, 1);
  if (pod.affinity.empty() && pod.anti_affinity.empty()) return;
  bool own_namespace_only = true;
  for (const auto* terms : {&pod.affinity, &pod.anti_affinity})
    for (const PodTerm& t : *terms)
      own_namespace_only &= !t.namespace_selector && t.namespaces.size() == 1 && t.namespaces.count(pod.ns);
  if (own_namespace_only) {
    for (const auto& [other, node] : snapshot.pods_of_namespace(pod.ns))
      count_pod(pod, snapshot, state, *other, *node, 1);
    return;
  }
  for (const auto& [name, node] : snapshot.nodes())
    for (const auto& [key, other] : node.pods) count_pod(pod, snapshot, state, *other, node, 1);
}

void recount_affinity(const FilterInput& in, const PodInfo& other, const NodeInfo& node, int by) {
  if (!other.anti_affinity.empty()) count_existing(in.pod, in.snapshot, in.state, other, node, by);
  count_pod(in.pod, in.snapshot, in.state, other, node, by);
}

Refusal pod_affinity(const FilterInput& in, const NodeInfo& n) {
  if (!in.pod.affinity.empty() && !affinity_holds(in, n)) return {{"node(s) didn't match pod affinity rules"}, true};
  for (const PodTerm& t : in.pod.anti_affinity)
    if (counted(in.state.anti, t.topology, n) > 0) return {{"node(s) didn't match pod anti-affinity rules"}, false};
  for (const auto& [key, domains] : in.state.existing_anti)
    if (counted(in.state.existing_anti, key, n) > 0)
      return {{"node(s) didn't satisfy existing pods anti-affinity rules"}, false};
  return {};
}

}  // namespace k8lite::scheduler
