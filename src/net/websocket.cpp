// WebSocket connections (RFC 6455), both ends: the opening handshake over HTTP/1.1, frames, fragments, pings and the closing
// handshake. After close() the connection lingers until the peer's Close, so that a reset never overtakes the last messages.
#include "net/websocket.h"

#include <openssl/evp.h>

#include <algorithm>

#include "base/random.h"
#include "base/strings.h"
#include "net/turns.h"

namespace k8lite::net {
namespace {

constexpr size_t kMaxMessage = 4 * 1024 * 1024;
constexpr size_t kMaxControl = 125;  // RFC 6455 §5.5
constexpr size_t kReadBytes = 16 * 1024;
constexpr size_t kStreamMessage = 32 * 1024;  // of a byte stream in one message
constexpr Duration kLinger = seconds(5);
constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455 §1.3

constexpr unsigned kContinuation = 0, kBinary = 2, kClose = 8, kPing = 9, kPong = 10;
enum CloseCode { kNormal = 1000, kProtocolError = 1002, kNoCode = 1005, kTooBig = 1009 };

std::string accept_key(std::string_view key) {
  std::string text = std::string(key) + std::string(kGuid);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha1(), nullptr);
  return base64_encode({reinterpret_cast<char*>(digest), size});
}

// Every element of a comma-separated header, over all its lines.
std::vector<std::string> tokens(const Headers& headers, std::string_view name) {
  std::vector<std::string> out;
  for (std::string_view line : headers.all(name))
    for (std::string_view piece : split(line, ','))
      if (std::string_view t = trim(piece); !t.empty()) out.emplace_back(t);
  return out;
}
bool has_token(const Headers& headers, std::string_view name, std::string_view token) {
  for (const auto& t : tokens(headers, name))
    if (iequals(t, token)) return true;
  return false;
}
bool contains(const std::vector<std::string>& list, std::string_view item) { return std::find(list.begin(), list.end(), item) != list.end(); }

std::string close_payload(int code, std::string_view reason) {
  std::string out;
  if (code == kNoCode) return out;
  out += static_cast<char>(code >> 8);
  out += static_cast<char>(code);
  out += reason.substr(0, kMaxControl - 2);
  return out;
}

void mask(char* data, size_t n, const unsigned char key[4]) {
  for (size_t i = 0; i < n; ++i) data[i] = static_cast<char>(data[i] ^ key[i & 3]);
}

std::string make_frame(unsigned opcode, std::string_view payload, bool masked) {
  std::string out;
  out.reserve(payload.size() + 14);
  out += static_cast<char>(0x80 | opcode);
  unsigned mask_bit = masked ? 0x80 : 0;
  size_t n = payload.size();
  if (n < 126) {
    out += static_cast<char>(mask_bit | n);
  } else {
    int bytes = n < 65536 ? 2 : 8;
    out += static_cast<char>(mask_bit | (bytes == 2 ? 126 : 127));
    for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(static_cast<uint64_t>(n) >> (8 * i));
  }
  if (!masked) return out += payload;
  uint64_t random = system_random().next();
  unsigned char key[4];
  for (int i = 0; i < 4; ++i) key[i] = static_cast<unsigned char>(random >> (8 * i));
  out.append(reinterpret_cast<char*>(key), 4);
  out += payload;
  mask(out.data() + out.size() - n, n, key);
  return out;
}

class Socket : public WebSocket, public std::enable_shared_from_this<Socket> {
 public:
  Socket(StreamPtr stream, bool client, std::string protocol) : stream_(std::move(stream)), client_(client), protocol_(std::move(protocol)) {
    stream_->set_timeout(Duration{0});  // an upgraded connection may be silent for hours
  }
  ~Socket() override { stream_->close(); }

  const std::string& protocol() const override { return protocol_; }
  Stream& stream() override { return *stream_; }

  Task<Result<Message>> read() override {
    auto self = shared_from_this();
    if (ended_ || lingering_) co_return unavailable("websocket: closed");
    reading_ = true;
    auto message = co_await next_message();
    reading_ = false;
    if (!message.ok() || message->opcode == Opcode::Close) end();
    co_return message;
  }

  Task<Result<>> write(Opcode opcode, std::string data) override {
    auto self = shared_from_this();
    if (data.size() > kMaxMessage) co_return bad_request("websocket: a message of " + std::to_string(data.size()) + " bytes is too large");
    if (opcode == Opcode::Close) co_return co_await send_close(std::move(data));
    if (close_sent_ || ended_) co_return unavailable("websocket: closed");
    co_return co_await send_frame(static_cast<unsigned>(opcode), std::move(data));
  }

  Task<Result<>> close(int code, std::string reason) override {
    auto self = shared_from_this();
    if (ended_ || lingering_) co_return Result<>{};
    async::Executor& executor = co_await async::current_executor();
    if (auto* loop = dynamic_cast<async::Loop*>(&executor)) {  // before the frame: a peer that reads nothing must not hold us
      loop->after(kLinger, [weak = weak_from_this()] {
        if (auto socket = weak.lock()) socket->end();
      });
    }
    auto sent = co_await send_close(close_payload(code, reason));
    if (!sent.ok()) {
      end();
      co_return sent;
    }
    if (!reading_ && !ended_) {
      lingering_ = true;
      async::spawn(executor, linger(self));
    }
    co_return Result<>{};
  }

 private:
  struct Frame {
    bool fin;
    unsigned opcode;
    std::string payload;
  };

  // Whoever waits for the peer's Close when nobody reads any more.
  static Task<void> linger(std::shared_ptr<Socket> self) {
    for (;;) {
      auto message = co_await self->next_message();
      if (!message.ok() || message->opcode == Opcode::Close) break;
    }
    self->end();
  }

  void end() {
    if (std::exchange(ended_, true)) return;
    stream_->shutdown_write();
    stream_->close();
  }

  Task<Result<>> send_frame(unsigned opcode, std::string payload) {
    std::string frame = make_frame(opcode, payload, client_);
    payload = {};
    co_await turns_.take();
    Result<> sent = ended_ ? Result<>(unavailable("websocket: closed")) : co_await stream_->write_all(frame);
    turns_.give_back();
    co_return sent;
  }

  Task<Result<>> send_close(std::string payload) {
    if (payload.size() > kMaxControl) payload.resize(kMaxControl);
    if (std::exchange(close_sent_, true)) co_return Result<>{};
    co_return co_await send_frame(kClose, std::move(payload));
  }

  // Only the latest ping is answered when answers cannot leave (RFC 6455 §5.5.3), so pings never pile up here.
  static Task<void> send_pong(std::shared_ptr<Socket> self) {
    co_await self->turns_.take();
    std::string payload = std::move(*self->pong_);
    self->pong_.reset();
    if (!self->ended_ && !self->close_sent_) (void)co_await self->stream_->write_all(make_frame(kPong, payload, self->client_));
    self->turns_.give_back();
  }
  Task<void> answer_ping(std::string payload) {
    bool queued = pong_.has_value();
    pong_ = std::move(payload);
    if (!queued) async::spawn(co_await async::current_executor(), send_pong(shared_from_this()));
  }

  Task<Result<>> fail(int code, std::string why) {
    stream_->set_timeout(kLinger);
    (void)co_await send_close(close_payload(code, why));
    co_return bad_request("websocket: " + why);
  }

  Task<Result<>> need(size_t n) {
    while (in_.size() - at_ < n) {
      if (at_ == in_.size() || at_ > kReadBytes) {
        in_.erase(0, at_);
        at_ = 0;
      }
      std::string buffer(kReadBytes, '\0');
      CO_TRY(size_t got, co_await stream_->read_some({buffer.data(), buffer.size()}));
      if (got == 0) co_return unavailable("websocket: the peer closed the connection without a Close");
      in_.append(buffer.data(), got);
    }
    co_return Result<>{};
  }

  Task<Result<Frame>> next_frame(size_t room) {
    CO_TRY_OK(co_await need(2));
    unsigned first = static_cast<unsigned char>(in_[at_]), second = static_cast<unsigned char>(in_[at_ + 1]);
    Frame frame{(first & 0x80) != 0, first & 0x0f, {}};
    bool masked = (second & 0x80) != 0;
    uint64_t size = second & 0x7f;
    if (first & 0x70) CO_TRY_OK(co_await fail(kProtocolError, "reserved bits are set"));
    if (masked == client_) CO_TRY_OK(co_await fail(kProtocolError, client_ ? "the server masked a frame" : "the client did not mask a frame"));
    if (frame.opcode > kBinary && (frame.opcode < kClose || frame.opcode > kPong)) CO_TRY_OK(co_await fail(kProtocolError, "unknown opcode"));
    if (frame.opcode >= kClose && (!frame.fin || size > kMaxControl)) CO_TRY_OK(co_await fail(kProtocolError, "a control frame is fragmented or too long"));
    size_t head = 2 + (size == 126 ? 2 : size == 127 ? 8 : 0);
    CO_TRY_OK(co_await need(head + (masked ? 4 : 0)));
    if (head > 2) {
      size = 0;
      for (size_t i = 2; i < head; ++i) size = size << 8 | static_cast<unsigned char>(in_[at_ + i]);
    }
    if (frame.opcode < kClose && size > room) CO_TRY_OK(co_await fail(kTooBig, "the message is larger than " + std::to_string(kMaxMessage) + " bytes"));
    unsigned char key[4] = {};
    if (masked) in_.copy(reinterpret_cast<char*>(key), 4, at_ + head);
    at_ += head + (masked ? 4 : 0);
    CO_TRY_OK(co_await need(size));
    frame.payload = in_.substr(at_, size);
    at_ += size;
    if (at_ == in_.size() && in_.capacity() > kStreamMessage * 2) {  // an idle connection keeps no large buffer
      in_ = std::string();
      at_ = 0;
    }
    if (masked) mask(frame.payload.data(), frame.payload.size(), key);
    co_return frame;
  }

  Task<Result<Message>> next_message() {
    Message message{Opcode::Binary, {}};
    bool begun = false;
    for (;;) {
      CO_TRY(Frame frame, co_await next_frame(kMaxMessage - message.data.size()));
      if (frame.opcode == kPing) {
        co_await answer_ping(std::move(frame.payload));
      } else if (frame.opcode == kClose) {
        if (frame.payload.size() == 1) CO_TRY_OK(co_await fail(kProtocolError, "half a close code"));
        (void)co_await send_close(frame.payload.substr(0, 2));
        co_return Message{Opcode::Close, std::move(frame.payload)};
      } else if (frame.opcode != kPong) {
        if ((frame.opcode == kContinuation) != begun) CO_TRY_OK(co_await fail(kProtocolError, "a fragment out of place"));
        if (!begun) message.opcode = static_cast<Opcode>(frame.opcode);
        begun = true;
        if (message.data.empty()) message.data = std::move(frame.payload);
        else message.data += frame.payload;
        if (frame.fin) co_return message;
      }
    }
  }

  StreamPtr stream_;
  bool client_;
  std::string protocol_;
  std::string in_;  // bytes read ahead; consumed up to at_
  size_t at_ = 0;
  Turns turns_;
  std::optional<std::string> pong_;  // a pong is on its way, with this payload
  bool reading_ = false, lingering_ = false, close_sent_ = false, ended_ = false;
};

// Bytes inside binary messages. The end of the peer's side is its Close; ours is a Close, too.
class SocketStream : public Stream, public std::enable_shared_from_this<SocketStream> {
 public:
  explicit SocketStream(std::shared_ptr<WebSocket> socket) : socket_(std::move(socket)) {}
  ~SocketStream() override { close(); }

  Task<Result<size_t>> read_some(std::span<char> buffer) override {
    auto socket = socket_;
    executor_ = &co_await async::current_executor();
    while (at_ == data_.size()) {
      if (closed_) co_return unavailable("read: connection closed");
      if (ended_) co_return size_t{0};
      CO_TRY(auto message, co_await socket->read());
      ended_ = message.opcode == WebSocket::Opcode::Close;
      data_ = ended_ ? std::string() : std::move(message.data);
      at_ = 0;
    }
    size_t n = data_.copy(buffer.data(), buffer.size(), at_);
    at_ += n;
    co_return n;
  }
  Task<Result<>> write_all(std::string_view data) override {
    auto socket = socket_;
    executor_ = &co_await async::current_executor();
    while (!data.empty()) {
      if (closed_) co_return unavailable("write: connection closed");
      size_t n = std::min(data.size(), kStreamMessage);
      CO_TRY_OK(co_await socket->write(WebSocket::Opcode::Binary, std::string(data.substr(0, n))));
      data.remove_prefix(n);
    }
    co_return Result<>{};
  }
  void shutdown_write() override {
    if (executor_ && !closed_) async::spawn(*executor_, say_close(socket_));
  }
  void close() override {
    if (closed_.exchange(true)) return;
    if (executor_) async::spawn(*executor_, part(socket_));
    else socket_->stream().close();
  }
  void set_timeout(Duration idle) override { socket_->stream().set_timeout(idle); }
  const Peer& peer() const override { return socket_->stream().peer(); }

 private:
  static Task<void> say_close(std::shared_ptr<WebSocket> socket) { (void)co_await socket->write(WebSocket::Opcode::Close, close_payload(kNormal, {})); }
  static Task<void> part(std::shared_ptr<WebSocket> socket) { (void)co_await socket->close(kNormal, {}); }

  std::shared_ptr<WebSocket> socket_;
  std::string data_;
  size_t at_ = 0;
  bool ended_ = false;
  std::atomic<bool> closed_{false};
  std::atomic<async::Executor*> executor_{nullptr};
};

// The subprotocol to speak; "" among `protocols` stands for a client that offers none.
Result<std::string> choose(const std::vector<std::string>& protocols, const std::vector<std::string>& offered) {
  if (offered.empty() && protocols.empty()) return std::string();
  for (const auto& p : protocols)
    if (p.empty() ? offered.empty() : contains(offered, p)) return p;
  return bad_request("websocket: no subprotocol in common: the client offers [" + join(offered, ", ") + "], served are [" + join(protocols, ", ") + "]");
}

}  // namespace

bool is_websocket_upgrade(const Request& request) {
  return has_token(request.headers, "Connection", "upgrade") && has_token(request.headers, "Upgrade", "websocket");
}

Task<Result<std::shared_ptr<WebSocket>>> accept_websocket(Request& request, ResponseWriter& response, std::vector<std::string> protocols) {
  if (request.method != "GET" || !is_websocket_upgrade(request)) co_return bad_request("websocket: the request asks for no upgrade");
  if (request.headers.get("Sec-WebSocket-Version") != "13") co_return bad_request("websocket: only version 13 is spoken");
  std::string key(trim(request.headers.get("Sec-WebSocket-Key")));
  if (auto raw = base64_decode(key); !raw || raw->size() != 16) co_return bad_request("websocket: Sec-WebSocket-Key is not 16 bytes in base64");
  CO_TRY(std::string protocol, choose(protocols, tokens(request.headers, "Sec-WebSocket-Protocol")));
  Headers headers{{"Connection", "Upgrade"}, {"Upgrade", "websocket"}, {"Sec-WebSocket-Accept", accept_key(key)}};
  if (!protocol.empty()) headers.add("Sec-WebSocket-Protocol", protocol);
  CO_TRY(StreamPtr stream, co_await response.upgrade(std::move(headers)));
  co_return std::make_shared<Socket>(std::move(stream), false, std::move(protocol));
}

Task<Result<std::shared_ptr<WebSocket>>> dial_websocket(HttpClient& client, std::string target, Headers headers, std::vector<std::string> protocols) {
  std::string nonce;
  for (int i = 0; i < 2; ++i) {
    uint64_t random = system_random().next();
    nonce.append(reinterpret_cast<const char*>(&random), sizeof random);
  }
  std::string key = base64_encode(nonce);
  ClientRequest request;
  request.target = std::move(target);
  request.headers = std::move(headers);
  request.headers.set("Connection", "Upgrade");
  request.headers.set("Upgrade", "websocket");
  request.headers.set("Sec-WebSocket-Version", "13");
  request.headers.set("Sec-WebSocket-Key", key);
  if (!protocols.empty()) request.headers.set("Sec-WebSocket-Protocol", join(protocols, ", "));
  CO_TRY(HttpClient::Upgraded upgraded, co_await client.upgrade(std::move(request)));
  std::string protocol(upgraded.headers.get("Sec-WebSocket-Protocol"));
  std::string wrong;
  if (!has_token(upgraded.headers, "Upgrade", "websocket") || !has_token(upgraded.headers, "Connection", "upgrade")) wrong = "the server switched to another protocol";
  else if (upgraded.headers.get("Sec-WebSocket-Accept") != accept_key(key)) wrong = "the server's Sec-WebSocket-Accept does not fit the key";
  else if (!protocol.empty() && !contains(protocols, protocol)) wrong = "the server chose subprotocol " + protocol + ", which was not offered";
  if (!wrong.empty()) {
    upgraded.stream->close();
    co_return unavailable("websocket: " + wrong);
  }
  co_return std::make_shared<Socket>(std::move(upgraded.stream), true, std::move(protocol));
}

StreamPtr websocket_stream(std::shared_ptr<WebSocket> socket) { return std::make_shared<SocketStream>(std::move(socket)); }

}  // namespace k8lite::net
