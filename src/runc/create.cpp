// The parent's half of making a container, and the verbs create, run and start: see launch.h.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runc/common.h"
#include "runc/foreground.h"
#include "runc/hooks.h"
#include "runc/launch.h"
#include "runc/notify.h"
#include "runc/process.h"
#include "runc/seccomp.h"

namespace k8lite::runc {
namespace {

Launch* g_making = nullptr;
pid_t g_child = 0;

// A container that could not be made leaves nothing behind.
void undo_making() {
  report_failures_to(-1);
  if (g_child > 0) {
    kill(g_child, SIGKILL);
    waitpid(g_child, nullptr, 0);
  }
  if (!g_making->cgroups.empty()) g_making->cgroups.remove();
  remove_tree(g_making->container.folder);
}

int connect_to(const std::string& path, const char* whom) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) fail("socket " + path, ENAMETOOLONG);
  memcpy(address.sun_path, path.c_str(), path.size());
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    fail(std::string("failed to connect with ") + whom + " " + path);
  return fd;
}

void read_spec(Launch& l, const std::string& config) {
  bool found = false;
  std::string text = read_whole(config[0] == '/' ? config : l.rootfs.bundle + "/" + config, &found);
  if (!found) refuse("JSON specification file " + config + " not found");
  if (std::string wrong = Json::parse(text, l.container.spec); !wrong.empty()) refuse("config.json: " + wrong);
  const Json& spec = l.spec();
  if (!spec["process"].is_object()) refuse("process property must not be empty");
  if (spec["root"]["path"].str().empty()) refuse("root must be specified");
  const std::string& cwd = spec["process"]["cwd"].str();
  if (cwd.empty()) refuse("Cwd property must not be empty");
  if (cwd[0] != '/') refuse("Cwd must be an absolute path");
  if (spec["process"]["args"].items().empty()) refuse("args must not be empty");
  if (!spec["linux"].is_object()) refuse("linux must be specified");
  std::string root = spec["root"]["path"].str();
  if (root[0] != '/') root = l.rootfs.bundle + "/" + root;
  char real[4096];
  if (!realpath(root.c_str(), real)) fail("invalid rootfs: " + root);
  l.rootfs.path = real;
  const auto& seccomp = spec["linux"]["seccomp"];
  if (seccomp.is_object() && seccomp_notifies(seccomp) && seccomp["listenerPath"].str().empty())
    refuse("seccomp: SCMP_ACT_NOTIFY needs listenerPath");
  refuse_hopeless_notifications(seccomp);
}

void make_folder(Launch& l) {
  Container& c = l.container;
  if (!make_dirs(state_root(), 0711)) fail("mkdir " + state_root());
  if (mkdir(c.folder.c_str(), 0711) != 0) {
    if (errno == EEXIST) refuse("container with given ID already exists");
    fail("mkdir " + c.folder);
  }
  g_making = &l;
  undo_on_failure(undo_making);
  replace_file(c.folder + "/config.json", c.spec.dump(), 0600);
  if (!l.waits_on_fifo) return;
  std::string path = c.folder + "/exec.fifo";
  mode_t old = umask(0);
  if (mkfifo(path.c_str(), 0622) != 0) fail("create exec fifo");
  umask(old);
  if (l.namespaces.fresh & CLONE_NEWUSER)
    for (const Json& m : c.spec["linux"]["uidMappings"].items())
      if (m["containerID"].int_or(0) == 0)
        (void)!chown(path.c_str(), static_cast<uid_t>(m["hostID"].int_or(0)), static_cast<gid_t>(-1));
  l.fifo = open(path.c_str(), O_PATH | O_CLOEXEC);
}

void fill_state(Launch& l) {
  Container& c = l.container;
  Json config = Json::object(), labels = Json::array();
  labels.append("bundle=" + l.rootfs.bundle);
  for (const auto& m : c.spec["annotations"].members()) labels.append(m.first + "=" + m.second.str());
  config.set("rootfs", l.rootfs.path).set("labels", labels);
  c.state.set("created", now_rfc3339(true)).set("config", config).set("rootless", geteuid() != 0);
}

void save_state(Launch& l, pid_t pid) {
  Json paths = Json::object();
  static constexpr struct {
    const char* name;
    unsigned long flag;
  } kTypes[] = {{"NEWCGROUP", CLONE_NEWCGROUP}, {"NEWIPC", CLONE_NEWIPC}, {"NEWNET", CLONE_NEWNET},
                {"NEWNS", CLONE_NEWNS},         {"NEWPID", CLONE_NEWPID}, {"NEWTIME", kNewTime},
                {"NEWUSER", CLONE_NEWUSER},     {"NEWUTS", CLONE_NEWUTS}};
  for (const auto& t : kTypes) paths.set(t.name, "/proc/" + std::to_string(pid) + "/ns/" + namespace_name(t.flag));
  l.container.state.set("namespace_paths", paths);
  l.cgroups.to_state(l.container.state);
  store(l.container, pid);
}

// Namespaces of others are joined, and some new ones entered, by a helper, which then makes the container's process as
// its sibling.
[[noreturn]] void run_helper(Launch& l) {
  report_failures_to(l.socket);
  std::string text;
  unsigned long fresh = l.namespaces.fresh & ~static_cast<unsigned long>(CLONE_NEWCGROUP);
  for (const auto& j : l.namespaces.joined) {
    if (j.flag == CLONE_NEWCGROUP) continue;
    join(j);
    if (j.flag == CLONE_NEWUSER) become_root_of_user_namespace();
  }
  if (fresh & CLONE_NEWUSER) {
    if (unshare(CLONE_NEWUSER) != 0) fail("unshare the user namespace");
    send_record(l.socket, 'M');
    if (receive_record(l.socket, text) != 'G') _exit(1);
    become_root_of_user_namespace();
    fresh &= ~static_cast<unsigned long>(CLONE_NEWUSER);
  }
  if (fresh & kNewTime) {
    if (unshare(static_cast<int>(kNewTime)) != 0) fail("unshare the time namespace");
    std::string offsets;
    for (const auto& m : l.spec()["linux"]["timeOffsets"].members())
      offsets += m.first + " " + std::to_string(m.second["secs"].int_or(0)) + " " +
                 std::to_string(m.second["nanosecs"].int_or(0)) + "\n";
    if (!offsets.empty() && !write_whole("/proc/self/timens_offsets", offsets))
      fail("write the time namespace's offsets");
    fresh &= ~kNewTime;
  }
  auto pid = static_cast<pid_t>(syscall(SYS_clone, fresh | CLONE_PARENT | SIGCHLD, 0, 0, 0, 0));
  if (pid < 0) fail("clone");
  if (pid == 0) {
    for (const auto& j : l.namespaces.joined)
      if (j.flag == CLONE_NEWCGROUP) join(j);
    run_init(l);
  }
  send_record(l.socket, 'P', std::to_string(pid));
  _exit(0);
}

}  // namespace

int connect_to_seccomp_agent(const Json& spec) {
  const Json& seccomp = spec["linux"]["seccomp"];
  return seccomp_notifies(seccomp) ? connect_to(seccomp["listenerPath"].str(), "seccomp agent") : -1;
}
std::string notify_state(const Container& c, const char* status, pid_t container_pid, pid_t pid) {
  Json state = Json::object(), fds = Json::array();
  fds.append("seccompFd");
  state.set("ociVersion", "1.2.0")
      .set("fds", fds)
      .set("pid", static_cast<int64_t>(pid))
      .set("metadata", c.spec["linux"]["seccomp"]["listenerMetadata"].str())
      .set("state", c.oci_state(status, container_pid));
  return state.dump();
}

bool send_record(int socket, char kind, const std::string& text) {
  std::string record = kind + text;
  return send(socket, record.data(), record.size(), MSG_NOSIGNAL) >= 0;
}
char receive_record(int socket, std::string& text) {
  char buffer[16 * 1024];
  ssize_t n;
  while ((n = recv(socket, buffer, sizeof buffer, 0)) > 0 ? buffer[0] == 'L' : n < 0 && errno == EINTR) {
    std::string line(buffer, n > 0 ? static_cast<size_t>(n) : 0);
    size_t space = line.find(' ');
    if (space != std::string::npos) log_line(line.substr(1, space - 1).c_str(), line.substr(space + 1));
  }
  if (n <= 0) return 0;
  text.assign(buffer + 1, static_cast<size_t>(n - 1));
  return buffer[0];
}

pid_t spawn_init(Launch& l) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) fail("socketpair");
  unsigned long fresh = l.namespaces.fresh & ~static_cast<unsigned long>(CLONE_NEWCGROUP);
  bool helper = !l.namespaces.joined.empty() || (fresh & kNewTime);
  auto pid = static_cast<pid_t>(helper ? fork() : syscall(SYS_clone, fresh | SIGCHLD, 0, 0, 0, 0));
  if (pid < 0) fail("clone");
  if (pid == 0) {
    undo_on_failure(nullptr);
    close(pair[0]);
    l.socket = pair[1];
    if (helper) run_helper(l);
    if (fresh & CLONE_NEWUSER) {
      std::string text;
      report_failures_to(l.socket);
      if (receive_record(l.socket, text) != 'G') _exit(1);
      become_root_of_user_namespace();
    }
    run_init(l);
  }
  close(pair[1]);
  l.socket = pair[0];
  close_fd(l.fifo);
  if (!helper) {
    g_child = pid;
    if (fresh & CLONE_NEWUSER) {
      write_id_maps(pid, l.spec()["linux"]);
      send_record(l.socket, 'G');
    }
    return pid;
  }
  std::string text;
  pid_t real = 0;
  for (;;) {
    char kind = receive_record(l.socket, text);
    if (kind == 'M') {
      write_id_maps(pid, l.spec()["linux"]);
      send_record(l.socket, 'G');
    } else if (kind == 'P') {
      real = g_child = static_cast<pid_t>(atoi(text.c_str()));
      break;
    } else {
      waitpid(pid, nullptr, 0);
      refuse("unable to start container process: " + (kind == 'E' ? text : "its helper ended"));
    }
  }
  waitpid(pid, nullptr, 0);
  return real;
}

std::string run_and_wait(Launch& l, pid_t pid) {
  const Json& hooks = l.spec()["hooks"];
  l.cgroups.create(l.spec(), l.container.id, pid);
  l.cgroups.apply(l.spec()["linux"]["resources"], geteuid() == 0);
  l.cgroups.add(pid);
  send_record(l.socket, 'C', std::to_string(pid));
  std::string text;
  for (;;) {
    char kind = receive_record(l.socket, text);
    if (kind == 'R') return "";
    if (kind == 'H') {
      Json state = l.container.oci_state("creating", pid);
      run_hooks(hooks["prestart"], l.container.oci_state("created", pid), "prestart");  // they came before the others
      run_hooks(hooks["createRuntime"], state, "createRuntime");
      send_record(l.socket, 'H');
      continue;
    }
    if (kind == 'E') return starts_with(text, "exec:") ? text : "error during container init: " + text;
    int status = 0;
    waitpid(pid, &status, 0);
    g_child = 0;
    return WIFSIGNALED(status) ? "container init was killed by signal " + std::to_string(WTERMSIG(status))
                               : "container init ended early";
  }
}

namespace {

void prepare(Launch& l, const Options& o, bool create_only) {
  if (o.args.size() != 1) refuse("exactly one argument, the container's id, is required");
  Container& c = l.container;
  c.id = o.args[0];
  if (!valid_id(c.id)) refuse_id(c.id);
  c.folder = folder_of(c.id);
  std::string bundle = o.get("bundle", ".");
  char real[4096];
  if (!realpath(bundle.c_str(), real)) fail("bundle " + bundle);
  l.rootfs.bundle = real;
  l.waits_on_fifo = create_only;
  l.no_new_keyring = o.has("no-new-keyring");
  l.preserve_fds = static_cast<int>(o.number("preserve-fds", 0));
  read_spec(l, o.get("config", "config.json"));
  bool terminal = l.spec()["process"]["terminal"].bool_or(false), detach = create_only || o.has("detach");
  std::string socket_path = o.get("console-socket");
  if (terminal && detach && socket_path.empty())
    refuse("cannot allocate tty if runc will detach without setting console socket");
  if (!terminal && !socket_path.empty()) refuse("cannot use console socket if runc will not detach or allocate tty");
  l.namespaces = read_namespaces(l.spec()["linux"]);
  l.cgroups = Cgroups::of_spec(l.spec(), c.id);
  Rootfs& r = l.rootfs;
  r.spec = &l.container.spec;
  r.cgroups = &l.cgroups;
  r.user_ns = l.namespaces.has(CLONE_NEWUSER);
  r.cgroup_ns = l.namespaces.has(CLONE_NEWCGROUP);
  r.mount_ns = l.namespaces.has(CLONE_NEWNS);
  r.no_pivot = o.has("no-pivot");
  make_folder(l);
  offer_notify_socket(l);
  fill_state(l);
  if (!socket_path.empty()) l.console_socket = connect_to(socket_path, "console socket");
  l.notify_socket = connect_to_seccomp_agent(l.spec());
  prepare_trees(r);
}

void write_pid_file(const Options& o, pid_t pid) {
  if (o.has("pid-file")) replace_file(o.get("pid-file"), std::to_string(pid));
}

// What listens for systemd-style activation: the descriptors behind standard error go along.
void count_listeners(Launch& l) {
  if (const char* n = getenv("LISTEN_FDS")) l.preserve_fds += atoi(n);
}

// Waits until the program runs; then its error, if any.
std::string start_now(Launch& l) {
  std::string text;
  send_record(l.socket, 'S');
  char kind = receive_record(l.socket, text);
  close_fd(l.socket);
  return kind == 'E' ? text : "";
}

}  // namespace

int verb_create(const Options& o) {
  Launch l;
  prepare(l, o, true);
  count_listeners(l);
  debug("nsexec container setup");
  pid_t pid = spawn_init(l);
  if (std::string wrong = run_and_wait(l, pid); !wrong.empty()) refuse("unable to start container process: " + wrong);
  save_state(l, pid);
  write_pid_file(o, pid);
  undo_on_failure(nullptr);
  return 0;
}

int verb_run(const Options& o) {
  Launch l;
  prepare(l, o, false);
  count_listeners(l);
  bool detach = o.has("detach"), terminal = l.spec()["process"]["terminal"].bool_or(false);
  Foreground fg(terminal && !detach && l.console_socket < 0);
  if (fg.console_socket() >= 0) l.console_socket = fg.console_socket();
  if (!detach && !o.has("no-subreaper")) prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  if (!detach) fg.block_signals();
  debug("nsexec container setup");
  pid_t pid = spawn_init(l);
  if (std::string wrong = run_and_wait(l, pid); !wrong.empty()) refuse("unable to start container process: " + wrong);
  close_fd(l.console_socket);
  save_state(l, pid);
  write_pid_file(o, pid);
  int ready = listen_for_ready(l.container);
  if (std::string wrong = start_now(l); !wrong.empty()) refuse("unable to start container process: " + wrong);
  undo_on_failure(nullptr);
  l.container.pid = pid;
  run_hooks_leniently(l.spec()["hooks"]["poststart"], l.container.oci_state("running", pid));
  if (detach) return relay_ready(ready, pid, true), 0;
  relay_ready_aside(ready, pid);
  int code = fg.wait_for(pid);
  l.container.status = "stopped";
  if (!o.has("keep")) destroy(l.container);
  return code;
}

int verb_start(const Options& o) {
  if (o.args.size() != 1) refuse("exactly one argument, the container's id, is required");
  Container c = load(o.args[0]);
  if (c.status == "stopped") refuse("cannot start a container that has stopped");
  if (c.status != "created") refuse("cannot start an already running container");
  std::string path = c.folder + "/exec.fifo";
  int fd = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC), process = pidfd_open_of(c.pid);
  if (fd < 0) fail("open exec fifo");
  int ready = listen_for_ready(c);
  pollfd polls[2] = {{fd, POLLIN, 0}, {process, POLLIN, 0}};
  char byte = 0;
  for (;;) {
    if (poll(polls, 2, -1) < 0 && errno != EINTR) fail("poll exec fifo");
    if (polls[0].revents & POLLIN && read(fd, &byte, 1) == 1) break;
    if (polls[1].revents) refuse("container process is already dead");
  }
  unlink(path.c_str());
  run_hooks_leniently(c.spec["hooks"]["poststart"], c.oci_state("running", c.pid));
  relay_ready(ready, c.pid, true);
  return 0;
}

}  // namespace k8lite::runc
