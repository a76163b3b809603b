// Which of the nodes that can take a pod is best: each plugin rates all of them, its rates are brought to 0 … 100, and
// the weighted sum counts. A plugin that has nothing to say about this pod costs nothing.
#include <algorithm>
#include <cmath>

#include "api/placement.h"
#include "scheduler/cycle.h"

namespace k8lite::scheduler {
namespace {

using json::Value;

constexpr int64_t kBest = 100;
constexpr std::string_view kHostname = "kubernetes.io/hostname";

struct SoftSpread {
  Spread rule;
  bool by_node = false;  // the topology is the node itself
  double weight = 0;
  std::map<std::string, int64_t, std::less<>> counts;
  std::unordered_map<const NodeInfo*, int64_t> on_node;
};

struct ScoreInput {
  const FilterInput& in;
  const std::vector<const NodeInfo*>& nodes;
  std::vector<SoftSpread> spread;
  bool need_all_labels = true;
  DomainCounts affinity;  // weights
};

using Rates = std::vector<int64_t>;

// The largest becomes 100, the others in proportion; reversed, the smallest is best.
void normalize(Rates& rates, bool reverse) {
  int64_t most = *std::max_element(rates.begin(), rates.end());
  for (int64_t& r : rates) {
    if (most == 0) {
      r = reverse ? kBest : r;
      continue;
    }
    r = r * kBest / most;
    if (reverse) r = kBest - r;
  }
}

// What would be taken of a resource if the pod went there, and how much there is.
std::pair<int64_t, int64_t> taken_of(const FilterInput& in, const NodeInfo& n, const std::string& name,
                                     bool as_weight) {
  int64_t all = n.allocatable.get(name);
  bool weighed = as_weight && (name == "cpu" || name == "memory");
  return {weighed ? n.weight.get(name) + in.pod.weight.get(name) : n.requested.get(name) + in.pod.requests.get(name),
          all};
}

// The shape's line at this utilization, 0 … 100.
int64_t on_shape(const std::vector<ShapePoint>& shape, int64_t utilization) {
  if (shape.empty()) return 0;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (utilization > shape[i].utilization) continue;
    if (i == 0) return shape[0].score * 10;
    const ShapePoint &a = shape[i - 1], &b = shape[i];
    return a.score * 10 + (b.score - a.score) * 10 * (utilization - a.utilization) / (b.utilization - a.utilization);
  }
  return shape.back().score * 10;
}

int64_t rate_resource(const Profile& p, int64_t taken, int64_t all) {
  switch (p.strategy) {
    case Strategy::LeastAllocated:
      return taken > all ? 0 : (all - taken) * kBest / all;
    case Strategy::MostAllocated:
      return std::min(taken, all) * kBest / all;
    case Strategy::RequestedToCapacityRatio:
      return on_shape(p.shape, taken > all ? 100 : taken * 100 / all);
  }
  return 0;
}

bool rate_fit(ScoreInput& s, Rates& rates) {
  for (size_t i = 0; i < s.nodes.size(); ++i) {
    int64_t sum = 0, weights = 0;
    for (const auto& [name, weight] : s.in.profile.resources) {
      auto [taken, all] = taken_of(s.in, *s.nodes[i], name, true);
      if (all == 0) continue;
      // Of what few have, it counts only for those who ask for it.
      if (name != "cpu" && name != "memory" && name != "ephemeral-storage" && s.in.pod.requests.get(name) == 0)
        continue;
      int64_t rate = rate_resource(s.in.profile, taken, all);
      if (s.in.profile.strategy == Strategy::RequestedToCapacityRatio && rate == 0) continue;
      sum += rate * weight;
      weights += weight;
    }
    rates[i] = weights ? sum / weights : 0;
  }
  return true;
}

// The more alike the shares of its resources that are taken, the better. For a pod that asks for nothing all are the
// same.
bool rate_balance(ScoreInput& s, Rates& rates) {
  const Amounts& ask = s.in.pod.requests;
  if (ask.cpu == 0 && ask.memory == 0 && ask.storage == 0 && ask.more.empty()) return false;
  for (size_t i = 0; i < s.nodes.size(); ++i) {
    double shares[8], sum = 0;
    size_t n = 0;
    for (const auto& [name, weight] : s.in.profile.balanced) {
      auto [taken, all] = taken_of(s.in, *s.nodes[i], name, false);
      if (all == 0 || n == std::size(shares)) continue;
      shares[n] = std::min(1.0, static_cast<double>(taken) / static_cast<double>(all));
      sum += shares[n++];
    }
    double deviation = 0;
    if (n == 2) deviation = std::abs(shares[0] - shares[1]) / 2;
    for (size_t k = 0; n > 2 && k < n; ++k)
      deviation += (shares[k] - sum / static_cast<double>(n)) * (shares[k] - sum / static_cast<double>(n)) /
                   static_cast<double>(n);
    if (n > 2) deviation = std::sqrt(deviation);
    rates[i] = static_cast<int64_t>((1 - deviation) * kBest);
  }
  return true;
}

bool rate_node_affinity(ScoreInput& s, Rates& rates) {
  Value own = s.in.pod.pod.path("spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution");
  Value added = s.in.profile.added_affinity["preferredDuringSchedulingIgnoredDuringExecution"];
  if (own.size() + added.size() == 0) return false;
  for (size_t i = 0; i < s.nodes.size(); ++i)
    for (Value list : {own, added})
      for (Value p : list.items())
        if (api::node_selector_term_matches(p["preference"], s.nodes[i]->node.root()))
          rates[i] += p["weight"].int_or(0);
  normalize(rates, false);
  return true;
}

bool rate_taints(ScoreInput& s, Rates& rates) {
  if (std::none_of(s.nodes.begin(), s.nodes.end(), [](const NodeInfo* n) { return n->prefers_not; })) return false;
  Value tolerations = s.in.pod.pod.path("spec.tolerations");
  for (size_t i = 0; i < s.nodes.size(); ++i)
    for (Value taint : s.nodes[i]->taints.items()) {
      if (!taint["effect"].equals("PreferNoSchedule")) continue;
      bool tolerated = false;
      for (Value t : tolerations.items()) tolerated |= api::tolerates(t, taint);
      rates[i] += !tolerated;
    }
  normalize(rates, true);
  return true;
}

// Images that are there already: the larger and the more common, the better (else all pods would run after the first).
bool rate_images(ScoreInput& s, Rates& rates) {
  constexpr int64_t kMb = 1024 * 1024, kLeast = 23 * kMb, kMost = 1000 * kMb;
  std::vector<std::string> wanted;
  int64_t containers = 0;
  for (const char* list : {"initContainers", "containers"})
    for (Value c : s.in.pod.pod["spec"][list].items()) {
      ++containers;
      std::string name = full_image_name(c["image"].str());
      if (s.in.snapshot.nodes_with_image(name)) wanted.push_back(std::move(name));
    }
  if (wanted.empty()) return false;
  double all = static_cast<double>(s.in.snapshot.nodes().size());
  for (size_t i = 0; i < s.nodes.size(); ++i) {
    int64_t sum = 0;
    for (const auto& name : wanted)
      if (auto it = s.nodes[i]->images.find(name); it != s.nodes[i]->images.end())
        sum += static_cast<int64_t>(static_cast<double>(it->second) *
                                    static_cast<double>(s.in.snapshot.nodes_with_image(name)) / all);
    int64_t most = kMost * containers;
    rates[i] = kBest * (std::clamp(sum, kLeast, most) - kLeast) / (most - kLeast);
  }
  return true;
}

bool has_labels(const ScoreInput& s, const NodeInfo& n) {
  return std::all_of(s.spread.begin(), s.spread.end(),
                     [&n](const SoftSpread& c) { return static_cast<bool>(n.labels[c.rule.key]); });
}

void count_soft_spread(ScoreInput& s) {
  const FilterInput& in = s.in;
  std::string buffer;
  size_t counted = 0;
  for (const NodeInfo* n : s.nodes) {
    if (s.need_all_labels && !has_labels(s, *n)) continue;
    ++counted;
    for (SoftSpread& c : s.spread)
      if (!c.by_node && n->labels[c.rule.key]) c.counts.try_emplace(std::string(n->label(c.rule.key, buffer)), 0);
  }
  auto add = [&](SoftSpread& c, const NodeInfo* node, int64_t n) {
    if (c.by_node) {
      c.on_node[node] += n;
      return;
    }
    auto it = c.counts.find(node->label(c.rule.key, buffer));
    if (it != c.counts.end() && takes_part(in.pod, in.profile, c.rule, *node) &&
        (!s.need_all_labels || has_labels(s, *node)))
      it->second += n;
  };
  for (SoftSpread& c : s.spread) {
    c.weight = std::log(static_cast<double>(c.by_node ? counted : c.counts.size()) + 2);
    if (!c.rule.own_selector) {
      for (const auto& [node, n] : in.snapshot.pods_of_owner(in.pod.owner)) add(c, node, n);
      continue;
    }
    for (const auto& [other, node] : in.snapshot.pods_of_namespace(in.pod.ns))
      if (!other->ending && c.rule.selects(in.pod, *other)) add(c, node, 1);
  }
}

bool rate_spread(ScoreInput& s, Rates& rates) {
  for (Spread& rule : spread_rules(s.in.pod, s.in.profile, false)) {
    bool by_node = rule.key == kHostname;
    s.spread.push_back({std::move(rule), by_node, 0, {}, {}});
  }
  if (s.spread.empty()) return false;
  s.need_all_labels = s.in.pod.pod.path("spec.topologySpreadConstraints").size() || !s.in.profile.system_defaults;
  count_soft_spread(s);
  std::string buffer;
  std::vector<bool> ignored(rates.size());
  int64_t least = INT64_MAX, most = 0;
  for (size_t i = 0; i < rates.size(); ++i) {
    const NodeInfo& n = *s.nodes[i];
    if (s.need_all_labels && !has_labels(s, n)) {
      ignored[i] = true;
      continue;
    }
    double sum = 0;
    for (const SoftSpread& c : s.spread) {
      if (!n.labels[c.rule.key]) continue;
      int64_t there = 0;
      if (c.by_node) {
        if (auto it = c.on_node.find(&n); it != c.on_node.end()) there = it->second;
      } else if (auto it = c.counts.find(n.label(c.rule.key, buffer)); it != c.counts.end()) {
        there = it->second;
      }
      sum += static_cast<double>(there) * c.weight + static_cast<double>(c.rule.max_skew - 1);
    }
    rates[i] = std::llround(sum);
    least = std::min(least, rates[i]);
    most = std::max(most, rates[i]);
  }
  for (size_t i = 0; i < rates.size(); ++i)
    rates[i] = ignored[i] ? 0 : most == 0 ? kBest : kBest * (most + least - rates[i]) / most;
  return true;
}

void weigh(ScoreInput& s, const PodTerm& term, int64_t weight, const NodeInfo& node) {
  std::string buffer;
  std::string_view domain = node.label(term.topology, buffer);
  if (!domain.empty()) s.affinity[term.topology][std::string(domain)] += weight;
}

// What the pod prefers beside it, and what those that are there prefer or need beside them.
bool rate_pod_affinity(ScoreInput& s, Rates& rates) {
  const FilterInput& in = s.in;
  const PodInfo& pod = in.pod;
  if (!pod.preferred.empty())
    for (const auto& [name, node] : in.snapshot.nodes())
      for (const auto& [key, other] : node.pods)
        for (const PodTerm& t : pod.preferred)
          if (t.selects(*other, in.snapshot)) weigh(s, t, t.weight, node);
  if (!pod.preferred.empty() || !in.profile.ignore_preferred_of_existing)
    for (const auto& [other, node] : in.snapshot.pods_with_affinity()) {
      for (const PodTerm& t : other->affinity)
        if (in.profile.hard_affinity_weight && t.selects(pod, in.snapshot))
          weigh(s, t, in.profile.hard_affinity_weight, *node);
      for (const PodTerm& t : other->preferred)
        if (t.selects(pod, in.snapshot)) weigh(s, t, t.weight, *node);
    }
  if (s.affinity.empty()) return false;
  std::string buffer;
  for (size_t i = 0; i < rates.size(); ++i)
    for (const auto& [key, domains] : s.affinity)
      if (auto it = domains.find(s.nodes[i]->label(key, buffer)); it != domains.end()) rates[i] += it->second;
  auto [least, most] = std::minmax_element(rates.begin(), rates.end());
  int64_t low = *least, range = *most - low;
  for (int64_t& r : rates) r = range > 0 ? kBest * (r - low) / range : 0;
  return true;
}

struct Score {
  Plugin plugin;
  bool (*rate)(ScoreInput& input, Rates& rates);  // false: nothing to say
};
constexpr Score kScores[] = {
    {kTaintToleration, rate_taints},        {kNodeAffinity, rate_node_affinity}, {kPodTopologySpread, rate_spread},
    {kInterPodAffinity, rate_pod_affinity}, {kNodeResourcesFit, rate_fit},       {kBalancedAllocation, rate_balance},
    {kImageLocality, rate_images},
};

}  // namespace

const NodeInfo* best_of(const FilterInput& in, const std::vector<const NodeInfo*>& nodes) {
  ScoreInput s{in, nodes, {}, true, {}};
  Rates total(nodes.size()), rates;
  for (const Score& score : kScores) {
    int64_t weight = in.profile.weights[score.plugin];
    if (weight == 0) continue;
    rates.assign(nodes.size(), 0);
    if (!score.rate(s, rates)) continue;
    for (size_t i = 0; i < nodes.size(); ++i) total[i] += weight * rates[i];
  }
  return nodes[static_cast<size_t>(std::max_element(total.begin(), total.end()) - total.begin())];
}

}  // namespace k8lite::scheduler
