// Topology spread: how many pods of a kind stand in each domain, and whether one more here would be too uneven.
// (Kubernetes documentation, "Pod Topology Spread Constraints"; KEP-895, 3022, 3094, 3243.)
#include <algorithm>
#include <climits>

#include "scheduler/cycle.h"

namespace k8lite::scheduler {
namespace {

using json::Value;

constexpr std::string_view kZone = "topology.kubernetes.io/zone", kHostname = "kubernetes.io/hostname";

Spread read(Value c, const PodInfo& pod) {
  Spread out;
  out.key = c["topologyKey"].str();
  out.max_skew = c["maxSkew"].int_or(1);
  out.min_domains = c["minDomains"].int_or(0);
  out.ignore_affinity = c["nodeAffinityPolicy"].equals("Ignore");
  out.honor_taints = c["nodeTaintsPolicy"].equals("Honor");
  auto selector = api::LabelSelector::from_object(c["labelSelector"]);
  if (!selector.ok()) selector = api::LabelSelector::from_object(Value());  // selects nothing
  out.selectors.push_back(*selector);
  for (Value k : c["matchLabelKeys"].items()) {
    std::string key = k.str();
    if (!pod.labels[key]) continue;
    json::Node match = json::Node::object();
    match["matchLabels"].set(key, pod.labels[key].str());
    json::Doc doc = json::Doc::from(match);
    if (auto s = api::LabelSelector::from_object(doc.root()); s.ok()) out.selectors.push_back(*s);
  }
  return out;
}

int64_t least_of(SpreadCount& s) {
  if (!s.least) {
    int64_t least = INT_MAX;
    for (const auto& [domain, count] : s.counts) least = std::min(least, count);
    s.least = least;
  }
  return static_cast<int64_t>(s.counts.size()) < s.rule.min_domains ? 0 : *s.least;
}

bool has_all_labels(const std::vector<SpreadCount>& all, const NodeInfo& n) {
  std::string buffer;
  return std::all_of(all.begin(), all.end(), [&n, &buffer](const SpreadCount& s) {
    return !n.label(s.rule.key, buffer).empty() || n.labels[s.rule.key];
  });
}

}  // namespace

bool Spread::selects(const PodInfo& owner, const PodInfo& other) const {
  if (owner.ns != other.ns) return false;
  if (!own_selector) return owner.owner == other.owner;
  return std::all_of(selectors.begin(), selectors.end(), [&other](const auto& s) { return s.matches(other.labels); });
}

std::vector<Spread> spread_rules(const PodInfo& pod, const Profile& profile, bool hard) {
  std::vector<Spread> out;
  Value own = pod.pod.path("spec.topologySpreadConstraints");
  for (Value c : own.items())
    if (c["whenUnsatisfiable"].equals("ScheduleAnyway") != hard) out.push_back(read(c, pod));
  if (own.size() || pod.owner.empty()) return out;
  auto rule = [&out](std::string key, int64_t skew) {
    Spread& s = out.emplace_back();
    s.key = std::move(key);
    s.max_skew = skew;
    s.own_selector = false;
  };
  if (profile.system_defaults && !hard) rule(std::string(kHostname), 3), rule(std::string(kZone), 5);
  for (const DefaultConstraint& c : profile.constraints)
    if (c.hard == hard && !profile.system_defaults) rule(c.key, c.max_skew);
  return out;
}

// Does this node's count belong to the constraint's picture?
bool takes_part(const PodInfo& pod, const Profile&, const Spread& rule, const NodeInfo& n) {
  return (rule.ignore_affinity || fits_node_affinity(pod, n)) && (!rule.honor_taints || !has_untolerated_taint(pod, n));
}

void count_spread(const PodInfo& pod, const Snapshot& snapshot, const Profile& profile, CycleState& state) {
  for (Spread& rule : spread_rules(pod, profile, true)) state.spread.push_back({std::move(rule), {}, {}});
  if (state.spread.empty()) return;
  std::string buffer;
  for (const auto& [name, node] : snapshot.nodes()) {
    if (!has_all_labels(state.spread, node)) continue;
    for (SpreadCount& s : state.spread)
      if (takes_part(pod, profile, s.rule, node)) s.counts.try_emplace(std::string(node.label(s.rule.key, buffer)), 0);
  }
  for (const auto& [other, node] : snapshot.pods_of_namespace(pod.ns)) {
    if (other->ending || !has_all_labels(state.spread, *node)) continue;
    for (SpreadCount& s : state.spread)
      if (s.rule.selects(pod, *other) && takes_part(pod, profile, s.rule, *node))
        ++s.counts[std::string(node->label(s.rule.key, buffer))];
  }
}

void recount_spread(const FilterInput& in, const PodInfo& other, const NodeInfo& node, int by) {
  if (in.state.spread.empty() || other.ending || !has_all_labels(in.state.spread, node)) return;
  std::string buffer;
  for (SpreadCount& s : in.state.spread) {
    if (!s.rule.selects(in.pod, other) || !takes_part(in.pod, in.profile, s.rule, node)) continue;
    s.counts[std::string(node.label(s.rule.key, buffer))] += by;
    s.least.reset();
  }
}

Refusal topology_spread(const FilterInput& in, const NodeInfo& n) {
  std::string buffer;
  for (SpreadCount& s : in.state.spread) {
    if (!n.labels[s.rule.key])
      return {{"node(s) didn't match pod topology spread constraints (missing required label)"}, true};
    auto it = s.counts.find(n.label(s.rule.key, buffer));
    int64_t here = it == s.counts.end() ? 0 : it->second, self = s.rule.selects(in.pod, in.pod);
    if (here + self - least_of(s) > s.rule.max_skew)
      return {{"node(s) didn't match pod topology spread constraints"}, false};
  }
  return {};
}

}  // namespace k8lite::scheduler
