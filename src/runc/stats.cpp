// `events`: what a container uses, in runc's JSON, and when its memory ran out.
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "runc/cgroups.h"
#include "runc/common.h"
#include "runc/state.h"
#include "runc/verbs.h"

namespace k8lite::runc {
namespace {

uint64_t number_in(const std::string& path) {
  std::string text = read_whole(path);
  return starts_with(text, "max") ? UINT64_MAX : strtoull(text.c_str(), nullptr, 10);
}
uint64_t field(const std::string& text, const std::string& name) {
  for (const auto& line : split(text, '\n'))
    if (starts_with(line, name + " ")) return strtoull(line.c_str() + name.size() + 1, nullptr, 10);
  return 0;
}

Json fields_of(const std::string& text) {
  Json out = Json::object();
  for (const auto& line : split(text, '\n')) {
    auto words = split(line, ' ');
    if (words.size() == 2) out.set(words[0], static_cast<uint64_t>(strtoull(words[1].c_str(), nullptr, 10)));
  }
  return out;
}

Json memory_entry(const std::string& f, const char* stem) {
  Json out = Json::object();
  std::string at = f + "/memory." + stem;
  out.set("limit", number_in(at + "limit_in_bytes"))
      .set("usage", number_in(at + "usage_in_bytes"))
      .set("max", number_in(at + "max_usage_in_bytes"))
      .set("failcnt", number_in(at + "failcnt"));
  return out;
}

Json block_entries(const std::string& text) {
  Json out = Json::array();
  for (const auto& line : split(text, '\n')) {
    auto words = split(line, ' ');
    if (words.size() != 3) continue;
    auto numbers = split(words[0], ':');
    if (numbers.size() != 2) continue;
    Json one = Json::object();
    one.set("major", static_cast<uint64_t>(strtoull(numbers[0].c_str(), nullptr, 10)))
        .set("minor", static_cast<uint64_t>(strtoull(numbers[1].c_str(), nullptr, 10)));
    one.set("op", words[1]).set("value", static_cast<uint64_t>(strtoull(words[2].c_str(), nullptr, 10)));
    out.append(one);
  }
  return out;
}

Json pids_stats(const std::string& f) {
  Json pids = Json::object();
  uint64_t limit = number_in(f + "/pids.max");
  pids.set("current", number_in(f + "/pids.current")).set("limit", limit == UINT64_MAX ? uint64_t{0} : limit);
  return pids;
}

Json stats_of_v1(const Cgroups& c) {
  Json out = Json::object(), cpu = Json::object(), usage = Json::object(), throttling = Json::object(),
       memory = Json::object(), percpu = Json::array(), blkio = Json::object();
  std::string f = c.folder("cpuacct");
  for (const auto& n : split(read_whole(f + "/cpuacct.usage_percpu"), ' '))
    if (n != "\n") percpu.append(static_cast<uint64_t>(strtoull(n.c_str(), nullptr, 10)));
  std::string ticks = read_whole(f + "/cpuacct.stat");
  uint64_t tick_ns = 1'000'000'000ull / static_cast<uint64_t>(sysconf(_SC_CLK_TCK));
  usage.set("total", number_in(f + "/cpuacct.usage"))
      .set("percpu", percpu)
      .set("kernel", field(ticks, "system") * tick_ns)
      .set("user", field(ticks, "user") * tick_ns);
  std::string cpu_stat = read_whole(c.folder("cpu") + "/cpu.stat");
  throttling.set("periods", field(cpu_stat, "nr_periods"))
      .set("throttledPeriods", field(cpu_stat, "nr_throttled"))
      .set("throttledTime", field(cpu_stat, "throttled_time"));
  cpu.set("usage", usage).set("throttling", throttling);
  std::string m = c.folder("memory");
  Json raw = fields_of(read_whole(m + "/memory.stat"));
  memory.set("cache", raw["cache"])
      .set("usage", memory_entry(m, ""))
      .set("swap", memory_entry(m, "memsw."))
      .set("kernel", memory_entry(m, "kmem."))
      .set("kernelTCP", memory_entry(m, "kmem.tcp."))
      .set("raw", raw);
  std::string b = c.folder("blkio");
  blkio.set("ioServiceBytesRecursive", block_entries(read_whole(b + "/blkio.throttle.io_service_bytes_recursive")));
  blkio.set("ioServicedRecursive", block_entries(read_whole(b + "/blkio.throttle.io_serviced_recursive")));
  return out.set("cpu", cpu)
      .set("memory", memory)
      .set("pids", pids_stats(c.folder("pids")))
      .set("blkio", blkio)
      .set("hugetlb", Json::object())
      .set("intel_rdt", Json::object())
      .set("network_interfaces", Json());
}

Json stats_of_v2(const Cgroups& c) {
  Json out = Json::object(), cpu = Json::object(), usage = Json::object(), throttling = Json::object(),
       memory = Json::object(), used = Json::object(), swap = Json::object(), blkio = Json::object();
  std::string f = c.folder(""), stat = read_whole(f + "/cpu.stat");
  usage.set("total", field(stat, "usage_usec") * 1000)
      .set("kernel", field(stat, "system_usec") * 1000)
      .set("user", field(stat, "user_usec") * 1000);
  throttling.set("periods", field(stat, "nr_periods"))
      .set("throttledPeriods", field(stat, "nr_throttled"))
      .set("throttledTime", field(stat, "throttled_usec") * 1000);
  cpu.set("usage", usage).set("throttling", throttling);
  Json raw = fields_of(read_whole(f + "/memory.stat"));
  used.set("limit", number_in(f + "/memory.max"))
      .set("usage", number_in(f + "/memory.current"))
      .set("max", number_in(f + "/memory.peak"))
      .set("failcnt", field(read_whole(f + "/memory.events"), "max"));
  swap.set("limit", number_in(f + "/memory.swap.max"))
      .set("usage", number_in(f + "/memory.swap.current"))
      .set("failcnt", 0);
  memory.set("cache", raw["file"])
      .set("usage", used)
      .set("swap", swap)
      .set("kernel", Json::object())
      .set("kernelTCP", Json::object())
      .set("raw", raw);
  Json bytes = Json::array();
  for (const auto& line : split(read_whole(f + "/io.stat"), '\n')) {
    auto words = split(line, ' ');
    for (size_t i = 1; i < words.size(); ++i) {
      const char* op = starts_with(words[i], "rbytes=") ? "Read" : starts_with(words[i], "wbytes=") ? "Write" : nullptr;
      auto numbers = split(words[0], ':');
      if (!op || numbers.size() != 2) continue;
      Json one = Json::object();
      one.set("major", static_cast<uint64_t>(strtoull(numbers[0].c_str(), nullptr, 10)))
          .set("minor", static_cast<uint64_t>(strtoull(numbers[1].c_str(), nullptr, 10)));
      one.set("op", op).set("value", static_cast<uint64_t>(strtoull(words[i].c_str() + 7, nullptr, 10)));
      bytes.append(one);
    }
  }
  blkio.set("ioServiceBytesRecursive", bytes);
  return out.set("cpu", cpu)
      .set("memory", memory)
      .set("pids", pids_stats(f))
      .set("blkio", blkio)
      .set("hugetlb", Json::object())
      .set("intel_rdt", Json::object())
      .set("network_interfaces", Json());
}

// Readable whenever the kernel had to kill for memory in the cgroup.
int oom_notice(const Cgroups& c, int& control) {
  control = -1;
  if (c.v2()) {
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    inotify_add_watch(fd, (c.folder("") + "/memory.events").c_str(), IN_MODIFY);
    return fd;
  }
  std::string f = c.folder("memory");
  int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  control = open((f + "/memory.oom_control").c_str(), O_RDONLY | O_CLOEXEC);
  write_whole(f + "/cgroup.event_control", std::to_string(fd) + " " + std::to_string(control));
  return fd;
}

void say(const char* type, const std::string& id, const Json& data) {
  Json out = Json::object();
  out.set("type", type).set("id", id);
  if (data.exists()) out.set("data", data);
  puts(out.dump().c_str());
  fflush(stdout);
}

}  // namespace

Json Cgroups::stats() const { return v2_ ? stats_of_v2(*this) : stats_of_v1(*this); }

int verb_events(const Options& o) {
  if (o.args.empty()) refuse("the container's id is required");
  Container c = load(o.args[0]);
  if (c.status == "stopped") refuse("container with id " + c.id + " is not running");
  Cgroups cgroups = c.cgroups();
  if (o.has("stats")) return say("stats", c.id, cgroups.stats()), 0;
  std::string text = o.get("interval", "5s");
  double seconds = strtod(text.c_str(), nullptr);
  if (text.find("ms") != std::string::npos)
    seconds /= 1000;
  else if (text.back() == 'm')
    seconds *= 60;
  if (seconds <= 0) refuse("duration interval must be greater than 0");
  int control = -1, notice = oom_notice(cgroups, control), process = pidfd_open_of(c.pid);
  uint64_t kills = field(read_whole(cgroups.folder("memory") + "/memory.events"), "oom_kill");
  for (;;) {
    pollfd polls[2] = {{process, POLLIN, 0}, {notice, POLLIN, 0}};
    int n = poll(polls, 2, static_cast<int>(seconds * 1000));
    if (n < 0) continue;
    char buffer[4096];
    bool noticed = (polls[1].revents & POLLIN) && read(notice, buffer, sizeof buffer) > 0;
    if (noticed && cgroups.v2()) {
      uint64_t now = field(read_whole(cgroups.folder("") + "/memory.events"), "oom_kill");
      noticed = now > kills;
      kills = now;
    }
    if (noticed && exists(cgroups.folder("memory"))) say("oom", c.id, Json());
    if (polls[0].revents) return 0;
    if (n == 0) say("stats", c.id, cgroups.stats());
  }
}

}  // namespace k8lite::runc
