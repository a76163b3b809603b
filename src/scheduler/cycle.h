// One decision: which node for this pod, and who would have to go for it? Pure: same input, same answer. Filters say why a node cannot
// take it, scores rank the others. (Kubernetes documentation, "Scheduling Framework", "Assigning Pods to Nodes", "Pod Topology Spread
// Constraints", "Pod Priority and Preemption".)
#pragma once
#include <optional>

#include "scheduler/snapshot.h"

namespace k8lite::scheduler {

struct Decision {
  std::string node;      // "" : none fits
  std::string message;   // then: "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s)."
  std::vector<std::string> helpable;  // nodes that could take it if pods went
  size_t nodes = 0;
  std::vector<std::string> claims;    // that wait for this node to be chosen; the pod is bound when they are
};
Decision schedule(json::Value pod, const Snapshot& snapshot);

// Whom to end so that the pod fits, after a decision that found no node: the fewest and least important. Budgets are not looked at.
struct Preemption {
  std::string node;                  // "" : nobody
  std::vector<std::string> victims;  // keys; those already ending among them
  std::string message;               // when nobody: "preemption: 0/3 nodes are available: …"
};
Preemption preempt(json::Value pod, const Snapshot& snapshot, const Decision& decision);

struct FilterInput {
  json::Value pod;
  const Amounts& requests;
  const Snapshot& snapshot;
};

// Why a node cannot take the pod, in upstream's words; no reasons: it can. `final`: it would not help if pods went.
struct Refusal {
  std::vector<std::string> reasons;
  bool final = false;
};
// `node` may differ from the snapshot's of that name: pods taken out of it or added to try something.
struct Filter {
  std::string_view name;
  Refusal (*check)(const FilterInput& input, const NodeInfo& node);
};
extern const Filter kFilters[];
extern const size_t kFilterCount;

// plugins/volumes.cpp. Why no node at all can take the pod: a claim that is missing or not bound; "" : nothing.
std::string check_claims(json::Value pod, const Snapshot& snapshot);
Refusal volume_binding(const FilterInput& input, const NodeInfo& node);
Refusal volume_restrictions(const FilterInput& input, const NodeInfo& node);
// Keys of the pod's claims that are not bound yet and wait for their consumer.
std::vector<std::string> unbound_claims(json::Value pod, const Snapshot& snapshot);

struct Score {
  std::string_view name;
  int64_t weight;
  int64_t (*rate)(const FilterInput& input, const NodeInfo& node);  // 0 … 100
};
extern const Score kScores[];
extern const size_t kScoreCount;

// Does the (anti-)affinity term of `owner` select the other pod, by namespaces and labels?
bool affinity_term_selects(json::Value term, json::Value owner, json::Value other, const Snapshot& snapshot);
// A constraint's selector with its matchLabelKeys; nothing when it cannot be read.
bool spread_selects(json::Value constraint, json::Value owner, json::Value other);

}  // namespace k8lite::scheduler
