// Real containers from a busybox rootfs: start, logs, exit codes, exec, adoption. Needs root.
#include "runtime/runtime.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <fcntl.h>
#include <condition_variable>
#include <filesystem>
#include <unistd.h>

#include "base/strings.h"
#include "runtime/cgroups.h"

using namespace k8lite;
using namespace k8lite::runtime;
namespace fs = std::filesystem;

TEST_CASE("cgroups: resources become kernel files of either layout") {
  Resources r{.memory_limit = 1 << 20, .cpu_shares = 512, .cpu_quota_us = 50'000, .cpu_period_us = 100'000, .pids_limit = 10};
  auto v1 = plan_resources(r, false), v2 = plan_resources(r, true);
  REQUIRE(v1.size() == 5);
  CHECK(v1[0].file == "memory.limit_in_bytes");
  CHECK(v1[3].file == "cpu.cfs_quota_us");
  REQUIRE(v2.size() == 4);
  CHECK(v2[2].value == "50000 100000");
  CHECK(shares_of_milli_cpu(250) == 256);
  CHECK(weight_of_shares(1024) == 39);
  CHECK(plan_resources({}, true).empty());
}

TEST_CASE("cgroups: containers see the hierarchies of v1 by the kernel's options, and one file system on v2") {
  char name[] = "/tmp/k8lite-cgroups-XXXXXX";
  std::string root = mkdtemp(name);
  for (const char* c : {"cpu", "memory", "pids"}) {
    fs::create_directories(root + "/" + c);
    REQUIRE(os::write_file(root + "/" + c + "/cgroup.procs", "").ok());
  }
  const std::string text = "12:cpuset:/\n5:cpu,cpuacct:/user.slice\n4:memory:/x\n3:pids:/\n1:name=systemd:/\n0::/user.slice\n";
  CHECK(Cgroups(root).hierarchies(text) == std::vector<std::string>{"cpu,cpuacct", "memory", "pids"});
  REQUIRE(os::write_file(root + "/cgroup.controllers", "cpu memory pids\n").ok());
  CHECK(Cgroups(root).hierarchies(text).empty());
  fs::remove_all(root);
}

TEST_CASE("cgroups: a pod's keeper has a cgroup of its own in v2, beside those that limits are handed down to") {
  char name[] = "/tmp/k8lite-cgroups-XXXXXX";
  std::string root = mkdtemp(name);
  CHECK(Cgroups(root).create_keeper("kubepods/pod1").value_or("") == "kubepods/pod1");
  REQUIRE(os::write_file(root + "/cgroup.controllers", "cpu memory pids\n").ok());
  CHECK(Cgroups(root).create_keeper("kubepods/pod1").value_or("") == "kubepods/pod1/_shim");
  CHECK(fs::is_directory(root + "/kubepods/pod1/_shim"));
  fs::remove_all(root);
}

TEST_CASE("launch: capabilities are added and dropped by name") {
  CHECK(capability_mask({}, {}, false) == default_capabilities());
  CHECK(capability_mask({}, {"ALL"}, false) == 0);
  CHECK(capability_mask({"NET_ADMIN"}, {"ALL"}, false) == uint64_t{1} << 12);
  CHECK(__builtin_popcountll(default_capabilities()) == 14);
}

namespace {

struct Node {
  std::string dir;
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::string, shim::State> exits;
  std::unique_ptr<Runtime> runtime;

  Node() {
    char name[] = "/tmp/k8lite-runtime-XXXXXX";
    dir = mkdtemp(name);
    std::filesystem::create_directories(dir + "/image/bin");
    std::filesystem::copy_file("/bin/busybox", dir + "/image/bin/busybox");
    for (const char* tool : {"sh", "echo", "sleep", "cat", "id", "hostname", "ls", "touch", "mount", "true"}) std::filesystem::create_symlink("busybox", dir + "/image/bin/" + tool);
    open();
  }
  ~Node() {
    for (const auto& pod : os::list_dir(dir + "/run")) (void)runtime->remove_pod(pod);
    runtime = nullptr;
    std::filesystem::remove_all(dir);
  }
  void open() {
    runtime = nullptr;
    runtime = std::make_unique<Runtime>(dir + "/run", [this](const std::string&, const shim::State& s) {
      std::lock_guard lock(mutex);
      exits[s.id] = s;
      changed.notify_all();
    }, [](const std::string&) {});
  }
  ContainerSpec spec(const std::string& id, const std::string& script) {
    ContainerSpec s;
    s.layers = {dir + "/image"};
    s.folder = dir + "/" + id;
    s.args = {"sh", "-c", script};
    s.env = {"PATH=/bin"};
    s.cgroup_hierarchies = Cgroups().hierarchies(os::read_file("/proc/self/cgroup").value_or(""));
    s.log_path = dir + "/" + id + ".log";
    return s;
  }
  shim::State wait(const std::string& id) {
    std::unique_lock lock(mutex);
    REQUIRE(changed.wait_for(lock, std::chrono::seconds(20), [&] { return exits.count(id) > 0; }));
    return exits[id];
  }
  std::string log(const std::string& id) { return os::read_file(dir + "/" + id + ".log").value_or(""); }
};

}  // namespace

TEST_CASE("runtime: a container runs, logs, and its exit code is kept and told", "[root]") {
  Node n;
  REQUIRE(n.runtime->start_pod({"pod1", "web-0", false, false, false, {}}).ok());
  auto r = n.runtime->start("pod1", "c1", plan_container(n.spec("c1", "hostname; echo oops >&2; id -u; touch /x && ls /proc/1/ >/dev/null && exit 7")));
  INFO((r.ok() ? std::string() : r.status().message()));
  REQUIRE(r.ok());
  shim::State s = n.wait("c1");
  CHECK(s.exit_code == 7);
  std::string log = n.log("c1");
  CHECK(log.find(" stdout F web-0\n") != std::string::npos);
  CHECK(log.find(" stderr F oops\n") != std::string::npos);
  CHECK(log.find(" stdout F 0\n") != std::string::npos);
  CHECK(os::exists(n.dir + "/run/pod1/c1.exit"));
  CHECK(os::exists(n.dir + "/c1/upper/x"));
  CHECK(!os::exists(n.dir + "/image/x"));
}

TEST_CASE("runtime: another user than root finds its way in", "[root]") {
  Node n;
  REQUIRE(n.runtime->start_pod({"pod1", "web-0", false, false, false, {}}).ok());
  ContainerSpec spec = n.spec("c1", "id -u; cat </dev/null; ls / >/dev/null && exit 3");
  spec.uid = spec.gid = 1000;
  auto r = n.runtime->start("pod1", "c1", plan_container(spec));
  INFO((r.ok() ? std::string() : r.status().message()));
  REQUIRE(r.ok());
  CHECK(n.wait("c1").exit_code == 3);
  CHECK(n.log("c1").find(" stdout F 1000\n") != std::string::npos);
}

TEST_CASE("runtime: a shim holds nothing of the process that started it", "[root]") {
  Node n;
  const std::string path = n.dir + "/leaked";
  int leaked = ::open(path.c_str(), O_RDONLY | O_CREAT, 0600);  // without O_CLOEXEC, as a careless library opens things
  REQUIRE(leaked >= 0);
  REQUIRE(n.runtime->start_pod({"pod1", "h", false, false, false, {}}).ok());
  const std::string fds = "/proc/" + std::to_string(n.runtime->shim_pid("pod1")) + "/fd";
  int seen = 0;
  for (const auto& entry : fs::directory_iterator(fds)) {
    seen++;
    std::error_code gone;
    CHECK(fs::read_symlink(entry.path(), gone) != path);
  }
  CHECK(seen > 0);
  close(leaked);
}

TEST_CASE("runtime: what cannot start says why", "[root]") {
  Node n;
  REQUIRE(n.runtime->start_pod({"pod1", "h", false, false, false, {}}).ok());
  auto spec = n.spec("c1", "");
  spec.args = {"nosuch"};
  auto r = n.runtime->start("pod1", "c1", plan_container(spec));
  REQUIRE(!r.ok());
  CHECK(r.status().message() == "exec: \"nosuch\": executable file not found in $PATH");
  spec = n.spec("c2", "true");
  spec.layers = {n.dir + "/absent"};
  r = n.runtime->start("pod1", "c2", plan_container(spec));
  REQUIRE(!r.ok());
  CHECK(r.status().message().find("mount overlay") == 0);
}

TEST_CASE("runtime: an image of more layers than a page of mount options names", "[root]") {
  Node n;
  REQUIRE(n.runtime->start_pod({"pod1", "h", false, false, false, {}}).ok());
  for (size_t layers : {127, 150, 256}) {
    CAPTURE(layers);
    std::string id = "c" + std::to_string(layers);
    ContainerSpec spec = n.spec(id, "cat /first /last; ls /each >&2");
    // Linked as the image store does it: twelve digits in a folder of links.
    fs::create_directories(n.dir + "/" + std::string(60, 'd') + "/l");
    std::string links = n.dir + "/" + std::string(60, 'd') + "/l/" + std::to_string(100'000'000'000 + layers * 1000).substr(0, 8), own = links + "0000";
    fs::create_directory_symlink(n.dir + "/image", own);
    spec.layers = {own};
    for (size_t i = 1; i < layers; ++i) {
      std::string layer = n.dir + "/layer" + std::to_string(i), link = links + std::to_string(10'000 + i).substr(1);
      fs::create_directories(layer + "/each");
      REQUIRE(os::write_file(layer + "/each/" + std::to_string(i), "", 0644, false).ok());
      REQUIRE(os::write_file(layer + (i == 1 ? "/last" : "/first"), std::to_string(i) + "\n", 0644, false).ok());
      if (i + 1 == layers) REQUIRE(os::write_file(layer + "/last", "hidden\n", 0644, false).ok());
      fs::create_directory_symlink(layer, link);
      spec.layers.push_back(link);
    }
    auto r = n.runtime->start("pod1", id, plan_container(spec));
    INFO((r.ok() ? std::string() : r.status().message()));
    REQUIRE(r.ok());
    CHECK(n.wait(id).exit_code == 0);
    CHECK(n.log(id).find(" stdout F 1\n") != std::string::npos);
    CHECK(n.log(id).find(" stderr F " + std::to_string(layers - 1) + "\n") != std::string::npos);
  }
}

TEST_CASE("runtime: pods outlive the runtime and are adopted with their exits", "[root]") {
  Node n;
  REQUIRE(n.runtime->start_pod({"pod1", "h", false, false, false, {}}).ok());
  REQUIRE(n.runtime->start("pod1", "long", plan_container(n.spec("long", "echo one; sleep 0.5; echo two; exit 3"))).ok());
  REQUIRE(n.runtime->start("pod1", "short", plan_container(n.spec("short", "exit 4"))).ok());
  n.wait("short");
  n.open();
  CHECK(n.runtime->adopt() == std::vector<std::string>{"pod1"});
  auto states = n.runtime->list("pod1");
  REQUIRE(states.ok());
  REQUIRE(states->size() == 2);
  CHECK(states->at(0).running);
  CHECK(!states->at(1).running);
  CHECK(states->at(1).exit_code == 4);
  CHECK(n.wait("long").exit_code == 3);
  CHECK(n.log("long").find("stdout F two") != std::string::npos);
}

TEST_CASE("runtime: exec joins the container and returns output and code", "[root]") {
  Node n;
  REQUIRE(n.runtime->start_pod({"pod1", "h", false, false, false, {}}).ok());
  REQUIRE(n.runtime->start("pod1", "c", plan_container(n.spec("c", "touch /here; exec sleep 30"))).ok());
  int out[2];
  REQUIRE(pipe(out) == 0);
  os::Fd stdio[3] = {os::Fd(::open("/dev/null", O_RDONLY)), os::Fd(out[1]), os::Fd(dup(out[1]))};
  shim::Process p;
  p.args = {"sh", "-c", "until ls /here 2>/dev/null; do :; done; echo $X; exit 5"};
  p.env = {"PATH=/bin", "X=y"};
  p.capabilities = default_capabilities();
  std::mutex mutex;
  std::condition_variable cv;
  int code = -2;
  auto r = n.runtime->exec("pod1", "c", p, stdio, [&](int c) {
    std::lock_guard lock(mutex);
    code = c;
    cv.notify_all();
  });
  INFO((r.ok() ? std::string() : r.status().message()));
  REQUIRE(r.ok());
  std::unique_lock lock(mutex);
  REQUIRE(cv.wait_for(lock, std::chrono::seconds(10), [&] { return code != -2; }));
  CHECK(code == 5);
  char buffer[256];
  ssize_t got = ::read(out[0], buffer, sizeof buffer);
  CHECK(std::string(buffer, static_cast<size_t>(std::max<ssize_t>(got, 0))) == "/here\ny\n");
  close(out[0]);
  REQUIRE(n.runtime->signal("pod1", "c", 9).ok());
  CHECK(n.wait("c").exit_code == 137);
}

namespace {

struct Pipe {
  os::Fd reader, writer;
  Pipe() {
    int fds[2];
    REQUIRE(pipe2(fds, O_CLOEXEC) == 0);
    reader.reset(fds[0]);
    writer.reset(fds[1]);
  }
};
std::string read_some(const os::Fd& fd) {
  char buffer[4096];
  ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
  return {buffer, static_cast<size_t>(std::max<ssize_t>(n, 0))};
}
std::string read_all(const os::Fd& fd) {
  std::string all;
  for (std::string piece; !(piece = read_some(fd)).empty();) all += piece;
  return all;
}

}  // namespace

TEST_CASE("runtime: who attaches gets both outputs and the input, and the log gets all too", "[root]") {
  Node n;
  REQUIRE(n.runtime->start_pod({"pod1", "h", false, false, false, {}}).ok());
  auto spec = n.spec("c", "echo ready >&2; read line; echo got $line; cat; echo bye");
  spec.stdin_open = spec.stdin_once = true;
  REQUIRE(n.runtime->start("pod1", "c", plan_container(spec)).ok());
  Pipe out, err, second_out, second_err;
  auto first = n.runtime->attach("pod1", "c", true, std::move(out.writer), std::move(err.writer));
  REQUIRE(first.ok());
  CHECK(first->takes_input);
  CHECK_FALSE(first->terminal);
  auto second = n.runtime->attach("pod1", "c", true, std::move(second_out.writer), std::move(second_err.writer));
  REQUIRE(second.ok());
  CHECK_FALSE(second->takes_input);  // stdinOnce: the first has it
  REQUIRE(::write(first->input.get(), "a line\nmore", 11) == 11);
  std::string got = read_some(out.reader);
  CHECK(got.starts_with("got a line\n"));
  first->input.reset();
  CHECK(got + read_all(out.reader) == "got a line\nmorebye\n");
  CHECK(read_all(second_out.reader) == "got a line\nmorebye\n");
  CHECK(n.wait("c").exit_code == 0);
  CHECK(n.log("c").find(" stdout F morebye\n") != std::string::npos);
  CHECK(n.log("c").find(" stderr F ready\n") != std::string::npos);
  Pipe late;
  CHECK_FALSE(n.runtime->attach("pod1", "c", false, std::move(late.writer), os::Fd(::open("/dev/null", O_WRONLY))).ok());
}

TEST_CASE("runtime: a slow reader loses nothing and one that is gone does not hold the container up", "[root]") {
  Node n;
  REQUIRE(n.runtime->start_pod({"pod1", "h", false, false, false, {}}).ok());
  auto spec = n.spec("c", "read go; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo line $i of many; done");
  spec.stdin_open = true;
  REQUIRE(n.runtime->start("pod1", "c", plan_container(spec)).ok());
  Pipe slow, gone, unused;
  auto a = n.runtime->attach("pod1", "c", true, std::move(slow.writer), os::Fd(::open("/dev/null", O_WRONLY)));
  auto b = n.runtime->attach("pod1", "c", false, std::move(gone.writer), std::move(unused.writer));
  REQUIRE(a.ok());
  REQUIRE(b.ok());
  gone.reader.reset();
  REQUIRE(::write(a->input.get(), "go\n", 3) == 3);
  usleep(300'000);
  std::string all = read_all(slow.reader);
  CHECK(std::count(all.begin(), all.end(), '\n') == 20000);
  CHECK(all.ends_with("line 20000 of many\n"));
  CHECK(n.wait("c").exit_code == 0);
}

TEST_CASE("runtime: a terminal is handed to who attaches", "[root]") {
  Node n;
  REQUIRE(n.runtime->start_pod({"pod1", "h", false, false, false, {}}).ok());
  auto spec = n.spec("c", "read line; echo got $line");
  spec.stdin_open = spec.tty = true;
  REQUIRE(n.runtime->start("pod1", "c", plan_container(spec)).ok());
  Pipe out;
  auto a = n.runtime->attach("pod1", "c", true, std::move(out.writer), os::Fd(::open("/dev/null", O_WRONLY)));
  REQUIRE(a.ok());
  CHECK(a->takes_input);
  CHECK(a->terminal);
  REQUIRE(::write(a->input.get(), "words\n", 6) == 6);
  std::string all = read_all(out.reader);
  CHECK(all.find("got words\r\n") != std::string::npos);
  CHECK(n.wait("c").exit_code == 0);
}

TEST_CASE("runtime: an exec that is ended is killed", "[root]") {
  Node n;
  REQUIRE(n.runtime->start_pod({"pod1", "h", false, false, false, {}}).ok());
  REQUIRE(n.runtime->start("pod1", "c", plan_container(n.spec("c", "sleep 30"))).ok());
  Pipe out;
  os::Fd stdio[3] = {os::Fd(::open("/dev/null", O_RDONLY)), std::move(out.writer), os::Fd(::open("/dev/null", O_WRONLY))};
  shim::Process p;
  p.args = {"sh", "-c", "echo up; exec sleep 60"};
  p.env = {"PATH=/bin"};
  p.capabilities = default_capabilities();
  Runtime::EndExec end;
  std::atomic<int> code{-2};
  REQUIRE(n.runtime->exec("pod1", "c", p, stdio, [&code](int c) { code = c; }, &end).ok());
  CHECK(read_some(out.reader) == "up\n");
  end();
  CHECK(read_all(out.reader).empty());  // its end closed the pipe
  for (int i = 0; i < 2000 && code == -2; ++i) usleep(10'000);
  CHECK(code == -1);
  end();
}

TEST_CASE("runtime: containers of a pod see each other's processes where they share them, and only there", "[root]") {
  Node n;
  fs::create_symlink("busybox", n.dir + "/image/bin/ps");
  REQUIRE(n.runtime->start_pod({"pod1", "h", false, false, true, {}}).ok());
  auto web = n.spec("web", "exec sleep 1234");
  web.processes_of = shim::kPodProcesses;
  REQUIRE(n.runtime->start("pod1", "web", plan_container(web)).ok());
  auto alone = n.spec("alone", "sleep 0.2; ps -o args");
  REQUIRE(n.runtime->start("pod1", "alone", plan_container(alone)).ok());
  n.wait("alone");
  CHECK(n.log("alone").find("sleep 1234") == std::string::npos);
  auto looks = n.spec("looks", "sleep 0.2; ps -o pid,args; ls /proc/1/root/ /proc/1/fd; grep CapPrm /proc/1/status; sleep 4321 & exit 3");
  looks.add_capabilities = {"SYS_PTRACE"};
  looks.processes_of = shim::kPodProcesses;
  REQUIRE(n.runtime->start("pod1", "looks", plan_container(looks)).ok());
  CHECK(n.wait("looks").exit_code == 3);
  CHECK(n.log("looks").find("sleep 1234") != std::string::npos);
  CHECK(n.log("looks").find(" 1 /pause") != std::string::npos);
  CHECK(n.log("looks").find("/proc/1/root/:\n") != std::string::npos);  // it may be looked at, and is empty
  CHECK(n.log("looks").find("bin") == std::string::npos);
  CHECK(n.log("looks").find("CapPrm:\t0000000000000000") != std::string::npos);
  REQUIRE(n.runtime->signal("pod1", "web", 15).ok());  // it is not process 1 there: SIGTERM ends it without a handler
  CHECK(n.wait("web").exit_code == 143);
}

TEST_CASE("runtime: a container may look into another one", "[root]") {
  Node n;
  fs::create_symlink("busybox", n.dir + "/image/bin/ps");
  REQUIRE(n.runtime->start_pod({"pod1", "h", false, false, false, {}}).ok());
  REQUIRE(n.runtime->start("pod1", "web", plan_container(n.spec("web", "exec sleep 1234"))).ok());
  auto debug = n.spec("debug", "until ps -o pid,args | busybox grep -q '^ *1 sleep 1234'; do sleep 0.05; done; ps -o pid,args; sleep 1000");
  debug.processes_of = "web";
  REQUIRE(n.runtime->start("pod1", "debug", plan_container(debug)).ok());
  for (int i = 0; i < 2000 && n.log("debug").find(" 1 sleep 1234") == std::string::npos; ++i) usleep(10'000);
  CHECK(n.log("debug").find(" 1 sleep 1234") != std::string::npos);
  REQUIRE(n.runtime->signal("pod1", "web", 9).ok());  // its process 1
  CHECK(n.wait("debug").exit_code == 137);
  debug.processes_of = "nobody";
  debug.folder += "2";
  auto r = n.runtime->start("pod1", "debug2", plan_container(debug));
  REQUIRE_FALSE(r.ok());
  CHECK(r.status().message() == "container nobody, whose processes are to be shared, is not running");
}
