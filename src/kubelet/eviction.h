// What a node does when it runs out of memory, disk or process numbers, pure: which thresholds are met, which
// conditions the node has, which pod goes first, who is not let in. (Kubernetes documentation: "Node-pressure
// Eviction"; defaults for disks are those of K3s.)
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"

namespace k8lite::kubelet {

enum class Signal {
  MemoryAvailable,
  NodefsAvailable,
  NodefsInodesFree,
  ImagefsAvailable,
  ImagefsInodesFree,
  PidAvailable
};
inline constexpr int kSignals = 6;
std::string_view signal_name(Signal signal);    // "memory.available"
std::string_view resource_name(Signal signal);  // "memory", as messages have it

// A quantity, or a part of the capacity.
struct Amount {
  int64_t value = 0;
  double percent = 0;  // not 0: this counts
  int64_t of(int64_t capacity) const {
    return percent > 0 ? static_cast<int64_t>(static_cast<double>(capacity) * percent / 100) : value;
  }
};
struct Threshold {
  Signal signal;
  Amount amount;
  bool soft = false;
};
struct EvictionSettings {
  std::vector<Threshold> thresholds;
  std::map<std::string, Duration> soft_grace;     // by signal
  std::map<std::string, Amount> minimum_reclaim;  // by signal
  int64_t max_pod_grace = 0;                      // seconds, for soft thresholds
  Duration transition = seconds(300);             // a condition stays this long after it was last seen
};
EvictionSettings default_eviction();
Result<> parse_thresholds(std::string_view text, bool soft,
                          EvictionSettings& out);  // replaces the hard, or the soft ones
Result<> parse_reclaim(std::string_view text, EvictionSettings& out);

struct Observation {
  int64_t available = 0, capacity = 0;  // capacity 0: not observed
};
using Observations = Observation[kSignals];

struct Pressure {
  bool memory = false, disk = false, pid = false;
  bool operator==(const Pressure&) const = default;
  bool any() const { return memory || disk || pid; }
};
// What is remembered from look to look.
struct EvictionState {
  std::vector<Duration> met_since;  // by threshold; 0: not met
  Duration memory_seen{0}, disk_seen{0}, pid_seen{0};
};
struct EvictionDecision {
  Pressure pressure;
  const Threshold* reclaim = nullptr;  // the one to do something about now
  bool soft_only = false;
};
EvictionDecision decide_eviction(const EvictionSettings& settings, const Observations& seen, EvictionState& state,
                                 Duration mono);

// One pod as a candidate.
struct PodUse {
  std::string uid;
  int64_t priority = 0;
  bool critical = false;  // never evicted
  int64_t memory = 0, memory_request = 0, disk = 0, disk_request = 0, pids = 0;
};
// The uid of the pod to evict; "": there is none.
std::string choose_victim(Signal signal, const std::vector<PodUse>& pods);

bool is_critical(json::Value pod);  // static, or of a system priority
// Why a pod may not begin on a node under pressure; "": it may.
std::string refused_under(const Pressure& pressure, json::Value pod);

// "The node was low on resource: …" as the status of an evicted pod says it.
std::string eviction_message(const Threshold& threshold, const Observation& seen);
std::string consumption_message(std::string_view container, int64_t used, const std::string& request, Signal signal);

// Bytes of disk that a pod's parts take, and what it was to take at most.
struct DiskUseOfPod {
  std::map<std::string, int64_t> containers;  // writable layer and logs
  std::map<std::string, int64_t> empty_dirs;  // on disk, by volume
};
bool has_disk_limits(json::Value pod);
// The message for the pod's status when it takes more than it may; "": it does not.
std::string over_disk_limits(json::Value pod, const DiskUseOfPod& use);

}  // namespace k8lite::kubelet
