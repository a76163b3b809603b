// What the pod manager does for a node that runs short: looks at memory, disks and process numbers every ten seconds,
// collects images first when it is a disk, then ends one pod after the other; and ends pods that take more disk than
// they may. What to do is decided in eviction.cpp. Memory counts as the kernel's MemAvailable, which unlike upstream's
// figure counts caches that it would give back.
#include <ftw.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>

#include "base/log.h"
#include "base/quantity.h"
#include "base/strings.h"
#include "kubelet/pods.h"

namespace k8lite::kubelet {

using json::Value;
using machinery::Action;

namespace {

constexpr auto kPeriod = seconds(10);
constexpr int kDiskShare = 50;     // looking at pods' disk use takes at most this part of the time
constexpr int64_t kHardGrace = 1;  // seconds that are left to a pod when there is no time
constexpr int kOpenFolders = 16;

void observe_disk(const std::string& path, Observation& bytes, Observation& inodes) {
  struct statvfs fs {};
  if (statvfs(path.c_str(), &fs) != 0) return;
  bytes = {static_cast<int64_t>(fs.f_bavail * fs.f_frsize), static_cast<int64_t>(fs.f_blocks * fs.f_frsize)};
  if (fs.f_files > 0)
    inodes = {static_cast<int64_t>(fs.f_favail), static_cast<int64_t>(fs.f_files)};  // some filesystems count none
}

int64_t field_of(std::string_view text, std::string_view name) {
  size_t at = text.find(name);
  if (at == text.npos) return 0;
  text = trim(text.substr(at + name.size()));
  return parse_int(text.substr(0, text.find_first_not_of("0123456789"))).value_or(0);
}

int64_t first_number(const char* path) { return parse_int(trim(os::read_file(path).value_or(""))).value_or(0); }

thread_local int64_t walked_bytes;
int64_t disk_bytes(const std::string& folder) {
  walked_bytes = 0;
  ::nftw(
      folder.c_str(),
      [](const char*, const struct stat* st, int, struct FTW*) {
        walked_bytes += static_cast<int64_t>(st->st_blocks) * 512;
        return 0;
      },
      kOpenFolders, FTW_PHYS | FTW_MOUNT);
  return walked_bytes;
}

int64_t request_of(Value container, std::string_view name) {
  auto q = Quantity::parse(container["resources"]["requests"][name].str());
  return q ? q->value() : 0;
}

}  // namespace

void PodManager::observe(Observations& seen) const {
  std::string memory = os::read_file("/proc/meminfo").value_or(""), load = os::read_file("/proc/loadavg").value_or("");
  seen[static_cast<int>(Signal::MemoryAvailable)] = {field_of(memory, "MemAvailable:") * 1024,
                                                     field_of(memory, "MemTotal:") * 1024};
  observe_disk(facts_.data_dir, seen[static_cast<int>(Signal::NodefsAvailable)],
               seen[static_cast<int>(Signal::NodefsInodesFree)]);
  observe_disk(facts_.data_dir + "/store", seen[static_cast<int>(Signal::ImagefsAvailable)],
               seen[static_cast<int>(Signal::ImagefsInodesFree)]);
  int64_t most = std::min(first_number("/proc/sys/kernel/pid_max"), first_number("/proc/sys/kernel/threads-max"));
  if (size_t slash = load.find('/'); slash != load.npos && most > 0)
    seen[static_cast<int>(Signal::PidAvailable)] = {most - field_of(load, "/"), most};
}

DiskUseOfPod PodManager::disk_use_of(const LocalPtr& local) const {
  DiskUseOfPod out;
  for (std::string_view list : {"containers", "initContainers"})
    for (Value c : local->pod["spec"][list].items()) {
      std::string name = c["name"].str(), folder = facts_.data_dir + "/containers/" + local->uid;
      int64_t& bytes = out.containers[name] = disk_bytes(log_dir(*local, name));
      for (const auto& run : os::list_dir(folder))
        if (run.substr(0, run.rfind('-')) == name) bytes += disk_bytes(folder + "/" + run);
    }
  for (Value v : local->pod.path("spec.volumes").items())
    if (Value dir = v["emptyDir"]; dir && !dir["medium"].equals("Memory"))
      out.empty_dirs[v["name"].str()] = disk_bytes(pod_dir(local->uid) + "/volumes/" + v["name"].str());
  return out;
}

PodUse PodManager::use_of(const LocalPtr& local, Signal signal) const {
  PodUse use;
  Value pod = local->pod.root();
  use.uid = local->uid;
  use.priority = pod.path("spec.priority").int_or(0);
  use.critical = is_critical(pod);
  for (Value c : pod.path("spec.containers").items()) {
    use.memory_request += request_of(c, "memory");
    use.disk_request += request_of(c, "ephemeral-storage");
  }
  for (Value c : pod.path("spec.initContainers").items())
    if (is_sidecar(c))
      use.memory_request += request_of(c, "memory"), use.disk_request += request_of(c, "ephemeral-storage");
  if (signal == Signal::MemoryAvailable) {
    use.memory = cgroups_.usage(pod_cgroup(pod)).working_set_bytes;
  } else if (signal == Signal::PidAvailable) {
    use.pids = first_number(
        (std::string("/sys/fs/cgroup/") + (cgroups_.v2() ? "" : "pids/") + pod_cgroup(pod) + "/pids.current").c_str());
  } else {
    DiskUseOfPod disk = disk_use_of(local);
    for (const auto& [name, bytes] : disk.containers) use.disk += bytes;
    for (const auto& [name, bytes] : disk.empty_dirs) use.disk += bytes;
  }
  return use;
}

std::vector<PodManager::LocalPtr> PodManager::evictable() const {
  std::vector<LocalPtr> out;
  std::lock_guard lock(mutex_);
  for (const auto& [uid, local] : locals_)
    if (local->sandbox && !local->terminating && !local->removed && local->reason.empty()) out.push_back(local);
  return out;
}

bool PodManager::end_pod(const LocalPtr& local, const std::string& reason, const std::string& message, int64_t grace) {
  {
    std::lock_guard lock(mutex_);
    if (!local->reason.empty() || local->removed) return false;
    local->reason = reason;
    local->message = message;
    local->disruption = true;
    local->end_grace = grace;
  }
  queue_.add(local->key);
  return true;
}

void PodManager::evict(const LocalPtr& local, const std::string& message, int64_t grace) {
  if (!end_pod(local, "Evicted", message, grace)) return;
  log_warn("a pod is evicted", {{"pod", local->key}, {"why", message}});
  event(local, "Warning", "Evicted", message);
}

// One pod at a time: the next look shows whether it was enough.
void PodManager::reclaim(const Threshold& threshold, Observations& seen, bool soft) {
  bool disk = threshold.signal != Signal::MemoryAvailable && threshold.signal != Signal::PidAvailable;
  if (facts_.node_event)
    facts_.node_event("EvictionThresholdMet", "Attempting to reclaim " + std::string(resource_name(threshold.signal)));
  Observation& now = seen[static_cast<int>(threshold.signal)];
  if (disk && facts_.collect_images) {
    facts_.collect_images();
    observe(seen);
    if (now.available >= threshold.amount.of(now.capacity)) return;
  }
  auto locals = evictable();
  std::vector<PodUse> uses;
  for (const auto& local : locals) uses.push_back(use_of(local, threshold.signal));
  std::string uid = choose_victim(threshold.signal, uses);
  for (const auto& local : locals) {
    if (local->uid != uid) continue;
    std::string message = eviction_message(threshold, now);
    DiskUseOfPod use = disk ? disk_use_of(local) : DiskUseOfPod{};
    for (Value c : local->pod.path("spec.containers").items()) {
      std::string name = c["name"].str(), field = disk ? "ephemeral-storage" : "memory";
      int64_t used =
          disk ? use.containers[name] : cgroups_.usage(pod_cgroup(local->pod.root()) + "/" + name).working_set_bytes;
      if (threshold.signal != Signal::PidAvailable && used > request_of(c, field))
        message += consumption_message(name, used, c["resources"]["requests"][field].str("0"), threshold.signal);
    }
    evict(local, message, soft ? std::min(facts_.eviction.max_pod_grace, grace_of(local)) : kHardGrace);
  }
}

void PodManager::keep_disk_limits() {
  Duration begin = clock_.mono();
  if (begin < disk_look_at_) return;
  for (const auto& local : evictable()) {
    if (!has_disk_limits(local->pod.root())) continue;
    if (std::string message = over_disk_limits(local->pod.root(), disk_use_of(local)); !message.empty())
      evict(local, message, kHardGrace);
  }
  disk_look_at_ = clock_.mono() + (clock_.mono() - begin) * kDiskShare;
}

Action PodManager::look_at_pressure() {
  Observations seen{};
  observe(seen);
  EvictionDecision decision = decide_eviction(facts_.eviction, seen, eviction_state_, clock_.mono());
  {
    std::lock_guard lock(mutex_);
    pressure_ = decision.pressure;
  }
  if (facts_.on_pressure && !(told_pressure_ == decision.pressure))
    if (facts_.on_pressure(decision.pressure).ok()) told_pressure_ = decision.pressure;
  keep_disk_limits();
  if (decision.reclaim) reclaim(*decision.reclaim, seen, decision.soft_only);
  return Action::after(kPeriod);
}

}  // namespace k8lite::kubelet
