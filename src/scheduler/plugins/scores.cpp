// Which of the nodes that can take a pod is best.
#include <algorithm>
#include <cmath>

#include "api/placement.h"
#include "api/selector.h"
#include "scheduler/cycle.h"

namespace k8lite::scheduler {
namespace {

using json::Value;

double fraction(const FilterInput& in, const NodeInfo& n, const std::string& name) {
  auto have = n.allocatable.find(name);
  if (have == n.allocatable.end() || have->second == 0) return 1;
  auto used = n.requested.find(name);
  auto wanted = in.requests.find(name);
  // A pod that asks for nothing still takes something: upstream counts 100m and 200 MiB.
  int64_t ask = wanted == in.requests.end() || wanted->second == 0 ? (name == "cpu" ? 100 : int64_t{200} << 20) : wanted->second;
  return std::min(1.0, static_cast<double>((used == n.requested.end() ? 0 : used->second) + ask) / static_cast<double>(have->second));
}

int64_t least_allocated(const FilterInput& in, const NodeInfo& n) { return static_cast<int64_t>(100 * ((1 - fraction(in, n, "cpu")) + (1 - fraction(in, n, "memory"))) / 2); }
int64_t balanced(const FilterInput& in, const NodeInfo& n) { return static_cast<int64_t>(100 * (1 - std::abs(fraction(in, n, "cpu") - fraction(in, n, "memory")) / 2)); }

int64_t preferred_affinity(const FilterInput& in, const NodeInfo& n) {
  int64_t sum = 0, all = 0;
  for (Value p : in.pod.path("spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution").items()) {
    all += p["weight"].int_or(1);
    if (api::node_selector_term_matches(p["preference"], n.node.root())) sum += p["weight"].int_or(1);
  }
  return all ? sum * 100 / all : 0;
}

int64_t tolerable(const FilterInput& in, const NodeInfo& n) {
  int64_t bad = 0;
  for (Value taint : n.node.path("spec.taints").items()) {
    if (!taint["effect"].equals("PreferNoSchedule")) continue;
    bool tolerated = false;
    for (Value t : in.pod.path("spec.tolerations").items()) tolerated |= api::tolerates(t, taint);
    bad += !tolerated;
  }
  return bad ? 0 : 100;
}

// Pods with the same controller are kept apart.
int64_t spread(const FilterInput& in, const NodeInfo& n) {
  std::string owner;
  for (Value o : in.pod.path("metadata.ownerReferences").items())
    if (o["controller"].bool_or(false)) owner = o["uid"].str();
  if (owner.empty()) return 100;
  int64_t here = 0, most = 0;
  for (const auto& [name, other] : in.snapshot.nodes()) {
    int64_t count = 0;
    for (const auto& [key, p] : other.pods)
      for (Value o : p.pod.path("metadata.ownerReferences").items()) count += o["uid"].equals(owner);
    most = std::max(most, count);
    if (name == n.name()) here = count;
  }
  return most == 0 ? 100 : 100 * (most - here) / most;
}

// Constraints that may be broken: the emptier the node's domain, the better.
int64_t soft_spread(const FilterInput& in, const NodeInfo& n) {
  int64_t sum = 0, constraints = 0;
  for (Value c : in.pod.path("spec.topologySpreadConstraints").items()) {
    if (!c["whenUnsatisfiable"].equals("ScheduleAnyway")) continue;
    ++constraints;
    std::string key = c["topologyKey"].str();
    Value own = n.node["metadata"]["labels"][key];
    if (!own) continue;
    std::map<std::string, int64_t> counts;
    int64_t most = 0;
    for (const auto& [name, other] : in.snapshot.nodes()) {
      Value domain = other.node["metadata"]["labels"][key];
      if (!domain) continue;
      int64_t& count = counts[domain.str()];
      for (const auto& [pod_key, p] : other.pods) count += spread_selects(c, in.pod, p.pod.root());
      most = std::max(most, count);
    }
    sum += most == 0 ? 100 : 100 * (most - counts[own.str()]) / most;
  }
  return constraints ? sum / constraints : 0;
}

int64_t pod_preference(const FilterInput& in, const NodeInfo& n) {
  int64_t sum = 0, all = 0;
  for (auto [list, sign] : {std::pair{"podAffinity", 1}, {"podAntiAffinity", -1}})
    for (Value w : in.pod["spec"]["affinity"][list]["preferredDuringSchedulingIgnoredDuringExecution"].items()) {
      Value term = w["podAffinityTerm"];
      std::string key = term["topologyKey"].str(), domain = n.node["metadata"]["labels"][key].str();
      all += w["weight"].int_or(1);
      bool found = false;
      for (const auto& [name, other] : in.snapshot.nodes())
        if (!domain.empty() && other.node["metadata"]["labels"][key].equals(domain))
          for (const auto& [pod_key, p] : other.pods)
            found |= affinity_term_selects(term, in.pod, p.pod.root(), in.snapshot);
      if (found) sum += sign * w["weight"].int_or(1);
    }
  return all ? 50 + 50 * sum / all : 0;
}

}  // namespace

const Score kScores[] = {
    {"NodeResourcesFit", 1, least_allocated}, {"NodeResourcesBalancedAllocation", 1, balanced}, {"NodeAffinity", 2, preferred_affinity},
    {"TaintToleration", 3, tolerable},        {"SelectorSpread", 2, spread},                {"PodTopologySpread", 2, soft_spread},
    {"InterPodAffinity", 2, pod_preference},
};
const size_t kScoreCount = std::size(kScores);

}  // namespace k8lite::scheduler
