// TCP and Unix sockets on Asio: the Stream that everything else (TLS, HTTP) stands on, dialling and listening. Objects live on the
// loop's thread; only close() may be called from elsewhere.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>

#include "base/log.h"
#include "net/stream.h"

namespace k8lite::net {
namespace {
namespace asio = boost::asio;
using boost::system::error_code;
using Socket = asio::generic::stream_protocol::socket;

// As Go words errors, for that is what people search for: "connection refused".
std::string words_of(const error_code& ec) {
  std::string text = ec.message();
  if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z') text[0] = static_cast<char>(text[0] + ('a' - 'A'));
  return text;
}

Status io_error(std::string_view what, const error_code& ec) {
  if (ec == asio::error::operation_aborted) return unavailable(std::string(what) + ": connection closed");
  return Status(Reason::ServiceUnavailable, std::string(what) + ": " + words_of(ec), ec.value());
}

// Awaits one Asio operation whose handler runs on the loop's thread, where the task lives too.
struct IoResult {
  error_code ec;
  size_t n = 0;
};
template <class Start>
struct IoAwaiter {
  Start start;
  IoResult result{};
  bool await_ready() noexcept { return false; }
  void await_suspend(std::coroutine_handle<> h) {
    start([this, h](const error_code& ec, size_t n = 0) {
      result = {ec, n};
      h.resume();
    });
  }
  IoResult await_resume() { return result; }
};
template <class Start>
IoAwaiter<Start> io(Start start) {
  return {std::move(start)};
}

// Asio leaves sockets open across exec; what this process starts must not get them.
template <class S>
void keep_from_children(S& socket) {
  fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
}

// A peer that vanished without a word (power cut, cable) is noticed within about a minute, and a link that comes back finds no
// connection asleep in the kernel's ever longer retransmission pauses.
constexpr int kKeepIdleSeconds = 30, kKeepIntervalSeconds = 10, kKeepProbes = 3;
constexpr unsigned kUnacknowledgedMs = 30'000;

void watch_peer(int fd) {
  int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &kKeepIdleSeconds, sizeof kKeepIdleSeconds);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &kKeepIntervalSeconds, sizeof kKeepIntervalSeconds);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &kKeepProbes, sizeof kKeepProbes);
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &kUnacknowledgedMs, sizeof kUnacknowledgedMs);
}

class TcpStream : public Stream, public std::enable_shared_from_this<TcpStream> {
 public:
  TcpStream(async::Loop& loop, Socket socket, Peer peer) : loop_(loop), socket_(std::move(socket)), peer_(std::move(peer)) {
    keep_from_children(socket_);
    error_code ignored;
    if (peer_.address.empty()) return;
    socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
    watch_peer(socket_.native_handle());
  }

  Task<Result<size_t>> read_some(std::span<char> buffer) override {
    if (closed_) co_return unavailable("read: connection closed");
    if (at_once()) {
      ssize_t n = ::recv(socket_.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (n > 0) co_return static_cast<size_t>(n);
    }
    auto self = shared_from_this();
    auto cut = arm();
    IoResult r = co_await io([&](auto done) { socket_.async_read_some(asio::buffer(buffer.data(), buffer.size()), std::move(done)); });
    if (disarm(cut)) co_return timed_out("read: no data in time");
    if (r.ec == asio::error::eof) co_return size_t{0};
    if (r.ec) co_return io_error("read", r.ec);
    co_return r.n;
  }

  Task<Result<>> wait_readable() override {
    if (closed_) co_return unavailable("read: connection closed");
    auto self = shared_from_this();
    auto cut = arm();
    IoResult r = co_await io([&](auto done) { socket_.async_wait(Socket::wait_read, std::move(done)); });
    if (disarm(cut)) co_return timed_out("read: no data in time");
    if (r.ec) co_return io_error("read", r.ec);
    co_return Result<>{};
  }

  Task<Result<>> write_all(std::string_view data) override {
    if (closed_) co_return unavailable("write: connection closed");
    if (at_once()) {
      ssize_t n = ::send(socket_.native_handle(), data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n > 0) data.remove_prefix(static_cast<size_t>(n));
      if (data.empty()) co_return Result<>{};
    }
    auto self = shared_from_this();
    auto cut = arm();
    IoResult r = co_await io([&](auto done) { asio::async_write(socket_, asio::buffer(data.data(), data.size()), std::move(done)); });
    if (disarm(cut)) co_return timed_out("write: the other end does not read");
    if (r.ec) co_return io_error("write", r.ec);
    co_return Result<>{};
  }

  void shutdown_write() override {
    error_code ignored;
    if (!closed_) socket_.shutdown(Socket::shutdown_send, ignored);
  }

  void close() override {
    if (closed_.exchange(true)) return;
    loop_.post([self = shared_from_this()] {
      error_code ignored;
      self->socket_.close(ignored);
    });
  }

  void set_timeout(Duration idle) override { timeout_ = idle; }
  const Peer& peer() const override { return peer_; }

 private:
  // Mostly what is wanted can be done at once, without a turn of the loop. Now and then it has its turn all the same, so that who never
  // has to wait does not keep the others waiting.
  bool at_once() { return ++operations_ % 8 != 0; }
  uint32_t operations_ = 0;

  struct Cut {
    uint64_t timer = 0;
    std::shared_ptr<bool> fired;
  };
  Cut arm() {
    if (timeout_ == Duration{0}) return {};
    auto fired = std::make_shared<bool>(false);
    uint64_t id = loop_.after(timeout_, [weak = weak_from_this(), fired] {
      *fired = true;
      if (auto self = weak.lock()) self->close();
    });
    return {id, fired};
  }
  bool disarm(const Cut& cut) {
    if (!cut.fired) return false;
    if (*cut.fired) return true;
    loop_.cancel_timer(cut.timer);
    return false;
  }

  async::Loop& loop_;
  Socket socket_;
  const Peer peer_;
  Duration timeout_{0};
  std::atomic<bool> closed_{false};
};

Peer peer_of(const asio::generic::stream_protocol::endpoint& endpoint) {
  Peer peer;
  if (endpoint.protocol().family() != AF_INET && endpoint.protocol().family() != AF_INET6) return peer;
  asio::ip::tcp::endpoint tcp;
  memcpy(tcp.data(), endpoint.data(), std::min(endpoint.size(), tcp.capacity()));
  auto address = tcp.address();
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    peer.address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string();
  else peer.address = address.to_string();
  peer.port = tcp.port();
  return peer;
}

Task<Result<StreamPtr>> dial_one(async::Loop& loop, asio::generic::stream_protocol::endpoint endpoint, std::string what, Duration timeout) {
  auto& context = *static_cast<asio::io_context*>(loop.io_context());
  auto socket = std::make_shared<Socket>(context);
  auto late = std::make_shared<bool>(false);
  uint64_t timer = loop.after(timeout, [socket, late] {
    *late = true;
    error_code ignored;
    socket->close(ignored);
  });
  IoResult r = co_await io([&](auto done) { socket->async_connect(endpoint, std::move(done)); });
  loop.cancel_timer(timer);
  if (*late) co_return timed_out("dial " + what + ": no answer in time");
  if (r.ec) co_return Status(Reason::ServiceUnavailable, "dial " + what + ": connect: " + words_of(r.ec), r.ec.value());
  co_return StreamPtr(std::make_shared<TcpStream>(loop, std::move(*socket), peer_of(endpoint)));
}

}  // namespace

Task<Result<StreamPtr>> dial(async::Loop& loop, std::string host, int port, std::shared_ptr<TlsClientContext> tls, Duration timeout) {
  Status last = unavailable("dial " + host + ": no address");
  StreamPtr stream;
  if (host.starts_with("unix:")) {
    CO_TRY(stream, co_await dial_one(loop, asio::local::stream_protocol::endpoint(host.substr(5)), host, timeout));
  } else {
    CO_TRY(auto addresses, co_await resolve(host));
    for (const std::string& text : addresses) {
      error_code ec;
      auto address = asio::ip::make_address(text, ec);
      if (ec) continue;
      std::string what = "tcp " + (address.is_v6() ? "[" + text + "]" : text) + ":" + std::to_string(port);
      auto r = co_await dial_one(loop, asio::ip::tcp::endpoint(address, static_cast<uint16_t>(port)), what, timeout);
      if (r.ok()) {
        stream = std::move(r).value();
        break;
      }
      last = r.status();
    }
    if (!stream) co_return last;
  }
  if (!tls) co_return stream;
  stream->set_timeout(timeout);
  auto secured = co_await tls_handshake_client(stream, tls, host);
  if (!secured.ok()) {
    stream->close();
    co_return std::move(secured).status();
  }
  stream->set_timeout(Duration{0});
  co_return std::move(secured).value();
}

namespace {

using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp>;

struct ListenState : std::enable_shared_from_this<ListenState> {
  ListenState(async::Loop& l, ListenOptions o, std::function<void(StreamPtr)> fn)
      : loop(l), options(std::move(o)), on_stream(std::move(fn)), acceptor(*static_cast<asio::io_context*>(l.io_context())) {}
  async::Loop& loop;
  ListenOptions options;
  std::function<void(StreamPtr)> on_stream;
  Acceptor acceptor;
  std::atomic<bool> closed{false};
  std::atomic<size_t> open{0};
  std::atomic<bool> paused{false};  // as many connections as allowed are open
  Duration complained{0};

  void accept_next() {
    if (closed) return;
    if (open >= options.max_connections) return wait_for_room();
    acceptor.async_accept([self = shared_from_this()](const error_code& ec, asio::ip::tcp::socket socket) {
      if (self->closed) return;
      if (!ec) {
        ++self->open;
        async::spawn(self->loop, greet(self, std::make_shared<asio::ip::tcp::socket>(std::move(socket))));
        return self->accept_next();
      }
      self->complain(ec.message());  // out of descriptors, most likely: try again when some may have been freed
      if (self->options.make_room) self->options.make_room();
      self->loop.after(milliseconds(100), [self] { self->accept_next(); });
    });
  }
  // The kernel keeps who comes now waiting, until somebody leaves or is made to.
  void wait_for_room() {
    acceptor.async_wait(Acceptor::wait_read, [self = shared_from_this()](const error_code& ec) {
      if (self->closed || ec) return;
      self->paused = true;
      if (self->open >= self->options.max_connections && self->options.make_room) self->options.make_room();
      if (self->open < self->options.max_connections && self->paused.exchange(false)) self->accept_next();  // else: left() goes on
    });
  }
  void complain(const std::string& error) {
    Duration now = system_clock().mono();
    if (complained != Duration{0} && now - complained < seconds(10)) return;
    complained = now;
    log_warn("accept failed", {{"error", error}});
  }
  // A connection has ended (on any thread).
  void left() {
    --open;
    if (paused.exchange(false)) loop.post([self = shared_from_this()] { self->accept_next(); });
  }

  // Handshakes one connection and hands it over; its slot is freed when the last holder lets the stream go.
  static Task<void> greet(std::shared_ptr<ListenState> self, std::shared_ptr<asio::ip::tcp::socket> socket) {
    error_code ec;
    auto remote = socket->remote_endpoint(ec);
    if (ec) {
      self->left();
      co_return;
    }
    Peer peer = peer_of(remote);
    auto* raw = new TcpStream(self->loop, Socket(std::move(*socket)), peer);
    StreamPtr stream(std::shared_ptr<TcpStream>(raw, [self](TcpStream* s) {
      delete s;
      self->left();
    }));
    if (self->options.tls) {
      stream->set_timeout(self->options.handshake_timeout);
      auto secured = co_await tls_handshake_server(stream, self->options.tls);
      if (!secured.ok()) {
        log_debug("TLS handshake failed", {{"peer", peer.address}, {"error", secured.status()}});
        stream->close();
        co_return;
      }
      stream->set_timeout(Duration{0});
      stream = std::move(secured).value();
    }
    if (self->closed) stream->close();
    else self->on_stream(stream);
  }
};

class TcpListener : public Listener {
 public:
  TcpListener(std::shared_ptr<ListenState> state, int port) : state_(std::move(state)), port_(port) {}
  ~TcpListener() override { close(); }
  int port() const override { return port_; }
  void close() override {
    if (state_->closed.exchange(true)) return;
    // The descriptor is shut at once, so that the port is free when close() returns to another thread; Asio lets go of it later.
    ::shutdown(state_->acceptor.native_handle(), SHUT_RDWR);
    state_->loop.post([s = state_] {
      error_code ignored;
      s->acceptor.close(ignored);
    });
  }

 private:
  std::shared_ptr<ListenState> state_;
  int port_;
};

Result<> bind_to(Acceptor& acceptor, const asio::ip::address& address, int port) {
  std::string what = "listen on " + (address.is_v6() ? "[" + address.to_string() + "]" : address.to_string()) + ":" + std::to_string(port);
  auto failed = [&](const error_code& ec) {
    error_code ignored;
    acceptor.close(ignored);
    return Status::from_errno(what, ec.value());
  };
  error_code ec;
  asio::ip::tcp::endpoint endpoint(address, static_cast<uint16_t>(port));
  if (acceptor.open(endpoint.protocol(), ec); ec) return failed(ec);
  keep_from_children(acceptor);
  acceptor.set_option(asio::socket_base::reuse_address(true), ec);
  if (address.is_v6()) acceptor.set_option(asio::ip::v6_only(false), ec);
  if (acceptor.bind(endpoint, ec); ec) return failed(ec);
  if (acceptor.listen(1024, ec); ec) return failed(ec);
  return {};
}

}  // namespace

Result<std::unique_ptr<Listener>> listen(async::Loop& loop, ListenOptions options, std::function<void(StreamPtr)> on_stream) {
  error_code ec;
  auto address = asio::ip::make_address(options.address, ec);
  if (ec) return bad_request("listen address \"" + options.address + "\" is not numeric");
  auto state = std::make_shared<ListenState>(loop, options, std::move(on_stream));
  auto bound = bind_to(state->acceptor, address, options.port);
  // A host without IPv6 still listens on every IPv4 address.
  if (!bound.ok() && options.address == "::" && (bound.status().sys_errno() == EAFNOSUPPORT || bound.status().sys_errno() == EADDRNOTAVAIL))
    bound = bind_to(state->acceptor, asio::ip::address_v4::any(), options.port);
  if (!bound.ok()) return std::move(bound).status();
  int port = state->acceptor.local_endpoint(ec).port();
  loop.post([state] { state->accept_next(); });
  return std::unique_ptr<Listener>(std::make_unique<TcpListener>(state, port));
}

}  // namespace k8lite::net
