// Whose end would make room for a pod that fits nowhere. (Kubernetes documentation, "Pod Priority and Preemption".)
#include <algorithm>
#include <climits>

#include "scheduler/cycle.h"

namespace k8lite::scheduler {
namespace {

struct Candidate {
  std::string node;
  std::vector<PodPtr> victims;  // the most important first
  size_t violations = 0;        // of budgets
  int64_t highest = 0, sum = 0;
  std::string started;  // of the one of the most important that runs longest
  // Better: fewer budgets are violated, the most important victim is less important, then all together, then fewer of
  // them, then those that ran for less long.
  bool operator<(const Candidate& o) const {
    if (violations != o.violations) return violations < o.violations;
    if (highest != o.highest) return highest < o.highest;
    if (sum != o.sum) return sum < o.sum;
    if (victims.size() != o.victims.size()) return victims.size() < o.victims.size();
    return started > o.started;
  }
};

// The more important first, of equals the one that runs longer: those get their place back before others.
bool more_important(const PodPtr& a, const PodPtr& b) {
  if (a->priority != b->priority) return a->priority > b->priority;
  std::string sa = a->started(), sb = b->started();
  return sa != sb ? sa < sb : a->key < b->key;
}

// Those of `pods`, in their order, whose end a budget does not allow (any more, after the ones before them).
std::vector<bool> violating(const std::vector<PodPtr>& pods, const Snapshot& snapshot) {
  std::map<const Budget*, int64_t> left;
  std::vector<bool> out;
  for (const PodPtr& p : pods) {
    bool violated = false;
    if (p->labels.size())
      for (const auto& [key, b] : snapshot.budgets()) {
        if (b.selects_none || b.ns != p->ns || !b.selector.matches(p->labels) ||
            b.disrupted.count(p->pod.path("metadata.name").str()))
          continue;
        auto it = left.try_emplace(&b, b.allowed).first;
        violated |= --it->second < 0;
      }
    out.push_back(violated);
  }
  return out;
}

struct Trial {
  FilterInput& in;
  const NodeInfo& node;
  NodeInfo reduced = node;
  CycleState state = in.state;
  FilterInput with{in.pod, in.snapshot, in.profile, state};

  void take_out(const PodPtr& p) {
    reduced.remove(p->key);
    recount(with, *p, node, -1);
  }
  void put_back(const PodPtr& p) {
    reduced.add(p);
    recount(with, *p, node, 1);
  }
  Refusal refusal() { return refuse_with_nominated(with, reduced); }
};

// The pods that have to go from this node; `why_not` when even that would not help.
Candidate victims_on(FilterInput& in, const NodeInfo& node, std::vector<std::string>& why_not) {
  Candidate out;
  out.node = node.name();
  std::vector<PodPtr> lower;
  for (const auto& [key, p] : node.pods)
    if (p->priority < in.pod.priority) lower.push_back(p);
  if (lower.empty()) {
    why_not = {"No preemption victims found for incoming pod"};
    return out;
  }
  Trial trial{in, node};
  for (const auto& p : lower) trial.take_out(p);
  if (Refusal r = trial.refusal(); !r.reasons.empty()) {
    why_not = std::move(r.reasons);
    return out;
  }
  std::sort(lower.begin(), lower.end(), more_important);
  std::vector<bool> violates = violating(lower, in.snapshot);
  for (bool protected_ones : {true, false})
    for (size_t i = 0; i < lower.size(); ++i) {
      if (violates[i] != protected_ones) continue;
      trial.put_back(lower[i]);
      if (trial.refusal().reasons.empty()) continue;
      trial.take_out(lower[i]);
      out.victims.push_back(lower[i]);
      out.violations += protected_ones;
    }
  std::sort(out.victims.begin(), out.victims.end(), more_important);
  if (out.victims.empty()) return out;
  out.highest = out.victims[0]->priority;
  out.started = out.victims[0]->started();
  // Shifted, so that of priorities below zero, too, more of them weigh more.
  for (const auto& v : out.victims) out.sum += v->priority + int64_t{INT_MAX} + 1;
  return out;
}

bool ends_for_another(const PodInfo& p) {
  if (!p.ending) return false;
  for (json::Value c : p.pod.path("status.conditions").items())
    if (c["type"].equals("DisruptionTarget"))
      return c["status"].equals("True") && c["reason"].equals("PreemptionByScheduler");
  return false;
}

// A pod for which others are ending already waits for their end, unless its node would not do even so.
bool waits_for_its_victims(const PodInfo& pod, const Snapshot& snapshot, const Decision& decision) {
  std::string kept = snapshot.nominated_node(pod.key);
  auto node = snapshot.nodes().find(kept);
  if (node == snapshot.nodes().end() ||
      std::find(decision.helpable.begin(), decision.helpable.end(), kept) == decision.helpable.end())
    return false;
  return std::any_of(node->second.pods.begin(), node->second.pods.end(), [&pod](const auto& p) {
    return p.second->priority < pod.priority && ends_for_another(*p.second);
  });
}

}  // namespace

Preemption preempt(const PodInfo& pod, const Snapshot& snapshot, const Profile& profile, const Decision& decision) {
  if (decision.nodes == 0 || !(profile.filters & bit(kDefaultPreemption))) return {};
  if (pod.pod.path("spec.preemptionPolicy").equals("Never"))
    return {"", {}, "preemption: not eligible due to preemptionPolicy=Never.", {}};
  if (waits_for_its_victims(pod, snapshot, decision))
    return {"", {}, "preemption: not eligible due to a terminating pod on the nominated node.", {}};
  CycleState state = count_for(pod, snapshot, profile);
  FilterInput in{pod, snapshot, profile, state};
  std::optional<Candidate> best;
  std::map<std::string, size_t> reasons;
  int64_t all = static_cast<int64_t>(decision.helpable.size()),
          wanted = std::max(all * profile.candidate_percent / 100, profile.candidates), found = 0;
  for (const auto& name : decision.helpable) {
    std::vector<std::string> why_not;
    Candidate c = victims_on(in, snapshot.nodes().at(name), why_not);
    for (auto& why : why_not) ++reasons[std::move(why)];
    if (c.victims.empty()) continue;
    if (!best || c < *best) best = std::move(c);
    if (++found >= wanted) break;
  }
  if (best) {
    Preemption out;
    out.node = best->node;
    for (const auto& v : best->victims) out.victims.push_back(v->key);
    for (const auto& [key, p] : snapshot.nominated(out.node))
      if (p->priority < pod.priority) out.displaced.push_back(key);
    return out;
  }
  if (size_t rest = decision.nodes - decision.helpable.size())
    reasons["Preemption is not helpful for scheduling"] += rest;
  return {"", {}, "preemption: " + histogram(reasons, decision.nodes), {}};
}

}  // namespace k8lite::scheduler
