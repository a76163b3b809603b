#include "runtime/runtime.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "runtime/small_executable.h"

namespace k8lite::runtime {
namespace {

using shim::Ask;
using shim::Reader;
using shim::Say;
using shim::Writer;

Result<os::Fd> connect_socket(const std::string& path) {
  os::Fd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd) return Status::from_errno("socket", errno);
  int size = shim::kSocketBuffer;
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return bad_request(path + ": too long for a socket's path");
  path.copy(address.sun_path, path.size());
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return Status::from_errno("connect to shim " + path, errno);
  return fd;
}

// One record; `given` gets the descriptor that comes with it.
Result<std::string> receive(int fd, os::Fd* given = nullptr) {
  std::string buffer(shim::kMaxRecord, '\0');
  iovec io{buffer.data(), buffer.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message{};
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t n;
  do n = ::recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
  while (n < 0 && errno == EINTR);
  for (cmsghdr* c = n > 0 ? CMSG_FIRSTHDR(&message) : nullptr; c; c = CMSG_NXTHDR(&message, c)) {
    int got = -1;
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof got)) memcpy(&got, CMSG_DATA(c), sizeof got);
    os::Fd owned(got);
    if (given) *given = std::move(owned);
  }
  if (n <= 0) return unavailable("the shim is gone");
  buffer.resize(static_cast<size_t>(n));
  return buffer;
}

Result<std::string> check_reply(std::string reply) {
  Reader r{reply};
  auto say = static_cast<Say>(r.byte());
  if (say == Say::Failed) return Status(Reason::InternalError, r.text());
  if (say != Say::Ok) return internal_error("the shim answered something unexpected");
  return reply.substr(1);
}

Result<std::string> exchange(int fd, const std::string& record) {
  if (record.size() > shim::kMaxRecord) return bad_request("the container's configuration is larger than " + std::to_string(shim::kMaxRecord) + " bytes");
  if (::send(fd, record.data(), record.size(), MSG_NOSIGNAL) < 0) return Status::from_errno("talk to the shim", errno);
  TRY(std::string reply, receive(fd));
  return check_reply(std::move(reply));
}

// A request with descriptors, which the caller keeps.
Result<> send_with(int socket, std::string& record, std::initializer_list<int> fds) {
  iovec io{record.data(), record.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(3 * sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
  cmsghdr* c = CMSG_FIRSTHDR(&message);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
  std::copy(fds.begin(), fds.end(), reinterpret_cast<int*>(CMSG_DATA(c)));
  if (::sendmsg(socket, &message, MSG_NOSIGNAL) < 0) return Status::from_errno("talk to the shim", errno);
  return {};
}

Writer request(Ask ask, const std::string& id) {
  Writer w;
  w.byte(static_cast<uint8_t>(ask));
  if (!id.empty()) w.text(id);
  return w;
}

Result<int> spawn_shim(int elf, const PodConfig& config, const std::string& dir) {
  int ready[2];
  if (pipe2(ready, O_CLOEXEC) != 0) return Status::from_errno("pipe", errno);
  os::Fd read_end(ready[0]), write_end(ready[1]);
  std::string program = "/proc/self/fd/" + std::to_string(elf);
  std::vector<std::string> args = {"k8lite-shim", dir, config.hostname, config.host_network ? "0" : "1", config.host_ipc ? "0" : "1", config.share_processes ? "1" : "0"};
  args.insert(args.end(), config.cgroup_procs.begin(), config.cgroup_procs.end());
  std::vector<char*> argv;
  for (auto& a : args) argv.push_back(a.data());
  argv.push_back(nullptr);
  char* envp[] = {nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, ready[1], 1);
  posix_spawn_file_actions_adddup2(&actions, ready[1], 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
  pid_t pid = 0;
  int rc = posix_spawn(&pid, program.c_str(), &actions, &attributes, argv.data(), envp);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (rc != 0) return Status::from_errno("start the shim", rc);
  write_end.reset();
  std::string said;
  char buffer[512];
  for (ssize_t n; said != "ok" && (n = ::read(read_end.get(), buffer, sizeof buffer)) > 0;) said.append(buffer, static_cast<size_t>(n));
  if (said != "ok") return internal_error("start the shim: " + (said.empty() ? "it ended at once" : said));
  return static_cast<int>(pid);
}

}  // namespace

Runtime::Runtime(std::string state_dir, OnExit on_exit, std::function<void(const std::string&)> on_lost)
    : state_dir_(std::move(state_dir)), on_exit_(std::move(on_exit)), on_lost_(std::move(on_lost)), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  thread_ = std::thread([this] { watch_loop(); });
}

Runtime::~Runtime() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake();
  thread_.join();
}

void Runtime::wake() {
  uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
}

Result<> Runtime::connect(const std::string& uid) {
  std::string path = state_dir_ + "/" + uid + "/shim.sock";
  auto pod = std::make_shared<Pod>();
  TRY(pod->control, connect_socket(path));
  TRY(pod->watch, connect_socket(path));
  TRY_OK(exchange(pod->watch.get(), request(Ask::Watch, "").out));
  ucred credentials{};
  socklen_t size = sizeof credentials;
  getsockopt(pod->control.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size);
  pod->pid = credentials.pid;
  {
    std::lock_guard lock(mutex_);
    pods_[uid] = std::move(pod);
  }
  wake();
  return {};
}

std::vector<std::string> Runtime::adopt() {
  std::vector<std::string> found;
  for (const auto& uid : os::list_dir(state_dir_)) {
    if (auto r = connect(uid); r.ok()) found.push_back(uid);
    else log_debug("no shim to adopt", {{"pod", uid}, {"why", r.status()}});
  }
  return found;
}

Result<> Runtime::start_pod(const PodConfig& config) {
  if (has_pod(config.uid)) return {};
  std::string dir = state_dir_ + "/" + config.uid;
  TRY_OK(os::make_dirs(dir, 0700));
  os::Fd* elf = nullptr;
  {
    std::lock_guard lock(mutex_);
    if (!shim_elf_) {
      shim_elf_ = os::Fd(open_small_executable(false));
      if (!shim_elf_) return Status::from_errno("unpack the shim", errno);
    }
    elf = &shim_elf_;
  }
  TRY_OK(spawn_shim(elf->get(), config, dir));
  return connect(config.uid);
}

bool Runtime::has_pod(const std::string& uid) const {
  std::lock_guard lock(mutex_);
  return pods_.count(uid) > 0;
}
int Runtime::shim_pid(const std::string& uid) const {
  std::lock_guard lock(mutex_);
  auto it = pods_.find(uid);
  return it == pods_.end() ? 0 : it->second->pid;
}

Result<std::string> Runtime::ask(const std::string& uid, const std::string& record) {
  std::shared_ptr<Pod> pod;
  {
    std::lock_guard lock(mutex_);
    auto it = pods_.find(uid);
    if (it == pods_.end()) return not_found("pod " + uid + " has no sandbox");
    pod = it->second;
  }
  std::lock_guard lock(*pod->mutex);
  return exchange(pod->control.get(), record);
}

Result<uint64_t> Runtime::start(const std::string& pod, const std::string& id, const shim::Plan& plan) {
  Writer w = request(Ask::Start, id);
  plan.write(w);
  TRY(std::string reply, ask(pod, w.out));
  return Reader{reply}.number();
}
Result<> Runtime::signal(const std::string& pod, const std::string& id, int number) {
  TRY_OK(ask(pod, request(Ask::Signal, id).number(static_cast<uint64_t>(number)).out));
  return {};
}
Result<> Runtime::remove(const std::string& pod, const std::string& id) {
  TRY_OK(ask(pod, request(Ask::Remove, id).out));
  return {};
}
Result<std::vector<shim::State>> Runtime::list(const std::string& pod) {
  TRY(std::string reply, ask(pod, request(Ask::List, "").out));
  Reader r{reply};
  std::vector<shim::State> out(std::min<uint64_t>(r.number(), 1000));
  for (auto& s : out) s.read(r);
  return out;
}

Result<> Runtime::remove_pod(const std::string& uid) {
  auto asked = ask(uid, request(Ask::Quit, "").out);
  {
    std::lock_guard lock(mutex_);
    pods_.erase(uid);
  }
  wake();
  if (!asked.ok() && !asked.status().is(Reason::NotFound)) log_debug("the shim did not answer", {{"pod", uid}, {"error", asked.status()}});
  return os::remove_tree(state_dir_ + "/" + uid);
}

Result<> Runtime::exec(const std::string& pod, const std::string& id, const shim::Process& process, os::Fd stdio[3], std::function<void(int)> done, EndExec* end) {
  TRY(os::Fd fd, connect_socket(state_dir_ + "/" + pod + "/shim.sock"));
  Writer w = request(Ask::Exec, id);
  process.write(w);
  w.byte(end != nullptr);
  TRY_OK(send_with(fd.get(), w.out, {stdio[0].get(), stdio[1].get(), stdio[2].get()}));
  for (int i = 0; i < 3; ++i) stdio[i].reset();
  TRY(std::string reply, receive(fd.get()));
  TRY_OK(check_reply(std::move(reply)));
  auto execution = std::make_shared<Execution>();
  execution->fd = std::move(fd);
  execution->done = std::move(done);
  if (end)
    *end = [weak = std::weak_ptr<Execution>(execution)] {
      if (auto e = weak.lock()) ::shutdown(e->fd.get(), SHUT_RDWR);
    };
  {
    std::lock_guard lock(mutex_);
    executions_.push_back(std::move(execution));
  }
  wake();
  return {};
}

Result<Runtime::Attached> Runtime::attach(const std::string& pod, const std::string& id, bool with_input, os::Fd out, os::Fd err) {
  TRY(os::Fd fd, connect_socket(state_dir_ + "/" + pod + "/shim.sock"));
  Writer w = request(Ask::Attach, id);
  w.byte(with_input);
  TRY_OK(send_with(fd.get(), w.out, {out.get(), err.get()}));
  Attached attached;
  TRY(std::string reply, receive(fd.get(), &attached.input));
  TRY(std::string said, check_reply(std::move(reply)));
  uint64_t given = Reader{said}.number();
  attached.takes_input = given & shim::kGaveInput;
  attached.terminal = given & shim::kGaveTerminal;
  return attached;
}

void Runtime::watch_loop() {
  struct Source {
    std::string uid;
    std::shared_ptr<Pod> pod;
    std::shared_ptr<Execution> execution;
  };
  std::string buffer(64 * 1024, '\0');
  for (;;) {
    std::vector<pollfd> polls = {{wake_.get(), POLLIN, 0}};
    std::vector<Source> sources = {{}};
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return;
      for (auto& [uid, pod] : pods_) polls.push_back({pod->watch.get(), POLLIN, 0}), sources.push_back({uid, pod, nullptr});
      for (auto& e : executions_) polls.push_back({e->fd.get(), POLLIN, 0}), sources.push_back({"", nullptr, e});
    }
    if (::poll(polls.data(), polls.size(), -1) < 0) continue;
    uint64_t drained;
    if (polls[0].revents) (void)!::read(wake_.get(), &drained, sizeof drained);
    for (size_t i = 1; i < polls.size(); ++i) {
      if (!polls[i].revents) continue;
      ssize_t n = ::recv(polls[i].fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      shim::State state;
      if (n > 0) {
        Reader r{{buffer.data(), static_cast<size_t>(n)}};
        if (static_cast<Say>(r.byte()) == Say::Exited) state.read(r);
      }
      if (sources[i].execution) {
        sources[i].execution->done(n > 0 ? static_cast<int>(state.exit_code) : -1);
        std::lock_guard lock(mutex_);
        std::erase(executions_, sources[i].execution);
      } else if (n > 0) {
        on_exit_(sources[i].uid, state);
      } else {
        bool lost = false;
        {
          std::lock_guard lock(mutex_);
          auto it = pods_.find(sources[i].uid);
          if (it != pods_.end() && it->second == sources[i].pod) pods_.erase(it), lost = true;
        }
        if (lost) on_lost_(sources[i].uid);
      }
    }
  }
}

}  // namespace k8lite::runtime
