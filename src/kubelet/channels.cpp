#include "kubelet/channels.h"

#include <algorithm>

#include "base/json.h"
#include "base/strings.h"
#include "net/spdy.h"
#include "net/websocket.h"

namespace k8lite::kubelet {
namespace {

using async::Task;
using net::WebSocket;

constexpr size_t kMaxPendingInput = 256 * 1024;  // of stdin before the client is no longer read
constexpr size_t kMaxResize = 4096;              // of an unfinished resize message
constexpr auto kStreamsTimeout = seconds(30);    // for the client to open its SPDY streams
constexpr std::string_view kV5 = "v5.channel.k8s.io";
constexpr unsigned char kCloseChannel = 255;     // v5: the next byte names the channel that ends

Task<void> take_input(CommandInputPtr input, std::string data) {
  if (input->refused) co_return;
  input->pending += data;
  input->arrived.notify();
  while (input->pending.size() > kMaxPendingInput && !input->refused) co_await input->room.wait();
}
void end_input(const CommandInputPtr& input) {
  input->ended = true;
  input->arrived.notify();
}
void take_resize(const CommandInputPtr& input, std::string_view text) {
  auto doc = json::Doc::parse(text);
  if (!doc.ok()) return;
  int64_t width = (*doc)["Width"].int_or(0), height = (*doc)["Height"].int_or(0);
  if (width > 0 && height > 0 && width < 65536 && height < 65536 && input->on_resize) input->on_resize(static_cast<unsigned short>(width), static_cast<unsigned short>(height));
}
void gone(const CommandInputPtr& input) {
  end_input(input);
  if (auto fn = std::exchange(input->on_gone, nullptr)) fn();
}

class WebSocketChannels : public Channels {
 public:
  explicit WebSocketChannels(std::shared_ptr<WebSocket> socket) : socket_(std::move(socket)) {}

  Task<Result<>> write(Channel channel, std::string data) override { return send(socket_, channel, std::move(data)); }
  Task<void> end(Channel) override { co_return; }  // v5 lets only the client end a channel; kubectl complains about others
  Task<void> close() override { (void)co_await socket_->close(1000, ""); }

  static Task<Result<>> send(std::shared_ptr<WebSocket> socket, Channel channel, std::string data) {
    data.insert(data.begin(), static_cast<char>(channel));
    co_return co_await socket->write(WebSocket::Opcode::Binary, std::move(data));
  }
  static Task<void> receive(std::shared_ptr<WebSocket> socket, CommandInputPtr input) {
    bool v5 = socket->protocol() == kV5;
    for (;;) {
      auto message = co_await socket->read();
      if (!message.ok() || message->opcode == WebSocket::Opcode::Close) break;
      const std::string& data = message->data;
      if (data.empty()) continue;
      auto channel = static_cast<unsigned char>(data[0]);
      if (channel == kStdin) co_await take_input(input, data.substr(1));
      else if (channel == kResize) take_resize(input, std::string_view(data).substr(1));
      else if (v5 && channel == kCloseChannel && data.size() > 1 && data[1] == kStdin) end_input(input);
    }
    gone(input);
  }

 private:
  std::shared_ptr<WebSocket> socket_;
};

struct SpdyParts {
  std::shared_ptr<net::SpdySession> session;
  net::SpdyStreamPtr streams[5];
};

class SpdyChannels : public Channels {
 public:
  explicit SpdyChannels(std::shared_ptr<SpdyParts> parts) : parts_(std::move(parts)) {}

  Task<Result<>> write(Channel channel, std::string data) override {
    if (!parts_->streams[channel]) co_return Result<>{};
    co_return co_await parts_->streams[channel]->write(std::move(data));
  }
  Task<void> end(Channel channel) override {
    if (parts_->streams[channel]) (void)co_await parts_->streams[channel]->close_write();
  }
  Task<void> close() override {
    parts_->session->close();
    co_return;
  }

  static Task<void> read_stdin(net::SpdyStreamPtr stream, CommandInputPtr input) {
    for (;;) {
      auto data = co_await stream->read();
      if (!data.ok() || data->empty()) break;
      co_await take_input(input, std::move(*data));
    }
    end_input(input);
  }
  // One JSON object after the other, wherever the frames are cut.
  static Task<void> read_resize(net::SpdyStreamPtr stream, CommandInputPtr input) {
    std::string text;
    for (;;) {
      auto data = co_await stream->read();
      if (!data.ok() || data->empty()) co_return;
      text += *data;
      for (size_t end; (end = text.find('}')) != std::string::npos; text.erase(0, end + 1)) take_resize(input, std::string_view(text).substr(0, end + 1));
      if (text.size() > kMaxResize) co_return;
    }
  }
  // Sees the end of the session; further streams are not taken.
  static Task<void> watch(std::shared_ptr<net::SpdySession> session, CommandInputPtr input) {
    while ((co_await session->accept()).ok()) continue;
    gone(input);
  }

 private:
  std::shared_ptr<SpdyParts> parts_;
};

int channel_of(std::string_view type) {
  constexpr std::string_view kNames[] = {"stdin", "stdout", "stderr", "error", "resize"};
  auto it = std::find(std::begin(kNames), std::end(kNames), type);
  return it == std::end(kNames) ? -1 : static_cast<int>(it - std::begin(kNames));
}

Task<Result<ChannelsPtr>> accept_spdy(async::Loop& loop, net::Request& request, net::ResponseWriter& response, CommandStreams wanted, CommandInputPtr input) {
  CO_TRY(std::string protocol, choose_stream_protocol(request, {"v4.channel.k8s.io"}));
  CO_TRY(net::StreamPtr raw, co_await upgrade_to_spdy(response, protocol));
  auto parts = std::make_shared<SpdyParts>();
  parts->session = net::make_spdy_session(loop, raw, true);
  uint64_t timer = loop.after(kStreamsTimeout, [session = parts->session] { session->close(); });
  int missing = 1 + wanted.in + wanted.out + wanted.err + wanted.tty;
  while (missing > 0) {
    auto stream = co_await parts->session->accept();
    if (!stream.ok()) {
      loop.cancel_timer(timer);
      co_return stream.status().within("the client did not open its streams");
    }
    int channel = channel_of((*stream)->headers().get("streamType"));
    bool fits = channel == kError || (channel == kStdin && wanted.in) || (channel == kStdout && wanted.out) || (channel == kStderr && wanted.err) || (channel == kResize && wanted.tty);
    if (!fits || parts->streams[channel]) {
      (*stream)->reset();
      continue;
    }
    parts->streams[channel] = *stream;
    --missing;
  }
  loop.cancel_timer(timer);
  if (wanted.in) async::spawn(loop, SpdyChannels::read_stdin(parts->streams[kStdin], input));
  if (wanted.tty) async::spawn(loop, SpdyChannels::read_resize(parts->streams[kResize], input));
  async::spawn(loop, SpdyChannels::watch(parts->session, input));
  co_return ChannelsPtr(std::make_shared<SpdyChannels>(parts));
}

}  // namespace

bool is_spdy_upgrade(const net::Request& request) { return iequals(request.headers.get("Upgrade"), "SPDY/3.1"); }

Result<std::string> choose_stream_protocol(const net::Request& request, const std::vector<std::string>& served) {
  std::vector<std::string> offered;
  for (std::string_view line : request.headers.all("X-Stream-Protocol-Version"))
    for (std::string_view piece : split(line, ',')) offered.emplace_back(trim(piece));
  for (const std::string& p : served)
    if (std::find(offered.begin(), offered.end(), p) != offered.end()) return p;
  return Status(Reason::Forbidden, "unable to upgrade: unable to negotiate protocol: client supports [" + join(offered, " ") + "], server accepts [" + join(served, " ") + "]");
}

Task<Result<net::StreamPtr>> upgrade_to_spdy(net::ResponseWriter& response, std::string protocol) {
  net::Headers headers{{"Connection", "Upgrade"}, {"Upgrade", "SPDY/3.1"}, {"X-Stream-Protocol-Version", protocol}};
  co_return co_await response.upgrade(std::move(headers));
}

std::string internal_failure(const std::string& text) {
  using json::Node;
  return Node::obj({{"metadata", Node::object()},
                    {"status", "Failure"},
                    {"message", "Internal error occurred: " + text},
                    {"reason", "InternalError"},
                    {"details", Node::obj({{"causes", Node::arr({Node::obj({{"message", text}})})}})},
                    {"code", 500}})
      .dump();
}

Task<Result<>> refuse_channels(net::Request& request, net::ResponseWriter& response, Status why) {
  bool v5 = false;
  for (std::string_view line : request.headers.all("Sec-WebSocket-Protocol"))
    for (std::string_view piece : split(line, ',')) v5 |= trim(piece) == kV5;
  if (!net::is_websocket_upgrade(request) || !v5) co_return why;
  std::vector<std::string> served = {std::string(kV5)};
  CO_TRY(auto socket, co_await net::accept_websocket(request, response, served));
  CO_TRY_OK(co_await WebSocketChannels::send(socket, kError, internal_failure("unable to upgrade connection: " + why.message())));
  co_return co_await socket->close(1000, "");
}

Task<Result<ChannelsPtr>> accept_channels(async::Loop& loop, net::Request& request, net::ResponseWriter& response, CommandStreams wanted, CommandInputPtr input) {
  if (!net::is_websocket_upgrade(request)) {
    if (!is_spdy_upgrade(request)) co_return bad_request("Upgrade request required");
    co_return co_await accept_spdy(loop, request, response, wanted, input);
  }
  std::vector<std::string> served = {std::string(kV5), "v4.channel.k8s.io"};
  CO_TRY(auto socket, co_await net::accept_websocket(request, response, served));
  // An empty message tells the client that the connection stands.
  (void)co_await WebSocketChannels::send(socket, wanted.out ? kStdout : wanted.err ? kStderr : kError, "");
  async::spawn(loop, WebSocketChannels::receive(socket, input));
  co_return ChannelsPtr(std::make_shared<WebSocketChannels>(socket));
}

}  // namespace k8lite::kubelet
