// One decision: which node for this pod, and who would have to go for it? Pure: same input, same answer. Filters say
// why a node cannot take it, scores rank the others. (Kubernetes documentation, "Scheduling Framework", "Assigning Pods
// to Nodes", "Pod Topology Spread Constraints", "Pod Priority and Preemption".)
#pragma once
#include <optional>

#include "scheduler/profile.h"
#include "scheduler/snapshot.h"

namespace k8lite::scheduler {

struct Decision {
  std::string node;     // "" : none fits
  std::string message;  // then: "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s)."
  std::vector<std::string> helpable;  // nodes that could take it if pods went
  size_t nodes = 0;
  std::vector<std::string> claims;  // that wait for this node to be chosen; the pod is bound when they are
  uint32_t refused_by = 0;          // bits of the plugins that said no somewhere
  size_t next = 0;                  // where the next decision begins in the snapshot's order
};
// Looks at a part of a large cluster only, beginning at `from` of the snapshot's order.
Decision schedule(const PodInfo& pod, const Snapshot& snapshot, const Profile& profile, size_t from = 0);
// Whether this one node takes the pod as things are.
bool fits(const PodInfo& pod, const Snapshot& snapshot, const Profile& profile, const std::string& node);

// Whom to end so that the pod fits, after a decision that found no node: those whose budgets allow it, the least
// important, the fewest.
struct Preemption {
  std::string node;                    // "" : nobody
  std::vector<std::string> victims;    // keys; those already ending among them
  std::string message;                 // when nobody: "preemption: 0/3 nodes are available: …"
  std::vector<std::string> displaced;  // less important pods that waited for this node: they look again
};
Preemption preempt(const PodInfo& pod, const Snapshot& snapshot, const Profile& profile, const Decision& decision);

// What a cycle counted before it looks at nodes; kept true while pods are taken out of nodes or put back to try
// something.
struct Spread {
  std::string key;
  int64_t max_skew = 1, min_domains = 0;
  bool ignore_affinity = false, honor_taints = false;
  bool own_selector = true;  // else: the pods of the same owner
  std::vector<api::LabelSelector> selectors;
  bool selects(const PodInfo& owner, const PodInfo& other) const;
};
struct SpreadCount {
  Spread rule;
  std::map<std::string, int64_t, std::less<>> counts;  // matching pods by domain
  std::optional<int64_t> least;
};
// By topology key and value.
using DomainCounts = std::map<std::string, std::map<std::string, int64_t, std::less<>>, std::less<>>;
struct CycleState {
  std::vector<SpreadCount> spread;
  DomainCounts existing_anti, affinity, anti;
  bool empty() const { return spread.empty() && existing_anti.empty() && affinity.empty() && anti.empty(); }
};

struct FilterInput {
  const PodInfo& pod;
  const Snapshot& snapshot;
  const Profile& profile;
  CycleState& state;
};
CycleState count_for(const PodInfo& pod, const Snapshot& snapshot, const Profile& profile);
// A pod was taken out of the node (by -1) or put there (1).
void recount(FilterInput& input, const PodInfo& pod, const NodeInfo& node, int by);

// Why a node cannot take the pod, in upstream's words; no reasons: it can. `final`: it would not help if pods went.
struct Refusal {
  std::vector<std::string> reasons;
  bool final = false;
};
// `node` may differ from the snapshot's of that name: pods taken out of it or added to try something.
struct Filter {
  Plugin plugin;
  Refusal (*check)(const FilterInput& input, const NodeInfo& node);
};
extern const Filter kFilters[];
extern const size_t kFilterCount;

// plugins/spread.cpp, plugins/affinity.cpp: counting for the two that look beyond one node.
std::vector<Spread> spread_rules(const PodInfo& pod, const Profile& profile, bool hard);
bool takes_part(const PodInfo& pod, const Profile& profile, const Spread& rule, const NodeInfo& node);
void count_spread(const PodInfo& pod, const Snapshot& snapshot, const Profile& profile, CycleState& state);
void recount_spread(const FilterInput& input, const PodInfo& pod, const NodeInfo& node, int by);
Refusal topology_spread(const FilterInput& input, const NodeInfo& node);
void count_affinity(const PodInfo& pod, const Snapshot& snapshot, CycleState& state);
void recount_affinity(const FilterInput& input, const PodInfo& pod, const NodeInfo& node, int by);
Refusal pod_affinity(const FilterInput& input, const NodeInfo& node);

// plugins/volumes.cpp. Why no node at all can take the pod: a claim that is missing or not bound; "" : nothing.
std::string check_claims(const PodInfo& pod, const Snapshot& snapshot);
Refusal volume_binding(const FilterInput& input, const NodeInfo& node);
Refusal volume_restrictions(const FilterInput& input, const NodeInfo& node);
// Keys of the pod's claims that are not bound yet and wait for their consumer.
std::vector<std::string> unbound_claims(const PodInfo& pod, const Snapshot& snapshot);

// plugins/scores.cpp: the best of the nodes that fit; the first of equals.
const NodeInfo* best_of(const FilterInput& input, const std::vector<const NodeInfo*>& nodes);

bool fits_node_affinity(const PodInfo& pod, const NodeInfo& node);
bool has_untolerated_taint(const PodInfo& pod, const NodeInfo& node);

// cycle.cpp, for preemption.cpp.
Refusal refuse_with_nominated(FilterInput& input, const NodeInfo& node, uint32_t* refused_by = nullptr);
std::string histogram(const std::map<std::string, size_t>& reasons, size_t nodes);

}  // namespace k8lite::scheduler
