// One WebSocket with a channel byte before each message (v5.channel.k8s.io, KEP-4006). The calling thread reads the socket; a second
// one reads the input and terminal sizes.
#include "kubectl/commands/conversation.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <thread>

#include "base/strings.h"
#include "kubectl/commands/streams.h"
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
void pump_input(async::Loop& loop, std::shared_ptr<WebSocket> socket, int control, int input, bool in, bool tty) {
  auto send = [&loop, &socket](std::string message) { return async::block_on(loop, socket->write(WebSocket::Opcode::Binary, std::move(message))).ok(); };
  if (tty)
    if (std::string size = size_message(); !size.empty()) send(std::move(size));
  for (;;) {
    pollfd fds[2] = {{control, POLLIN, 0}, {in ? input : -1, POLLIN, 0}};
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
    ssize_t n = ::read(input, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      send(std::string{static_cast<char>(kClose), static_cast<char>(kStdin)});
      in = false;
      continue;
    }
    if (!send(std::string(1, static_cast<char>(kStdin)) + std::string(buffer, static_cast<size_t>(n)))) return;
  }
}

// What the Status on the error channel says.
Ended ended_with(const std::string& text) {
  auto status = Node::parse(text);
  if (!status.ok()) return {1, text};
  if (status->get("status").str() == "Success") return {};
  for (const Node& c : status->path("details.causes").items())
    if (c["reason"].str() == "ExitCode") return {static_cast<int>(parse_int(c["message"].str()).value_or(1)), ""};
  return {1, status->get("message").str()};
}

}  // namespace

Result<Ended> converse(Session& s, std::string target, const Stdio& io) {
  TRY(auto* raw, s.raw());
  auto dialled = async::block_on(s.loop(), net::dial_websocket(*raw->http, raw->path_prefix + target, raw->headers, {"v5.channel.k8s.io", "v4.channel.k8s.io"}));
  if (!dialled.ok()) return upgrade_error(dialled.status());
  std::shared_ptr<WebSocket> socket = *dialled;
  int control[2];
  if (::pipe2(control, O_CLOEXEC) != 0) return Status::from_errno("pipe", errno);
  RawTerminal terminal(io.tty && ::isatty(0));
  g_resized = control[1];
  if (io.tty) ::signal(SIGWINCH, on_resize);
  std::thread input(pump_input, std::ref(s.loop()), socket, control[0], io.input, io.in, io.tty);
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
      case kStdout:
        if (io.out) io.out(data);
        else s.out(data);
        break;
      case kStderr:
        if (!io.quiet) s.err(data);
        break;
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

std::string stream_url(const Target& pod, std::string_view verb, const std::string& container, const Stdio& io, const std::vector<std::string>& command) {
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

Status upgrade_error(const Status& s) {
  size_t brace = s.message().find('{');
  if (brace == std::string::npos) {
    size_t colon = s.message().find("): ");
    if (!s.message().starts_with("upgrade refused (") || colon == std::string::npos) return s;
    return Status(s.reason(), "unable to upgrade connection: " + std::string(trim(s.message().substr(colon + 3))));
  }
  Status real = machinery::status_from_response(http_code(s.reason()), s.message().substr(brace));
  return Status(real.reason(), "Error from server (" + std::string(reason_name(real.reason())) + "): " + real.message());
}

}  // namespace k8lite::kubectl
