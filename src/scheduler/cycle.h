// One decision: which node for this pod? Pure: same input, same answer. Filters say why a node cannot take it, scores rank the others.
// (Kubernetes documentation, "Scheduling Framework", "Assigning Pods to Nodes", "Pod Topology Spread Constraints".)
#pragma once
#include "scheduler/snapshot.h"

namespace k8lite::scheduler {

struct Decision {
  std::string node;      // "" : none fits
  std::string message;   // then: "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {…}. …"
};
Decision schedule(json::Value pod, const Snapshot& snapshot);

struct FilterInput {
  json::Value pod;
  const Amounts& requests;
  const Snapshot& snapshot;
};
// "" when the node may take the pod, else the reason in upstream's words.
struct Filter {
  std::string_view name;
  std::string (*check)(const FilterInput& input, const NodeInfo& node);
};
extern const Filter kFilters[];
extern const size_t kFilterCount;

struct Score {
  std::string_view name;
  int64_t weight;
  int64_t (*rate)(const FilterInput& input, const NodeInfo& node);  // 0 … 100
};
extern const Score kScores[];
extern const size_t kScoreCount;

// A pod's victims on one node for preemption, by lower priority; empty when even they would not help.
std::vector<std::string> victims_on(const FilterInput& input, const NodeInfo& node);

}  // namespace k8lite::scheduler
