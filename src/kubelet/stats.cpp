// Sampling on demand; see the header.
#include "kubelet/stats.h"

#include <sys/stat.h>

#include <algorithm>

#include "os/files.h"

namespace k8lite::kubelet {
namespace {

constexpr Duration kLookSpacing = seconds(4);  // looks closer than this replace each other
constexpr Duration kLeastWindow = milliseconds(200);

std::string key_of(const PodTarget& pod) { return pod.cgroup; }
std::string key_of(const ContainerTarget& c) { return c.cgroup + "#" + c.id; }

Duration age(int64_t started_us, Instant now) { return started_us > 0 ? std::max(now - Instant{started_us}, Duration{0}) : Duration{0}; }

int64_t log_bytes(const std::string& path) {
  int64_t total = 0;
  struct stat st;
  for (const char* suffix : {"", ".1", ".2", ".3", ".4"})
    if (::stat((path + suffix).c_str(), &st) == 0) total += st.st_blocks * 512;
  return total;
}

}  // namespace

std::optional<CpuRate> cpu_rate(const std::deque<CpuLook>& earlier, const std::string& key, int64_t cpu_ns, Duration mono, Duration started_ago) {
  const int64_t* from = nullptr;
  Duration window{0};
  for (const CpuLook& look : earlier) {  // oldest first
    Duration w = mono - look.mono;
    auto it = look.cpu_ns.find(key);
    if (it == look.cpu_ns.end() || it->second > cpu_ns || w < kLeastWindow) continue;
    if (from && w < StatsSampler::kGoodWindow) break;
    from = &it->second;
    window = w;
  }
  if (!from) {
    // Who was there before the looks began and is in none of them was not looked at.
    if (started_ago < kLeastWindow || earlier.empty() || started_ago > mono - earlier.front().mono) return {};
    return CpuRate{static_cast<int64_t>(static_cast<double>(cpu_ns) * 1e6 / static_cast<double>(started_ago.count())), started_ago};
  }
  return CpuRate{static_cast<int64_t>(static_cast<double>(cpu_ns - *from) * 1e6 / static_cast<double>(window.count())), window};
}

bool StatsSampler::has_window() const {
  std::lock_guard lock(mutex_);
  return !looks_.empty() && clock_.mono() - looks_.front().mono < kRemember && clock_.mono() - looks_.front().mono >= kLeastWindow;
}

const Machine& StatsSampler::machine() const {
  std::lock_guard lock(mutex_);
  if (!machine_) machine_ = read_machine(options_.proc);
  return *machine_;
}

void StatsSampler::look_at_disk(const std::vector<PodTarget>& pods) {
  Duration now = clock_.mono();
  std::vector<std::string> folders;
  {
    std::lock_guard lock(disk_mutex_);
    std::erase_if(disk_, [now](const auto& known) { return now - known.second.at > kDiskFresh; });
    auto want = [&](const std::string& folder) {
      if (disk_.emplace(folder, Known{now, {}}).second) folders.push_back(folder);  // whoever asks meanwhile does not look too
    };
    for (const PodTarget& p : pods) {
      want(p.folder);
      for (const VolumeTarget& v : p.volumes) want(v.folder);
      for (const ContainerTarget& c : p.containers) want(c.folder);
    }
  }
  for (const std::string& folder : folders) {
    Known known{now, read_disk_usage(folder)};
    std::lock_guard lock(disk_mutex_);
    disk_[folder] = known;
  }
}

DiskUsage StatsSampler::disk_usage(const std::string& folder) const {
  std::lock_guard lock(disk_mutex_);
  auto it = disk_.find(folder);
  return it == disk_.end() ? DiskUsage{} : it->second.usage;
}

SnapshotPtr StatsSampler::take(const std::vector<PodTarget>& pods, Detail detail) {
  if (detail == Detail::Disk) look_at_disk(pods);
  std::lock_guard lock(mutex_);
  // A look that came before the second one has no rates, however fresh it is.
  if (last_ && last_->detail >= detail && clock_.mono() - last_->mono < kFresh && last_->cpu) return last_;
  auto out = std::make_shared<Snapshot>();
  out->time = clock_.now();
  out->mono = clock_.mono();
  out->detail = detail;
  bool brief = detail == Detail::Usage;
  while (!looks_.empty() && out->mono - looks_.front().mono >= kRemember) looks_.pop_front();
  CpuLook look{out->mono, {}};
  auto rate = [&](const std::string& key, const CgroupFigures& figures, int64_t started_us) {
    if (figures.there) look.cpu_ns[key] = figures.cpu_ns;
    return figures.there ? cpu_rate(looks_, key, figures.cpu_ns, out->mono, age(started_us, out->time)) : std::nullopt;
  };
  out->machine = read_machine_figures(options_.proc);
  out->boot_us = boot_time_us(options_.proc);
  out->cpu = rate("", out->machine, 0);
  if (!brief) {
    out->interfaces = parse_interfaces(os::read_file(options_.proc + "/self/net/dev").value_or(""));
    out->disk_of_node = read_file_system(options_.data_dir);
  }
  for (const PodTarget& target : pods) {
    PodStats& pod = out->pods.emplace_back();
    pod.target = target;
    pod.figures = read_cgroup(options_.cgroups, target.cgroup, options_.v2, brief);
    pod.cpu = rate(key_of(target), pod.figures, target.started_us);
    if (!brief && target.pid > 0) pod.interfaces = parse_interfaces(os::read_file(options_.proc + "/" + std::to_string(target.pid) + "/net/dev").value_or(""));
    if (detail == Detail::Disk) {
      pod.files = disk_usage(target.folder);
      for (const VolumeTarget& v : target.volumes) pod.volumes.push_back({v, read_file_system(v.folder), disk_usage(v.folder)});
    }
    for (const ContainerTarget& c : target.containers) {
      ContainerStats& s = pod.containers.emplace_back();
      s.target = c;
      s.figures = read_cgroup(options_.cgroups, c.cgroup, options_.v2, brief);
      s.cpu = rate(key_of(c), s.figures, c.started_us);
      if (detail != Detail::Disk) continue;
      s.layer = disk_usage(c.folder);
      s.logs.bytes = log_bytes(c.log_path);
    }
  }
  remember(*out, std::move(look));
  last_ = out;
  return out;
}

void StatsSampler::remember(const Snapshot& snapshot, CpuLook look) {
  if (looks_.empty() || snapshot.mono - looks_.back().mono >= kLookSpacing) looks_.push_back(std::move(look));
}

}  // namespace k8lite::kubelet
