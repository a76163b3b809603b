// See devices.h.
#include "runc/devices.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runc/common.h"

namespace k8lite::runc {
namespace {

struct Rule {
  bool allow;
  char type;             // 'a', 'c', 'b'
  int64_t major, minor;  // -1: any
  const char* access;
};
// What every container may: make any node, and use the harmless ones.
constexpr Rule kAlways[] = {{true, 'c', -1, -1, "m"}, {true, 'b', -1, -1, "m"}, {true, 'c', 1, 3, "rwm"},
                            {true, 'c', 1, 5, "rwm"}, {true, 'c', 1, 7, "rwm"}, {true, 'c', 1, 8, "rwm"},
                            {true, 'c', 1, 9, "rwm"}, {true, 'c', 5, 0, "rwm"}, {true, 'c', 136, -1, "rwm"},
                            {true, 'c', 5, 2, "rwm"}};

struct Owned {
  Rule rule;
  std::string access;
};
std::vector<Owned> all_rules(const Json& rules) {
  std::vector<Owned> out;
  for (const Json& j : rules.items()) {
    std::string type = j["type"].str_or("a"), access;
    for (char c : j["access"].str_or("rwm"))
      if (strchr("rwm", c)) access += c;
    if (access.empty()) access = "rwm";
    char t = type.empty() ? 'a' : type[0] == 'u' ? 'c' : type[0];
    out.push_back({{j["allow"].bool_or(false), t, j["major"].int_or(-1), j["minor"].int_or(-1), nullptr}, access});
  }
  for (const Rule& r : kAlways) out.push_back({r, r.access});
  return out;
}

std::string number_or_any(int64_t n) { return n < 0 ? "*" : std::to_string(n); }

constexpr uint8_t kKind = BPF_REG_2, kAccess = BPF_REG_3, kMajor = BPF_REG_4, kMinor = BPF_REG_5;
constexpr int kAllAccess = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;

bpf_insn instruction(int code, uint8_t to, uint8_t from, int16_t offset, int32_t value) {
  bpf_insn i{};
  i.code = static_cast<uint8_t>(code);
  i.dst_reg = to & 15;
  i.src_reg = from & 15;
  i.off = offset;
  i.imm = value;
  return i;
}

int access_bits(const std::string& text) {
  int bits = 0;
  for (char c : text)
    bits |= c == 'r' ? BPF_DEVCG_ACC_READ : c == 'w' ? BPF_DEVCG_ACC_WRITE : c == 'm' ? BPF_DEVCG_ACC_MKNOD : 0;
  return bits;
}

void verdict(std::vector<bpf_insn>& to, bool allow) {
  to.push_back(instruction(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, allow));
  to.push_back(instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
}

// Tests that fail skip the rest of the rule. An allowing rule must cover all that is wanted, a denying one touch some
// of it.
bool add_rule(std::vector<bpf_insn>& program, const Owned& o) {
  std::vector<bpf_insn> body;
  int bits = access_bits(o.access);
  if (o.rule.type != 'a')
    body.push_back(instruction(BPF_JMP | BPF_JNE | BPF_K, kKind, 0, 0,
                               o.rule.type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR));
  if (bits != kAllAccess) {
    body.push_back(instruction(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_1, kAccess, 0, 0));
    body.push_back(instruction(BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_1, 0, 0, o.rule.allow ? kAllAccess & ~bits : bits));
    body.push_back(instruction(BPF_JMP | (o.rule.allow ? BPF_JNE : BPF_JEQ) | BPF_K, BPF_REG_1, 0, 0, 0));
  }
  if (o.rule.major >= 0)
    body.push_back(instruction(BPF_JMP | BPF_JNE | BPF_K, kMajor, 0, 0, static_cast<int32_t>(o.rule.major)));
  if (o.rule.minor >= 0)
    body.push_back(instruction(BPF_JMP | BPF_JNE | BPF_K, kMinor, 0, 0, static_cast<int32_t>(o.rule.minor)));
  bool always = body.empty();
  verdict(body, o.rule.allow);
  for (size_t i = 0; i < body.size(); ++i)
    if ((body[i].code & 7) == BPF_JMP && (BPF_OP(body[i].code) == BPF_JNE || BPF_OP(body[i].code) == BPF_JEQ))
      body[i].off = static_cast<int16_t>(body.size() - i - 1);
  program.insert(program.end(), body.begin(), body.end());
  return always;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> plan_device_writes(const Json& rules) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const Owned& o : all_rules(rules)) {
    std::string file = o.rule.allow ? "devices.allow" : "devices.deny";
    bool everything = o.rule.type == 'a' && o.rule.major < 0 && o.rule.minor < 0;
    if (everything) {
      out.emplace_back(file, "a");
    } else if (o.rule.type == 'a') {
      for (char t : {'b', 'c'})
        out.emplace_back(file, std::string(1, t) + " " + number_or_any(o.rule.major) + ":" +
                                   number_or_any(o.rule.minor) + " " + o.access);
    } else {
      out.emplace_back(file, std::string(1, o.rule.type) + " " + number_or_any(o.rule.major) + ":" +
                                 number_or_any(o.rule.minor) + " " + o.access);
    }
  }
  return out;
}

std::vector<bpf_insn> plan_device_program(const Json& rules) {
  std::vector<bpf_insn> program = {
      instruction(BPF_LDX | BPF_MEM | BPF_W, kKind, BPF_REG_1, offsetof(bpf_cgroup_dev_ctx, access_type), 0),
      instruction(BPF_ALU64 | BPF_MOV | BPF_X, kAccess, kKind, 0, 0),
      instruction(BPF_ALU64 | BPF_AND | BPF_K, kKind, 0, 0, 0xffff),
      instruction(BPF_ALU64 | BPF_RSH | BPF_K, kAccess, 0, 0, 16),
      instruction(BPF_LDX | BPF_MEM | BPF_W, kMajor, BPF_REG_1, offsetof(bpf_cgroup_dev_ctx, major), 0),
      instruction(BPF_LDX | BPF_MEM | BPF_W, kMinor, BPF_REG_1, offsetof(bpf_cgroup_dev_ctx, minor), 0),
  };
  auto all = all_rules(rules);
  for (auto o = all.rbegin(); o != all.rend(); ++o)
    if (add_rule(program, *o)) return program;  // what follows could never run, which the kernel's verifier refuses
  verdict(program, false);
  return program;
}

void attach_device_program(const std::string& cgroup_folder, const std::vector<bpf_insn>& program) {
  bpf_attr load;
  memset(&load, 0, sizeof load);
  load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  load.insns = reinterpret_cast<uint64_t>(program.data());
  load.insn_cnt = static_cast<uint32_t>(program.size());
  load.license = reinterpret_cast<uint64_t>("Apache-2.0");
  int loaded = static_cast<int>(syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load));
  if (loaded < 0) fail("load the device filter");
  int folder = open(cgroup_folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) fail("open " + cgroup_folder);
  // An update puts a new program where an old one is: the old ones go afterwards.
  uint32_t old_ids[16] = {};
  bpf_attr query;
  memset(&query, 0, sizeof query);
  query.query.target_fd = static_cast<uint32_t>(folder);
  query.query.attach_type = BPF_CGROUP_DEVICE;
  query.query.prog_ids = reinterpret_cast<uint64_t>(old_ids);
  query.query.prog_cnt = 16;
  uint32_t old = syscall(SYS_bpf, BPF_PROG_QUERY, &query, sizeof query) == 0 ? query.query.prog_cnt : 0;
  bpf_attr attach;
  memset(&attach, 0, sizeof attach);
  attach.target_fd = static_cast<uint32_t>(folder);
  attach.attach_bpf_fd = static_cast<uint32_t>(loaded);
  attach.attach_type = BPF_CGROUP_DEVICE;
  attach.attach_flags = BPF_F_ALLOW_MULTI;
  if (syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof attach) != 0) fail("attach the device filter");
  for (uint32_t i = 0; i < old; ++i) {
    bpf_attr get;
    memset(&get, 0, sizeof get);
    get.prog_id = old_ids[i];
    int fd = static_cast<int>(syscall(SYS_bpf, BPF_PROG_GET_FD_BY_ID, &get, sizeof get));
    if (fd < 0) continue;
    attach.attach_bpf_fd = static_cast<uint32_t>(fd);
    attach.attach_flags = 0;
    syscall(SYS_bpf, BPF_PROG_DETACH, &attach, sizeof attach);
    close(fd);
  }
  close(loaded);
  close(folder);
}

}  // namespace k8lite::runc
