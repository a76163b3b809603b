#include "scheduler/cycle.h"

#include <algorithm>

namespace k8lite::scheduler {
namespace {

using json::Value;

std::string why_not(const FilterInput& in, const NodeInfo& n) {
  for (size_t i = 0; i < kFilterCount; ++i)
    if (std::string why = kFilters[i].check(in, n); !why.empty()) return why;
  return "";
}

std::string summary(const std::map<std::string, int>& reasons, size_t nodes) {
  if (nodes == 0) return "no nodes available to schedule pods";
  std::vector<std::string> parts;
  for (const auto& [why, n] : reasons) parts.push_back(std::to_string(n) + " " + why);
  std::sort(parts.begin(), parts.end());
  std::string out = "0/" + std::to_string(nodes) + " nodes are available: ";
  for (size_t i = 0; i < parts.size(); ++i) out += (i ? ", " : "") + parts[i];
  return out + ".";
}

}  // namespace

std::vector<std::string> victims_on(const FilterInput& in, const NodeInfo& node) {
  int64_t priority = in.pod.path("spec.priority").int_or(0);
  if (in.pod.path("spec.preemptionPolicy").equals("Never")) return {};
  std::vector<std::pair<int64_t, std::string>> lower;
  for (const auto& [key, p] : node.pods)
    if (int64_t other = p.pod.path("spec.priority").int_or(0); other < priority) lower.emplace_back(other, key);
  if (lower.empty()) return {};
  std::sort(lower.begin(), lower.end());
  NodeInfo reduced = node;
  for (const auto& [p, key] : lower) reduced.remove(key);
  if (!why_not(in, reduced).empty()) return {};
  // Give back the most important ones that still fit.
  std::vector<std::string> victims;
  for (auto it = lower.rbegin(); it != lower.rend(); ++it) {
    reduced.add(it->second, node.pods.at(it->second).pod);
    if (why_not(in, reduced).empty()) continue;
    reduced.remove(it->second);
    victims.push_back(it->second);
  }
  return victims;
}

Decision schedule(Value pod, const Snapshot& snapshot) {
  Amounts requests = pod_requests(pod);
  FilterInput in{pod, requests, snapshot};
  std::map<std::string, int> reasons;
  const NodeInfo* best = nullptr;
  int64_t best_score = -1;
  for (const auto& [name, node] : snapshot.nodes()) {
    if (std::string why = why_not(in, node); !why.empty()) {
      ++reasons[why];
      continue;
    }
    int64_t score = 0;
    for (size_t i = 0; i < kScoreCount; ++i) score += kScores[i].weight * kScores[i].rate(in, node);
    if (score > best_score) best = &node, best_score = score;
  }
  if (best) return {best->name(), ""};
  return {"", summary(reasons, snapshot.nodes().size())};
}

}  // namespace k8lite::scheduler
