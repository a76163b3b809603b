// What the pods of this node and the node itself use, sampled only when somebody asks: a snapshot younger than kFresh is shared, rates of
// CPU come from the snapshot and an earlier one, of which a few are remembered for two minutes. Nobody asks: nothing runs, nothing is held
// for long. The first who asks waits kFirstWindow for a second look, so that even one `kubectl top` has a rate.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "base/clock.h"
#include "base/json.h"
#include "kubelet/stats_read.h"

namespace k8lite::kubelet {

// Who is there, as the pod manager knows it.
struct ContainerTarget {
  std::string name, id, image, cgroup;  // id: 64 hex digits, by which crictl knows it
  std::string log_path, folder;         // of its writable layer
  int64_t started_us = 0, restarts = 0;
  int64_t cpu_shares = 0, cpu_quota_us = 0, cpu_period_us = 0, memory_limit = 0, memory_request = 0;
};
struct VolumeTarget {
  std::string name, folder, claim;  // claim: "" for a volume of the pod alone
};
struct PodTarget {
  std::string ns, name, uid, id, cgroup, folder;
  int64_t started_us = 0;
  int pid = 0;  // inside its network; 0: it is in the node's own
  std::vector<ContainerTarget> containers;
  std::vector<VolumeTarget> volumes;  // those that lie on this machine
};

// CPU in use, in thousand-millionths of a core, over the window before the snapshot; nothing where there was no earlier look.
struct CpuRate {
  int64_t nano_cores = 0;
  Duration window{0};
};

struct ContainerStats {
  ContainerTarget target;
  CgroupFigures figures;
  std::optional<CpuRate> cpu;
  DiskUsage layer, logs;  // with Detail::Disk
};
struct VolumeStats {
  VolumeTarget target;
  FileSystem disk;  // on which it lies
  DiskUsage usage;  // of its own
};
struct PodStats {
  PodTarget target;
  CgroupFigures figures;
  std::optional<CpuRate> cpu;
  std::vector<Interface> interfaces;
  DiskUsage files;  // of its volumes that live on the node's disk
  std::vector<ContainerStats> containers;
  std::vector<VolumeStats> volumes;  // with Detail::Disk
};
// How much is read: what metrics.k8s.io needs (CPU and memory of containers and the machine), everything of the kernel's, or what lies on the
// disk too.
enum class Detail : unsigned char { Usage, Kernel, Disk };

struct Snapshot {
  Instant time;
  Duration mono{0};
  Detail detail = Detail::Usage;
  CgroupFigures machine;
  std::optional<CpuRate> cpu;
  std::vector<Interface> interfaces;
  FileSystem disk_of_node;
  int64_t boot_us = 0;
  std::vector<PodStats> pods;
};
using SnapshotPtr = std::shared_ptr<const Snapshot>;

struct StatsOptions {
  std::string node, data_dir;
  std::string cgroups = "/sys/fs/cgroup", proc = "/proc";
  bool v2 = false;
};

// CPU counters of one look, by cgroup; what rates are made from.
struct CpuLook {
  Duration mono{0};
  std::map<std::string, int64_t> cpu_ns;  // by cgroup and the run's id; "" the machine
};
// The rate of `key` from the best of the earlier looks: the newest that lies kGoodWindow back, or the oldest. A run that no look has seen is
// counted from its start, where that is known (started_ago > 0).
std::optional<CpuRate> cpu_rate(const std::deque<CpuLook>& earlier, const std::string& key, int64_t cpu_ns, Duration mono, Duration started_ago);

class StatsSampler {
 public:
  static constexpr Duration kFresh = milliseconds(900), kFirstWindow = milliseconds(500), kGoodWindow = seconds(10), kRemember = seconds(120), kDiskFresh = seconds(60);
  StatsSampler(const Clock& clock, StatsOptions options) : clock_(clock), options_(std::move(options)) {}
  // Blocks on reading files. What lies in writable layers and volumes is at most kDiskFresh old.
  SnapshotPtr take(const std::vector<PodTarget>& pods, Detail detail);
  // There is an earlier look for rates; else take() again after kFirstWindow.
  bool has_window() const;
  const StatsOptions& options() const { return options_; }
  const Machine& machine() const;  // read once

 private:
  void look_at_disk(const std::vector<PodTarget>& pods);
  DiskUsage disk_usage(const std::string& folder) const;
  void remember(const Snapshot& snapshot, CpuLook look);
  const Clock& clock_;
  const StatsOptions options_;
  mutable std::mutex mutex_;
  SnapshotPtr last_;
  std::deque<CpuLook> looks_;
  struct Known {
    Duration at{0};
    DiskUsage usage;
  };
  mutable std::mutex disk_mutex_;  // a walk over many files keeps nobody from the rest
  std::map<std::string, Known> disk_;
  mutable std::optional<Machine> machine_;
};

// The forms in which it is told (stats_json.cpp, stats_text.cpp). Pure.
json::Node stats_summary(const Snapshot& snapshot, const StatsOptions& options, bool only_cpu_and_memory);  // stats/v1alpha1 Summary
json::Node usage_report(const Snapshot& snapshot, const StatsOptions& options);  // what the API server makes metrics.k8s.io from
std::string volume_metrics(const Snapshot& snapshot);                            // kubelet_volume_stats_* of /metrics
std::string resource_metrics(const Snapshot& snapshot);                          // /metrics/resource
std::string container_metrics(const Snapshot& snapshot, const Machine& machine);  // /metrics/cadvisor

}  // namespace k8lite::kubelet
