// `exec`: a further process in a container that runs. A helper enters the namespaces and makes the process as its
// sibling.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runc/common.h"
#include "runc/foreground.h"
#include "runc/launch.h"
#include "runc/process.h"

namespace k8lite::runc {
namespace {

struct Execution {
  Container container;
  Json process;
  std::vector<Namespaces::Joined> namespaces;
  std::vector<std::string> sub_cgroups;  // --cgroup
  int socket = -1, console = -1, preserve_fds = 0, notify_socket = -1;
};

void set_user_flag(Json& process, const std::string& text) {
  Json user = process["user"];
  auto parts = split(text, ':');
  char* end = nullptr;
  if (parts.empty() || parts.size() > 2) refuse("invalid user \"" + text + "\"");
  user.set("uid", static_cast<int64_t>(strtol(parts[0].c_str(), &end, 10)));
  if (*end) refuse("parsing " + parts[0] + " as int for uid failed");
  if (parts.size() == 2) {
    user.set("gid", static_cast<int64_t>(strtol(parts[1].c_str(), &end, 10)));
    if (*end) refuse("parsing " + parts[1] + " as int for gid failed");
  }
  process.set("user", user);
}

// The container's own process with what the flags say, or the process of a file.
Json process_of(const Options& o, const Container& c) {
  Json process = c.spec["process"];
  if (o.has("process")) {
    bool found = false;
    std::string text = read_whole(o.get("process"), &found);
    if (!found) fail("open " + o.get("process"));
    if (std::string wrong = Json::parse(text, process); !wrong.empty()) refuse(o.get("process") + ": " + wrong);
  } else {
    if (o.args.size() < 2) refuse("process args cannot be empty");
    Json args = Json::array(), env = process["env"];
    for (size_t i = 1; i < o.args.size(); ++i) args.append(o.args[i]);
    process.set("args", args);
    for (const auto& e : o.all("env")) env.append(e);
    process.set("env", env);
    process.set("terminal", o.has("tty"));
    if (o.has("cwd")) process.set("cwd", o.get("cwd"));
    if (o.has("user")) set_user_flag(process, o.get("user"));
    if (o.has("no-new-privs")) process.set("noNewPrivileges", true);
    if (o.has("apparmor")) process.set("apparmorProfile", o.get("apparmor"));
    if (o.has("process-label")) process.set("selinuxLabel", o.get("process-label"));
    if (!o.all("additional-gids").empty()) {
      Json user = process["user"], gids = user["additionalGids"];
      for (const auto& g : o.all("additional-gids")) gids.append(static_cast<int64_t>(strtol(g.c_str(), nullptr, 10)));
      user.set("additionalGids", gids);
      process.set("user", user);
    }
    if (auto caps = o.all("cap"); !caps.empty()) {
      Json all = process["capabilities"];
      for (const char* set : {"bounding", "effective", "permitted"}) {
        Json list = all[set];
        for (const auto& cap : caps) list.append(cap);
        all.set(set, list);
      }
      process.set("capabilities", all);
    }
  }
  const std::string& cwd = process["cwd"].str();
  if (cwd.empty()) refuse("Cwd property must not be empty");
  if (cwd[0] != '/') refuse("Cwd must be an absolute path");
  if (process["args"].items().empty()) refuse("args must not be empty");
  return process;
}

// Those of the container's process that differ from ours; the user's first, as the others belong to it.
std::vector<Namespaces::Joined> namespaces_of(pid_t pid) {
  std::vector<Namespaces::Joined> out;
  for (unsigned long flag : all_namespaces()) {
    std::string name = namespace_name(flag), path = "/proc/" + std::to_string(pid) + "/ns/" + name;
    struct stat theirs {
    }, ours{};
    int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
      if (errno == ENOENT && exists("/proc/" + std::to_string(pid))) continue;  // a kernel without that kind
      fail("open " + path);
    }
    if (fstat(fd, &theirs) == 0 && stat(("/proc/self/ns/" + name).c_str(), &ours) == 0 && theirs.st_ino == ours.st_ino)
      close(fd);
    else
      out.push_back({fd, flag, path});
  }
  return out;
}

[[noreturn]] void become(Execution& e) {
  debug("child process in init()");
  setsid();
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  Becoming b{&e.process, &e.container.spec["linux"]["seccomp"], e.preserve_fds, e.notify_socket, "", false};
  for (const auto& n : e.namespaces) b.user_ns |= n.flag == CLONE_NEWUSER;
  umask(022);
  if (e.process["terminal"].bool_or(false)) {
    Rootfs r;
    int slave = -1;
    r.root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int master = make_terminal(r, slave);
    close_fd(r.root);
    set_console_size(slave, e.process["consoleSize"]);
    (void)!fchown(slave, static_cast<uid_t>(e.process["user"]["uid"].int_or(0)), static_cast<gid_t>(-1));
    if (!send_fd(e.console, master, "/dev/ptmx")) fail("send the terminal");
    close(master);
    close_fd(e.console);
    for (int i = 0; i < 3; ++i) dup2(slave, i);
    if (slave > 2) close(slave);
    if (ioctl(0, TIOCSCTTY, 0) != 0) fail("take the terminal");
  }
  std::string program, text;
  if (e.notify_socket >= 0) {
    if (receive_record(e.socket, text) != 'I') _exit(1);
    b.notify_state = notify_state(e.container, "running", e.container.pid, static_cast<pid_t>(atoi(text.c_str())));
  }
  shed_rights(b, program);
  debug("setns_init: about to exec");
  send_record(e.socket, 'R');
  if (receive_record(e.socket, text) != 'S') _exit(1);
  execute(b, program);
}

[[noreturn]] void enter_and_fork(Execution& e) {
  report_failures_to(e.socket);
  std::string text;
  if (receive_record(e.socket, text) != 'C') _exit(1);
  // What needs the host's rights or files comes before the container's namespaces.
  Becoming b{&e.process, nullptr, 0, -1, "", false};
  for (const auto& n : e.namespaces) b.user_ns |= n.flag == CLONE_NEWUSER;
  if (!e.process["oomScoreAdj"].exists()) e.process.set("oomScoreAdj", e.container.spec["process"]["oomScoreAdj"]);
  limit_process(b);
  for (const auto& n : e.namespaces) {
    join(n);
    if (n.flag == CLONE_NEWUSER) become_root_of_user_namespace();
  }
  auto pid = static_cast<pid_t>(syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0));
  if (pid < 0) fail("clone");
  if (pid == 0) become(e);
  send_record(e.socket, 'P', std::to_string(pid));
  _exit(0);
}

int connect_console(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) fail("socket " + path, ENAMETOOLONG);
  memcpy(address.sun_path, path.c_str(), path.size());
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail("connect to " + path);
  return fd;
}

void own_stdio(const Json& process) {
  auto uid = static_cast<uid_t>(process["user"]["uid"].int_or(0));
  struct stat st {};
  for (int fd = 0; fd < 3; ++fd)
    if (fstat(fd, &st) == 0 && st.st_uid != uid && !(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)))
      (void)!fchown(fd, uid, static_cast<gid_t>(-1));
}

// The process's number once it stands before the program.
pid_t spawn(Execution& e) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) fail("socketpair");
  pid_t helper = fork(), real = 0;
  if (helper < 0) fail("fork");
  if (helper == 0) {
    close(pair[0]);
    e.socket = pair[1];
    enter_and_fork(e);
  }
  close(pair[1]);
  e.socket = pair[0];
  Cgroups cgroups = e.container.cgroups();
  for (const auto& path : e.sub_cgroups) cgroups = cgroups.below(path);
  cgroups.add(helper);
  send_record(e.socket, 'C');
  std::string text;
  for (;;) {
    char kind = receive_record(e.socket, text);
    if (kind == 'P') {
      real = static_cast<pid_t>(atoi(text.c_str()));
      if (e.notify_socket >= 0) send_record(e.socket, 'I', text);
      waitpid(helper, nullptr, 0);
    } else if (kind == 'R') {
      while (!real) {  // the helper's word may come behind its child's
        if (receive_record(e.socket, text) != 'P') refuse("unable to start container process: its helper ended");
        real = static_cast<pid_t>(atoi(text.c_str()));
        waitpid(helper, nullptr, 0);
      }
      return real;
    } else {
      if (kind == 'E') refuse("unable to start container process: " + text);
      refuse("unable to start container process: it ended early");
    }
  }
}

}  // namespace

int verb_exec(const Options& o) {
  log_settings().exit_code = 255;
  if (o.args.empty()) refuse("the container's id is required");
  Execution e;
  e.container = load(o.args[0]);
  if (e.container.status == "stopped") refuse("cannot exec in a stopped container");
  if (e.container.status == "paused" && !o.has("ignore-paused"))
    refuse("cannot exec in a paused container (use --ignore-paused to override)");
  e.process = process_of(o, e.container);
  e.sub_cgroups = o.all("cgroup");
  e.preserve_fds = static_cast<int>(o.number("preserve-fds", 0));
  if (const char* n = getenv("LISTEN_FDS")) e.preserve_fds += atoi(n);
  bool detach = o.has("detach"), terminal = e.process["terminal"].bool_or(false);
  std::string socket_path = o.get("console-socket");
  if (terminal && detach && socket_path.empty())
    refuse("cannot allocate tty if runc will detach without setting console socket");
  if (!terminal && !socket_path.empty()) refuse("cannot use console socket if runc will not detach or allocate tty");
  Foreground fg(terminal && !detach && socket_path.empty());
  e.console = socket_path.empty() ? fg.console_socket() : connect_console(socket_path);
  if (!terminal) own_stdio(e.process);
  e.notify_socket = connect_to_seccomp_agent(e.container.spec);
  e.namespaces = namespaces_of(e.container.pid);
  if (!detach && !o.has("no-subreaper")) prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  if (!detach) fg.block_signals();
  debug("nsexec container setup");
  pid_t pid = spawn(e);
  close_fd(e.console);
  if (o.has("pid-file")) replace_file(o.get("pid-file"), std::to_string(pid));
  std::string text;
  send_record(e.socket, 'S');
  if (receive_record(e.socket, text) == 'E') refuse("unable to start container process: " + text);
  close_fd(e.socket);
  return detach ? 0 : fg.wait_for(pid);
}

}  // namespace k8lite::runc
