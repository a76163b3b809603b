// crictl's commands about what containers, pods and images use: two looks at the cgroups, a second apart, and what lies in a container's
// writable layer.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <thread>

#include "app/crictl.h"
#include "app/crictl_containers.h"
#include "app/images_cli.h"
#include "base/clock.h"
#include "base/strings.h"
#include "os/files.h"
#include "runtime/cgroups.h"

namespace k8lite::app::crictl {
namespace {

using json::Node;
using Usage = runtime::Cgroups::Usage;

constexpr int kMaxDepth = 200;

struct DiskUsed {
  uint64_t bytes = 0, inodes = 0;
};
void add_used(int folder, const char* name, int depth, DiskUsed& out) {
  int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR* dir = fd < 0 ? nullptr : fdopendir(fd);
  while (dirent* e = dir ? readdir(dir) : nullptr) {
    std::string_view n = e->d_name;
    struct stat st {};
    if (n == "." || n == ".." || fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
    out.bytes += static_cast<uint64_t>(st.st_blocks) * 512;
    ++out.inodes;
    if (S_ISDIR(st.st_mode) && depth < kMaxDepth) add_used(dirfd(dir), e->d_name, depth + 1, out);
  }
  if (dir) closedir(dir);
}

// Below the hierarchies' mount points, without the first slash: of memory's on v1.
std::string cgroup_of(int64_t pid) {
  std::string unified;
  for (const auto& line : split_strings(os::read_file("/proc/" + std::to_string(pid) + "/cgroup").value_or(""), '\n')) {
    auto parts = split_strings(line, ':');
    if (parts.size() < 3 || parts[2].size() < 2) continue;
    if (parts[1] == "memory") return parts[2].substr(1);
    if (parts[1].empty()) unified = parts[2].substr(1);
  }
  return unified;
}

// The overlay's upper folder, as the container's own mounts name it.
std::string writable_layer(int64_t pid) {
  for (const auto& line : split_strings(os::read_file("/proc/" + std::to_string(pid) + "/mountinfo").value_or(""), '\n')) {
    auto words = split_strings(line, ' ');
    if (words.size() < 5 || words[4] != "/") continue;
    size_t at = line.find("upperdir=");
    return at == line.npos ? "" : line.substr(at + 9, line.find(',', at) - at - 9);
  }
  return "";
}

struct Sample {
  std::string cgroup;
  Usage before, now;
  int64_t nano_cores = 0, at_ns = 0;
};

void measure(std::vector<Sample>& samples, long for_seconds) {
  runtime::Cgroups cgroups;
  Duration begin = system_clock().mono();
  for (auto& s : samples) s.before = cgroups.usage(s.cgroup);
  std::this_thread::sleep_for(std::chrono::seconds(for_seconds));
  int64_t us = std::max<int64_t>(1, (system_clock().mono() - begin).count());
  for (auto& s : samples) {
    s.now = cgroups.usage(s.cgroup);
    s.nano_cores = std::max<int64_t>(0, (s.now.cpu_usage_ns - s.before.cpu_usage_ns) * 1'000'000 / us);
    s.at_ns = system_clock().now().us * 1000;
  }
}

Node value(int64_t v) { return Node::obj({{"value", std::to_string(v)}}); }
Node cpu(const Sample& s) { return Node::obj({{"timestamp", std::to_string(s.at_ns)}, {"usageCoreNanoSeconds", value(s.now.cpu_usage_ns)}, {"usageNanoCores", value(s.nano_cores)}}); }
Node memory(const Sample& s) { return Node::obj({{"timestamp", std::to_string(s.at_ns)}, {"workingSetBytes", value(s.now.working_set_bytes)}, {"usageBytes", value(s.now.memory_bytes)}}); }
std::string percent(const Sample& s) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", static_cast<double>(s.nano_cores) / 1e7);
  return text;
}
Node container_stats(const Container& c, const Sample& s, const DiskUsed& disk, const std::string& layer) {
  Node labels = Node::obj({{"io.kubernetes.container.name", c.record.name}, {"io.kubernetes.pod.name", c.pod.name}, {"io.kubernetes.pod.namespace", c.pod.ns}, {"io.kubernetes.pod.uid", c.pod.uid}});
  Node attributes = Node::obj({{"id", c.id}, {"metadata", Node::obj({{"attempt", c.record.attempt}, {"name", c.record.name}})}, {"labels", labels}, {"annotations", Node::object()}});
  Node written = Node::obj({{"timestamp", std::to_string(s.at_ns)}, {"fsId", Node::obj({{"mountpoint", layer}})}, {"usedBytes", value(static_cast<int64_t>(disk.bytes))}, {"inodesUsed", value(static_cast<int64_t>(disk.inodes))}});
  return Node::obj({{"attributes", attributes}, {"cpu", cpu(s)}, {"memory", memory(s)}, {"writableLayer", written}, {"swap", Node()}});
}

}  // namespace

int stats(const Options& o) {
  auto node = look();
  std::vector<const Container*> wanted;
  for (const auto& c : node.containers) {
    if (!c.state.running || (o.words.size() > 1 && !c.id.starts_with(o.words[1]) && c.record.name != o.words[1])) continue;
    if ((!o.id.empty() && !c.id.starts_with(o.id)) || (!o.pod.empty() && !kubelet::cri_id(c.pod.uid).starts_with(o.pod)) || (!o.name.empty() && c.record.name.find(o.name) == std::string::npos)) continue;
    wanted.push_back(&c);
  }
  std::vector<Sample> samples;
  for (const auto* c : wanted) samples.push_back({cgroup_of(c->state.pid), {}, {}, 0, 0});
  measure(samples, o.seconds);
  Rows rows = {{"CONTAINER", "NAME", "CPU %", "MEM", "DISK", "INODES", "SWAP"}};
  Node list = Node::array();
  for (size_t i = 0; i < wanted.size(); ++i) {
    std::string layer = writable_layer(wanted[i]->state.pid);
    DiskUsed disk;
    if (!layer.empty()) add_used(AT_FDCWD, layer.c_str(), 0, disk);
    rows.push_back({o.no_trunc ? wanted[i]->id : wanted[i]->id.substr(0, 13), wanted[i]->record.name, percent(samples[i]), decimal_size(samples[i].now.working_set_bytes), decimal_size(static_cast<int64_t>(disk.bytes)),
                    std::to_string(disk.inodes), "0B"});
    list.append(container_stats(*wanted[i], samples[i], disk, layer));
  }
  if (o.output != "table") return print_value(Node::obj({{"stats", list}}), o.output);
  print_table(rows);
  return 0;
}

int pod_stats(const Options& o) {
  auto node = look();
  struct Row {
    const Pod* pod;
    Node containers = Node::array();
  };
  std::vector<Row> wanted;
  std::vector<Sample> samples;
  for (const auto& p : node.pods) {
    if (!p.ready || (o.words.size() > 1 && !p.id.starts_with(o.words[1])) || (!o.id.empty() && !p.id.starts_with(o.id)) || (!o.name.empty() && p.record.name.find(o.name) == std::string::npos)) continue;
    // A pod's cgroup is the one above its containers'.
    std::string cgroup;
    for (const auto& c : node.containers)
      if (c.pod.uid == p.record.uid && c.state.running) cgroup = cgroup_of(c.state.pid);
    if (cgroup.empty()) continue;
    wanted.push_back({&p});
    samples.push_back({cgroup.substr(0, cgroup.rfind('/')), {}, {}, 0, 0});
  }
  measure(samples, o.seconds);
  Rows rows = {{"POD", "POD ID", "CPU %", "MEM"}};
  Node list = Node::array();
  for (size_t i = 0; i < wanted.size(); ++i) {
    const Pod& p = *wanted[i].pod;
    rows.push_back({p.record.name, o.no_trunc ? p.id : p.id.substr(0, 13), percent(samples[i]), decimal_size(samples[i].now.working_set_bytes)});
    Node attributes = Node::obj({{"id", p.id}, {"metadata", Node::obj({{"attempt", 0}, {"name", p.record.name}, {"namespace", p.record.ns}, {"uid", p.record.uid}})}, {"labels", p.record.labels}, {"annotations", p.record.annotations}});
    list.append(Node::obj({{"attributes", attributes}, {"linux", Node::obj({{"cpu", cpu(samples[i])}, {"memory", memory(samples[i])}})}, {"windows", Node()}}));
  }
  if (o.output != "table") return print_value(Node::obj({{"stats", list}}), o.output);
  print_table(rows);
  return 0;
}

int image_file_system(const Options& o) {
  auto store = open_image_store(o.data_dir);
  if (!store.ok()) return fail(store.status().message());
  DiskUsed disk;
  add_used(AT_FDCWD, ((*store)->root() + "/layers").c_str(), 0, disk);
  Node one = Node::obj({{"timestamp", std::to_string(system_clock().now().us * 1000)}, {"fsId", Node::obj({{"mountpoint", (*store)->root()}})}, {"usedBytes", value(static_cast<int64_t>(disk.bytes))}, {"inodesUsed", value(static_cast<int64_t>(disk.inodes))}});
  return print_value(Node::obj({{"status", Node::obj({{"imageFilesystems", Node::arr({one})}, {"containerFilesystems", Node::array()}})}}), o.output == "yaml" ? "yaml" : "json");
}

}  // namespace k8lite::app::crictl
