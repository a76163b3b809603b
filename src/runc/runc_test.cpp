#include <linux/audit.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include <algorithm>
#include <catch2/catch.hpp>

#include "runc/cgroups.h"
#include "runc/dbus.h"
#include "runc/devices.h"
#include "runc/json.h"
#include "runc/mount_options.h"
#include "runc/options.h"
#include "runc/seccomp.h"
#include "runc/systemd.h"

using namespace k8lite::runc;

namespace {

Json parsed(const std::string& text) {
  Json j;
  std::string wrong = Json::parse(text, j);
  INFO(wrong);
  REQUIRE(wrong.empty());
  return j;
}

// What the kernel would do with a filter (the instructions that ours are made of).
uint32_t verdict(const std::vector<sock_filter>& code, uint32_t arch, int number, std::vector<uint64_t> args = {}) {
  seccomp_data data{};
  data.nr = number;
  data.arch = arch;
  for (size_t i = 0; i < args.size(); ++i) data.args[i] = args[i];
  uint32_t a = 0;
  for (size_t at = 0; at < code.size(); ++at) {
    const sock_filter& i = code[at];
    switch (i.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        memcpy(&a, reinterpret_cast<const char*>(&data) + i.k, 4);
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        a &= i.k;
        break;
      case BPF_JMP | BPF_JA:
        at += i.k;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        at += a == i.k ? i.jt : i.jf;
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        at += a >= i.k ? i.jt : i.jf;
        break;
      case BPF_JMP | BPF_JGT | BPF_K:
        at += a > i.k ? i.jt : i.jf;
        break;
      case BPF_RET | BPF_K:
        return i.k;
      default:
        FAIL("an instruction that is not ours");
    }
  }
  FAIL("the filter ends without a verdict");
  return 0;
}

std::string value_of(const std::vector<CgroupWrite>& writes, const std::string& file) {
  for (const auto& w : writes)
    if (w.file == file) return w.value;
  return "-";
}

}  // namespace

TEST_CASE("systemd: a path of slice, prefix and name is a unit below its slices") {
  CHECK(unit_of("a-b.slice:pre:name", "id").path() == "/a.slice/a-b.slice/pre-name.scope");
  CHECK(unit_of("-.slice::name", "id").path() == "/name.scope");
  CHECK(unit_of("user.slice:x:inner.slice", "id").path() == "/user.slice/inner.slice");
  CHECK(unit_of(":pre:name", "id").name == "pre-name.scope");
  CHECK(unit_of("", "id").name == "runc-id.scope");
}

TEST_CASE("dbus: values are aligned, and an array's length leaves out the padding before its first item") {
  DbusText t;
  t.byte(1);
  t.string("ab");
  size_t array = t.begin_array(8);
  t.u64(7);
  t.end_array(array);
  CHECK(t.text() == std::string("\1\0\0\0\2\0\0\0ab\0\0\10\0\0\0\7\0\0\0\0\0\0\0", 24));
}

TEST_CASE("runc json: what is written reads back, numbers keep all their digits") {
  Json j =
      parsed(R"( {"a":[1,18446744073709551615,-5,1.5e3],"s":"q\"\\\n\u00e4\ud83d\ude00","t":true,"n":null,"o":{}} )");
  CHECK(j["a"].items()[1].uint_or(0) == 18446744073709551615ull);
  CHECK(j["a"].items()[2].int_or(0) == -5);
  CHECK(j["s"].str() == "q\"\\\n\xc3\xa4\xf0\x9f\x98\x80");
  CHECK(j["t"].bool_or(false));
  CHECK_FALSE(j["n"].exists());
  CHECK_FALSE(j["x"]["y"]["z"].exists());
  CHECK(parsed(j.dump()).dump() == j.dump());
  CHECK(parsed(j.dump(true)).dump() == j.dump());
}

TEST_CASE("runc json: broken text is refused, and so is nesting without end") {
  Json j;
  for (const char* text : {"", "{", "[1,]", "{\"a\" 1}", "\"\\x\"", "\"abc", "tru", "1 2", "{\"a\":1}}", "\"\n\""}) {
    INFO(text);
    CHECK_FALSE(Json::parse(text, j).empty());
  }
  CHECK_FALSE(Json::parse(std::string(100000, '['), j).empty());
}

TEST_CASE("runc options: flags end at the first word, with a value behind = or as the next word") {
  Options o;
  CHECK(parse_options({"--bundle=/b", "-d", "--pid-file", "/p", "id", "--detach=false"},
                      "bundle,b= detach,d pid-file=", o)
            .empty());
  CHECK(o.get("bundle") == "/b");
  CHECK(o.has("detach"));
  CHECK(o.get("pid-file") == "/p");
  CHECK(o.args == std::vector<std::string>{"id", "--detach=false"});
  Options wrong, anywhere;
  CHECK_FALSE(parse_options({"--nope"}, "bundle=", wrong).empty());
  CHECK_FALSE(parse_options({"--bundle"}, "bundle=", wrong).empty());
  CHECK(parse_options({"id", "-f"}, "force,f", anywhere, true).empty());
  CHECK(anywhere.has("force"));
}

TEST_CASE("runc mounts: options become flags, propagation, recursive attributes and data") {
  MountOptions o = parse_mount_options(
      {"rbind", "ro", "nosuid", "suid", "rslave", "rro", "rnoatime", "tmpcopyup", "size=1m", "mode=700"});
  CHECK(o.flags == (MS_BIND | MS_REC | MS_RDONLY));
  CHECK(o.propagations == std::vector<unsigned long>{MS_SLAVE | MS_REC});
  CHECK(o.recursive_set == (1 | 0x10));
  CHECK(o.recursive_clear == 0x70);
  CHECK(o.copy_up);
  CHECK(o.data == "size=1m,mode=700");
}

TEST_CASE("runc mounts: below /proc only harmless files may be covered") {
  CHECK(may_mount_below_proc("/proc", "proc", false));
  CHECK(may_mount_below_proc("/proc/./cpuinfo", "bind", false));
  CHECK(may_mount_below_proc("/procedure", "bind", false));
  CHECK_FALSE(may_mount_below_proc("//proc/self/attr", "bind", false));
  CHECK_FALSE(may_mount_below_proc("/proc/", "bind", false));
}

TEST_CASE("runc cgroups: limits of both versions") {
  Json r = parsed(
      R"({"memory":{"limit":1048576,"swap":2097152,"reservation":524288},"cpu":{"shares":1024,"quota":5000,"period":10000,"cpus":"0-1"},
    "pids":{"limit":-1},"blockIO":{"weight":500,"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":100}]},"hugepageLimits":[{"pageSize":"2MB","limit":0}]})");
  auto one = plan_cgroup(r, false), two = plan_cgroup(r, true);
  CHECK(value_of(one, "memory.limit_in_bytes") == "1048576");
  CHECK(value_of(one, "memory.memsw.limit_in_bytes") == "2097152");
  CHECK(value_of(one, "cpu.shares") == "1024");
  CHECK(value_of(one, "cpu.cfs_quota_us") == "5000");
  CHECK(value_of(one, "pids.max") == "max");
  CHECK(value_of(one, "blkio.throttle.read_bps_device") == "8:0 100");
  CHECK(value_of(one, "hugetlb.2MB.limit_in_bytes") == "0");
  CHECK(value_of(two, "memory.max") == "1048576");
  CHECK(value_of(two, "memory.swap.max") == "1048576");  // what is beyond the memory
  CHECK(value_of(two, "memory.low") == "524288");
  CHECK(value_of(two, "cpu.weight") == "39");
  CHECK(value_of(two, "cpu.max") == "5000 10000");
  CHECK(value_of(two, "cpuset.cpus") == "0-1");
  CHECK(value_of(two, "io.max") == "8:0 rbps=100");
  CHECK(value_of(two, "hugetlb.2MB.max") == "0");
  CHECK(value_of(plan_cgroup(parsed(R"({"unified":{"memory.high":"1G"}})"), true), "memory.high") == "1G");
}

TEST_CASE("runc devices: the rules in order, then what every container may use") {
  Json rules =
      parsed(R"([{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":10,"minor":200,"access":"rw"}])");
  auto writes = plan_device_writes(rules);
  REQUIRE(writes.size() > 4);
  CHECK(writes[0] == std::pair<std::string, std::string>{"devices.deny", "a"});
  CHECK(writes[1] == std::pair<std::string, std::string>{"devices.allow", "c 10:200 rw"});
  CHECK(std::find(writes.begin(), writes.end(), std::pair<std::string, std::string>{"devices.allow", "c 1:3 rwm"}) !=
        writes.end());
  auto program = plan_device_program(rules);
  CHECK(program.back().code == (BPF_JMP | BPF_EXIT));
  CHECK(plan_device_program(parsed(R"([{"allow":true,"access":"rwm"}])")).size() < program.size() + 2);
}

#if defined(__x86_64__)
TEST_CASE("runc seccomp: each architecture has its own numbers, and others end the process") {
  std::vector<sock_filter> code;
  REQUIRE(
      compile_seccomp(parsed(R"({"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86"],
    "syscalls":[{"names":["read","write","no_such_call"],"action":"SCMP_ACT_ALLOW"},{"names":["reboot"],"action":"SCMP_ACT_ERRNO","errnoRet":38}]})"),
                      code) == "");
  CHECK(verdict(code, AUDIT_ARCH_X86_64, SYS_read) == SECCOMP_RET_ALLOW);
  CHECK(verdict(code, AUDIT_ARCH_X86_64, SYS_write) == SECCOMP_RET_ALLOW);
  CHECK(verdict(code, AUDIT_ARCH_X86_64, SYS_open) == (SECCOMP_RET_ERRNO | EPERM));
  CHECK(verdict(code, AUDIT_ARCH_X86_64, SYS_reboot) == (SECCOMP_RET_ERRNO | ENOSYS));
  CHECK(verdict(code, AUDIT_ARCH_X86_64, 5000) == (SECCOMP_RET_ERRNO | ENOSYS));  // newer than the profile
  CHECK(verdict(code, AUDIT_ARCH_I386, 3) == SECCOMP_RET_ALLOW);
  CHECK(verdict(code, AUDIT_ARCH_I386, 5) == (SECCOMP_RET_ERRNO | EPERM));
  CHECK(verdict(code, AUDIT_ARCH_X86_64, 0x40000000 | SYS_read) == SECCOMP_RET_KILL_PROCESS);  // x32 was not named
  CHECK(verdict(code, AUDIT_ARCH_AARCH64, 0) == SECCOMP_RET_KILL_PROCESS);
}

TEST_CASE("runc seccomp: comparisons of 64-bit arguments") {
  struct Row {
    const char* op;
    uint64_t value, two;
    std::vector<uint64_t> yes, no;
  };
  constexpr uint64_t big = uint64_t{1} << 32;
  const Row rows[] = {{"SCMP_CMP_EQ", big + 5, 0, {big + 5}, {5, big, 2 * big + 5}},
                      {"SCMP_CMP_NE", big + 5, 0, {5, big, 2 * big + 5}, {big + 5}},
                      {"SCMP_CMP_GT", big + 5, 0, {big + 6, 2 * big}, {big + 5, 6, big}},
                      {"SCMP_CMP_GE", big + 5, 0, {big + 5, 2 * big}, {big + 4, 6}},
                      {"SCMP_CMP_LT", big + 5, 0, {big + 4, 6, big}, {big + 5, 2 * big}},
                      {"SCMP_CMP_LE", big + 5, 0, {big + 5, 6}, {big + 6, 2 * big}},
                      {"SCMP_CMP_MASKED_EQ", big | 1, big, {big, big | 2}, {1, big | 1, 0}}};
  for (const Row& r : rows) {
    std::vector<sock_filter> code;
    std::string text =
        R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["kill"],"action":"SCMP_ACT_KILL_PROCESS","args":[{"index":1,"value":)" +
        std::to_string(r.value) + ",\"valueTwo\":" + std::to_string(r.two) + ",\"op\":\"" + r.op + "\"}]}]}";
    REQUIRE(compile_seccomp(parsed(text), code) == "");
    INFO(r.op);
    for (uint64_t v : r.yes) CHECK(verdict(code, AUDIT_ARCH_X86_64, SYS_kill, {0, v}) == SECCOMP_RET_KILL_PROCESS);
    for (uint64_t v : r.no) CHECK(verdict(code, AUDIT_ARCH_X86_64, SYS_kill, {0, v}) == SECCOMP_RET_ALLOW);
    CHECK(verdict(code, AUDIT_ARCH_X86_64, SYS_getpid) == SECCOMP_RET_ALLOW);
  }
}

TEST_CASE("runc seccomp: all conditions of a rule, any rule of a call, and one argument named twice") {
  std::vector<sock_filter> code;
  REQUIRE(compile_seccomp(parsed(R"({"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":1,"syscalls":[
    {"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"},{"index":1,"value":2,"op":"SCMP_CMP_EQ"}]},
    {"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":7,"op":"SCMP_CMP_EQ"}]},
    {"names":["personality"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":0,"op":"SCMP_CMP_EQ"},{"index":0,"value":8,"op":"SCMP_CMP_EQ"}]}]})"),
                          code) == "");
  CHECK(verdict(code, AUDIT_ARCH_X86_64, SYS_socket, {1, 2}) == SECCOMP_RET_ALLOW);
  CHECK(verdict(code, AUDIT_ARCH_X86_64, SYS_socket, {1, 3}) == (SECCOMP_RET_ERRNO | 1));
  CHECK(verdict(code, AUDIT_ARCH_X86_64, SYS_socket, {7, 3}) == SECCOMP_RET_ALLOW);
  CHECK(verdict(code, AUDIT_ARCH_X86_64, SYS_personality, {8}) == SECCOMP_RET_ALLOW);
  CHECK(verdict(code, AUDIT_ARCH_X86_64, SYS_personality, {4}) == (SECCOMP_RET_ERRNO | 1));
}
#endif

TEST_CASE("runc seccomp: what a profile may not say is named") {
  std::vector<sock_filter> code;
  CHECK(compile_seccomp(parsed(R"({"defaultAction":"ALLOW"})"), code).find("ALLOW") != std::string::npos);
  CHECK(compile_seccomp(parsed(R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["kill"],"action":"X"}]})"),
                        code)
            .find("X") != std::string::npos);
  CHECK(seccomp_notifies(
      parsed(R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["kill"],"action":"SCMP_ACT_NOTIFY"}]})")));
}
