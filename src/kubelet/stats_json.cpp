// The figures as JSON: the kubelet's Summary (k8s.io/kubelet stats/v1alpha1), and the short report from which metrics.k8s.io is made.
#include "kubelet/stats.h"

namespace k8lite::kubelet {
namespace {

using json::Node;

Node cpu_of(const CgroupFigures& f, const std::optional<CpuRate>& rate, const std::string& time) {
  Node n = Node::obj({{"time", time}});
  if (rate) n.set("usageNanoCores", rate->nano_cores);
  n.set("usageCoreNanoSeconds", f.cpu_ns);
  return n;
}

Node memory_of(const CgroupFigures& f, const std::string& time) {
  Node n = Node::obj({{"time", time}});
  if (f.memory_limit > 0) n.set("availableBytes", std::max<int64_t>(0, f.memory_limit - f.working_set));
  n.set("usageBytes", f.memory);
  n.set("workingSetBytes", f.working_set);
  n.set("rssBytes", f.rss);
  n.set("pageFaults", f.page_faults);
  n.set("majorPageFaults", f.major_faults);
  return n;
}

Node swap_of(const CgroupFigures& f, const std::string& time) { return Node::obj({{"time", time}, {"swapUsageBytes", f.swap}}); }

Node network_of(const std::vector<Interface>& interfaces, const std::string& time) {
  Node n = Node::obj({{"time", time}}), all = Node::array();
  for (const Interface& i : interfaces) {
    Node one = Node::obj({{"name", i.name}, {"rxBytes", i.rx_bytes}, {"rxErrors", i.rx_errors}, {"txBytes", i.tx_bytes}, {"txErrors", i.tx_errors}});
    if (i.name == "eth0" || &i == &interfaces.front())  // the default one, and again in the list
      for (const auto& [key, value] : one.members()) n.set(key, value);
    all.append(std::move(one));
  }
  n.set("interfaces", std::move(all));
  return n;
}

Node file_system(const FileSystem& fs, const std::string& time, int64_t used, int64_t inodes_used) {
  return Node::obj({{"time", time}, {"availableBytes", fs.available}, {"capacityBytes", fs.capacity}, {"usedBytes", used}, {"inodesFree", fs.inodes_free}, {"inodes", fs.inodes}, {"inodesUsed", inodes_used}});
}

Node container_of(const Snapshot& s, const ContainerStats& c, const std::string& time, bool brief) {
  Node n = Node::obj({{"name", c.target.name}, {"startTime", rfc3339(Instant{c.target.started_us})}});
  n.set("cpu", cpu_of(c.figures, c.cpu, time));
  n.set("memory", memory_of(c.figures, time));
  n.set("swap", swap_of(c.figures, time));
  if (brief) return n;
  n.set("rootfs", file_system(s.disk_of_node, time, c.layer.bytes, c.layer.inodes));
  n.set("logs", file_system(s.disk_of_node, time, c.logs.bytes, 1));
  return n;
}

Node pod_of(const Snapshot& s, const PodStats& p, const std::string& time, bool brief) {
  Node n = Node::obj({{"podRef", Node::obj({{"name", p.target.name}, {"namespace", p.target.ns}, {"uid", p.target.uid}})}, {"startTime", rfc3339(Instant{p.target.started_us})}, {"containers", Node::array()}});
  int64_t bytes = p.files.bytes, inodes = p.files.inodes;
  for (const ContainerStats& c : p.containers) {
    if (!c.figures.there) continue;
    n["containers"].append(container_of(s, c, time, brief));
    bytes += c.layer.bytes + c.logs.bytes;
    inodes += c.layer.inodes;
  }
  n.set("cpu", cpu_of(p.figures, p.cpu, time));
  n.set("memory", memory_of(p.figures, time));
  n.set("swap", swap_of(p.figures, time));
  if (brief) return n;
  if (!p.interfaces.empty()) n.set("network", network_of(p.interfaces, time));
  for (const VolumeStats& v : p.volumes) {
    Node one = file_system(v.disk, time, v.usage.bytes, v.usage.inodes);
    one.set("name", v.target.name);
    if (!v.target.claim.empty()) one.set("pvcRef", Node::obj({{"name", v.target.claim}, {"namespace", p.target.ns}}));
    n["volume"].append(std::move(one));
  }
  n.set("ephemeral-storage", file_system(s.disk_of_node, time, bytes, inodes));
  n.set("process_stats", Node::obj({{"process_count", p.figures.threads}}));
  return n;
}

// Go's time.Duration in seconds, as metav1.Duration prints short ones: "10.25s".
std::string seconds_text(Duration d) {
  int64_t ms = (d.count() + 500) / 1000;
  std::string out = std::to_string(ms / 1000), rest = std::to_string(1000 + ms % 1000).substr(1);
  while (!rest.empty() && rest.back() == '0') rest.pop_back();
  return out + (rest.empty() ? "" : "." + rest) + "s";
}

// In the canonical form of quantities: nanocores, and bytes in the largest binary unit that fits.
Node usage_of(const CgroupFigures& f, const CpuRate& rate) {
  static constexpr const char* kUnits[] = {"", "Ki", "Mi", "Gi", "Ti"};
  int64_t bytes = f.working_set;
  size_t unit = 0;
  while (unit < 4 && bytes != 0 && bytes % 1024 == 0) bytes /= 1024, ++unit;
  return Node::obj({{"cpu", rate.nano_cores == 0 ? "0" : std::to_string(rate.nano_cores) + "n"}, {"memory", std::to_string(bytes) + kUnits[unit]}});
}

}  // namespace

Node stats_summary(const Snapshot& s, const StatsOptions& options, bool brief) {
  std::string time = rfc3339(s.time);
  Node node = Node::obj({{"nodeName", options.node}, {"startTime", rfc3339(Instant{s.boot_us})}});
  node.set("cpu", cpu_of(s.machine, s.cpu, time));
  node.set("memory", memory_of(s.machine, time));
  node.set("swap", swap_of(s.machine, time));
  if (!brief) {
    const FileSystem& fs = s.disk_of_node;
    Node disk = file_system(fs, time, fs.used, fs.inodes - fs.inodes_free);
    node.set("network", network_of(s.interfaces, time));
    node.set("fs", disk);
    node.set("runtime", Node::obj({{"imageFs", disk}, {"containerFs", disk}}));
    node.set("rlimit", Node::obj({{"time", time}, {"curproc", s.machine.threads}}));
  }
  Node pods = Node::array();
  for (const PodStats& p : s.pods) pods.append(pod_of(s, p, time, brief));
  return Node::obj({{"node", std::move(node)}, {"pods", std::move(pods)}});
}

Node usage_report(const Snapshot& s, const StatsOptions& options) {
  std::string time = rfc3339(s.time);
  Node out = Node::obj({{"pods", Node::array()}});
  if (s.cpu) out.set("node", Node::obj({{"name", options.node}, {"timestamp", time}, {"window", seconds_text(s.cpu->window)}, {"usage", usage_of(s.machine, *s.cpu)}}));
  for (const PodStats& p : s.pods) {
    Node pod = Node::obj({{"namespace", p.target.ns}, {"name", p.target.name}, {"timestamp", time}});
    Node containers = Node::array();
    Duration window{0};
    bool whole = true;
    for (const ContainerStats& c : p.containers) {
      if (!c.figures.there) continue;
      if (!(whole = c.cpu.has_value())) break;
      window = window == Duration{0} ? c.cpu->window : std::min(window, c.cpu->window);
      containers.append(Node::obj({{"name", c.target.name}, {"usage", usage_of(c.figures, *c.cpu)}}));
    }
    // Half a pod would look like an idle one.
    if (!whole || containers.size() == 0) continue;
    pod.set("window", seconds_text(window));
    pod.set("containers", std::move(containers));
    out["pods"].append(std::move(pod));
  }
  return out;
}

}  // namespace k8lite::kubelet
