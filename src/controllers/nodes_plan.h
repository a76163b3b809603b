// What happens to a node: its pod network, its conditions when it falls silent, its taints, which pods are evicted from it. Pure.
// (Kubernetes documentation, "Nodes", "Taints and Tolerations".)
#pragma once
#include "controllers/context.h"

namespace k8lite::controllers {

inline constexpr Duration kNodeGrace = seconds(40);

struct NodePlan {
  bool unknown = false;                  // its conditions become Unknown
  bool change_taints = false;
  json::Node taints;                     // the wanted ones
  std::vector<std::string> evict;        // pod keys
  Duration again{0};                     // when something is due
};
// May a node that is not well lose its pods? Not yet: its turn has not come; never: nobody is well, so the fault is more likely here.
enum class Eviction { Now, NotYet, Never };
// `silent_for`: how long ago this process saw the node's lease renewed. Taints of conditions and of silence are put on and taken off,
// others stay; every NoExecute taint gets the time it was seen first, which is when the pods' tolerationSeconds begin. `pods`: the node's.
NodePlan plan_node(const json::Doc& node, Duration silent_for, const std::vector<json::Doc>& pods, Instant now, Eviction eviction = Eviction::Now);

// Is it Ready, as its conditions and its silence say?
bool node_is_well(const json::Doc& node, Duration silent_for);
// Its region and zone.
std::string zone_of(json::Value node);

// How fast nodes of a zone may be given up: one in ten seconds; when most of a zone fails, one in a hundred seconds of a large zone and
// none of a small one; when all of every zone fail, none. (kube-controller-manager's node-eviction-rate and its companions.)
class EvictionPace {
 public:
  struct Zone {
    int64_t well = 0, ill = 0;
  };
  // May this zone lose one more node now? Then that is counted. `again`: when to ask otherwise.
  Eviction ask(const std::string& zone, const std::map<std::string, Zone>& zones, Duration now, Duration& again);

 private:
  std::map<std::string, Duration> next_;
};

// The networks of pods: free ones inside the cluster's, in turn.
class PodNetworks {
 public:
  explicit PodNetworks(const std::string& cluster_cidr, int bits = 24);
  std::string take();  // "" : none is left
  void hold(const std::string& cidr);
  void release(const std::string& cidr);

 private:
  std::string at(uint32_t i) const;
  uint32_t base_ = 0, count_ = 0, next_ = 0;
  int bits_;
  std::map<std::string, int> held_;
};

}  // namespace k8lite::controllers
