// kubectl exec, attach and cp's transport: one WebSocket with a channel byte before each message (v5.channel.k8s.io, KEP-4006).
// The calling thread reads the socket; a second one reads stdin and terminal sizes.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "base/strings.h"
#include "kubectl/commands/commands.h"
#include "kubectl/commands/streams.h"
#include "kubectl/waiting.h"
#include "net/websocket.h"

namespace k8lite::kubectl {

using json::Node;
using net::WebSocket;

namespace {

enum Channel : unsigned char { kStdin = 0, kStdout = 1, kStderr = 2, kError = 3, kResize = 4, kClose = 255 };

int g_resized = -1;  // write end of the input thread's pipe; a signal handler can reach nothing else
void on_resize(int) {
  char w = 'w';
  if (g_resized >= 0 && ::write(g_resized, &w, 1) < 0) return;
}

// The terminal without line editing and echo, until destroyed.
class RawTerminal {
 public:
  explicit RawTerminal(bool on) : on_(on && ::tcgetattr(0, &before_) == 0) {
    if (!on_) return;
    termios raw = before_;
    ::cfmakeraw(&raw);
    ::tcsetattr(0, TCSADRAIN, &raw);
  }
  ~RawTerminal() {
    if (on_) ::tcsetattr(0, TCSADRAIN, &before_);
  }
  RawTerminal(const RawTerminal&) = delete;

 private:
  termios before_{};
  bool on_;
};

std::string size_message() {
  winsize w{};
  if (::ioctl(1, TIOCGWINSZ, &w) != 0 || !w.ws_col) return {};
  return std::string(1, static_cast<char>(kResize)) + "{\"Width\":" + std::to_string(w.ws_col) + ",\"Height\":" + std::to_string(w.ws_row) + "}";
}

// Stdin and window sizes to the socket, until stdin ends or a byte 'q' comes through the pipe.
void pump_input(async::Loop& loop, std::shared_ptr<WebSocket> socket, int control, bool in, bool tty) {
  auto send = [&loop, &socket](std::string message) { return async::block_on(loop, socket->write(WebSocket::Opcode::Binary, std::move(message))).ok(); };
  if (tty)
    if (std::string size = size_message(); !size.empty()) send(std::move(size));
  for (;;) {
    pollfd fds[2] = {{control, POLLIN, 0}, {in ? 0 : -1, POLLIN, 0}};
    if (::poll(fds, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return;
    }
    if (fds[0].revents) {
      char c = 0;
      if (::read(control, &c, 1) != 1 || c == 'q') return;
      if (std::string size = size_message(); tty && !size.empty()) send(std::move(size));
    }
    if (!fds[1].revents) continue;
    char buffer[32768];
    ssize_t n = ::read(0, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      send(std::string{static_cast<char>(kClose), static_cast<char>(kStdin)});
      in = false;
      continue;
    }
    if (!send(std::string(1, static_cast<char>(kStdin)) + std::string(buffer, static_cast<size_t>(n)))) return;
  }
}

// The exit code and message in the Status of the error channel.
struct Ended {
  int code = 0;
  std::string message;
};
Ended ended_with(const std::string& text) {
  auto status = Node::parse(text);
  if (!status.ok()) return {1, text};
  if (status->get("status").str() == "Success") return {};
  for (const Node& c : status->path("details.causes").items())
    if (c["reason"].str() == "ExitCode") return {static_cast<int>(parse_int(c["message"].str()).value_or(1)), ""};
  return {1, status->get("message").str()};
}

struct Stdio {
  bool in = false, tty = false, err = true;
};

Result<Ended> converse(Session& s, std::string target, Stdio io) {
  TRY(auto* raw, s.raw());
  auto dialled = async::block_on(s.loop(), net::dial_websocket(*raw->http, raw->path_prefix + target, raw->headers, {"v5.channel.k8s.io", "v4.channel.k8s.io"}));
  if (!dialled.ok()) return upgrade_error(dialled.status());
  std::shared_ptr<WebSocket> socket = *dialled;
  int control[2];
  if (::pipe2(control, O_CLOEXEC) != 0) return Status::from_errno("pipe", errno);
  RawTerminal terminal(io.tty && ::isatty(0));
  g_resized = control[1];
  if (io.tty) ::signal(SIGWINCH, on_resize);
  std::thread input(pump_input, std::ref(s.loop()), socket, control[0], io.in, io.tty);
  Ended ended;
  bool told = false;
  Status broken;
  for (;;) {
    auto message = async::block_on(s.loop(), socket->read());
    if (!message.ok()) {
      if (!told) broken = message.status();
      break;
    }
    if (message->opcode == WebSocket::Opcode::Close) break;
    if (message->data.empty()) continue;
    std::string_view data = std::string_view(message->data).substr(1);
    switch (static_cast<unsigned char>(message->data[0])) {
      case kStdout: s.out(data); break;
      case kStderr: s.err(data); break;
      case kError:
        if (!data.empty()) ended = ended_with(std::string(data)), told = true;
        break;
      default: break;
    }
  }
  g_resized = -1;
  if (io.tty) ::signal(SIGWINCH, SIG_DFL);
  if (::write(control[1], "q", 1) == 1) input.join();
  else input.detach();
  (void)async::block_on(s.loop(), socket->close(1000, ""));
  ::close(control[0]);
  ::close(control[1]);
  if (!broken.ok()) return broken;
  return ended;
}

Result<> finish(Session& s, const Ended& ended) {
  if (ended.code == 0) return {};
  if (!ended.message.empty()) return usage(ended.message);
  s.err("command terminated with exit code " + std::to_string(ended.code) + "\n");
  s.exit_code = ended.code;
  return {};
}

Stdio stdio_of(Session& s) {
  Stdio io{s.flags.on("stdin"), s.flags.on("tty"), true};
  if (io.tty && io.in && !::isatty(0)) {
    if (!s.flags.on("quiet")) s.err("Unable to use a TTY - input is not a terminal or the right kind of file\n");
    io.tty = false;
  }
  io.err = !io.tty;
  return io;
}

std::string stream_url(const Target& pod, std::string_view verb, const std::string& container, Stdio io, const std::vector<std::string>& command) {
  std::vector<std::pair<std::string, std::string>> q;
  for (const std::string& word : command) q.emplace_back("command", word);
  q.emplace_back("container", container);
  q.emplace_back("stdin", io.in ? "true" : "");
  q.emplace_back("stdout", "true");
  q.emplace_back("stderr", io.err ? "true" : "");
  q.emplace_back("tty", io.tty ? "true" : "");
  std::string url = pod.url(verb);
  char sep = '?';
  for (const auto& [name, value] : q) {
    if (value.empty() && name != "command") continue;
    url += sep + name + "=" + url_encode(value);
    sep = '&';
  }
  return url;
}

Result<> exec(Session& s) {
  const Flags& f = s.flags;
  size_t before = f.dash >= 0 ? static_cast<size_t>(f.dash) : f.args.size();
  if (before == 0 && !f.changed("filename")) return usage("pod, type/name or --filename must be specified");
  if (f.dash < 0 && f.args.size() > 1) return usage("exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead\nSee 'kubectl exec -h' for help and examples");
  std::vector<std::string> command(f.args.begin() + static_cast<std::ptrdiff_t>(before), f.args.end());
  if (command.empty()) return usage("you must specify at least one command for the container");
  TRY(Target pod, one_pod(s, f.args[0]));
  std::string phase = pod.object.path("status.phase").str();
  if (phase == "Succeeded" || phase == "Failed") return usage("cannot exec into a container in a completed pod; current phase is " + phase);
  std::string container = f.text("container");
  if (container.empty()) {
    TRY(container, default_container(s, pod.object, f.on("quiet")));
  }
  Stdio io = stdio_of(s);
  TRY(Ended ended, converse(s, stream_url(pod, "exec", container, io, command), io));
  return finish(s, ended);
}

Result<> attach(Session& s) {
  if (s.flags.args.size() != 1) return usage("POD or TYPE/NAME is required for attach\nSee 'kubectl attach -h' for help and examples");
  TRY(Target pod, one_pod(s, s.flags.args[0]));
  std::string container = s.flags.text("container");
  if (container.empty()) {
    TRY(container, default_container(s, pod.object, s.flags.on("quiet")));
  }
  Stdio io = stdio_of(s);
  if (io.in && !s.flags.on("quiet")) s.err("If you don't see a command prompt, try pressing enter.\n");
  TRY(Ended ended, converse(s, stream_url(pod, "attach", container, io, {}), io));
  return finish(s, ended);
}

}  // namespace

Status upgrade_error(const Status& s) {
  size_t brace = s.message().find('{');
  if (brace == std::string::npos) return s;
  Status real = machinery::status_from_response(http_code(s.reason()), s.message().substr(brace));
  return Status(real.reason(), "Error from server (" + std::string(reason_name(real.reason())) + "): " + real.message());
}

Result<> attach_to_pod(Session& s, const Target& pod, const std::string& container) {
  Duration limit = s.flags.time("pod-running-timeout");
  std::string phase;
  TRY_OK(watch_until(s, pod, Deadline(limit.count() > 0 ? limit : seconds(60)), [&phase](const Node& o) -> Result<bool> {
    if (!o.is_object()) return usage("the pod was deleted");
    phase = o.path("status.phase").str();
    return phase == "Running" || phase == "Succeeded" || phase == "Failed";
  }));
  if (phase == "Running") {
    Stdio io = stdio_of(s);
    if (io.in && !s.flags.on("quiet")) s.err("If you don't see a command prompt, try pressing enter.\n");
    auto ended = converse(s, stream_url(pod, "attach", container, io, {}), io);
    if (!ended.ok()) s.err("warning: couldn't attach to pod/" + pod.name + ", falling back to streaming logs: " + ended.status().message() + "\n");
    if (!ended.ok()) TRY_OK(copy_log(s, pod, container, "", true));
  } else {
    TRY_OK(copy_log(s, pod, container, "", false));
  }
  if (s.flags.text("restart") == "Always") return {};
  int code = 0;
  TRY_OK(watch_until(s, pod, Deadline(seconds(60)), [&code](const Node& o) -> Result<bool> {
    std::string now = o.path("status.phase").str();
    for (const Node& c : o.path("status.containerStatuses").items()) code = static_cast<int>(c.path("state.terminated.exitCode").int_or(code));
    return !o.is_object() || now == "Succeeded" || now == "Failed";
  }));
  if (code != 0) s.err("pod " + pod.ns + "/" + pod.name + " terminated with exit code " + std::to_string(code) + "\n");
  if (code != 0) s.exit_code = code;
  return {};
}

std::vector<Command> exec_commands() {
  std::vector<FlagSpec> flags = {{"container", 'c', FlagKind::Text, "", "Container"},
                                 {"stdin", 'i', FlagKind::Bool, "false", "Pass stdin to the container"},
                                 {"tty", 't', FlagKind::Bool, "false", "Stdin is a terminal"},
                                 {"quiet", 'q', FlagKind::Bool, "false", "Only the output of the remote session"},
                                 {"filename", 'f', FlagKind::List, "", "Not used"},
                                 {"pod-running-timeout", 0, FlagKind::Time, "1m0s", "How long to wait for a pod"}};
  Command e{"exec", "Troubleshooting and Debugging Commands", "Execute a command in a container", "(POD | TYPE/NAME) [-c CONTAINER] [flags] -- COMMAND [args...]", flags, exec};
  e.examples = "  kubectl exec web -- date\n  kubectl exec -it web -c shell -- sh";
  return {e, {"attach", "Troubleshooting and Debugging Commands", "Attach to a running container", "(POD | TYPE/NAME) -c CONTAINER", flags, attach}};
}

}  // namespace k8lite::kubectl
