// See seccomp.h.
#include "runc/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>

#include <algorithm>

#include "runc/common.h"

namespace k8lite::runc {
namespace {

// The calls' numbers come from the kernel's headers: one column an architecture, -1 where it lacks the call.
struct Call {
  const char* name;
  int numbers[3];
};
constexpr Call kCalls[] = {
#include "syscall_names.inc"
};

struct Architecture {
  const char* name;
  uint32_t audit;
  int column;
  bool wide;  // arguments have 64 bits
};
#if defined(__x86_64__)
constexpr Architecture kArchitectures[] = {{"SCMP_ARCH_X86_64", AUDIT_ARCH_X86_64, 0, true},
                                           {"SCMP_ARCH_X86", AUDIT_ARCH_I386, 1, false},
                                           {"SCMP_ARCH_X32", AUDIT_ARCH_X86_64, 2, true}};
constexpr uint32_t kX32Bit = 0x40000000;
#elif defined(__aarch64__)
constexpr Architecture kArchitectures[] = {{"SCMP_ARCH_AARCH64", AUDIT_ARCH_AARCH64, 0, true}};
#elif defined(__arm__)
constexpr Architecture kArchitectures[] = {{"SCMP_ARCH_ARM", AUDIT_ARCH_ARM, 0, false}};
#else
#error "seccomp: this architecture has no table of system calls"
#endif

constexpr struct {
  const char* name;
  uint32_t value;
} kActions[] = {{"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW},
                {"SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO},
                {"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD},
                {"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS},
                {"SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD},
                {"SCMP_ACT_LOG", SECCOMP_RET_LOG},
                {"SCMP_ACT_NOTIFY", SECCOMP_RET_USER_NOTIF},
                {"SCMP_ACT_TRACE", SECCOMP_RET_TRACE},
                {"SCMP_ACT_TRAP", SECCOMP_RET_TRAP}};
constexpr const char* kOperators[] = {"SCMP_CMP_EQ", "SCMP_CMP_GE",        "SCMP_CMP_GT", "SCMP_CMP_LE",
                                      "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE"};
constexpr struct {
  const char* name;
  unsigned value;
} kFlags[] = {{"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
              {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
              {"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
              {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", 1u << 5}};

bool action_of(const Json& name, const Json& code, uint32_t otherwise_code, uint32_t& out) {
  for (const auto& a : kActions) {
    if (name.str() != a.name) continue;
    out = a.value;
    if (a.value == SECCOMP_RET_ERRNO || a.value == SECCOMP_RET_TRACE)
      out |= static_cast<uint32_t>(code.uint_or(otherwise_code)) & SECCOMP_RET_DATA;
    return true;
  }
  return false;
}

using Code = std::vector<sock_filter>;
constexpr uint8_t kPass = 254,
                  kFail = 255;  // jump targets, replaced by distances: behind this condition, behind this rule

sock_filter load(size_t offset) { return {BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<uint32_t>(offset)}; }
sock_filter jump(int kind, uint32_t value, uint8_t yes, uint8_t no) {
  return {static_cast<uint16_t>(BPF_JMP | kind | BPF_K), yes, no, value};
}
sock_filter give(uint32_t action) { return {BPF_RET | BPF_K, 0, 0, action}; }

void add_condition(Code& code, const Json& arg, bool wide) {
  size_t start = code.size();
  const std::string& op = arg["op"].str();
  uint64_t value = arg["value"].uint_or(0), two = arg["valueTwo"].uint_or(0);
  size_t at = offsetof(seccomp_data, args) + 8 * arg["index"].uint_or(0);
  bool masked = op == "SCMP_CMP_MASKED_EQ";
  uint64_t wanted = masked ? two : value;
  auto high = static_cast<uint32_t>(wanted >> 32), low = static_cast<uint32_t>(wanted);
  auto half = [&](size_t offset, uint64_t mask) {
    code.push_back(load(offset));
    if (masked) code.push_back({BPF_ALU | BPF_AND | BPF_K, 0, 0, static_cast<uint32_t>(mask)});
  };
  if (wide) {  // the upper halves decide unless they are equal
    half(at + 4, value >> 32);
    if (op == "SCMP_CMP_NE")
      code.push_back(jump(BPF_JEQ, high, 0, kPass));
    else if (op == "SCMP_CMP_GT" || op == "SCMP_CMP_GE")
      code.push_back(jump(BPF_JGT, high, kPass, 0)), code.push_back(jump(BPF_JEQ, high, 0, kFail));
    else if (op == "SCMP_CMP_LT" || op == "SCMP_CMP_LE")
      code.push_back(jump(BPF_JGT, high, kFail, 0)), code.push_back(jump(BPF_JEQ, high, 0, kPass));
    else
      code.push_back(jump(BPF_JEQ, high, 0, kFail));
  }
  half(at, value);
  if (op == "SCMP_CMP_NE")
    code.push_back(jump(BPF_JEQ, low, kFail, 0));
  else if (op == "SCMP_CMP_GT")
    code.push_back(jump(BPF_JGT, low, 0, kFail));
  else if (op == "SCMP_CMP_GE")
    code.push_back(jump(BPF_JGE, low, 0, kFail));
  else if (op == "SCMP_CMP_LT")
    code.push_back(jump(BPF_JGE, low, kFail, 0));
  else if (op == "SCMP_CMP_LE")
    code.push_back(jump(BPF_JGT, low, kFail, 0));
  else
    code.push_back(jump(BPF_JEQ, low, 0, kFail));
  for (size_t i = start; i < code.size(); ++i)
    for (uint8_t* target : {&code[i].jt, &code[i].jf})
      if (*target == kPass) *target = static_cast<uint8_t>(code.size() - i - 1);
}

struct Rule {
  uint32_t action;
  std::vector<const Json*> args;
};

void add_rule(Code& code, const Rule& rule, bool wide) {
  Code own;
  for (const Json* arg : rule.args) add_condition(own, *arg, wide);
  own.push_back(give(rule.action));
  for (size_t i = 0; i < own.size(); ++i)
    for (uint8_t* target : {&own[i].jt, &own[i].jf})
      if (*target == kFail && (own[i].code & 7) == BPF_JMP) *target = static_cast<uint8_t>(own.size() - i - 1);
  code.insert(code.end(), own.begin(), own.end());
}

struct Entry {
  int number;
  size_t order;
  const Rule* rule;
};
struct Interval {
  uint32_t first;
  uint32_t action;  // when there are no rules
  std::vector<const Rule*> rules;
};

Code search(const std::vector<Interval>& list, size_t from, size_t to, uint32_t otherwise, bool wide) {
  Code code;
  if (to - from == 1) {
    const Interval& one = list[from];
    uint32_t last = one.action;
    for (const Rule* r : one.rules) {
      if (r->args.empty())
        last = r->action;
      else
        add_rule(code, *r, wide);
    }
    code.push_back(give(last));
    return code;
  }
  size_t middle = (from + to) / 2;
  Code left = search(list, from, middle, otherwise, wide), right = search(list, middle, to, otherwise, wide);
  if (left.size() <= 255) {
    code.push_back(jump(BPF_JGE, list[middle].first, static_cast<uint8_t>(left.size()), 0));
  } else {
    code.push_back(jump(BPF_JGE, list[middle].first, 0, 1));
    code.push_back({BPF_JMP | BPF_JA, 0, 0, static_cast<uint32_t>(left.size())});
  }
  code.insert(code.end(), left.begin(), left.end());
  code.insert(code.end(), right.begin(), right.end());
  return code;
}

// Numbers of one architecture as intervals that do the same; calls newer than any that the profile knows do not exist
// (ENOSYS), so that programs fall back to the older ones.
Code tree_of(std::vector<Entry> entries, const Architecture& arch, uint32_t otherwise, bool newer_missing) {
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.number < b.number; });
  std::vector<Interval> list = {{0, otherwise, {}}};
  auto add = [&list](Interval one) {
    if (list.back().first == one.first)
      list.back() = std::move(one);
    else if (!(list.back().rules.empty() && one.rules.empty() && list.back().action == one.action))
      list.push_back(std::move(one));
  };
  for (size_t i = 0; i < entries.size();) {
    auto number = static_cast<uint32_t>(entries[i].number);
    Interval one{number, otherwise, {}};
    bool plain = true;
    for (; i < entries.size() && static_cast<uint32_t>(entries[i].number) == number; ++i)
      one.rules.push_back(entries[i].rule), plain &= entries[i].rule->args.empty();
    if (plain) one.action = one.rules.front()->action, one.rules.clear();
    add(std::move(one));
    add({number + 1, otherwise, {}});
  }
  if (newer_missing && !entries.empty())
    add({static_cast<uint32_t>(entries.back().number) + 1, SECCOMP_RET_ERRNO | ENOSYS, {}});
  return search(list, 0, list.size(), otherwise, arch.wide);
}

bool wanted(const Json& profile, const Architecture& arch) {
  if (&arch == kArchitectures) return true;
  for (const Json& a : profile["architectures"].items())
    if (a.str() == arch.name) return true;
  return false;
}

std::string read_rules(const Json& profile, uint32_t otherwise, uint32_t code, std::vector<Rule>& rules,
                       std::vector<std::pair<const Json*, std::pair<size_t, size_t>>>& of_names) {
  for (const Json& s : profile["syscalls"].items()) {
    uint32_t action = 0;
    if (!action_of(s["action"], s["errnoRet"], s["errnoRet"].exists() ? EPERM : code, action))
      return "unknown action \"" + s["action"].str() + "\"";
    const auto& args = s["args"].items();
    bool repeated = false;
    for (size_t i = 0; i < args.size(); ++i) {
      bool known = false;
      for (const char* op : kOperators) known |= args[i]["op"].str() == op;
      if (!known) return "unknown operator \"" + args[i]["op"].str() + "\"";
      if (args[i]["index"].uint_or(0) > 5) return "argument index is over 5";
      for (size_t k = 0; k < i; ++k) repeated |= args[i]["index"].uint_or(0) == args[k]["index"].uint_or(0);
    }
    size_t first = rules.size();
    if (repeated) {  // conditions on one argument twice are alternatives
      for (const Json& a : args) rules.push_back({action, {&a}});
    } else {
      Rule r{action, {}};
      for (const Json& a : args) r.args.push_back(&a);
      rules.push_back(std::move(r));
    }
    if (action == otherwise) rules.resize(first);
    of_names.push_back({&s["names"], {first, rules.size()}});
  }
  return "";
}

// The table is sorted by name (cmake/syscalls.cmake).
const Call* call_of(const std::string& name) {
  const Call* at = std::lower_bound(std::begin(kCalls), std::end(kCalls), name,
                                    [](const Call& c, const std::string& n) { return n.compare(c.name) > 0; });
  return at != std::end(kCalls) && name == at->name ? at : nullptr;
}

}  // namespace

std::string compile_seccomp(const Json& profile, Code& out) {
  uint32_t otherwise = 0;
  auto code = static_cast<uint32_t>(profile["defaultErrnoRet"].uint_or(EPERM));
  if (!action_of(profile["defaultAction"], profile["defaultErrnoRet"], EPERM, otherwise))
    return "unknown default action \"" + profile["defaultAction"].str() + "\"";
  std::vector<Rule> rules;
  std::vector<std::pair<const Json*, std::pair<size_t, size_t>>> of_names;
  (void)code;
  if (std::string wrong = read_rules(profile, otherwise, EPERM, rules, of_names); !wrong.empty()) return wrong;
  constexpr size_t kCount = sizeof kArchitectures / sizeof kArchitectures[0];
  std::vector<Entry> entries[kCount];
  size_t order = 0;
  for (const auto& [names, range] : of_names)
    for (const Json& name : names->items()) {
      const Call* call = call_of(name.str());
      for (size_t a = 0; call && a < kCount; ++a)
        for (size_t r = range.first; r < range.second && call->numbers[kArchitectures[a].column] >= 0; ++r)
          entries[a].push_back({call->numbers[kArchitectures[a].column], order++, &rules[r]});
    }
  bool newer_missing =
      (otherwise & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO && !profile["defaultErrnoRet"].exists();
  out.clear();
  out.push_back(load(offsetof(seccomp_data, arch)));
  for (size_t a = 0; a < kCount; ++a) {
    const Architecture& arch = kArchitectures[a];
    if (!wanted(profile, arch) || (a > 0 && arch.audit == kArchitectures[0].audit)) continue;
    Code tree = tree_of(entries[a], arch, otherwise, newer_missing), body = {load(offsetof(seccomp_data, nr))};
#if defined(__x86_64__)
    if (a == 0) {  // x32 shares the architecture's mark, its calls have a bit of their own
      Code x32 = wanted(profile, kArchitectures[2]) ? tree_of(entries[2], kArchitectures[2], otherwise, newer_missing)
                                                    : Code{give(SECCOMP_RET_KILL_PROCESS)};
      body.push_back(jump(BPF_JGE, kX32Bit, 0, 1));
      body.push_back({BPF_JMP | BPF_JA, 0, 0, static_cast<uint32_t>(tree.size())});
      body.insert(body.end(), tree.begin(), tree.end());
      tree = std::move(x32);
    }
#endif
    body.insert(body.end(), tree.begin(), tree.end());
    out.push_back(jump(BPF_JEQ, arch.audit, 1, 0));
    out.push_back({BPF_JMP | BPF_JA, 0, 0, static_cast<uint32_t>(body.size())});
    out.insert(out.end(), body.begin(), body.end());
  }
  out.push_back(give(SECCOMP_RET_KILL_PROCESS));
  return out.size() > BPF_MAXINSNS ? "the profile is too long for the kernel" : "";
}

bool seccomp_notifies(const Json& profile) {
  if (profile["defaultAction"].str() == "SCMP_ACT_NOTIFY") return true;
  for (const Json& s : profile["syscalls"].items())
    if (s["action"].str() == "SCMP_ACT_NOTIFY") return true;
  return false;
}

void refuse_hopeless_notifications(const Json& profile) {
  if (profile["defaultAction"].str() == "SCMP_ACT_NOTIFY") refuse("SCMP_ACT_NOTIFY cannot be used as default action");
  for (const Json& s : profile["syscalls"].items())
    for (const Json& name : s["names"].items())
      if (s["action"].str() == "SCMP_ACT_NOTIFY" && name.str() == "write")
        refuse("SCMP_ACT_NOTIFY cannot be used for the write syscall");
}

unsigned seccomp_flags(const Json& profile) {
  unsigned flags = seccomp_notifies(profile) ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0;
  for (const Json& f : profile["flags"].items())
    for (const auto& k : kFlags)
      if (f.str() == k.name && !(flags && k.value == SECCOMP_FILTER_FLAG_TSYNC)) flags |= k.value;
  return flags;
}

std::vector<std::string> seccomp_actions() {
  std::vector<std::string> out;
  for (const auto& a : kActions) out.emplace_back(a.name);
  return out;
}
std::vector<std::string> seccomp_operators() { return {std::begin(kOperators), std::end(kOperators)}; }
std::vector<std::string> seccomp_architectures() {
  std::vector<std::string> out;
  for (const Architecture& a : kArchitectures) out.emplace_back(a.name);
  return out;
}
std::vector<std::string> seccomp_flag_names() {
  std::vector<std::string> out;
  for (const auto& f : kFlags) out.emplace_back(f.name);
  return out;
}

}  // namespace k8lite::runc
