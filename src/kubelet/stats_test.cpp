// Figures from the kernel's files on fixture trees of both cgroup versions, rates from looks, and the forms in which they are told.
#include "kubelet/stats.h"

#include <unistd.h>

#include <catch2/catch.hpp>

#include "base/strings.h"
#include "os/files.h"

using namespace k8lite;
using namespace k8lite::kubelet;

namespace {

class Tree {
 public:
  Tree() {
    char name[] = "/tmp/k8lite-stats-XXXXXX";
    root = mkdtemp(name);
  }
  ~Tree() { (void)os::remove_tree(root); }
  void put(const std::string& path, const std::string& text) {
    std::string whole = root + "/" + path;
    REQUIRE(os::make_dirs(whole.substr(0, whole.rfind('/'))).ok());
    REQUIRE(os::write_file(whole, text, 0644, false).ok());
  }
  std::string root;
};

constexpr const char* kPod = "kubepods/burstable/pod1";

void put_v1(Tree& t, const std::string& path, int64_t cpu_ns, int64_t memory) {
  t.put("cg/cpuacct/" + path + "/cpuacct.usage", std::to_string(cpu_ns) + "\n");
  t.put("cg/cpuacct/" + path + "/cpuacct.stat", "user 300\nsystem 100\n");
  t.put("cg/cpu/" + path + "/cpu.stat", "nr_periods 20\nnr_throttled 5\nthrottled_time 7000\n");
  t.put("cg/memory/" + path + "/memory.usage_in_bytes", std::to_string(memory) + "\n");
  t.put("cg/memory/" + path + "/memory.limit_in_bytes", "9223372036854771712\n");
  t.put("cg/memory/" + path + "/memory.stat", "cache 1\nrss 2\ninactive_file 3\ntotal_cache 4096\ntotal_rss 8192\ntotal_mapped_file 100\ntotal_pgfault 11\ntotal_pgmajfault 2\ntotal_inactive_file 1048576\n");
  t.put("cg/pids/" + path + "/pids.current", "4\n");
  t.put("cg/pids/" + path + "/cgroup.procs", "17\n18\n");
}

void put_proc(Tree& t) {
  t.put("proc/stat", "cpu  1000 200 300 40000 50 10 20 0 400 0\ncpu0 1 2 3\nbtime 1700000000\n");
  t.put("proc/meminfo", "MemTotal:       2048000 kB\nMemFree:         48000 kB\nInactive(file):  1000000 kB\nAnonPages:        5 kB\nCached:           6 kB\nMapped:           7 kB\nSwapTotal:      100 kB\nSwapFree:        40 kB\n");
  t.put("proc/vmstat", "pgfault 5\npgmajfault 1\n");
  t.put("proc/loadavg", "0.20 0.18 0.12 1/80 11206\n");
  t.put("proc/sys/kernel/random/boot_id", "boot-1\n");
  const std::string dev = "Inter-|   Receive  |  Transmit\n face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed\n"
                          "    lo:     1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  eth0: 1000 10 1 2 0 0 0 0 2000 20 3 4 0 0 0 0\n";
  t.put("proc/self/net/dev", dev);
  t.put("proc/42/net/dev", dev);
}

PodTarget pod_target() {
  PodTarget p;
  p.ns = "shop", p.name = "web-1", p.uid = "1", p.cgroup = kPod, p.pid = 42, p.folder = "/nowhere";
  p.started_us = 1'700'000'000'000'000 - 60'000'000;
  ContainerTarget c;
  c.name = "web", c.id = "abc", c.image = "shop/web:\"1\"", c.cgroup = std::string(kPod) + "/web", c.started_us = p.started_us, c.cpu_shares = 102, c.cpu_period_us = 100000, c.memory_limit = 64 << 20;
  p.containers.push_back(c);
  return p;
}

StatsOptions options_of(const Tree& t) {
  StatsOptions o;
  o.node = "n1", o.data_dir = t.root, o.cgroups = t.root + "/cg", o.proc = t.root + "/proc";
  return o;
}

}  // namespace

TEST_CASE("stats: a cgroup of version 1 is read, and its limit without end is none") {
  Tree t;
  put_v1(t, kPod, 5'000'000'000, 3 << 20);
  CgroupFigures f = read_cgroup(t.root + "/cg", kPod, false);
  CHECK(f.there);
  CHECK(f.cpu_ns == 5'000'000'000);
  CHECK(f.cpu_user_ns == 3'000'000'000);
  CHECK(f.working_set == 2 << 20);
  CHECK(f.rss == 8192);
  CHECK(f.memory_limit == 0);
  CHECK(f.throttled_periods == 5);
  CHECK(f.processes == 2);
  CHECK(f.threads == 4);
  CHECK(!read_cgroup(t.root + "/cg", "kubepods/other", false).there);
}

TEST_CASE("stats: a cgroup of version 2 is read") {
  Tree t;
  std::string at = std::string("cg/") + kPod;
  t.put(at + "/cpu.stat", "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\nnr_periods 9\nnr_throttled 1\nthrottled_usec 30\n");
  t.put(at + "/memory.current", "3145728\n");
  t.put(at + "/memory.max", "67108864\n");
  t.put(at + "/memory.stat", "anon 4096\nfile 2097152\nfile_mapped 77\ninactive_file 1048576\npgfault 12\npgmajfault 3\n");
  t.put(at + "/memory.events", "low 0\nhigh 0\nmax 6\noom 1\noom_kill 1\n");
  t.put(at + "/pids.current", "3\n");
  CgroupFigures f = read_cgroup(t.root + "/cg", kPod, true);
  CHECK(f.cpu_ns == 2'500'000'000);
  CHECK(f.throttled_ns == 30'000);
  CHECK(f.working_set == 2 << 20);
  CHECK(f.rss == 4096);
  CHECK(f.memory_limit == 64 << 20);
  CHECK(f.failures == 6);
  t.put(at + "/memory.max", "max\n");
  CHECK(read_cgroup(t.root + "/cg", kPod, true).memory_limit == 0);
}

TEST_CASE("stats: the machine is read from /proc, guests are not counted twice") {
  Tree t;
  put_proc(t);
  CgroupFigures f = read_machine_figures(t.root + "/proc");
  CHECK(f.cpu_ns == (1200 + 330) * 10'000'000LL);
  CHECK(f.memory == 2000000LL * 1024);
  CHECK(f.working_set == 1000000LL * 1024);
  CHECK(f.swap == 60 * 1024);
  CHECK(f.threads == 80);
  CHECK(boot_time_us(t.root + "/proc") == 1'700'000'000'000'000);
  CHECK(read_machine(t.root + "/proc", t.root, t.root).boot_id == "boot-1");
}

TEST_CASE("stats: interfaces but the loopback are read") {
  auto all = parse_interfaces("head\n head |x\n  lo: 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\neth0:1000 10 1 2 0 0 0 0 2000 20 3 4 0 0 0 0\nbad: 1 2\n");
  REQUIRE(all.size() == 1);
  CHECK(all[0].name == "eth0");
  CHECK(all[0].rx_bytes == 1000);
  CHECK(all[0].tx_dropped == 4);
}

TEST_CASE("stats: disk usage counts blocks and inodes below a folder") {
  Tree t;
  t.put("d/a", std::string(10'000, 'x'));
  t.put("d/sub/b", "y");
  DiskUsage u = read_disk_usage(t.root + "/d");
  CHECK(u.inodes == 3);
  CHECK(u.complete);
  CHECK(u.bytes >= 10'000);
  CHECK(read_disk_usage(t.root + "/none").inodes == 0);
}

TEST_CASE("stats: a rate stands on the newest look that lies far enough back, or on the oldest") {
  auto look = [](int64_t s, int64_t ns) { return CpuLook{seconds(s), {{"a", ns}}}; };
  std::deque<CpuLook> looks = {look(100, 0), look(104, 1'000'000'000), look(112, 5'000'000'000)};
  auto rate = cpu_rate(looks, "a", 9'000'000'000, seconds(116), Duration{0});
  REQUIRE(rate);
  CHECK(rate->window == seconds(12));
  CHECK(rate->nano_cores == 8'000'000'000 / 12);
  rate = cpu_rate(looks, "a", 5'500'000'000, seconds(113), Duration{0});
  CHECK(rate->window == seconds(13));
  // One that began after every look counts from its start; without any look there is nothing to say.
  CHECK(cpu_rate(looks, "b", 1'000'000'000, seconds(116), seconds(2))->nano_cores == 500'000'000);
  CHECK(!cpu_rate(looks, "b", 1'000'000'000, seconds(116), Duration{0}));
  CHECK(!cpu_rate(looks, "b", 1'000'000'000, seconds(116), seconds(500)));
  CHECK(!cpu_rate({}, "a", 1, seconds(116), seconds(50)));
  // A counter that went back is of another run.
  CHECK(!cpu_rate({look(100, 7)}, "a", 5, seconds(116), Duration{0}));
}

TEST_CASE("stats: the second look has rates, is shared while it is fresh, and looks are forgotten when nobody asks") {
  Tree t;
  put_proc(t);
  put_v1(t, kPod, 1'000'000'000, 3 << 20);
  put_v1(t, std::string(kPod) + "/web", 1'000'000'000, 3 << 20);
  ManualClock clock;
  StatsSampler sampler(clock, options_of(t));
  CHECK(!sampler.has_window());
  auto first = sampler.take({pod_target()}, Detail::Usage);
  CHECK(!first->cpu);
  CHECK(usage_report(*first, sampler.options())["pods"].size() == 0);
  clock.advance(milliseconds(500));
  CHECK(sampler.has_window());
  put_v1(t, kPod, 1'250'000'000, 3 << 20);
  put_v1(t, std::string(kPod) + "/web", 1'250'000'000, 3 << 20);
  auto second = sampler.take({pod_target()}, Detail::Usage);
  REQUIRE(second->pods.size() == 1);
  REQUIRE(second->pods[0].containers[0].cpu);
  CHECK(second->pods[0].containers[0].cpu->nano_cores == 500'000'000);
  CHECK(sampler.take({pod_target()}, Detail::Usage) == second);
  clock.advance(seconds(200));
  CHECK(!sampler.has_window());
  CHECK(!sampler.take({pod_target()}, Detail::Usage)->cpu);
}

TEST_CASE("stats: the summary, the usage report and both metrics pages tell the same figures") {
  Tree t;
  put_proc(t);
  put_v1(t, kPod, 1'000'000'000, 3 << 20);
  put_v1(t, std::string(kPod) + "/web", 1'000'000'000, 3 << 20);
  ManualClock clock;
  StatsSampler sampler(clock, options_of(t));
  (void)sampler.take({pod_target()}, Detail::Kernel);
  clock.advance(seconds(10));
  put_v1(t, kPod, 2'500'000'000, 3 << 20);
  put_v1(t, std::string(kPod) + "/web", 2'500'000'000, 3 << 20);
  auto s = sampler.take({pod_target()}, Detail::Disk);

  json::Node summary = stats_summary(*s, sampler.options(), false);
  CHECK(summary.path("node.nodeName").str() == "n1");
  CHECK(summary.path("node.memory.availableBytes").int_or(0) == 1048000LL * 1024);
  const json::Node& pod = summary["pods"].items().at(0);
  CHECK(pod.path("podRef.name").str() == "web-1");
  CHECK(pod.path("cpu.usageNanoCores").int_or(0) == 150'000'000);
  CHECK(pod.path("network.rxBytes").int_or(0) == 1000);
  CHECK(pod["containers"].items().at(0).path("memory.workingSetBytes").int_or(0) == 2 << 20);
  CHECK(pod["containers"].items().at(0).get("rootfs").exists());
  CHECK(!stats_summary(*s, sampler.options(), true)["pods"].items().at(0).get("network").exists());

  json::Node usage = usage_report(*s, sampler.options());
  CHECK(usage["pods"].items().at(0).dump() == R"({"namespace":"shop","name":"web-1","timestamp":"2023-11-14T22:13:30Z","window":"10s","containers":[{"name":"web","usage":{"cpu":"150000000n","memory":"2Mi"}}]})");

  std::string resource = resource_metrics(*s);
  CHECK(resource.find("container_cpu_usage_seconds_total{container=\"web\",namespace=\"shop\",pod=\"web-1\"} 2.5 1700000010000\n") != resource.npos);
  CHECK(resource.find("node_memory_working_set_bytes 1024000000 ") != resource.npos);
  CHECK(resource.find("resource_scrape_error 0\n") != resource.npos);

  std::string cadvisor = container_metrics(*s, sampler.machine());
  CHECK(cadvisor.find("container_memory_working_set_bytes{container=\"web\",id=\"/kubepods/burstable/pod1/web\",image=\"shop/web:\\\"1\\\"\",name=\"abc\",namespace=\"shop\",pod=\"web-1\"} 2097152 ") != cadvisor.npos);
  CHECK(cadvisor.find("container_network_transmit_bytes_total{interface=\"eth0\",container=\"\",id=\"/kubepods/burstable/pod1\",") != cadvisor.npos);
  CHECK(cadvisor.find("container_spec_memory_limit_bytes{container=\"web\"") != cadvisor.npos);
  CHECK(cadvisor.find("machine_memory_bytes{boot_id=\"boot-1\"") != cadvisor.npos);
  // A head stands before each series once.
  size_t heads = 0;
  for (size_t at = 0; (at = cadvisor.find("# TYPE container_cpu_usage_seconds_total ", at)) != cadvisor.npos; ++at) ++heads;
  CHECK(heads == 1);
}

TEST_CASE("figures: block devices' of v1 and v2 are summed over the devices") {
  Tree t;
  t.put("cpuacct/kubepods/podu/cpuacct.usage", "1\n");
  t.put("blkio/kubepods/podu/blkio.throttle.io_service_bytes", "8:0 Read 100\n8:0 Write 7\n8:16 Read 20\nTotal 127\n");
  t.put("blkio/kubepods/podu/blkio.throttle.io_serviced", "8:0 Read 3\n8:0 Write 2\n");
  auto v1 = read_cgroup(t.root, "kubepods/podu", false);
  CHECK(v1.read_bytes == 120);
  CHECK(v1.written_bytes == 7);
  CHECK(v1.reads == 3);
  CHECK(v1.writes == 2);
  t.put("two/podu/cpu.stat", "usage_usec 5\n");
  t.put("two/podu/io.stat", "8:0 rbytes=10 wbytes=20 rios=3 wios=4 dbytes=0 dios=0\n8:16 rbytes=1 wbytes=2 rios=1 wios=1\n");
  auto v2 = read_cgroup(t.root + "/two", "podu", true);
  CHECK(v2.read_bytes == 11);
  CHECK(v2.written_bytes == 22);
  CHECK(v2.reads == 4);
  CHECK(v2.writes == 5);
}

TEST_CASE("figures: volumes are in the summary, and those of claims in /metrics, once each") {
  Snapshot s;
  for (const char* name : {"a", "b"}) {
    PodStats p;
    p.target.ns = "default";
    p.target.name = name;
    p.volumes.push_back({{"data", "/x", "claim"}, {1000, 400, 600, 10, 4}, {50, 3, true}});
    p.volumes.push_back({{"tmp", "/y", ""}, {1000, 400, 600, 10, 4}, {70, 2, true}});
    s.pods.push_back(p);
  }
  auto pods = stats_summary(s, {}, false)["pods"];
  auto volumes = pods.items().at(0).get("volume");
  REQUIRE(volumes.size() == 2);
  CHECK(volumes.items().at(0).path("pvcRef.name").str() == "claim");
  CHECK(volumes.items().at(0).get("usedBytes").int_or(0) == 50);
  CHECK(volumes.items().at(0).get("capacityBytes").int_or(0) == 1000);
  CHECK_FALSE(volumes.items().at(1).get("pvcRef").exists());
  std::string text = volume_metrics(s);
  CHECK_THAT(text, Catch::Contains("kubelet_volume_stats_used_bytes{namespace=\"default\",persistentvolumeclaim=\"claim\"} 50\n"));
  CHECK(text.find("used_bytes{") == text.rfind("used_bytes{"));
}
