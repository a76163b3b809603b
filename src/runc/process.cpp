// See process.h.
#include "runc/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "runc/common.h"
#include "runc/seccomp.h"

namespace k8lite::runc {
namespace {

constexpr const char* kCapabilities[] = {"CHOWN",
                                         "DAC_OVERRIDE",
                                         "DAC_READ_SEARCH",
                                         "FOWNER",
                                         "FSETID",
                                         "KILL",
                                         "SETGID",
                                         "SETUID",
                                         "SETPCAP",
                                         "LINUX_IMMUTABLE",
                                         "NET_BIND_SERVICE",
                                         "NET_BROADCAST",
                                         "NET_ADMIN",
                                         "NET_RAW",
                                         "IPC_LOCK",
                                         "IPC_OWNER",
                                         "SYS_MODULE",
                                         "SYS_RAWIO",
                                         "SYS_CHROOT",
                                         "SYS_PTRACE",
                                         "SYS_PACCT",
                                         "SYS_ADMIN",
                                         "SYS_BOOT",
                                         "SYS_NICE",
                                         "SYS_RESOURCE",
                                         "SYS_TIME",
                                         "SYS_TTY_CONFIG",
                                         "MKNOD",
                                         "LEASE",
                                         "AUDIT_WRITE",
                                         "AUDIT_CONTROL",
                                         "SETFCAP",
                                         "MAC_OVERRIDE",
                                         "MAC_ADMIN",
                                         "SYSLOG",
                                         "WAKE_ALARM",
                                         "BLOCK_SUSPEND",
                                         "AUDIT_READ",
                                         "PERFMON",
                                         "BPF",
                                         "CHECKPOINT_RESTORE"};
constexpr struct {
  const char* name;
  int number;
} kLimits[] = {{"RLIMIT_CPU", RLIMIT_CPU},           {"RLIMIT_FSIZE", RLIMIT_FSIZE},
               {"RLIMIT_DATA", RLIMIT_DATA},         {"RLIMIT_STACK", RLIMIT_STACK},
               {"RLIMIT_CORE", RLIMIT_CORE},         {"RLIMIT_RSS", RLIMIT_RSS},
               {"RLIMIT_NPROC", RLIMIT_NPROC},       {"RLIMIT_NOFILE", RLIMIT_NOFILE},
               {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},   {"RLIMIT_AS", RLIMIT_AS},
               {"RLIMIT_LOCKS", RLIMIT_LOCKS},       {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
               {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE}, {"RLIMIT_NICE", RLIMIT_NICE},
               {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},     {"RLIMIT_RTTIME", RLIMIT_RTTIME}};

void set_limits(const Json& process) {
  for (const Json& l : process["rlimits"].items()) {
    int number = -1;
    for (const auto& known : kLimits)
      if (l["type"].str() == known.name) number = known.number;
    if (number < 0) refuse("rlimit type \"" + l["type"].str() + "\" is not known");
    rlimit limit{l["soft"].uint_or(0), l["hard"].uint_or(0)};
    if (setrlimit(static_cast<__rlimit_resource>(number), &limit) != 0)
      fail("error setting rlimits for process: setting " + l["type"].str());
  }
}

// The kernel's own layout (linux/sched/types.h clashes with libc's headers).
struct SchedulingAttributes {
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
};

void set_scheduler(const Json& s) {
  if (!s.exists()) return;
  static constexpr const char* kPolicies[] = {"SCHED_OTHER", "SCHED_FIFO", "SCHED_RR",      "SCHED_BATCH",
                                              "SCHED_ISO",   "SCHED_IDLE", "SCHED_DEADLINE"};
  static constexpr struct {
    const char* name;
    uint64_t bit;
  } kFlags[] = {{"SCHED_FLAG_RESET_ON_FORK", 1},  {"SCHED_FLAG_RECLAIM", 2},      {"SCHED_FLAG_DL_OVERRUN", 4},
                {"SCHED_FLAG_KEEP_POLICY", 8},    {"SCHED_FLAG_KEEP_PARAMS", 16}, {"SCHED_FLAG_UTIL_CLAMP_MIN", 32},
                {"SCHED_FLAG_UTIL_CLAMP_MAX", 64}};
  SchedulingAttributes a{};
  a.size = sizeof a;
  bool known = false;
  for (size_t i = 0; i < sizeof kPolicies / sizeof kPolicies[0]; ++i)
    if (s["policy"].str() == kPolicies[i]) a.policy = static_cast<uint32_t>(i), known = true;
  if (!known) refuse("scheduler policy \"" + s["policy"].str() + "\" is not known");
  for (const Json& f : s["flags"].items()) {
    bool found = false;
    for (const auto& k : kFlags)
      if (f.str() == k.name) a.flags |= k.bit, found = true;
    if (!found) refuse("scheduler flag \"" + f.str() + "\" is not known");
  }
  a.nice = static_cast<int32_t>(s["nice"].int_or(0));
  a.priority = static_cast<uint32_t>(s["priority"].int_or(0));
  a.runtime = s["runtime"].uint_or(0);
  a.deadline = s["deadline"].uint_or(0);
  a.period = s["period"].uint_or(0);
  if (syscall(SYS_sched_setattr, 0, &a, 0) != 0) fail("error setting scheduler");
}

void set_io_priority(const Json& p) {
  if (!p.exists()) return;
  const std::string& c = p["class"].str();
  int kind = c == "IOPRIO_CLASS_RT" ? 1 : c == "IOPRIO_CLASS_BE" ? 2 : c == "IOPRIO_CLASS_IDLE" ? 3 : -1;
  if (kind < 0) refuse("I/O priority class \"" + c + "\" is not known");
  if (syscall(SYS_ioprio_set, 1, 0, (kind << 13) | static_cast<int>(p["priority"].int_or(0))) != 0)
    fail("error setting I/O priority");
}

uint64_t mask_of(const Json& names) {
  uint64_t mask = 0;
  for (const Json& n : names.items()) {
    int number = capability_number(n.str());
    if (number >= 0 && number <= last_capability())
      mask |= uint64_t{1} << number;
    else
      warn("ignoring unknown or unavailable capability " + n.str());
  }
  return mask;
}

void set_capability_sets(uint64_t effective, uint64_t permitted, uint64_t inheritable) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct have[2]{}, data[2]{};
  if (syscall(SYS_capget, &header, have) != 0) fail("capget");
  uint64_t held = have[0].permitted | (uint64_t{have[1].permitted} << 32);
  permitted &= held;  // only what is held can be kept
  effective &= permitted;
  for (int i = 0; i < 2; ++i) {
    data[i].permitted = static_cast<uint32_t>(permitted >> (32 * i));
    data[i].effective = static_cast<uint32_t>(effective >> (32 * i));
    data[i].inheritable = static_cast<uint32_t>((inheritable & (held | permitted)) >> (32 * i));
  }
  if (syscall(SYS_capset, &header, data) != 0) fail("unable to apply caps");
}

void set_user_and_capabilities(const Becoming& b) {
  const Json &user = (*b.process)["user"], &caps = (*b.process)["capabilities"];
  auto uid = static_cast<uid_t>(user["uid"].int_or(0));
  auto gid = static_cast<gid_t>(user["gid"].int_or(0));
  uint64_t bounding = mask_of(caps["bounding"]);
  if (caps.exists()) {
    for (int cap = 0; cap <= last_capability(); ++cap)
      if (!(bounding & (uint64_t{1} << cap)) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0 && errno != EINVAL)
        fail("unable to drop bounding capabilities");
  }
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) fail("unable to set keep caps");
  std::vector<gid_t> groups;
  for (const Json& g : user["additionalGids"].items()) groups.push_back(static_cast<gid_t>(g.int_or(0)));
  bool denied = read_whole("/proc/self/setgroups") == "deny\n";
  if (!b.keep_groups && !denied && setgroups(groups.size(), groups.data()) != 0 && !(b.user_ns && groups.empty()))
    fail("setgroups");
  if (denied && !groups.empty()) refuse("unable to set additional groups: setgroups is denied in this user namespace");
  if (setresgid(gid, gid, gid) != 0) fail("setgid " + std::to_string(gid));
  if (setresuid(uid, uid, uid) != 0) fail("setuid " + std::to_string(uid));
  if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0) fail("unable to clear keep caps");
  if (!caps.exists()) {  // none named: nothing is kept
    set_capability_sets(0, 0, 0);
    return;
  }
  set_capability_sets(mask_of(caps["effective"]), mask_of(caps["permitted"]), mask_of(caps["inheritable"]));
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  uint64_t ambient = mask_of(caps["ambient"]);
  for (int cap = 0; cap <= last_capability(); ++cap)
    if ((ambient & (uint64_t{1} << cap)) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) != 0)
      warn("can't raise ambient capability CAP_" + std::string(kCapabilities[cap]) + ": " + reason(errno));
}

// A working folder that a leaked descriptor leads to lies outside of the root: getcwd then has no path that begins with
// "/".
void verify_cwd() {
  char path[4096];
  long n = syscall(SYS_getcwd, path, sizeof path);
  if (n < 0 && errno == ENOENT)
    refuse(
        "current working directory is outside of container mount namespace root -- possible container breakout "
        "detected");
  if (n < 0) fail("getcwd");
  if (path[0] != '/')
    refuse(
        "current working directory is outside of container mount namespace root -- possible container breakout "
        "detected");
}

// False: root may not, but perhaps the user may (NFS); once entered, a user's lack of rights does not matter.
bool enter_cwd(const std::string& cwd, bool as_user) {
  if (chdir(cwd.c_str()) != 0) {
    if (errno == EACCES && !as_user) return false;
    if (errno != ENOENT || !make_dirs(cwd) || chdir(cwd.c_str()) != 0)
      fail("chdir to cwd (\"" + cwd + "\") set in config.json failed");
  }
  verify_cwd();
  return true;
}

std::string variable(const Json& process, const char* name) {
  std::string with = std::string(name) + "=", found;
  for (const Json& e : process["env"].items())
    if (starts_with(e.str(), with)) found = e.str().substr(with.size());
  return found;
}

std::string find_program(const Json& process) {
  const std::string& name = process["args"].items()[0].str();
  struct stat st {};
  if (name.find('/') != std::string::npos) {
    if (stat(name.c_str(), &st) != 0) fail("exec: \"" + name + "\": stat " + name);
    if (S_ISDIR(st.st_mode)) fail("exec: \"" + name + "\"", EISDIR);
    if (access(name.c_str(), X_OK) != 0) fail("exec: \"" + name + "\"");
    return name;
  }
  std::string path = variable(process, "PATH");
  if (path.empty()) path = "/bin:/usr/bin";
  bool denied = false;
  for (const auto& dir : split(path, ':')) {
    std::string candidate = dir + "/" + name;
    if (stat(candidate.c_str(), &st) != 0 || !S_ISREG(st.st_mode)) continue;
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
    denied = true;
  }
  if (denied) refuse("exec: \"" + name + "\": permission denied");
  refuse("exec: \"" + name + "\": executable file not found in $PATH");
}

void load_seccomp(const Becoming& b) {
  if (!b.seccomp || !b.seccomp->is_object()) return;
  std::vector<sock_filter> filter;
  if (std::string wrong = compile_seccomp(*b.seccomp, filter); !wrong.empty())
    refuse("unable to init seccomp: " + wrong);
  sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  int notify = static_cast<int>(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, seccomp_flags(*b.seccomp), &program));
  if (notify < 0) fail("unable to init seccomp: error loading seccomp filter into kernel");
  if (!(seccomp_flags(*b.seccomp) & SECCOMP_FILTER_FLAG_NEW_LISTENER)) return;
  if (b.notify_socket < 0 || !send_fd(b.notify_socket, notify, b.notify_state))
    fail("unable to send the seccomp listener");
  close(notify);
  close(b.notify_socket);
}

// exec(2) takes these labels for the program that follows. A kernel without the module refuses a profile.
void set_label(const char* module, const char* file, const std::string& text) {
  if (text.empty()) return;
  std::string path = std::string("/proc/self/attr/") + module + file;
  if (!exists(path)) path = std::string("/proc/self/attr/") + file;
  // The container may have mounted something of its own there, that says yes and does nothing (CVE-2025-52881).
  int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  struct statfs fs {};
  if (fd < 0) fail("unable to apply label " + text);
  if (fstatfs(fd, &fs) != 0 || fs.f_type != 0x9fa0)
    refuse("unable to apply label " + text + ": /proc is not the kernel's");
  if (write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size())) fail("unable to apply label " + text);
  close(fd);
}

}  // namespace

int capability_number(const std::string& name) {
  if (!starts_with(name, "CAP_")) return -1;
  for (size_t i = 0; i < sizeof kCapabilities / sizeof kCapabilities[0]; ++i)
    if (name.compare(4, std::string::npos, kCapabilities[i]) == 0) return static_cast<int>(i);
  return -1;
}
int last_capability() {
  static int last = -1;
  if (last >= 0) return last;
  for (last = 0; last < 63 && prctl(PR_CAPBSET_READ, last + 1, 0, 0, 0) >= 0;) ++last;
  return last;
}
std::vector<std::string> capability_names() {
  std::vector<std::string> out;
  for (const char* name : kCapabilities)
    if (static_cast<int>(out.size()) <= last_capability()) out.push_back(std::string("CAP_") + name);
  return out;
}

void close_on_exec_from(int first) {
  if (syscall(SYS_close_range, first, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */) == 0) return;
  for (const auto& name : list_dir("/proc/self/fd"))
    if (int fd = atoi(name.c_str()); fd >= first) fcntl(fd, F_SETFD, FD_CLOEXEC);
}

void limit_process(const Becoming& b) {
  const Json& p = *b.process;
  set_limits(p);
  if (p["oomScoreAdj"].exists()) {
    bool good = write_whole("/proc/self/oom_score_adj", p["oomScoreAdj"].dump());
    if (!good && !(b.user_ns && (errno == EACCES || errno == EPERM)))
      fail("failed to set oom_score_adj to " + p["oomScoreAdj"].dump());
  }
  set_scheduler(p["scheduler"]);
  set_io_priority(p["ioPriority"]);
}

void shed_rights(const Becoming& b, std::string& program) {
  const Json& p = *b.process;
  if (p["args"].items().empty()) refuse("process.args must not be empty");
  bool no_new_privs = p["noNewPrivileges"].bool_or(false);
  set_label("apparmor/", "exec", p["apparmorProfile"].str().empty() ? "" : "exec " + p["apparmorProfile"].str());
  set_label("", "exec", p["selinuxLabel"].str());
  if (no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail("set no_new_privs");
  std::string cwd = p["cwd"].str_or("/");
  if (cwd.empty()) cwd = "/";
  bool entered = enter_cwd(cwd, false);
  // Without no_new_privs the kernel wants a right that goes with the next step.
  if (!no_new_privs) load_seccomp(b);
  const Json& user = p["user"];
  set_user_and_capabilities(b);
  if (!entered) enter_cwd(cwd, true);
  umask(static_cast<mode_t>(user["umask"].int_or(022)));
  program = find_program(p);
}

void execute(const Becoming& b, const std::string& program, void (*last)()) {
  const Json& p = *b.process;
  std::vector<std::string> variables = p["env"].strings();
  // Of several values of a name the last counts.
  for (size_t i = variables.size(); i-- > 0;) {
    std::string name = variables[i].substr(0, variables[i].find('=') + 1);
    for (size_t j = i; j-- > 0 && !name.empty();)
      if (starts_with(variables[j], name)) variables.erase(variables.begin() + static_cast<long>(j)), --i;
  }
  if (variable(p, "HOME").empty()) {
    std::string uid = p["user"]["uid"].exists() ? p["user"]["uid"].dump() : "0", home = "/";
    for (const auto& line : split(read_whole("/etc/passwd"), '\n')) {
      std::string fields[7];  // any of them may be empty
      size_t at = 0;
      for (auto& f : fields) {
        size_t end = line.find(':', at);
        f = line.substr(at, end == std::string::npos ? end : end - at);
        if (end == std::string::npos) break;
        at = end + 1;
      }
      if (fields[2] != uid) continue;
      if (!fields[5].empty()) home = fields[5];
      break;
    }
    variables.push_back("HOME=" + home);
  }
  if (b.preserve_fds > 0)
    if (const char* n = getenv("LISTEN_FDS"))
      variables.push_back(std::string("LISTEN_FDS=") + n), variables.push_back("LISTEN_PID=1");
  std::vector<char*> args, env;
  for (const Json& a : p["args"].items()) args.push_back(const_cast<char*>(a.str().c_str()));
  for (const auto& e : variables) env.push_back(const_cast<char*>(e.c_str()));
  args.push_back(nullptr);
  env.push_back(nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int s = 1; s < 65; ++s) signal(s, SIG_DFL);
  close_on_exec_from(3 + b.preserve_fds);
  if (p["noNewPrivileges"].bool_or(false)) load_seccomp(b);
  if (last) last();
  execve(program.c_str(), args.data(), env.data());
  fail("exec " + program);
}

}  // namespace k8lite::runc
