#include "scheduler/cycle.h"

#include <algorithm>

namespace k8lite::scheduler {
namespace {

using json::Value;

int64_t priority_of(Value pod) { return pod.path("spec.priority").int_or(0); }
std::string key_of(Value pod) { return pod.path("metadata.namespace").str() + "/" + pod.path("metadata.name").str(); }

Refusal refuse(const FilterInput& in, const NodeInfo& n) {
  for (size_t i = 0; i < kFilterCount; ++i)
    if (Refusal r = kFilters[i].check(in, n); !r.reasons.empty()) return r;
  return {};
}

// Room that is kept for pods which had others ended for them: it counts as taken for everybody who is not more important.
Refusal refuse_with_nominated(const FilterInput& in, const NodeInfo& n) {
  const auto& nominated = in.snapshot.nominated(n.name());
  NodeInfo fuller;
  for (const auto& [key, pod] : nominated) {
    if (key == key_of(in.pod) || priority_of(pod.root()) < priority_of(in.pod)) continue;
    if (!fuller.node) fuller = n;
    fuller.add(key, pod);
  }
  if (fuller.node)
    if (Refusal r = refuse(in, fuller); !r.reasons.empty()) return r;
  return refuse(in, n);
}

std::string histogram(const std::map<std::string, size_t>& reasons, size_t nodes) {
  std::vector<std::string> parts;
  for (const auto& [why, n] : reasons) parts.push_back(std::to_string(n) + " " + why);
  std::sort(parts.begin(), parts.end());
  std::string out = "0/" + std::to_string(nodes) + " nodes are available: ";
  for (size_t i = 0; i < parts.size(); ++i) out += (i ? ", " : "") + parts[i];
  return out + ".";
}

struct Candidate {
  std::string node;
  std::vector<std::string> victims;
  int64_t highest = 0, sum = 0;
  std::string started;  // of the first of the most important ones
  // Better: the most important victim is less important, then all together, then fewer of them, then those that ran for less long.
  bool operator<(const Candidate& o) const {
    if (highest != o.highest) return highest < o.highest;
    if (sum != o.sum) return sum < o.sum;
    if (victims.size() != o.victims.size()) return victims.size() < o.victims.size();
    return started > o.started;
  }
};

std::string started_at(const json::Doc& pod) { return pod.path("status.startTime").str(pod.path("metadata.creationTimestamp").str()); }

// The pods that have to go from this node; none when even that would not help.
Candidate victims_on(const FilterInput& in, const NodeInfo& node) {
  Candidate out{node.name(), {}, 0, 0, ""};
  std::vector<std::string> lower;
  for (const auto& [key, p] : node.pods)
    if (priority_of(p.pod.root()) < priority_of(in.pod)) lower.push_back(key);
  if (lower.empty()) return out;
  auto pod = [&node](const std::string& key) -> const json::Doc& { return node.pods.at(key).pod; };
  // The most important first, of equals the one that runs longest: they get their place back when there is room.
  std::sort(lower.begin(), lower.end(), [&pod](const std::string& a, const std::string& b) {
    int64_t pa = priority_of(pod(a).root()), pb = priority_of(pod(b).root());
    if (pa != pb) return pa > pb;
    return std::pair(started_at(pod(a)), a) < std::pair(started_at(pod(b)), b);
  });
  NodeInfo reduced = node;
  for (const auto& key : lower) reduced.remove(key);
  if (!refuse_with_nominated(in, reduced).reasons.empty()) return out;
  for (const auto& key : lower) {
    reduced.add(key, pod(key));
    if (refuse_with_nominated(in, reduced).reasons.empty()) continue;
    reduced.remove(key);
    int64_t priority = priority_of(pod(key).root());
    if (out.victims.empty()) out.highest = priority, out.started = started_at(pod(key));
    out.sum += priority;
    out.victims.push_back(key);
  }
  return out;
}

// A pod for which others are ending already waits for their end.
bool waits_for_its_victims(Value pod, const Snapshot& snapshot) {
  for (const auto& [name, node] : snapshot.nodes()) {
    if (!snapshot.nominated(name).count(key_of(pod))) continue;
    for (const auto& [key, p] : node.pods)
      if (p.pod.path("metadata.deletionTimestamp") && priority_of(p.pod.root()) < priority_of(pod)) return true;
  }
  return false;
}

}  // namespace

Preemption preempt(Value pod, const Snapshot& snapshot, const Decision& decision) {
  if (pod.path("spec.preemptionPolicy").equals("Never")) return {"", {}, "preemption: not eligible due to preemptionPolicy=Never."};
  if (waits_for_its_victims(pod, snapshot)) return {"", {}, "preemption: not eligible due to a terminating pod on the nominated node."};
  Amounts requests = pod_requests(pod);
  FilterInput in{pod, requests, snapshot};
  std::optional<Candidate> best;
  for (const auto& name : decision.helpable) {
    Candidate c = victims_on(in, snapshot.nodes().at(name));
    if (!c.victims.empty() && (!best || c < *best)) best = std::move(c);
  }
  if (best) return {best->node, best->victims, ""};
  if (decision.nodes == 0) return {};
  std::map<std::string, size_t> reasons;
  if (!decision.helpable.empty()) reasons["No preemption victims found for incoming pod"] = decision.helpable.size();
  if (size_t rest = decision.nodes - decision.helpable.size()) reasons["Preemption is not helpful for scheduling"] = rest;
  return {"", {}, "preemption: " + histogram(reasons, decision.nodes)};
}

Decision schedule(Value pod, const Snapshot& snapshot) {
  Amounts requests = pod_requests(pod);
  FilterInput in{pod, requests, snapshot};
  std::map<std::string, size_t> reasons;
  Decision out;
  out.nodes = snapshot.nodes().size();
  if (std::string why = check_claims(pod, snapshot); !why.empty()) {
    out.message = "0/" + std::to_string(out.nodes) + " nodes are available: " + why + ".";
    return out;
  }
  const NodeInfo* best = nullptr;
  int64_t best_score = -1;
  for (const auto& [name, node] : snapshot.nodes()) {
    if (Refusal r = refuse_with_nominated(in, node); !r.reasons.empty()) {
      for (const auto& why : r.reasons) ++reasons[why];
      if (!r.final) out.helpable.push_back(name);
      continue;
    }
    int64_t score = 0;
    for (size_t i = 0; i < kScoreCount; ++i) score += kScores[i].weight * kScores[i].rate(in, node);
    if (score > best_score) best = &node, best_score = score;
  }
  if (best) out.node = best->name(), out.claims = unbound_claims(pod, snapshot);
  else out.message = snapshot.nodes().empty() ? "no nodes available to schedule pods" : histogram(reasons, out.nodes);
  return out;
}

}  // namespace k8lite::scheduler
