#include "shim/init.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <vector>

#include "shim/root.h"

namespace k8lite::shim {
namespace {

using runtime::shim::Plan;
using runtime::shim::Process;
using runtime::shim::Reader;
using runtime::shim::Step;

int g_error_fd = -1;

[[noreturn]] void fail(const std::string& what, int err = errno) {
  std::string text = what;
  if (err) text += std::string(": ") + strerror(err);
  for (char& c : text) {
    if (&c == &text[what.size() + (err ? 2 : 0)] && c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  (void)!write(g_error_fd, text.data(), text.size());
  _exit(127);
}

void write_text(const std::string& path, const std::string& text, bool must) {
  int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  bool good = fd >= 0 && write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (!good && must) fail("write " + path);
  if (fd >= 0) close(fd);
}

// What was shared with the host before this process' mounts were cut loose from it.
struct Shared {
  std::string source;
  int tree;
};
std::vector<Shared> g_shared;

// "folder\0part": a volume and what of it is wanted. Its writers cannot lead us out by links that they swap.
int open_part(const std::string& source, size_t end_of_folder) {
  int folder = open(source.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);  // up to its zero
  if (folder < 0) return -1;
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  int fd = -1;
  for (int tries = 0; fd < 0 && tries < 32; ++tries) {
    fd = static_cast<int>(syscall(SYS_openat2, folder, source.c_str() + end_of_folder + 1, &how, sizeof how));
    if (fd < 0 && errno != EAGAIN) break;
  }
  int err = errno;
  close(folder);
  errno = err;
  return fd;
}

void share(Reader& r) {
  std::string source = r.text();
  size_t zero = source.find('\0');
  int part = zero == std::string::npos ? -1 : open_part(source, zero);
  if (zero != std::string::npos && part < 0) fail(std::string("open ") + source.c_str());
  int tree = part >= 0 ? static_cast<int>(syscall(SYS_open_tree, part, "", 1u /* OPEN_TREE_CLONE */ | O_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE))
                       : static_cast<int>(syscall(SYS_open_tree, AT_FDCWD, source.c_str(), 1u | O_CLOEXEC | AT_RECURSIVE));
  if (tree < 0) fail(std::string("share ") + source.c_str());
  if (part >= 0) close(part);
  g_shared.push_back({source, tree});
}

// A tree that was kept by share(), put at `where`.
bool mount_shared(const std::string& source, int where) {
  for (size_t i = 0; i < g_shared.size(); ++i) {
    if (g_shared[i].source != source || g_shared[i].tree < 0) continue;
    constexpr unsigned kFromEmpty = 4, kToEmpty = 0x40;  // MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_EMPTY_PATH
    if (syscall(SYS_move_mount, g_shared[i].tree, "", where, "", kFromEmpty | kToEmpty) != 0) fail(std::string("mount ") + source.c_str());
    close(g_shared[i].tree);
    g_shared[i].tree = -1;
    return true;
  }
  return false;
}

void read_only_below(int fd, const std::string& target) {
  struct {
    uint64_t set, clear, propagation, user_ns;
  } attributes{1 /* MOUNT_ATTR_RDONLY */, 0, 0, 0};
  if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) != 0) fail("mount " + target + ": read-only below");
}

// Flags that a bind mount does not take at once: they need a second mount(2).
constexpr unsigned long kRemountFlags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;

void mount_in(int root, Reader& r) {
  std::string source = r.text(), target = r.text(), type = r.text();
  unsigned long flags = r.number();
  std::string data = r.text();
  bool file = r.byte();
  int fd = file ? make_file_in_root(root, target) : make_dirs_in_root(root, target);
  if (fd < 0) fail("mount " + target + ": create mount point");
  std::string where = fd_path(fd);
  unsigned long propagation = flags & (MS_SHARED | MS_SLAVE | MS_PRIVATE | MS_UNBINDABLE);
  flags &= ~propagation;
  bool below = flags & runtime::shim::kReadOnlyBelow;
  flags &= ~runtime::shim::kReadOnlyBelow;
  unsigned long first = (flags & MS_BIND) ? flags & (MS_BIND | MS_REC) : flags;
  size_t zero = source.find('\0');
  std::string what = source.empty() ? "none" : source.c_str();
  int part = -1;
  if (!((propagation & MS_SHARED) && mount_shared(source, fd))) {
    if (zero != std::string::npos) {
      part = open_part(source, zero);
      if (part < 0) fail("mount " + what + " at " + target + ": open its part");
      what = fd_path(part);
    }
    if (mount(what.c_str(), where.c_str(), type.empty() ? nullptr : type.c_str(), first, data.empty() ? nullptr : data.c_str()) != 0)
      fail("mount " + (source.empty() ? type : std::string(source.c_str())) + " at " + target);
  }
  if (part >= 0) close(part);
  close(fd);
  fd = open_in_root(root, target, O_PATH);  // the new mount itself
  if (fd < 0) fail("mount " + target + ": reopen");
  where = fd_path(fd);
  if (propagation && mount("none", where.c_str(), nullptr, propagation | (flags & MS_REC), nullptr) != 0) fail("mount " + target + ": propagation");
  if ((flags & MS_BIND) && (flags & kRemountFlags)) {
    struct statfs fs {};
    unsigned long kept = fstatfs(fd, &fs) == 0 ? static_cast<unsigned long>(fs.f_flags) & kRemountFlags : 0;  // of the volume itself
    if (mount("none", where.c_str(), nullptr, MS_BIND | MS_REMOUNT | (flags & kRemountFlags) | kept, nullptr) != 0) fail("mount " + target + ": remount");
  }
  if (below) read_only_below(fd, target);
  close(fd);
}

void mask(int root, const std::string& path) {
  int fd = open_in_root(root, path, O_PATH);
  if (fd < 0) return;
  struct stat st;
  fstat(fd, &st);
  std::string where = fd_path(fd);
  int rc = S_ISDIR(st.st_mode) ? mount("tmpfs", where.c_str(), "tmpfs", MS_RDONLY, "size=0k") : mount("/dev/null", where.c_str(), nullptr, MS_BIND, nullptr);
  if (rc != 0) fail("mask " + path);
  close(fd);
}

void make_read_only(int root, const std::string& path) {
  int fd = open_in_root(root, path, O_PATH);
  if (fd < 0) return;
  std::string where = fd_path(fd);
  if (mount(where.c_str(), where.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) fail("make " + path + " read-only");
  close(fd);
  fd = open_in_root(root, path, O_PATH);
  if (fd < 0 || mount("none", fd_path(fd).c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) fail("make " + path + " read-only");
  close(fd);
}

void run_step(Reader& r, int& root, const std::string& rootfs) {
  auto step = static_cast<Step>(r.byte());
  auto root_fd = [&root, &rootfs] {
    if (root < 0) root = open(rootfs.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) fail("open rootfs " + rootfs);
    return root;
  };
  switch (step) {
    case Step::Mount: {
      std::string source = r.text(), target = r.text(), type = r.text();
      unsigned long flags = r.number();
      std::string data = r.text();
      if (mount(source.c_str(), target.c_str(), type.empty() ? nullptr : type.c_str(), flags, data.empty() ? nullptr : data.c_str()) != 0) fail("mount " + type + " at " + target);
      return;
    }
    case Step::MakeDir: {
      std::string path = r.text();
      auto mode = static_cast<mode_t>(r.number());
      if (mkdir(path.c_str(), mode) != 0 && errno != EEXIST) fail("create folder " + path);
      return;
    }
    case Step::MountIn: return mount_in(root_fd(), r);
    case Step::Remount: {
      std::string target = r.text();
      unsigned long flags = r.number();
      int fd = open_in_root(root_fd(), target, O_PATH);
      if (fd < 0 || mount("none", fd_path(fd).c_str(), nullptr, MS_REMOUNT | flags, nullptr) != 0) fail("remount " + target);
      close(fd);
      return;
    }
    case Step::MakeNode: {
      std::string path = r.text();
      auto mode = static_cast<mode_t>(r.number());
      uint64_t device = r.number();
      int parent = make_dirs_in_root(root_fd(), parent_of(path));
      if (parent < 0) fail("create device " + path);
      if (mknodat(parent, base_of(path).c_str(), mode, static_cast<dev_t>(device)) != 0 && errno != EEXIST) fail("create device " + path);
      fchmodat(parent, base_of(path).c_str(), mode & 07777, 0);
      close(parent);
      return;
    }
    case Step::Link: {
      std::string path = r.text(), to = r.text();
      int parent = make_dirs_in_root(root_fd(), parent_of(path));
      if (parent < 0 || (symlinkat(to.c_str(), parent, base_of(path).c_str()) != 0 && errno != EEXIST)) fail("create link " + path);
      close(parent);
      return;
    }
    case Step::Mask: return mask(root_fd(), r.text());
    case Step::ReadOnly: return make_read_only(root_fd(), r.text());
    case Step::Share: return share(r);
    case Step::Enter: {
      std::string path = r.text();
      if (chdir(path.c_str()) != 0) fail("enter " + path);
      return;
    }
  }
  fail("unknown step in the plan", 0);
}

void enter_root(const Plan& plan) {
  if (chdir(plan.rootfs.c_str()) != 0) fail("enter " + plan.rootfs);
  // pivot_root(".", ".") stacks the old root upon the new one, from where it is let go.
  if (syscall(SYS_pivot_root, ".", ".") != 0) fail("pivot_root");
  if (umount2(".", MNT_DETACH) != 0) fail("detach the old root");
  if (chdir("/") != 0) fail("enter /");
  if (plan.read_only && mount("none", "/", nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr) != 0) fail("make / read-only");
}

void set_capabilities(const Process& p) {
  for (int cap = 0; cap <= 63; ++cap) {
    if (p.capabilities & (uint64_t{1} << cap)) continue;
    if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0 && errno == EINVAL) break;  // past the last one the kernel knows
  }
}

void apply_capability_sets(const Process& p) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct have[2]{};
  if (syscall(SYS_capget, &header, have) != 0) fail("capget");
  // Only what we hold can be kept.
  uint64_t held = have[0].permitted | (uint64_t{have[1].permitted} << 32), wanted = p.capabilities & held;
  bool root = p.uid == 0 || p.keep_capabilities;
  uint64_t inheritable = p.keep_capabilities ? wanted : 0, active = root ? wanted : 0;
  __user_cap_data_struct data[2]{};
  for (int i = 0; i < 2; ++i) {
    data[i].permitted = data[i].effective = static_cast<uint32_t>(active >> (32 * i));
    data[i].inheritable = static_cast<uint32_t>(inheritable >> (32 * i));
  }
  header.pid = 0;
  if (syscall(SYS_capset, &header, data) != 0) fail("capset");
  if (!p.keep_capabilities) return;
  for (int cap = 0; cap < 64; ++cap)
    if (wanted & (uint64_t{1} << cap)) prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
}

void set_user(const Process& p) {
  std::vector<gid_t> groups;
  for (const auto& g : p.groups) groups.push_back(static_cast<gid_t>(strtoul(g.c_str(), nullptr, 10)));
  set_capabilities(p);
  if (p.uid != 0 && p.keep_capabilities) prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
  if (setgroups(groups.size(), groups.data()) != 0) fail("set supplementary groups");
  if (setresgid(static_cast<gid_t>(p.gid), static_cast<gid_t>(p.gid), static_cast<gid_t>(p.gid)) != 0) fail("set group " + std::to_string(p.gid));
  if (setresuid(static_cast<uid_t>(p.uid), static_cast<uid_t>(p.uid), static_cast<uid_t>(p.uid)) != 0) fail("set user " + std::to_string(p.uid));
  apply_capability_sets(p);
}

void set_stdio(const int stdio[3], bool tty) {
  int high[3];
  for (int i = 0; i < 3; ++i) high[i] = fcntl(stdio[i], F_DUPFD_CLOEXEC, 64);
  for (int i = 0; i < 3; ++i)
    if (dup2(high[i], i) < 0) fail("set up standard streams");
  if (tty) ioctl(0, TIOCSCTTY, 0);
}

std::string find_program(const Process& p) {
  const std::string& name = p.args[0];
  if (name.find('/') != std::string::npos) return name;
  std::string path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  for (const auto& e : p.env)
    if (e.compare(0, 5, "PATH=") == 0) path = e.substr(5);
  size_t start = 0;
  for (;;) {
    size_t end = path.find(':', start);
    std::string dir = path.substr(start, end == std::string::npos ? end : end - start);
    std::string candidate = (dir.empty() ? "." : dir) + "/" + name;
    struct stat st;
    if (stat(candidate.c_str(), &st) == 0 && S_ISREG(st.st_mode) && access(candidate.c_str(), X_OK) == 0) return candidate;
    if (end == std::string::npos) break;
    start = end + 1;
  }
  fail("exec: \"" + name + "\": executable file not found in $PATH", 0);
}

[[noreturn]] void execute(const Process& p) {
  if (p.args.empty() || p.args[0].empty()) fail("no command specified", 0);
  mkdir(p.cwd.c_str(), 0755);
  if (chdir(p.cwd.c_str()) != 0) fail("working directory " + p.cwd);
  if (p.no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail("set no_new_privs");
  std::string seccomp = p.seccomp;
  sock_fprog program{static_cast<unsigned short>(seccomp.size() / sizeof(sock_filter)), reinterpret_cast<sock_filter*>(seccomp.data())};
  // Without no_new_privs the filter needs CAP_SYS_ADMIN, which set_user() may take away.
  if (!seccomp.empty() && !p.no_new_privileges && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) fail("load seccomp filter");
  set_user(p);
  if (!seccomp.empty() && p.no_new_privileges && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) fail("load seccomp filter");
  std::string file = find_program(p);
  std::vector<char*> args, env;
  for (const auto& a : p.args) args.push_back(const_cast<char*>(a.c_str()));
  for (const auto& e : p.env) env.push_back(const_cast<char*>(e.c_str()));
  args.push_back(nullptr);
  env.push_back(nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int s = 1; s < 65; ++s) signal(s, SIG_DFL);
  execve(file.c_str(), args.data(), env.data());
  fail("exec: \"" + p.args[0] + "\"");
}

void join_cgroups(const Process& p) {
  for (const auto& file : p.cgroup_procs) write_text(file, "0", true);
  if (p.oom_score_adj) write_text("/proc/self/oom_score_adj", std::to_string(p.oom_score_adj), false);  // lowering needs CAP_SYS_RESOURCE
}

}  // namespace

void become_container(const Plan& plan, const int stdio[3], int error_fd) {
  g_error_fd = error_fd;
  setsid();
  umask(022);  // the shim's own would make a root folder that only root may enter
  join_cgroups(plan.process);
  unshare(CLONE_NEWCGROUP);
  Reader r{plan.steps};
  int root = -1;
  uint64_t step = 0;
  for (; step < plan.step_count && !r.in.empty() && r.in[0] == static_cast<char>(Step::Share); ++step) run_step(r, root, plan.rootfs);
  if (mount("none", "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) fail("make mounts private");
  for (; step < plan.step_count && !r.bad; ++step) run_step(r, root, plan.rootfs);
  if (r.bad) fail("the plan is broken", 0);
  set_stdio(stdio, plan.process.tty);
  enter_root(plan);
  syscall(SYS_close_range, 3, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */);
  execute(plan.process);
}

void become_exec(const Process& process, int mount_ns, int root_fd, const int stdio[3], int error_fd) {
  g_error_fd = error_fd;
  setsid();
  join_cgroups(process);
  set_stdio(stdio, process.tty);
  if (setns(mount_ns, CLONE_NEWNS) != 0) fail("join the container's mounts");
  if (fchdir(root_fd) != 0 || chroot(".") != 0 || chdir("/") != 0) fail("enter the container's root");
  syscall(SYS_close_range, 3, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */);
  umask(022);
  execute(process);
}

}  // namespace k8lite::shim
