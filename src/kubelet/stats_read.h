// What the kernel tells of CPU, memory, network and file systems, read from its files: cgroups v1 and v2, /proc, statfs. Every root folder
// is an argument, so both layouts are tested on fixture trees. What a kernel does not tell stays at its default. (Kernel documentation:
// admin-guide/cgroup-v1/memory, admin-guide/cgroup-v2, proc(5).)
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace k8lite::kubelet {

// One cgroup, or the whole machine. Bytes and nanoseconds; counters since the cgroup was made.
struct CgroupFigures {
  bool there = false;  // false: there is no such cgroup
  int64_t cpu_ns = 0, cpu_user_ns = 0, cpu_system_ns = 0;
  int64_t periods = 0, throttled_periods = 0, throttled_ns = 0;
  int64_t memory = 0, working_set = 0, rss = 0, cache = 0, mapped = 0, swap = 0, most_memory = 0;
  int64_t page_faults = 0, major_faults = 0, failures = 0;
  int64_t memory_limit = 0;  // 0: none
  int64_t processes = 0, threads = 0;
  int64_t read_bytes = 0, written_bytes = 0, reads = 0, writes = 0;  // of block devices
};

struct Interface {
  std::string name;
  int64_t rx_bytes = 0, rx_packets = 0, rx_errors = 0, rx_dropped = 0, tx_bytes = 0, tx_packets = 0, tx_errors = 0, tx_dropped = 0;
};

struct FileSystem {
  int64_t capacity = 0, available = 0, used = 0, inodes = 0, inodes_free = 0;
};

// What lies in a folder; `complete` is false when it holds more than kMostEntries and was not read to its end.
struct DiskUsage {
  static constexpr int64_t kMostEntries = 50'000;
  int64_t bytes = 0, inodes = 0;
  bool complete = true;
};

struct Machine {
  std::string machine_id, system_uuid, boot_id;
  int64_t cores = 0, memory = 0, swap = 0;
};

// `root` is /sys/fs/cgroup, `path` as pod_cgroup() tells it. `brief`: no more than CPU time and memory in use, for three files each.
CgroupFigures read_cgroup(const std::string& root, const std::string& path, bool v2, bool brief = false);
CgroupFigures read_machine_figures(const std::string& proc);  // of /proc
Machine read_machine(const std::string& proc, const std::string& etc = "/etc", const std::string& sys = "/sys");
// The text of /proc/<pid>/net/dev, without the loopback.
std::vector<Interface> parse_interfaces(std::string_view text);
FileSystem read_file_system(const std::string& path);
DiskUsage read_disk_usage(const std::string& folder);  // stays on the folder's file system, follows no link
int64_t boot_time_us(const std::string& proc);

}  // namespace k8lite::kubelet
