// The shim: one small process a pod. It owns the pod's namespaces, starts and reaps its containers, writes their logs
// and keeps their exit codes on disk before it tells anybody. It outlives the server, which finds it again by its
// socket. usage: shim STATE_DIR HOSTNAME NEW_NET(0|1) NEW_IPC(0|1) SHARE_PROCESSES(0|1) [CGROUP_PROCS_FILE...]
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <memory>

#include "shim/attach.h"
#include "shim/init.h"
#include "shim/log.h"
#include "shim/pause.h"
#include "shim/shim.h"

namespace k8lite::shim {
namespace {

using namespace runtime::shim;

uint64_t now_us() {
  timespec t{};
  clock_gettime(CLOCK_REALTIME, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1000000 + static_cast<uint64_t>(t.tv_nsec) / 1000;
}

struct Container {
  State state;
  Plan plan;
  std::unique_ptr<CriLog> log;
  int out[2] = {-1, -1};  // read ends of stdout and stderr (a terminal has only the first)
  std::string pending[2];
  int input = -1;  // write end of stdin, when it is open and no terminal
  int root_fd = -1, mount_ns = -1, pid_ns = -1;
};

struct Client {
  int fd;
  bool watching = false;
  pid_t exec_pid = 0;      // tell this one about the end of its exec
  bool kill_exec = false;  // which ends with the connection
};

class Shim {
 public:
  // `pause`: the process that holds the namespace in which the pod's containers see each other; 0 where they do not.
  Shim(std::string dir, pid_t pause) : dir_(std::move(dir)), pause_(pause) {}
  int run(int listener, int signals);

 private:
  void serve(size_t index);
  std::string answer(Client& client, std::string_view record, int fds[3], int& give);
  std::string start(const std::string& id, Plan plan);
  std::string exec(Client& client, const std::string& id, const Process& process, const int fds[3]);
  std::string attach(const std::string& id, bool input, int fds[3], int& give);
  void reap();
  void ended(pid_t pid, int status);
  void finish(Container& c, int status);
  void drain(Container& c, int stream, bool to_end);
  void persist(const Container& c);
  void notify_watchers(const Container& c);
  Container* find(const std::string& id) {
    for (auto& c : containers_)
      if (c->state.id == id) return c.get();
    return nullptr;
  }
  void close_client(size_t index);
  int open_processes(const std::string& of);
  pid_t clone_into(int processes, unsigned long flags);

  std::string dir_;
  pid_t pause_;
  std::vector<std::unique_ptr<Container>> containers_;
  std::vector<Client> clients_;
  Attachments attachments_;
  bool quit_ = false;
};

std::string ok(uint64_t n = 0) { return Writer().byte(static_cast<uint8_t>(Say::Ok)).number(n).out; }
std::string failed(const std::string& text) { return Writer().byte(static_cast<uint8_t>(Say::Failed)).text(text).out; }

void close_fd(int& fd) {
  if (fd >= 0) close(fd);
  fd = -1;
}

// "oom_kill N" in memory.events (v2) or memory.oom_control (v1).
uint64_t oom_kills(const std::string& file) {
  char buffer[1024];
  int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t n = read(fd, buffer, sizeof buffer - 1);
  close(fd);
  if (n <= 0) return 0;
  buffer[n] = 0;
  const char* at = strstr(buffer, "oom_kill ");
  return at ? strtoull(at + 9, nullptr, 10) : 0;
}

// What the child had to say until its exec closed the pipe; "" when it went well.
std::string read_error(int fd) {
  std::string text;
  char buffer[512];
  for (;;) {
    ssize_t n = read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    text.append(buffer, static_cast<size_t>(n));
  }
  return text;
}

bool make_terminal(int& master, int& slave) {
  master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) return false;
  char name[64];
  if (ptsname_r(master, name, sizeof name) != 0) return false;
  slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
  return slave >= 0;
}

// The process namespace that a container is to share; -1 when there is none.
int Shim::open_processes(const std::string& of) {
  pid_t pid = pause_;
  if (of != kPodProcesses) {
    Container* other = find(of);
    pid = other && other->state.running ? static_cast<pid_t>(other->state.pid) : 0;
  }
  return pid > 0 ? open(("/proc/" + std::to_string(pid) + "/ns/pid").c_str(), O_RDONLY | O_CLOEXEC) : -1;
}

// Forks; into that process namespace where it is not -1. errno is of what failed.
pid_t Shim::clone_into(int processes, unsigned long flags) {
  if (processes < 0) return static_cast<pid_t>(syscall(SYS_clone, flags, 0, 0, 0, 0));
  int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
  pid_t pid = setns(processes, CLONE_NEWPID) == 0 ? static_cast<pid_t>(syscall(SYS_clone, flags, 0, 0, 0, 0)) : -1;
  if (pid == 0) return 0;
  int err = errno;
  setns(own, CLONE_NEWPID);
  close(own);
  errno = err;
  return pid;
}

std::string Shim::start(const std::string& id, Plan plan) {
  if (find(id)) return failed("container " + id + " exists");
  int processes = plan.processes_of.empty() ? -1 : open_processes(plan.processes_of);
  if (!plan.processes_of.empty() && processes < 0)
    return failed(plan.processes_of == kPodProcesses
                      ? "the pod's containers have no processes in common"
                      : "container " + plan.processes_of + ", whose processes are to be shared, is not running");
  auto c = std::make_unique<Container>();
  int stdio[3] = {-1, -1, -1}, error[2];
  if (pipe2(error, O_CLOEXEC) != 0) return failed(std::string("pipe: ") + strerror(errno));
  if (plan.process.tty) {
    int master = -1, slave = -1;
    if (!make_terminal(master, slave)) return failed(std::string("open a terminal: ") + strerror(errno));
    stdio[0] = stdio[1] = stdio[2] = slave;
    c->out[0] = master;
  } else {
    int p[2];
    for (int i = 0; i < 2; ++i) {
      if (pipe2(p, O_CLOEXEC) != 0) return failed(std::string("pipe: ") + strerror(errno));
      c->out[i] = p[0];
      stdio[i + 1] = p[1];
    }
    if (plan.stdin_open && pipe2(p, O_CLOEXEC) == 0)
      stdio[0] = p[0], c->input = p[1];
    else
      stdio[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
  }
  for (int fd : c->out)
    if (fd >= 0) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  bool own_processes = !plan.host_pid && processes < 0;
  pid_t pid = clone_into(processes, CLONE_NEWNS | SIGCHLD | (own_processes ? CLONE_NEWPID : 0));
  if (pid == 0) become_container(plan, stdio, error[1]);
  int clone_errno = errno;
  close(error[1]);
  close_fd(processes);
  close(stdio[0]);
  if (stdio[1] != stdio[0]) close(stdio[1]), close(stdio[2]);
  if (pid < 0) {
    close(error[0]);
    for (int& fd : c->out) close_fd(fd);
    close_fd(c->input);
    return failed(std::string("clone: ") + strerror(clone_errno));
  }
  std::string why = read_error(error[0]);
  close(error[0]);
  if (!why.empty()) {
    waitpid(pid, nullptr, 0);
    for (int& fd : c->out) close_fd(fd);
    close_fd(c->input);
    return failed(why);
  }
  std::string proc = "/proc/" + std::to_string(pid);
  c->root_fd = open((proc + "/root").c_str(), O_PATH | O_CLOEXEC);
  c->mount_ns = open((proc + "/ns/mnt").c_str(), O_RDONLY | O_CLOEXEC);
  c->pid_ns = open((proc + "/ns/pid").c_str(), O_RDONLY | O_CLOEXEC);
  c->state.id = id;
  c->state.pid = static_cast<uint64_t>(pid);
  c->state.started_us = now_us();
  c->state.running = true;
  c->log = std::make_unique<CriLog>(plan.log_path, plan.log_bytes, plan.log_files);
  plan.steps.clear();
  plan.steps.shrink_to_fit();
  std::vector<std::string> cgroup = own_processes ? std::vector<std::string>{} : std::move(plan.process.cgroup_procs);
  plan.process = Process{.tty = plan.process.tty, .cgroup_procs = std::move(cgroup)};
  c->plan = std::move(plan);
  containers_.push_back(std::move(c));
  return ok(static_cast<uint64_t>(pid));
}

std::string Shim::exec(Client& client, const std::string& id, const Process& process, const int fds[3]) {
  Container* c = find(id);
  if (!c || !c->state.running) return failed("container " + id + " is not running");
  if (fds[2] < 0) return failed("exec needs three descriptors");
  int error[2];
  if (pipe2(error, O_CLOEXEC) != 0) return failed(std::string("pipe: ") + strerror(errno));
  int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
  if (setns(c->pid_ns, CLONE_NEWPID) != 0) {
    std::string why = strerror(errno);
    close(own), close(error[0]), close(error[1]);
    return failed("join the container's processes: " + why);
  }
  pid_t pid = fork();
  if (pid == 0) become_exec(process, c->mount_ns, c->root_fd, fds, error[1]);
  int err = errno;
  setns(own, CLONE_NEWPID);
  close(own);
  close(error[1]);
  if (pid < 0) {
    close(error[0]);
    return failed(std::string("fork: ") + strerror(err));
  }
  std::string why = read_error(error[0]);
  close(error[0]);
  if (!why.empty()) {
    waitpid(pid, nullptr, 0);
    return failed(why);
  }
  client.exec_pid = pid;
  return ok(static_cast<uint64_t>(pid));
}

std::string Shim::attach(const std::string& id, bool input, int fds[3], int& give) {
  Container* c = find(id);
  if (!c || !c->state.running) return failed("container " + id + " is not running");
  if (fds[1] < 0) return failed("attach needs two descriptors");
  uint64_t given = 0;
  if (c->plan.process.tty) {
    give = fcntl(c->out[0], F_DUPFD_CLOEXEC, 3);
    if (give >= 0) given = kGaveTerminal | (input && c->plan.stdin_open ? kGaveInput : 0);
  } else if (input && c->input >= 0) {
    give = fcntl(c->input, F_DUPFD_CLOEXEC, 3);
    if (give >= 0) given = kGaveInput;
    if (c->plan.stdin_once) close_fd(c->input);
  }
  attachments_.add(id, fds[0], fds[1]);
  fds[0] = fds[1] = -1;
  return ok(given);
}

void Shim::persist(const Container& c) {
  Writer w;
  c.state.write(w);
  std::string path = dir_ + "/" + c.state.id + ".exit", temporary = path + ".tmp";
  int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return;
  bool good = write(fd, w.out.data(), w.out.size()) == static_cast<ssize_t>(w.out.size()) && fsync(fd) == 0;
  close(fd);
  if (good) rename(temporary.c_str(), path.c_str());
}

void Shim::notify_watchers(const Container& c) {
  Writer w;
  w.byte(static_cast<uint8_t>(Say::Exited));
  c.state.write(w);
  for (Client& client : clients_)
    if (client.watching) (void)send(client.fd, w.out.data(), w.out.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

void Shim::drain(Container& c, int stream, bool to_end) {
  char buffer[16 * 1024];
  const char* name = stream == 0 ? "stdout" : "stderr";
  for (int rounds = 0; to_end || rounds < 8; ++rounds) {
    ssize_t n = read(c.out[stream], buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {  // ended; a terminal says EIO
      c.log->flush(name, c.pending[stream]);
      close_fd(c.out[stream]);
      return;
    }
    std::string_view data(buffer, static_cast<size_t>(n));
    attachments_.write(c.state.id, stream, data);
    if (!c.plan.process.tty) {
      c.log->append(name, c.pending[stream], data);
      continue;
    }
    std::string plain;  // a terminal ends its lines with CR LF
    for (size_t i = 0; i < data.size(); ++i)
      if (data[i] != '\r' || i + 1 >= data.size() || data[i + 1] != '\n') plain += data[i];
    c.log->append(name, c.pending[stream], plain);
  }
}

// A container without a process namespace of its own leaves its other processes behind: its cgroup knows them.
void kill_left(const std::vector<std::string>& cgroup_procs) {
  if (cgroup_procs.empty()) return;
  for (int round = 0; round < 10; ++round) {
    int fd = open(cgroup_procs[0].c_str(), O_RDONLY | O_CLOEXEC), found = 0;
    if (fd < 0) return;
    std::string text = read_error(fd);
    close(fd);
    for (const char* at = text.c_str(); *at;) {
      char* end = nullptr;
      auto pid = static_cast<pid_t>(strtol(at, &end, 10));
      if (end == at) break;
      if (pid > 0 && pid != getpid()) ++found, kill(pid, SIGKILL);
      at = *end ? end + 1 : end;
    }
    if (!found) return;
    usleep(1000);
  }
}

void Shim::finish(Container& c, int status) {
  kill_left(c.plan.process.cgroup_procs);
  // What lies in the pipes belongs to the log; a child that still holds them keeps them open, so this reads only what
  // is there.
  for (int i = 0; i < 2; ++i)
    if (c.out[i] >= 0) drain(c, i, true);
  for (int i = 0; i < 2; ++i) c.log->flush(i == 0 ? "stdout" : "stderr", c.pending[i]);
  c.log = nullptr;  // closed: who follows the log learns that it is whole
  attachments_.end(c.state.id);
  c.state.running = false;
  c.state.finished_us = now_us();
  c.state.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  c.state.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  c.state.oom_killed = oom_kills(c.plan.oom_file) > 0;
  for (int i = 0; i < 2; ++i) close_fd(c.out[i]);
  close_fd(c.input);
  close_fd(c.root_fd);
  close_fd(c.mount_ns);
  close_fd(c.pid_ns);
  persist(c);
  notify_watchers(c);
}

void Shim::ended(pid_t pid, int status) {
  for (auto& c : containers_)
    if (c->state.running && c->state.pid == static_cast<uint64_t>(pid)) return finish(*c, status);
  for (Client& client : clients_) {
    if (client.exec_pid != pid) continue;
    State s;
    s.pid = static_cast<uint64_t>(pid);
    s.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    Writer w;
    w.byte(static_cast<uint8_t>(Say::Exited));
    s.write(w);
    (void)send(client.fd, w.out.data(), w.out.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    client.exec_pid = 0;
  }
}

void Shim::reap() {
  int status;
  while (pid_t pid = waitpid(-1, &status, WNOHANG)) {
    if (pid < 0) break;
    ended(pid, status);
  }
}

// Descriptors that are taken over become -1 in `fds`; `give` goes back with the answer and is closed then.
std::string Shim::answer(Client& client, std::string_view record, int fds[3], int& give) {
  Reader r{record};
  auto ask = static_cast<Ask>(r.byte());
  switch (ask) {
    case Ask::Start: {
      std::string id = r.text();
      Plan plan;
      plan.read(r);
      return r.bad ? failed("broken request") : start(id, std::move(plan));
    }
    case Ask::Signal: {
      std::string id = r.text();
      auto number = static_cast<int>(r.number());
      Container* c = find(id);
      if (!c) return failed("container " + id + " not found");
      if (c->state.running && kill(static_cast<pid_t>(c->state.pid), number) != 0 && errno != ESRCH)
        return failed(std::string("kill: ") + strerror(errno));
      return ok();
    }
    case Ask::List: {
      Writer w;
      w.byte(static_cast<uint8_t>(Say::Ok)).number(containers_.size());
      for (auto& c : containers_) c->state.write(w);
      return w.out;
    }
    case Ask::Watch: {
      client.watching = true;
      return ok();
    }
    case Ask::Exec: {
      std::string id = r.text();
      Process process;
      process.read(r);
      client.kill_exec = !r.in.empty() && r.byte();
      return r.bad ? failed("broken request") : exec(client, id, process, fds);
    }
    case Ask::Attach: {
      std::string id = r.text();
      bool input = r.byte();
      return r.bad ? failed("broken request") : attach(id, input, fds, give);
    }
    case Ask::Remove: {
      std::string id = r.text();
      for (size_t i = 0; i < containers_.size(); ++i) {
        if (containers_[i]->state.id != id) continue;
        if (containers_[i]->state.running) return failed("container " + id + " is running");
        containers_.erase(containers_.begin() + static_cast<long>(i));
        break;
      }
      unlink((dir_ + "/" + id + ".exit").c_str());
      return ok();
    }
    case Ask::Quit: {
      if (pause_ > 0) kill(pause_, SIGKILL);
      for (auto& c : containers_)
        if (c->state.running) kill(static_cast<pid_t>(c->state.pid), SIGKILL);
      quit_ = true;
      return ok();
    }
  }
  return failed("unknown request");
}

void Shim::close_client(size_t index) {
  if (clients_[index].exec_pid && clients_[index].kill_exec) kill(clients_[index].exec_pid, SIGKILL);
  close(clients_[index].fd);
  clients_.erase(clients_.begin() + static_cast<long>(index));
}

// One record with a descriptor, when there is one to give.
bool reply_to(int socket, std::string& record, int give) {
  iovec io{record.data(), record.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  if (give >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &give, sizeof give);
  }
  return sendmsg(socket, &message, MSG_NOSIGNAL) >= 0;
}

void Shim::serve(size_t index) {
  static char buffer[kMaxRecord];
  Client& client = clients_[index];
  iovec io{buffer, sizeof buffer};
  alignas(cmsghdr) char control[CMSG_SPACE(3 * sizeof(int))];
  msghdr message{};
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t n = recvmsg(client.fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) return close_client(index);
  int fds[3] = {-1, -1, -1}, give = -1;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len <= CMSG_LEN(3 * sizeof(int)))
      memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
  std::string reply = (message.msg_flags & MSG_TRUNC)
                          ? failed("the request is larger than " + std::to_string(kMaxRecord) + " bytes")
                          : answer(client, {buffer, static_cast<size_t>(n)}, fds, give);
  for (int& fd : fds) close_fd(fd);
  bool sent = reply_to(client.fd, reply, give);
  close_fd(give);
  if (!sent) close_client(index);
}

int Shim::run(int listener, int signals) {
  while (!quit_) {
    std::vector<pollfd> polls = {{listener, POLLIN, 0}, {signals, POLLIN, 0}};
    struct Source {
      Container* container;
      int stream;
    };
    std::vector<Source> sources;
    for (auto& c : containers_)
      for (int i = 0; i < 2; ++i)
        if (c->out[i] >= 0 && !attachments_.holds_back(c->state.id, i))
          polls.push_back({c->out[i], POLLIN, 0}), sources.push_back({c.get(), i});
    size_t first_client = polls.size(), clients = clients_.size();
    for (const Client& c : clients_) polls.push_back({c.fd, POLLIN, 0});
    size_t first_attached = polls.size();
    attachments_.add_polls(polls);
    if (poll(polls.data(), polls.size(), -1) < 0 && errno != EINTR) return 1;
    attachments_.serve(polls, first_attached);
    for (size_t i = 0; i < sources.size(); ++i)
      if (polls[2 + i].revents) drain(*sources[i].container, sources[i].stream, false);
    for (size_t i = clients; i-- > 0;)
      if (polls[first_client + i].revents) serve(i);
    if (polls[1].revents) {
      signalfd_siginfo info;
      while (read(signals, &info, sizeof info) == sizeof info) {
      }
    }
    reap();
    if (polls[0].revents) {
      int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd >= 0) {
        int size = kSocketBuffer;
        setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
        clients_.push_back({fd});
      }
    }
  }
  while (waitpid(-1, nullptr, 0) > 0) {
  }
  unlink((dir_ + "/shim.sock").c_str());
  return 0;
}

int die(const char* what) {
  dprintf(2, "shim: %s: %s\n", what, strerror(errno));
  return 1;
}

}  // namespace
}  // namespace k8lite::shim

namespace k8lite::shim {

int run_shim(int argc, char** argv) {
  if (argc < 6) {
    dprintf(2, "usage: shim STATE_DIR HOSTNAME NEW_NET NEW_IPC SHARE_PROCESSES [CGROUP_PROCS_FILE...]\n");
    return 2;
  }
  // Nothing of the server's (its listening sockets above all) may live on in here.
  syscall(SYS_close_range, 3, ~0u, 0);
  prctl(PR_SET_NAME, "k8lite-shim");
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  setsid();
  // Joining a cgroup first is what makes each later fork cheap.
  for (int i = 6; i < argc; ++i) {
    int fd = open(argv[i], O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "0", 1) != 1) return die(argv[i]);
    close(fd);
  }
  int flags = CLONE_NEWUTS | (argv[3][0] == '1' ? CLONE_NEWNET : 0) | (argv[4][0] == '1' ? CLONE_NEWIPC : 0);
  if (unshare(flags) != 0) return die("unshare");
  if (argv[2][0] && sethostname(argv[2], strlen(argv[2])) != 0) return die("sethostname");
  sigset_t set;
  sigfillset(&set);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  bool share = argv[5][0] == '1';
  pid_t pause = share ? static_cast<pid_t>(syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0)) : 0;
  if (pause < 0) return die("clone");
  if (share && pause == 0)
    hold_processes(argv[1], argv[0], static_cast<size_t>(argv[argc - 1] + strlen(argv[argc - 1]) - argv[0]));
  int signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
  std::string dir = argv[1];
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string path = dir + "/shim.sock";
  if (path.size() >= sizeof address.sun_path) return errno = ENAMETOOLONG, die(path.c_str());
  memcpy(address.sun_path, path.c_str(), path.size());
  int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  unlink(path.c_str());
  umask(0077);
  if (listener < 0 || bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener, 16) != 0)
    return die("listen");
  // "ready" on standard output lets the server go on; then nothing of the server's is held any more.
  (void)!write(1, "ok", 2);
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int i = 0; i < 3; ++i) dup2(null, i);
  return Shim(dir, pause).run(listener, signals);
}

}  // namespace k8lite::shim
