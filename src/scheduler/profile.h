// How one scheduler decides: which plugins count and what they were told. Pods choose a profile by spec.schedulerName.
// Read from a KubeSchedulerConfiguration (Kubernetes documentation, "Scheduler Configuration",
// kubescheduler.config.k8s.io/v1); what is not known there is an error that names it.
#pragma once
#include <array>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"

namespace k8lite::scheduler {

enum Plugin : unsigned char {
  kNodeUnschedulable,
  kNodeName,
  kTaintToleration,
  kNodeAffinity,
  kNodePorts,
  kNodeResourcesFit,
  kVolumeRestrictions,
  kVolumeBinding,
  kPodTopologySpread,
  kInterPodAffinity,
  kBalancedAllocation,
  kImageLocality,
  kDefaultPreemption,
  kPluginCount,
};
constexpr uint32_t bit(Plugin p) { return 1u << p; }
std::string_view plugin_name(Plugin p);

enum class Strategy { LeastAllocated, MostAllocated, RequestedToCapacityRatio };
struct ShapePoint {
  int64_t utilization, score;  // 0 … 100, 0 … 10
};
struct DefaultConstraint {
  std::string key;
  int64_t max_skew;
  bool hard;
};
using ResourceWeights = std::vector<std::pair<std::string, int64_t>>;

struct Profile {
  std::string name = "default-scheduler";
  uint32_t filters = ~0u;                       // bits of plugins
  std::array<int64_t, kPluginCount> weights{};  // of scores; 0: does not count
  Strategy strategy = Strategy::LeastAllocated;
  ResourceWeights resources{{"cpu", 1}, {"memory", 1}}, balanced{{"cpu", 1}, {"memory", 1}};
  std::vector<ShapePoint> shape;
  std::set<std::string> ignored_resources, ignored_groups;
  bool system_defaults = true;  // of spreading pods that ask for nothing
  std::vector<DefaultConstraint> constraints;
  json::Doc added_affinity;  // a NodeAffinity for all pods of this profile
  int64_t hard_affinity_weight = 1;
  bool ignore_preferred_of_existing = false;
  int64_t candidate_percent = 10, candidates = 100;
  int64_t percentage_of_nodes = 0;  // to score; 0: by the size of the cluster
  Profile();                        // as upstream's default-scheduler
};

struct Configuration {
  std::vector<Profile> profiles = {Profile()};
  Duration first_backoff = seconds(1), longest_backoff = seconds(10);
};
Result<Configuration> read_configuration(std::string_view text, std::string_view name);
// Arguments in kube-scheduler's manner: "config=/path", read by `read_file`.
Result<Configuration> configuration_of(const std::vector<std::string>& arguments,
                                       Result<std::string> (*read_file)(const std::string& path));

}  // namespace k8lite::scheduler
