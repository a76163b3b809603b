// The figures in Prometheus' text format: the kubelet's /metrics/resource and cAdvisor's series, by the names and labels that dashboards
// and alerts are written for. One row a series; a figure that every cgroup has is a pointer to its member.
#include "base/metrics.h"
#include "kubelet/stats.h"

#include <set>

namespace k8lite::kubelet {
namespace {

using metrics::Type;

// Label values are whole here: image names and cgroup paths are longer than those of the API server's own figures.
void add_label(std::string& out, std::string_view name, std::string_view value) {
  if (!out.empty()) out += ',';
  out.append(name).append("=\"");
  for (char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') out += "\\n";
    else out += c;
  }
  out += '"';
}
std::string labels(std::initializer_list<std::pair<std::string_view, std::string_view>> list) {
  std::string out;
  for (const auto& [name, value] : list) add_label(out, name, value);
  return out;
}
std::string joined(const std::string& a, const std::string& b) { return a.empty() ? b : b.empty() ? a : a + "," + b; }

// Fractions with nine places: shortest forms of doubles would round what counters of years have counted.
std::string seconds_of(int64_t ns) {
  std::string rest = std::to_string(1'000'000'000 + ns % 1'000'000'000).substr(1);
  while (!rest.empty() && rest.back() == '0') rest.pop_back();
  return std::to_string(ns / 1'000'000'000) + (rest.empty() ? "" : "." + rest);
}

class Text {
 public:
  explicit Text(Instant time) : stamp_(" " + std::to_string(time.us / 1000) + "\n") {}
  void begin(std::string_view name, Type type, std::string_view help) { name_ = name, type_ = type, help_ = help, begun_ = false; }
  void add(const std::string& label_text, std::string_view value) {
    if (!std::exchange(begun_, true)) metrics::write_head(out, name_, type_, help_);
    out.append(name_);
    if (!label_text.empty()) out.append("{").append(label_text).append("}");
    out.append(" ").append(value).append(stamp_);
  }
  std::string out;

 private:
  const std::string stamp_;
  std::string_view name_, help_;
  Type type_ = Type::Gauge;
  bool begun_ = false;
};

// ---- /metrics/resource ----

struct ResourceRow {
  std::string_view suffix;
  Type type;
  std::string_view help;
  int64_t CgroupFigures::*figure;
  bool nanoseconds;
};
constexpr ResourceRow kResources[] = {{"cpu_usage_seconds_total", Type::Counter, "CPU time used, in core-seconds.", &CgroupFigures::cpu_ns, true},
                                      {"memory_working_set_bytes", Type::Gauge, "Memory that cannot be given back at once, in bytes.", &CgroupFigures::working_set, false},
                                      {"swap_usage_bytes", Type::Gauge, "Swap in use, in bytes.", &CgroupFigures::swap, false}};

std::string container_labels(const PodStats& p, const ContainerStats& c) { return labels({{"container", c.target.name}, {"namespace", p.target.ns}, {"pod", p.target.name}}); }

// ---- /metrics/cadvisor ----

enum class Unit : unsigned char { Plain, Nanoseconds };
struct CgroupRow {
  std::string_view name;
  Type type;
  std::string_view help, label;  // label: one more, written out
  int64_t CgroupFigures::*figure;
  Unit unit = Unit::Plain;
};
constexpr CgroupRow kCgroupRows[] = {
    {"container_cpu_usage_seconds_total", Type::Counter, "CPU time used, in seconds.", "cpu=\"total\"", &CgroupFigures::cpu_ns, Unit::Nanoseconds},
    {"container_cpu_user_seconds_total", Type::Counter, "CPU time used in user mode, in seconds.", "", &CgroupFigures::cpu_user_ns, Unit::Nanoseconds},
    {"container_cpu_system_seconds_total", Type::Counter, "CPU time used in the kernel, in seconds.", "", &CgroupFigures::cpu_system_ns, Unit::Nanoseconds},
    {"container_cpu_cfs_periods_total", Type::Counter, "Periods in which the CPU limit was enforced.", "", &CgroupFigures::periods},
    {"container_cpu_cfs_throttled_periods_total", Type::Counter, "Periods in which the CPU limit was reached.", "", &CgroupFigures::throttled_periods},
    {"container_cpu_cfs_throttled_seconds_total", Type::Counter, "Time spent waiting because of the CPU limit, in seconds.", "", &CgroupFigures::throttled_ns, Unit::Nanoseconds},
    {"container_memory_usage_bytes", Type::Gauge, "Memory in use with all caches, in bytes.", "", &CgroupFigures::memory},
    {"container_memory_working_set_bytes", Type::Gauge, "Memory that cannot be given back at once, in bytes.", "", &CgroupFigures::working_set},
    {"container_memory_rss", Type::Gauge, "Anonymous memory, in bytes.", "", &CgroupFigures::rss},
    {"container_memory_cache", Type::Gauge, "Page cache, in bytes.", "", &CgroupFigures::cache},
    {"container_memory_mapped_file", Type::Gauge, "Memory-mapped files, in bytes.", "", &CgroupFigures::mapped},
    {"container_memory_swap", Type::Gauge, "Swap in use, in bytes.", "", &CgroupFigures::swap},
    {"container_memory_max_usage_bytes", Type::Gauge, "The most memory that was ever in use, in bytes.", "", &CgroupFigures::most_memory},
    {"container_memory_failcnt", Type::Counter, "How often the memory limit was reached.", "", &CgroupFigures::failures},
    {"container_processes", Type::Gauge, "Processes.", "", &CgroupFigures::processes},
    {"container_threads", Type::Gauge, "Threads.", "", &CgroupFigures::threads},
};

struct FaultRow {
  std::string_view label;
  int64_t CgroupFigures::*figure;
};
constexpr FaultRow kFaults[] = {{"failure_type=\"pgfault\",scope=\"container\"", &CgroupFigures::page_faults}, {"failure_type=\"pgmajfault\",scope=\"container\"", &CgroupFigures::major_faults}};

struct NetworkRow {
  std::string_view name, help;
  int64_t Interface::*figure;
};
constexpr NetworkRow kNetworkRows[] = {
    {"container_network_receive_bytes_total", "Bytes received.", &Interface::rx_bytes},
    {"container_network_receive_errors_total", "Errors while receiving.", &Interface::rx_errors},
    {"container_network_receive_packets_dropped_total", "Packets dropped while receiving.", &Interface::rx_dropped},
    {"container_network_receive_packets_total", "Packets received.", &Interface::rx_packets},
    {"container_network_transmit_bytes_total", "Bytes sent.", &Interface::tx_bytes},
    {"container_network_transmit_errors_total", "Errors while sending.", &Interface::tx_errors},
    {"container_network_transmit_packets_dropped_total", "Packets dropped while sending.", &Interface::tx_dropped},
    {"container_network_transmit_packets_total", "Packets sent.", &Interface::tx_packets},
};

struct SpecRow {
  std::string_view name, help;
  int64_t ContainerTarget::*figure;
  bool always;  // also when it is 0, which says "none"
};
constexpr SpecRow kSpecRows[] = {
    {"container_spec_cpu_period", "The period of the CPU limit, in microseconds.", &ContainerTarget::cpu_period_us, false},
    {"container_spec_cpu_quota", "The CPU limit of a period, in microseconds.", &ContainerTarget::cpu_quota_us, false},
    {"container_spec_cpu_shares", "The share of the CPU.", &ContainerTarget::cpu_shares, true},
    {"container_spec_memory_limit_bytes", "The memory limit, in bytes; 0: none.", &ContainerTarget::memory_limit, true},
    {"container_spec_memory_reservation_limit_bytes", "The memory that is reserved, in bytes; 0: none.", &ContainerTarget::memory_request, true},
};

// A cgroup with its labels: the machine, a pod or a container.
struct Subject {
  std::string labels;
  const CgroupFigures* figures;
  int64_t started_us = 0;
  const ContainerStats* container = nullptr;
};

std::string pod_labels(const PodStats& p) { return labels({{"container", ""}, {"id", "/" + p.target.cgroup}, {"image", ""}, {"name", ""}, {"namespace", p.target.ns}, {"pod", p.target.name}}); }
std::string machine_labels(std::string_view id) { return labels({{"container", ""}, {"id", id}, {"image", ""}, {"name", ""}, {"namespace", ""}, {"pod", ""}}); }

std::vector<Subject> subjects_of(const Snapshot& s) {
  std::vector<Subject> out = {{machine_labels("/"), &s.machine, s.boot_us}};
  for (const PodStats& p : s.pods) {
    if (p.figures.there) out.push_back({pod_labels(p), &p.figures, p.target.started_us});
    for (const ContainerStats& c : p.containers)
      if (c.figures.there)
        out.push_back({labels({{"container", c.target.name}, {"id", "/" + c.target.cgroup}, {"image", c.target.image}, {"name", c.target.id}, {"namespace", p.target.ns}, {"pod", p.target.name}}), &c.figures, c.target.started_us, &c});
  }
  return out;
}

void write_network(Text& text, const Snapshot& s) {
  for (const NetworkRow& row : kNetworkRows) {
    text.begin(row.name, Type::Counter, row.help);
    for (const Interface& i : s.interfaces) text.add(joined(labels({{"interface", i.name}}), machine_labels("/")), std::to_string(i.*row.figure));
    for (const PodStats& p : s.pods)
      for (const Interface& i : p.interfaces) text.add(joined(labels({{"interface", i.name}}), pod_labels(p)), std::to_string(i.*row.figure));
  }
}

struct BlockRow {
  std::string_view name, help;
  int64_t CgroupFigures::*figure;
};
constexpr BlockRow kBlockRows[] = {{"container_fs_reads_bytes_total", "Bytes read from block devices.", &CgroupFigures::read_bytes},
                                   {"container_fs_writes_bytes_total", "Bytes written to block devices.", &CgroupFigures::written_bytes},
                                   {"container_fs_reads_total", "Reads of block devices.", &CgroupFigures::reads},
                                   {"container_fs_writes_total", "Writes to block devices.", &CgroupFigures::writes}};

void write_file_systems(Text& text, const Snapshot& s, const std::vector<Subject>& subjects) {
  for (const BlockRow& row : kBlockRows) {
    text.begin(row.name, Type::Counter, row.help);
    for (const Subject& subject : subjects)
      if (subject.figures != &s.machine) text.add(joined("device=\"\"", subject.labels), std::to_string((*subject.figures).*row.figure));
  }
  text.begin("container_fs_usage_bytes", Type::Gauge, "Bytes that the writable layer holds.");
  text.add(joined("device=\"/\"", machine_labels("/")), std::to_string(s.disk_of_node.used));
  for (const Subject& subject : subjects)
    if (subject.container) text.add(joined("device=\"\"", subject.labels), std::to_string(subject.container->layer.bytes));
  text.begin("container_fs_limit_bytes", Type::Gauge, "Bytes that the file system can hold.");
  text.add(joined("device=\"/\"", machine_labels("/")), std::to_string(s.disk_of_node.capacity));
  text.begin("container_fs_inodes_total", Type::Gauge, "Inodes of the file system.");
  text.add(joined("device=\"/\"", machine_labels("/")), std::to_string(s.disk_of_node.inodes));
  text.begin("container_fs_inodes_free", Type::Gauge, "Inodes of the file system that are free.");
  text.add(joined("device=\"/\"", machine_labels("/")), std::to_string(s.disk_of_node.inodes_free));
}

void write_machine(Text& text, const Machine& m) {
  std::string who = labels({{"boot_id", m.boot_id}, {"machine_id", m.machine_id}, {"system_uuid", m.system_uuid}});
  struct Row {
    std::string_view name, help;
    int64_t Machine::*figure;
  };
  static constexpr Row kRows[] = {{"machine_cpu_cores", "Logical CPUs.", &Machine::cores}, {"machine_memory_bytes", "Memory, in bytes.", &Machine::memory}, {"machine_swap_bytes", "Swap, in bytes.", &Machine::swap}};
  for (const Row& row : kRows) {
    text.begin(row.name, Type::Gauge, row.help);
    text.add(who, std::to_string(m.*row.figure));
  }
}

}  // namespace

std::string volume_metrics(const Snapshot& s) {
  struct Row {
    std::string_view name, help;
    int64_t (*figure)(const VolumeStats&);
  };
  static constexpr Row kRows[] = {
      {"kubelet_volume_stats_available_bytes", "Bytes that are free in the volume.", [](const VolumeStats& v) { return v.disk.available; }},
      {"kubelet_volume_stats_capacity_bytes", "Bytes that the volume can hold.", [](const VolumeStats& v) { return v.disk.capacity; }},
      {"kubelet_volume_stats_used_bytes", "Bytes that the volume holds.", [](const VolumeStats& v) { return v.usage.bytes; }},
      {"kubelet_volume_stats_inodes", "Inodes of the volume.", [](const VolumeStats& v) { return v.disk.inodes; }},
      {"kubelet_volume_stats_inodes_free", "Inodes of the volume that are free.", [](const VolumeStats& v) { return v.disk.inodes_free; }},
      {"kubelet_volume_stats_inodes_used", "Inodes that the volume holds.", [](const VolumeStats& v) { return v.usage.inodes; }},
  };
  std::string out;
  for (const Row& row : kRows) {
    std::set<std::string> told;  // several pods may have one claim
    for (const PodStats& p : s.pods)
      for (const VolumeStats& v : p.volumes) {
        std::string who = labels({{"namespace", p.target.ns}, {"persistentvolumeclaim", v.target.claim}});
        if (v.target.claim.empty() || told.contains(who)) continue;
        if (told.empty()) metrics::write_head(out, row.name, Type::Gauge, row.help);
        told.insert(who);
        out.append(row.name).append("{").append(who).append("} ").append(std::to_string(row.figure(v))).append("\n");
      }
  }
  return out;
}

std::string resource_metrics(const Snapshot& s) {
  Text text(s.time);
  std::string name;
  auto value = [](const ResourceRow& row, const CgroupFigures& f) { return row.nanoseconds ? seconds_of(f.*row.figure) : std::to_string(f.*row.figure); };
  for (const ResourceRow& row : kResources) {
    text.begin(name = "container_" + std::string(row.suffix), row.type, row.help);
    for (const PodStats& p : s.pods)
      for (const ContainerStats& c : p.containers)
        if (c.figures.there) text.add(container_labels(p, c), value(row, c.figures));
    std::string pods = "pod_" + std::string(row.suffix), node = "node_" + std::string(row.suffix);
    text.begin(pods, row.type, row.help);
    for (const PodStats& p : s.pods)
      if (p.figures.there) text.add(labels({{"namespace", p.target.ns}, {"pod", p.target.name}}), value(row, p.figures));
    text.begin(node, row.type, row.help);
    text.add("", value(row, s.machine));
  }
  text.begin("container_start_time_seconds", Type::Gauge, "When the container was started, in seconds since 1970.");
  for (const PodStats& p : s.pods)
    for (const ContainerStats& c : p.containers)
      if (c.figures.there) text.add(container_labels(p, c), seconds_of(c.target.started_us * 1000));
  metrics::write_sample(text.out, "resource_scrape_error", Type::Gauge, "1 when the figures could not be read, else 0.", "", s.machine.there ? 0 : 1);
  return std::move(text.out);
}

std::string container_metrics(const Snapshot& s, const Machine& machine) {
  Text text(s.time);
  std::vector<Subject> subjects = subjects_of(s);
  for (const CgroupRow& row : kCgroupRows) {
    text.begin(row.name, row.type, row.help);
    for (const Subject& subject : subjects) {
      int64_t v = (*subject.figures).*row.figure;
      text.add(joined(std::string(row.label), subject.labels), row.unit == Unit::Nanoseconds ? seconds_of(v) : std::to_string(v));
    }
  }
  text.begin("container_memory_failures_total", Type::Counter, "Page faults.");
  for (const FaultRow& row : kFaults)
    for (const Subject& subject : subjects) text.add(joined(std::string(row.label), subject.labels), std::to_string((*subject.figures).*row.figure));
  write_network(text, s);
  write_file_systems(text, s, subjects);
  for (const SpecRow& row : kSpecRows) {
    text.begin(row.name, Type::Gauge, row.help);
    for (const Subject& subject : subjects)
      if (subject.container && (row.always || subject.container->target.cpu_quota_us > 0)) text.add(subject.labels, std::to_string(subject.container->target.*row.figure));
  }
  text.begin("container_start_time_seconds", Type::Gauge, "When it was started, in seconds since 1970.");
  for (const Subject& subject : subjects) text.add(subject.labels, seconds_of(subject.started_us * 1000));
  text.begin("container_last_seen", Type::Gauge, "When it was looked at, in seconds since 1970.");
  for (const Subject& subject : subjects) text.add(subject.labels, std::to_string(s.time.us / 1'000'000));
  write_machine(text, machine);
  return std::move(text.out);
}

}  // namespace k8lite::kubelet
