#include "kubelet/streaming.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"

namespace k8lite::kubelet {

using async::Task;
using json::Node;

namespace {

constexpr auto kDrainTick = milliseconds(200);
constexpr int kMaxIdleTicks = 25;  // after the exit: something in the background holds the output open, and is silent

// One command: this side's ends of its descriptors and how it goes.
struct Command {
  StreamingCorePtr core;
  ChannelsPtr channels;
  CommandInputPtr input = std::make_shared<CommandInput>();
  FdStreamPtr in, out, err;
  os::Fd stdio[3];       // the process's ends, until it runs
  int pumps = 0;         // output still open
  async::Notify drained;
  async::Notify exited;
  std::atomic<int> code{-1};

  void close() {
    for (auto* s : {&in, &out, &err})
      if (*s) (*s)->close();
    input->on_resize = nullptr;  // holds the terminal: its last holder's end hangs it up
    input->refused = true;
    input->room.notify();
    input->arrived.notify();
  }
};
using CommandPtr = std::shared_ptr<Command>;

Result<os::Fd> open_null(int flags) {
  os::Fd fd(::open("/dev/null", flags | O_CLOEXEC));
  if (!fd) return Status::from_errno("open /dev/null", errno);
  return fd;
}

Result<> make_pipe(os::Fd& reader, os::Fd& writer) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return Status::from_errno("pipe", errno);
  reader.reset(fds[0]);
  writer.reset(fds[1]);
  return {};
}

Result<os::Fd> duplicate(const os::Fd& fd) {
  os::Fd out(fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
  if (!out) return Status::from_errno("dup", errno);
  return out;
}

Result<> open_pipes(Command& c, CommandStreams wanted) {
  for (int i = 0; i < 3; ++i) {
    bool want = i == 0 ? wanted.in : i == 1 ? wanted.out : wanted.err;
    if (!want) {
      TRY(c.stdio[i], open_null(i == 0 ? O_RDONLY : O_WRONLY));
      continue;
    }
    os::Fd ours;
    if (i == 0) TRY_OK(make_pipe(c.stdio[0], ours));
    else TRY_OK(make_pipe(ours, c.stdio[i]));
    (i == 0 ? c.in : i == 1 ? c.out : c.err) = std::make_shared<FdStream>(c.core->watch, std::move(ours));
  }
  return {};
}

void resize_with(Command& c, os::Fd terminal) {
  c.input->on_resize = [fd = std::make_shared<os::Fd>(std::move(terminal))](unsigned short columns, unsigned short rows) {
    winsize size{rows, columns, 0, 0};
    ioctl(fd->get(), TIOCSWINSZ, &size);
  };
}

Result<> open_terminal(Command& c, CommandStreams wanted) {
  os::Fd master(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  char name[64];
  if (!master || grantpt(master.get()) != 0 || unlockpt(master.get()) != 0 || ptsname_r(master.get(), name, sizeof name) != 0) return Status::from_errno("open a terminal", errno);
  c.stdio[0].reset(::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!c.stdio[0]) return Status::from_errno(std::string("open ") + name, errno);
  TRY(c.stdio[1], duplicate(c.stdio[0]));
  TRY(c.stdio[2], duplicate(c.stdio[0]));
  TRY(os::Fd for_resize, duplicate(master));
  if (wanted.in) {
    TRY(os::Fd writer, duplicate(master));
    c.in = std::make_shared<FdStream>(c.core->watch, std::move(writer));
  }
  c.out = std::make_shared<FdStream>(c.core->watch, std::move(master));
  c.input->on_resize = [fd = std::make_shared<os::Fd>(std::move(for_resize))](unsigned short columns, unsigned short rows) {
    winsize size{rows, columns, 0, 0};
    ioctl(fd->get(), TIOCSWINSZ, &size);
  };
  return {};
}

Task<void> pump_output(CommandPtr c, FdStreamPtr from, Channel channel, bool wanted = true) {
  for (;;) {
    auto data = co_await from->read();
    if (!data.ok() || data->empty()) break;
    if (wanted && !(co_await c->channels->write(channel, std::move(*data))).ok()) break;
  }
  from->close();  // a process that goes on writing learns that nobody listens
  if (--c->pumps == 0) c->drained.notify();
}

Task<void> pump_input(CommandPtr c, bool tty) {
  CommandInputPtr input = c->input;
  for (;;) {
    while (input->pending.empty() && !input->ended && !input->refused) co_await input->arrived.wait();
    if (input->refused || input->pending.empty()) break;
    std::string data = std::exchange(input->pending, {});
    input->room.notify();
    if (!(co_await c->in->write(std::move(data))).ok()) break;
  }
  input->refused = true;
  input->pending.clear();
  input->room.notify();
  if (!tty) c->in->close();  // the end of a terminal's input does not hang it up
}

// Until all output is delivered. What the command left running in the background may hold the pipes open for ever.
Task<void> drain(CommandPtr c) {
  for (int idle = 0; c->pumps > 0;) {
    if (co_await c->drained.wait_for(c->core->loop, kDrainTick)) continue;
    bool silent = (!c->out || c->out->fd() < 0 || c->out->waiting()) && (!c->err || c->err->fd() < 0 || c->err->waiting());
    idle = silent ? idle + 1 : 0;
    if (idle < kMaxIdleTicks) continue;
    if (c->out) c->out->close();
    if (c->err) c->err->close();
    idle = 0;
  }
}

struct ExecRequest {
  std::string ns, pod, container;
  std::vector<std::string> command;
  CommandStreams streams;
};

Task<Result<>> start(CommandPtr c, ExecRequest q) {
  std::function<Result<>()> work = [c, q]() -> Result<> {
    if (c->core->stopping) return unavailable("the node agent is stopping");
    return c->core->pods.exec(q.ns, q.pod, q.container, q.command, q.streams.tty, c->stdio, [c](int code) {
      c->code = code;
      c->exited.notify();
    });
  };
  co_return co_await async::offload<Result<>>(c->core->pool, work);
}

// The end of a session: what is said on the error channel, and goodbye.
Task<void> finish(CommandPtr c, CommandStreams streams, std::string status) {
  if (streams.out) co_await c->channels->end(kStdout);
  if (streams.err) co_await c->channels->end(kStderr);
  (void)co_await c->channels->write(kError, status);
  co_await c->channels->end(kError);
  co_await c->channels->close();
  c->input->on_gone = nullptr;
  c->close();
}

Task<void> run_command(CommandPtr c, ExecRequest q) {
  auto started = co_await start(c, q);
  for (os::Fd& fd : c->stdio) fd.reset();
  std::string status;
  if (!started.ok()) {
    status = command_failure(started.status());
  } else {
    c->pumps = (c->out ? 1 : 0) + (c->err ? 1 : 0);
    if (c->out) async::spawn(c->core->loop, pump_output(c, c->out, kStdout));
    if (c->err) async::spawn(c->core->loop, pump_output(c, c->err, kStderr));
    if (c->in) async::spawn(c->core->loop, pump_input(c, q.streams.tty));
    co_await c->exited.wait();
    co_await drain(c);
    int code = c->code;
    status = code < 0 ? command_failure(unavailable("the container is gone")) : command_status(code);
  }
  co_await finish(c, q.streams, status);
}

bool is_set(const net::Query& q, std::string_view name) { return q.get(name) == "1" || q.get(name) == "true"; }

Result<CommandStreams> wanted_streams(const net::Query& query) {
  CommandStreams s{is_set(query, "input"), is_set(query, "output"), is_set(query, "error"), is_set(query, "tty")};
  if (s.tty) s.err = false;
  if (!s.in && !s.out && !s.err) return bad_request("you must specify at least 1 of stdin, stdout, stderr");
  return s;
}

// What the client leaves behind when it goes away is closed.
void close_when_gone(const CommandPtr& c) {
  std::weak_ptr<Command> weak = c;
  c->input->on_gone = [weak] {
    if (auto command = weak.lock()) command->close();
  };
}

Task<Result<>> serve_exec(StreamingCorePtr core, net::Request& request, net::ResponseWriter& response, std::string ns, std::string pod, std::string container) {
  ExecRequest q{ns, pod, container, {}, {}};
  CO_TRY(q.streams, wanted_streams(request.query));
  for (std::string_view word : request.query.all("command")) q.command.emplace_back(word);
  if (q.command.empty()) co_return bad_request("you must specify a command");
  if (!core->pods.is_running(ns, pod, container)) co_return co_await refuse_channels(request, response, internal_error("container not found (" + json::quoted(container) + ")"));
  auto c = std::make_shared<Command>();
  c->core = core;
  if (q.streams.tty) CO_TRY_OK(open_terminal(*c, q.streams));
  else CO_TRY_OK(open_pipes(*c, q.streams));
  close_when_gone(c);
  CO_TRY(c->channels, co_await accept_channels(core->loop, request, response, q.streams, c->input));
  async::spawn(core->loop, run_command(c, q));
  co_return Result<>{};
}

// ---- attach ----

// Both outputs are always taken: their end is how the container's end is noticed.
Task<void> run_attached(CommandPtr c, CommandStreams wanted, bool terminal) {
  c->pumps = 2;
  async::spawn(c->core->loop, pump_output(c, c->out, kStdout, wanted.out));
  async::spawn(c->core->loop, pump_output(c, c->err, kStderr, wanted.err));
  if (c->in) async::spawn(c->core->loop, pump_input(c, terminal));
  else c->input->refused = true;
  while (c->pumps > 0) co_await c->drained.wait();
  co_await finish(c, wanted, command_status(0));
}

Task<Result<>> serve_attach(StreamingCorePtr core, net::Request& request, net::ResponseWriter& response, std::string ns, std::string pod, std::string container) {
  CO_TRY(CommandStreams wanted, wanted_streams(request.query));
  auto c = std::make_shared<Command>();
  c->core = core;
  CO_TRY_OK(open_pipes(*c, {false, true, true, false}));
  std::function<Result<PodManager::AttachPoint>()> work = [c, wanted, ns, pod, container]() -> Result<PodManager::AttachPoint> {
    if (c->core->stopping) return unavailable("the node agent is stopping");
    return c->core->pods.attach(ns, pod, container, wanted.in, std::move(c->stdio[1]), std::move(c->stdio[2]));
  };
  auto point = co_await async::offload<Result<PodManager::AttachPoint>>(core->pool, work);
  if (!point.ok()) co_return co_await refuse_channels(request, response, internal_error(point.status().message()));
  runtime::Runtime::Attached& attached = point->attached;
  if (attached.terminal) {
    CO_TRY(os::Fd for_resize, duplicate(attached.input));
    resize_with(*c, std::move(for_resize));
  }
  if (attached.takes_input) c->in = std::make_shared<FdStream>(core->watch, std::move(attached.input));
  close_when_gone(c);
  CO_TRY(c->channels, co_await accept_channels(core->loop, request, response, wanted, c->input));
  async::spawn(core->loop, run_attached(c, wanted, attached.terminal));
  co_return Result<>{};
}

}  // namespace

std::string command_status(int exit_code) {
  if (exit_code == 0) return R"({"metadata":{},"status":"Success"})";
  std::string code = std::to_string(exit_code);
  Node cause = Node::obj({{"reason", "ExitCode"}, {"message", code}});
  return Node::obj({{"metadata", Node::object()},
                    {"status", "Failure"},
                    {"message", "command terminated with non-zero exit code: exit status " + code},
                    {"reason", "NonZeroExitCode"},
                    {"details", Node::obj({{"causes", Node::arr({cause})}})}})
      .dump();
}

std::string command_failure(const Status& why) { return internal_failure("error executing command in container: " + why.message()); }

Task<Result<bool>> serve_stream(StreamingCorePtr core, net::Request& request, net::ResponseWriter& response, std::vector<std::string> parts) {
  if (core->stopping) co_return unavailable("the node agent is stopping");
  if (parts.size() == 4 && parts[0] == "containerLogs") {
    CO_TRY_OK(co_await serve_logs(core, request, response, parts[1], parts[2], parts[3]));
    co_return true;
  }
  if (parts.size() == 4 && parts[0] == "exec") {
    CO_TRY_OK(co_await serve_exec(core, request, response, parts[1], parts[2], parts[3]));
    co_return true;
  }
  if (parts.size() == 4 && parts[0] == "attach") {
    CO_TRY_OK(co_await serve_attach(core, request, response, parts[1], parts[2], parts[3]));
    co_return true;
  }
  if (parts.size() == 3 && parts[0] == "portForward") {
    CO_TRY_OK(co_await serve_port_forward(core, request, response, parts[1], parts[2]));
    co_return true;
  }
  co_return false;
}

namespace {
Task<bool> wake_followers(StreamingCorePtr core) {
  core->files->notify_all();
  co_return true;
}
}  // namespace

void Streaming::stop() {
  if (core_->stopping.exchange(true)) return;
  core_->pool.stop();
  async::block_on(core_->loop, wake_followers(core_));  // and what runs on the loop now has ended its step
  core_->watch->stop();
}

}  // namespace k8lite::kubelet
