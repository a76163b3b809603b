// Reading the kernel's figures; see the header.
#include "kubelet/stats_read.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>

#include "base/strings.h"
#include "os/files.h"

namespace k8lite::kubelet {
namespace {

constexpr int64_t kTickNs = 10'000'000;  // USER_HZ is 100 on every architecture that we run on
// More than any machine has: "no limit" of cgroup v1 is a number near 2^63, rounded to pages.
constexpr int64_t kNoLimit = int64_t{1} << 60;

std::string text_in(const std::string& path) { return os::read_file(path).value_or(""); }
int64_t number_in(const std::string& path) { return parse_int(trim(text_in(path))).value_or(0); }

struct Field {
  std::string_view name;
  int64_t CgroupFigures::*into;
  int64_t factor = 1;
};

// "name 123" or "name: 123 kB" a line.
int64_t value_of(std::string_view text, std::string_view name) {
  for (auto line : split(text, '\n')) {
    if (!line.starts_with(name) || line.size() <= name.size() || (line[name.size()] != ' ' && line[name.size()] != ':')) continue;
    line = trim(line.substr(name.size() + 1));
    return parse_int(line.substr(0, line.find(' '))).value_or(0);
  }
  return 0;
}

template <size_t N>
void read_fields(CgroupFigures& out, const std::string& text, const Field (&fields)[N]) {
  for (const Field& f : fields) out.*f.into = value_of(text, f.name) * f.factor;
}

constexpr Field kMemoryV1[] = {{"total_rss", &CgroupFigures::rss},         {"total_cache", &CgroupFigures::cache},        {"total_mapped_file", &CgroupFigures::mapped},
                               {"total_swap", &CgroupFigures::swap},       {"total_pgfault", &CgroupFigures::page_faults}, {"total_pgmajfault", &CgroupFigures::major_faults}};
constexpr Field kCpuV1[] = {{"nr_periods", &CgroupFigures::periods}, {"nr_throttled", &CgroupFigures::throttled_periods}, {"throttled_time", &CgroupFigures::throttled_ns}};
constexpr Field kTimesV1[] = {{"user", &CgroupFigures::cpu_user_ns, kTickNs}, {"system", &CgroupFigures::cpu_system_ns, kTickNs}};
constexpr Field kMemoryV2[] = {{"anon", &CgroupFigures::rss}, {"file", &CgroupFigures::cache}, {"file_mapped", &CgroupFigures::mapped}, {"pgfault", &CgroupFigures::page_faults}, {"pgmajfault", &CgroupFigures::major_faults}};
constexpr Field kCpuV2[] = {{"usage_usec", &CgroupFigures::cpu_ns, 1000},  {"user_usec", &CgroupFigures::cpu_user_ns, 1000}, {"system_usec", &CgroupFigures::cpu_system_ns, 1000},
                            {"nr_periods", &CgroupFigures::periods},       {"nr_throttled", &CgroupFigures::throttled_periods}, {"throttled_usec", &CgroupFigures::throttled_ns, 1000}};

int64_t lines_in(const std::string& path) {
  std::string text = text_in(path);
  return std::count(text.begin(), text.end(), '\n');
}

// "8:0 rbytes=1 wbytes=2 rios=3 wios=4 …" a device, of which all count together.
void read_io_v2(CgroupFigures& out, const std::string& text) {
  static constexpr Field kFields[] = {{"rbytes", &CgroupFigures::read_bytes}, {"wbytes", &CgroupFigures::written_bytes}, {"rios", &CgroupFigures::reads}, {"wios", &CgroupFigures::writes}};
  for (auto line : split(text, '\n'))
    for (auto word : split(line, ' '))
      for (const Field& f : kFields)
        if (word.size() > f.name.size() && word.starts_with(f.name) && word[f.name.size()] == '=') out.*f.into += parse_int(word.substr(f.name.size() + 1)).value_or(0);
}

// "8:0 Read 123" a device and kind.
void read_io_v1(const std::string& text, int64_t& read, int64_t& written) {
  for (auto line : split(text, '\n')) {
    auto words = split(line, ' ');
    if (words.size() != 3) continue;
    if (words[1] == "Read") read += parse_int(words[2]).value_or(0);
    if (words[1] == "Write") written += parse_int(words[2]).value_or(0);
  }
}

CgroupFigures read_v1(const std::string& root, const std::string& path, bool brief) {
  CgroupFigures out;
  std::string memory = root + "/memory/" + path + "/", account = root + "/cpuacct/" + path + "/", pids = root + "/pids/" + path + "/";
  std::string usage = text_in(account + "cpuacct.usage"), stat = text_in(memory + "memory.stat");
  out.there = !usage.empty() || !stat.empty();
  if (!out.there) return out;
  out.cpu_ns = parse_int(trim(usage)).value_or(0);
  out.memory = number_in(memory + "memory.usage_in_bytes");
  out.working_set = std::max<int64_t>(0, out.memory - value_of(stat, "total_inactive_file"));
  if (brief) return out;
  read_fields(out, text_in(account + "cpuacct.stat"), kTimesV1);
  read_fields(out, text_in(root + "/cpu/" + path + "/cpu.stat"), kCpuV1);
  read_fields(out, stat, kMemoryV1);
  out.most_memory = number_in(memory + "memory.max_usage_in_bytes");
  out.failures = number_in(memory + "memory.failcnt");
  out.memory_limit = number_in(memory + "memory.limit_in_bytes");
  out.processes = lines_in((os::exists(pids + "cgroup.procs") ? pids : account) + "cgroup.procs");
  out.threads = number_in(pids + "pids.current");
  read_io_v1(text_in(root + "/blkio/" + path + "/blkio.throttle.io_service_bytes"), out.read_bytes, out.written_bytes);
  read_io_v1(text_in(root + "/blkio/" + path + "/blkio.throttle.io_serviced"), out.reads, out.writes);
  return out;
}

CgroupFigures read_v2(const std::string& folder, bool brief) {
  CgroupFigures out;
  std::string cpu = text_in(folder + "cpu.stat"), stat = text_in(folder + "memory.stat");
  out.there = !cpu.empty() || !stat.empty();
  if (!out.there) return out;
  read_fields(out, cpu, kCpuV2);
  read_fields(out, stat, kMemoryV2);
  out.memory = number_in(folder + "memory.current");
  out.working_set = std::max<int64_t>(0, out.memory - value_of(stat, "inactive_file"));
  if (brief) return out;
  out.most_memory = number_in(folder + "memory.peak");
  out.swap = number_in(folder + "memory.swap.current");
  out.failures = value_of(text_in(folder + "memory.events"), "max");
  out.memory_limit = number_in(folder + "memory.max");  // "max" reads as 0
  out.processes = lines_in(folder + "cgroup.procs");
  out.threads = number_in(folder + "pids.current");
  read_io_v2(out, text_in(folder + "io.stat"));
  return out;
}

struct Walk {
  DiskUsage usage;
  dev_t device = 0;
};

void walk(Walk& w, int parent, const char* name, int depth) {
  constexpr int kDeepest = 64;
  os::Fd fd(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat st;
  if (!fd || ::fstat(fd.get(), &st) != 0 || (depth > 0 && st.st_dev != w.device)) return;
  w.device = st.st_dev;
  DIR* dir = ::fdopendir(::dup(fd.get()));
  if (!dir) return;
  while (dirent* entry = ::readdir(dir)) {
    std::string_view entry_name = entry->d_name;
    if (entry_name == "." || entry_name == "..") continue;
    if (w.usage.inodes >= DiskUsage::kMostEntries || depth >= kDeepest) {
      w.usage.complete = false;
      break;
    }
    if (::fstatat(fd.get(), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
    ++w.usage.inodes;
    w.usage.bytes += st.st_blocks * 512;
    if (S_ISDIR(st.st_mode)) walk(w, fd.get(), entry->d_name, depth + 1);
  }
  ::closedir(dir);
}

}  // namespace

CgroupFigures read_cgroup(const std::string& root, const std::string& path, bool v2, bool brief) {
  CgroupFigures out = v2 ? read_v2(root + "/" + path + "/", brief) : read_v1(root, path, brief);
  if (out.memory_limit >= kNoLimit) out.memory_limit = 0;
  return out;
}

CgroupFigures read_machine_figures(const std::string& proc) {
  CgroupFigures out;
  std::string stat = text_in(proc + "/stat"), memory = text_in(proc + "/meminfo");
  out.there = !stat.empty();
  // "cpu  user nice system idle iowait irq softirq steal guest guest_nice"; guests are counted in user and nice already.
  std::vector<int64_t> ticks;
  for (auto word : split(std::string_view(stat).substr(0, stat.find('\n')), ' '))
    if (auto n = parse_int(word)) ticks.push_back(*n);
  ticks.resize(std::max<size_t>(ticks.size(), 8));
  out.cpu_user_ns = (ticks[0] + ticks[1]) * kTickNs;
  out.cpu_system_ns = (ticks[2] + ticks[5] + ticks[6]) * kTickNs;
  out.cpu_ns = out.cpu_user_ns + out.cpu_system_ns;
  auto bytes = [&memory](std::string_view name) { return value_of(memory, name) * 1024; };
  out.memory_limit = bytes("MemTotal");
  out.memory = out.memory_limit - bytes("MemFree");
  out.working_set = std::max<int64_t>(0, out.memory - bytes("Inactive(file)"));
  out.rss = bytes("AnonPages");
  out.cache = bytes("Cached");
  out.mapped = bytes("Mapped");
  out.swap = bytes("SwapTotal") - bytes("SwapFree");
  std::string faults = text_in(proc + "/vmstat");
  out.page_faults = value_of(faults, "pgfault");
  out.major_faults = value_of(faults, "pgmajfault");
  std::string load = text_in(proc + "/loadavg");  // "0.20 0.18 0.12 1/80 11206"
  if (size_t slash = load.find('/'); slash != load.npos) out.threads = parse_int(std::string_view(load).substr(slash + 1, load.find(' ', slash) - slash - 1)).value_or(0);
  return out;
}

Machine read_machine(const std::string& proc, const std::string& etc, const std::string& sys) {
  Machine m;
  auto line = [](const std::string& path) { return std::string(trim(text_in(path))); };
  m.machine_id = line(etc + "/machine-id");
  m.boot_id = line(proc + "/sys/kernel/random/boot_id");
  m.system_uuid = line(sys + "/class/dmi/id/product_uuid");
  m.cores = std::max<int64_t>(1, ::sysconf(_SC_NPROCESSORS_ONLN));
  std::string memory = text_in(proc + "/meminfo");
  m.memory = value_of(memory, "MemTotal") * 1024;
  m.swap = value_of(memory, "SwapTotal") * 1024;
  return m;
}

std::vector<Interface> parse_interfaces(std::string_view text) {
  std::vector<Interface> out;
  for (auto line : split(text, '\n')) {
    size_t colon = line.find(':');
    if (colon == line.npos) continue;  // the two lines of heads
    std::vector<int64_t> n;
    for (auto word : split(line.substr(colon + 1), ' '))
      if (auto v = parse_int(word)) n.push_back(*v);
    std::string name(trim(line.substr(0, colon)));
    if (n.size() < 16 || name == "lo") continue;
    out.push_back({std::move(name), n[0], n[1], n[2], n[3], n[8], n[9], n[10], n[11]});
  }
  return out;
}

FileSystem read_file_system(const std::string& path) {
  FileSystem out;
  struct statvfs st;
  if (::statvfs(path.c_str(), &st) != 0) return out;
  auto block = static_cast<int64_t>(st.f_frsize);
  out.capacity = static_cast<int64_t>(st.f_blocks) * block;
  out.available = static_cast<int64_t>(st.f_bavail) * block;
  out.used = static_cast<int64_t>(st.f_blocks - st.f_bfree) * block;
  out.inodes = static_cast<int64_t>(st.f_files);
  out.inodes_free = static_cast<int64_t>(st.f_ffree);
  return out;
}

DiskUsage read_disk_usage(const std::string& folder) {
  Walk w;
  walk(w, AT_FDCWD, folder.c_str(), 0);
  return w.usage;
}

int64_t boot_time_us(const std::string& proc) { return value_of(text_in(proc + "/stat"), "btime") * 1'000'000; }

}  // namespace k8lite::kubelet
