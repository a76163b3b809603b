#include "scheduler/cycle.h"

#include <algorithm>

namespace k8lite::scheduler {
namespace {

constexpr size_t kSmallCluster = 100;  // up to here every node is looked at
constexpr size_t kLeastPercent = 5;

Refusal refuse(const FilterInput& in, const NodeInfo& n, uint32_t* by) {
  for (size_t i = 0; i < kFilterCount; ++i) {
    if (!(in.profile.filters & bit(kFilters[i].plugin))) continue;
    if (Refusal r = kFilters[i].check(in, n); !r.reasons.empty()) {
      if (by) *by |= bit(kFilters[i].plugin);
      return r;
    }
  }
  return {};
}

// How many nodes that fit are enough: all of a small cluster, of a large one a share that shrinks as it grows.
size_t enough(size_t nodes, int64_t percent) {
  if (nodes < kSmallCluster) return nodes;
  size_t share = percent > 0                        ? static_cast<size_t>(percent)
                 : nodes / 125 < 50 - kLeastPercent ? 50 - nodes / 125
                                                    : kLeastPercent;
  return std::max(kSmallCluster, nodes * std::min<size_t>(share, 100) / 100);
}

struct Search {
  FilterInput& in;
  Decision& out;
  std::map<std::string, size_t> reasons;
  std::vector<const NodeInfo*> fit;

  void look_at(const NodeInfo& node) {
    Refusal r = refuse_with_nominated(in, node, &out.refused_by);
    if (r.reasons.empty()) return fit.push_back(&node);
    for (auto& why : r.reasons) ++reasons[std::move(why)];
    if (!r.final) out.helpable.push_back(node.name());
  }
  void look_around(size_t from) {
    const auto& order = in.snapshot.order();
    size_t wanted = enough(order.size(), in.profile.percentage_of_nodes), seen = 0;
    while (seen < order.size() && fit.size() < wanted) look_at(*order[(from + seen++) % order.size()]);
    out.next = order.empty() ? 0 : (from + seen) % order.size();
  }
  // The others do not have to be looked at, however many there are.
  void look_at_named(const std::set<std::string>& names) {
    size_t found = 0;
    for (const auto& name : names) {
      auto it = in.snapshot.nodes().find(name);
      if (it == in.snapshot.nodes().end()) continue;
      ++found;
      look_at(it->second);
    }
    if (size_t rest = out.nodes - found) reasons["node(s) didn't satisfy plugin(s) [NodeAffinity]"] += rest;
    out.refused_by |= bit(kNodeAffinity);
  }
};

std::string why_nowhere(const PodInfo& pod, const Snapshot& snapshot, uint32_t& by) {
  if (std::string why = check_claims(pod, snapshot); !why.empty()) {
    by |= bit(kVolumeBinding);
    return why;
  }
  if (!pod.only_nodes || !pod.only_nodes->empty()) return "";
  by |= bit(kNodeAffinity);
  return "pod affinity terms conflict";
}

}  // namespace

// Room that is kept for pods which had others ended for them: it counts as taken for everybody who is not more
// important.
Refusal refuse_with_nominated(FilterInput& in, const NodeInfo& n, uint32_t* by) {
  NodeInfo fuller;
  CycleState with;
  FilterInput then{in.pod, in.snapshot, in.profile, with};
  for (const auto& [key, pod] : in.snapshot.nominated(n.name())) {
    if (key == in.pod.key || pod->priority < in.pod.priority) continue;
    if (!fuller.node) fuller = n, with = in.state;
    fuller.add(pod);
    recount(then, *pod, n, 1);
  }
  if (fuller.node)
    if (Refusal r = refuse(then, fuller, by); !r.reasons.empty()) return r;
  return refuse(in, n, by);
}

std::string histogram(const std::map<std::string, size_t>& reasons, size_t nodes) {
  std::vector<std::string> parts;
  for (const auto& [why, n] : reasons) parts.push_back(std::to_string(n) + " " + why);
  std::sort(parts.begin(), parts.end());
  std::string out = "0/" + std::to_string(nodes) + " nodes are available: ";
  for (size_t i = 0; i < parts.size(); ++i) out += (i ? ", " : "") + parts[i];
  return out + ".";
}

CycleState count_for(const PodInfo& pod, const Snapshot& snapshot, const Profile& profile) {
  CycleState state;
  if (profile.filters & bit(kPodTopologySpread)) count_spread(pod, snapshot, profile, state);
  if (profile.filters & bit(kInterPodAffinity)) count_affinity(pod, snapshot, state);
  return state;
}

void recount(FilterInput& in, const PodInfo& pod, const NodeInfo& node, int by) {
  recount_spread(in, pod, node, by);
  recount_affinity(in, pod, node, by);
}

bool fits(const PodInfo& pod, const Snapshot& snapshot, const Profile& profile, const std::string& node) {
  auto it = snapshot.nodes().find(node);
  if (it == snapshot.nodes().end()) return false;
  CycleState state = count_for(pod, snapshot, profile);
  FilterInput in{pod, snapshot, profile, state};
  return refuse_with_nominated(in, it->second).reasons.empty();
}

Decision schedule(const PodInfo& pod, const Snapshot& snapshot, const Profile& profile, size_t from) {
  Decision out;
  out.nodes = snapshot.nodes().size();
  if (out.nodes == 0) {
    out.message = "no nodes available to schedule pods";
    return out;
  }
  if (std::string why = why_nowhere(pod, snapshot, out.refused_by); !why.empty()) {
    out.message = "0/" + std::to_string(out.nodes) + " nodes are available: " + why + ".";
    return out;
  }
  CycleState state = count_for(pod, snapshot, profile);
  FilterInput in{pod, snapshot, profile, state};
  Search search{in, out, {}, {}};
  // Where others were ended for it, it goes if it can.
  if (std::string kept = snapshot.nominated_node(pod.key); !kept.empty())
    if (auto it = snapshot.nodes().find(kept);
        it != snapshot.nodes().end() && refuse_with_nominated(in, it->second).reasons.empty())
      search.fit.push_back(&it->second);
  if (!search.fit.empty())
    out.next = from;
  else if (pod.only_nodes && (profile.filters & bit(kNodeAffinity)))
    search.look_at_named(*pod.only_nodes), out.next = from;
  else
    search.look_around(from);
  if (search.fit.empty()) {
    out.message = histogram(search.reasons, out.nodes);
    return out;
  }
  out.node = (search.fit.size() == 1 ? search.fit[0] : best_of(in, search.fit))->name();
  out.claims = unbound_claims(pod, snapshot);
  return out;
}

}  // namespace k8lite::scheduler
