// The child's half of making a container: see launch.h.
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runc/common.h"
#include "runc/hooks.h"
#include "runc/launch.h"
#include "runc/process.h"
#include "runc/seccomp.h"
#include "shim/root.h"

namespace k8lite::runc {
namespace {

Launch* g_launch = nullptr;
pid_t g_host_pid = 0;  // this process's number on the host, once its cgroups are joined

void await(char wanted, std::string& text) {
  char kind = receive_record(g_launch->socket, text);
  if (kind != wanted) _exit(1);  // the parent gave up, and has said why
}

void await_cgroup() {
  if (g_host_pid) return;
  std::string text;
  await('C', text);
  g_host_pid = static_cast<pid_t>(atoi(text.c_str()));
  Launch& l = *g_launch;
  if ((l.namespaces.fresh & CLONE_NEWCGROUP) && unshare(CLONE_NEWCGROUP) != 0) fail("unshare the cgroup namespace");
}

void loopback_up() {
  int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq r{};
  strcpy(r.ifr_name, "lo");
  if (s < 0 || ioctl(s, SIOCGIFFLAGS, &r) != 0) return close_fd(s);
  r.ifr_flags |= IFF_UP;
  ioctl(s, SIOCSIFFLAGS, &r);
  close_fd(s);
}

void name_host(const Json& spec) {
  const std::string &host = spec["hostname"].str(), &domain = spec["domainname"].str();
  if (!host.empty() && sethostname(host.c_str(), host.size()) != 0) fail("sethostname");
  if (!domain.empty() && setdomainname(domain.c_str(), domain.size()) != 0) fail("setdomainname");
}

// Only what belongs to a namespace of the container's own; anything else would change the host.
void set_sysctls(const Launch& l) {
  for (const auto& m : l.spec()["linux"]["sysctl"].members()) {
    std::string path;
    bool slashes = m.first.find('/') != std::string::npos && m.first.find('/') < m.first.find('.');
    for (char c : m.first) path += slashes ? c : c == '.' ? '/' : c == '/' ? '.' : c;
    bool ipc = starts_with(path, "kernel/sem") || starts_with(path, "kernel/shm") || starts_with(path, "kernel/msg") ||
               starts_with(path, "fs/mqueue/");
    bool net = starts_with(path, "net/"), uts = path == "kernel/domainname";
    if (path == "kernel/hostname") refuse("sysctl \"" + m.first + "\" conflicts with the hostname of the spec");
    unsigned long needed = ipc ? CLONE_NEWIPC : net ? CLONE_NEWNET : uts ? CLONE_NEWUTS : 0;
    if (!needed || path.find("..") != std::string::npos) {
      if (!(starts_with(path, "user/") && l.rootfs.user_ns))
        refuse("sysctl \"" + m.first + "\" is not in a separate kernel namespace");
    } else if (!l.namespaces.has(needed)) {
      refuse("sysctl \"" + m.first + "\" not allowed in host " +
             std::string(ipc   ? "ipc"
                         : net ? "network"
                               : "uts") +
             " namespace");
    }
    if (!write_whole("/proc/sys/" + path, m.second.str())) fail("write sysctl key " + m.first);
  }
}

void set_personality(const Json& p) {
  if (!p.exists()) return;
  const std::string& domain = p["domain"].str();
  unsigned long value = domain == "LINUX"     ? static_cast<unsigned long>(PER_LINUX)
                        : domain == "LINUX32" ? static_cast<unsigned long>(PER_LINUX32)
                                              : ~0UL;
  if (value == ~0UL) refuse("personality domain \"" + domain + "\" is not known");
  if (!p["flags"].items().empty()) refuse("personality flags are not supported");
  if (personality(value) < 0) fail("set the personality");
}

void join_keyring(const Launch& l) {
  if (l.no_new_keyring) return;
  std::string name = "_ses." + l.container.id;
  long key = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.c_str());
  if (key < 0) return;  // no keyrings in this kernel, or a quota
  long perm = 0x3f3f0000;
  syscall(SYS_keyctl, KEYCTL_SETPERM, key, perm | 0x00030000);
}

// Standard streams that are the host's files must be the user's to open again by /proc/self/fd.
void own_stdio(const Json& spec) {
  auto uid = static_cast<uid_t>(spec["process"]["user"]["uid"].int_or(0));
  struct stat st {};
  for (int fd = 0; fd < 3; ++fd) {
    if (fstat(fd, &st) != 0 || st.st_uid == uid || (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3))) continue;
    (void)!fchown(fd, uid, static_cast<gid_t>(-1));
  }
}

void take_terminal(Launch& l) {
  int slave = -1, master = make_terminal(l.rootfs, slave);
  set_console_size(slave, l.spec()["process"]["consoleSize"]);
  if (l.rootfs.mount_ns) bind_console(l.rootfs, slave);
  (void)!fchown(slave, static_cast<uid_t>(l.spec()["process"]["user"]["uid"].int_or(0)), static_cast<gid_t>(-1));
  if (!send_fd(l.console_socket, master, "/dev/ptmx")) fail("send the terminal");
  close(master);
  close_fd(l.console_socket);
  for (int i = 0; i < 3; ++i)
    if (dup2(slave, i) < 0) fail("set up standard streams");
  if (slave > 2) close(slave);
  if (ioctl(0, TIOCSCTTY, 0) != 0) fail("take the terminal");
}

void await_start(Launch& l) {
  std::string text;
  if (!l.waits_on_fifo) return await('S', text);
  close_fd(l.socket);
  report_failures_to(-1);
  log_settings().path.clear();  // leads into the container from here
  int fd = open(proc_fd(l.fifo).c_str(), O_WRONLY | O_CLOEXEC);
  struct stat opened {
  }, ours{};
  if (fd < 0) fail("open exec fifo");
  if (fstat(fd, &opened) != 0 || fstat(l.fifo, &ours) != 0 || opened.st_ino != ours.st_ino || !S_ISFIFO(opened.st_mode))
    refuse("open exec fifo: /proc is not the kernel's");
  if (write(fd, "0", 1) != 1) fail("write exec fifo");
  close(fd);
  close_fd(l.fifo);
}

void run_start_hooks() {
  const Launch& l = *g_launch;
  run_hooks(l.spec()["hooks"]["startContainer"], l.container.oci_state("created", g_host_pid), "startContainer");
}

}  // namespace

void set_console_size(int terminal, const Json& size) {
  if (!size.exists()) return;
  winsize w{};
  w.ws_row = static_cast<unsigned short>(size["height"].int_or(0));
  w.ws_col = static_cast<unsigned short>(size["width"].int_or(0));
  ioctl(terminal, TIOCSWINSZ, &w);
}

int make_terminal(Rootfs& r, int& slave) {
  // The container's own /dev/ptmx; what the image may have put there instead is no device of that number.
  int master = shim::open_in_root(r.root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY);
  struct stat st {};
  if (master < 0) master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (master < 0 || fstat(master, &st) != 0) fail("open a terminal");
  if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(5, 2))
    refuse("open a terminal: /dev/ptmx is not the terminal device");
  int unlock = 0;
  if (ioctl(master, TIOCSPTLCK, &unlock) != 0) fail("unlock the terminal");
  slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (slave < 0) fail("open the terminal's other end");
  return master;
}

void run_init(Launch& l) {
  g_launch = &l;
  report_failures_to(l.socket);
  const Json& spec = l.spec();
  std::string text;
  debug("child process in init()");
  setsid();
  join_keyring(l);
  if (l.namespaces.fresh & CLONE_NEWNET) loopback_up();
  name_host(spec);
  Becoming b{&spec["process"], &spec["linux"]["seccomp"], l.preserve_fds, l.notify_socket, "", l.rootfs.user_ns};
  b.keep_groups = spec["annotations"]["run.oci.keep_original_groups"].str() == "1";
  limit_process(b);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);  // from here on it holds what the container must not see
  umask(022);
  l.rootfs.await_cgroup = await_cgroup;
  build_rootfs(l.rootfs);
  await_cgroup();
  set_sysctls(l);
  bool tty = spec["process"]["terminal"].bool_or(false);
  if (tty)
    take_terminal(l);
  else
    own_stdio(spec);
  const Json& hooks = spec["hooks"];
  if (!hooks["prestart"].items().empty() || !hooks["createRuntime"].items().empty()) {
    send_record(l.socket, 'H');
    await('H', text);
  }
  if (fchdir(l.rootfs.root) != 0) fail("enter the root file system");  // where these hooks run
  run_hooks(hooks["createContainer"], l.container.oci_state("creating", g_host_pid), "createContainer");
  seal_rootfs(l.rootfs);
  enter_rootfs(l.rootfs);
  set_personality(spec["linux"]["personality"]);
  if (l.notify_socket >= 0) b.notify_state = notify_state(l.container, "creating", g_host_pid, g_host_pid);
  std::string program;
  shed_rights(b, program);
  debug("init: closing the pipe to signal completion");
  send_record(l.socket, 'R');
  await_start(l);
  execute(b, program, run_start_hooks);
}

}  // namespace k8lite::runc
