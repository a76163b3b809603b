// The HTTP/1.1 server: one task a connection reads a request's head, runs the handler and goes on to the next request. A watchdog a
// connection cuts off slow heads, slow readers and idle peers; while a streamed response runs, a background read notices that the
// client went away.
#include "base/log.h"
#include "base/strings.h"
#include "net/http_wire.h"
#include "net/server_state.h"
#include "net/spare.h"

namespace k8lite::net {
namespace {

constexpr size_t kDrainLimit = 256 * 1024;  // of an unread body, before the connection is closed instead
constexpr size_t kLingerBytes = 1 << 20;
constexpr Duration kLinger = seconds(1);
constexpr size_t kJoinLimit = 64 * 1024;    // head and body go out in one write up to here

// Closes the stream when a deadline passes. Moving the deadline costs nothing: the timer looks again when it fires.
class Watchdog : public std::enable_shared_from_this<Watchdog> {
 public:
  Watchdog(async::Loop& loop, StreamPtr stream) : loop_(loop), stream_(std::move(stream)) {}
  void limit(Duration d) {
    deadline_ = system_clock().mono() + d;
    if (!armed_) arm(d);
    else if (deadline_ < fires_at_) {
      ++generation_;
      arm(d);
    }
  }
  void lift() { deadline_ = Duration{0}; }
  void end() {
    lift();
    stream_ = nullptr;
  }

 private:
  void arm(Duration d) {
    armed_ = true;
    fires_at_ = system_clock().mono() + d;
    loop_.after(d, [weak = weak_from_this(), generation = generation_] {
      auto self = weak.lock();
      if (self && self->generation_ == generation) self->fire();
    });
  }
  void fire() {
    armed_ = false;
    if (!stream_ || deadline_ == Duration{0}) return;
    Duration now = system_clock().mono();
    if (now >= deadline_) stream_->close();
    else arm(deadline_ - now);
  }
  async::Loop& loop_;
  StreamPtr stream_;
  Duration deadline_{0}, fires_at_{0};
  bool armed_ = false;
  uint64_t generation_ = 0;
};

class Connection : public OpenConnection, public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<ServerState> server, StreamPtr stream)
      : server_(std::move(server)), stream_(std::move(stream)), watchdog_(std::make_shared<Watchdog>(server_->loop, stream_)) {}

  static Task<void> run(std::shared_ptr<Connection> self) {
    self->server_->open.insert(self.get());
    while (co_await self->serve_one()) self->first_ = false;
    if (!self->upgraded_) co_await self->linger();
    self->server_->open.erase(self.get());
    self->watchdog_->end();
    if (!self->upgraded_) self->stream_->close();
  }
  void stop() override { stream_->close(); }

  // Closing at once while the peer still sends would make its kernel throw our last words away.
  Task<void> linger() {
    stream_->shutdown_write();
    if (!close_after_) co_return;
    watchdog_->limit(kLinger);
    for (size_t drained = 0; drained < kLingerBytes;) {
      auto more = co_await fill();
      if (!more.ok() || !*more) break;
      drained += pending_.size();
      pending_.clear();
    }
  }

  // More bytes into pending_; false at the end of the stream.
  Task<Result<bool>> fill() {
    if (background_) {  // a read started for disconnect detection is still on its way
      co_await background_done_.wait();
      background_ = false;
      if (!background_error_.ok()) co_return background_error_;
      co_return !gone_;
    }
    CO_TRY_OK(co_await stream_->wait_readable());
    SpareBlock buffer;
    CO_TRY(size_t n, co_await stream_->read_some({buffer.get(), SpareBlock::kBytes}));
    pending_.append(buffer.get(), n);
    co_return n > 0;
  }

  Result<> feed() {
    TRY(size_t used, parser_->put(pending_));
    pending_.erase(0, used);
    return {};
  }

  // Decodes until some of the body is ready or the message ends.
  Task<Result<>> need_body() {
    if (body_deadline_ == Duration{0}) body_deadline_ = system_clock().mono() + server_->options.body_timeout;
    while (!parser_->done() && parser_->body_ready() == 0) {
      if (pending_.empty() || stalled_) {
        // The read goes on in the background when the time is over, so that an answer can still be written.
        if (!background_) start_background_read();
        Duration left = body_deadline_ - system_clock().mono();
        if (left <= Duration{0} || !co_await background_done_.wait_for(server_->loop, left)) {
          close_after_ = true;
          co_return timed_out(std::string(kBodyTooSlow));
        }
        background_ = false;
        Result<bool> more = !gone_;
        if (!background_error_.ok()) more = background_error_;
        if (!more.ok()) co_return std::move(more).status();
        if (!*more) co_return unavailable("the client closed the connection in the middle of the body");
      }
      size_t before = pending_.size();
      CO_TRY_OK(feed());
      stalled_ = pending_.size() == before;  // the parser wants more than there is
    }
    co_return Result<>{};
  }

  Task<Result<>> write(std::string_view data) {
    watchdog_->limit(server_->options.write_timeout);
    auto r = co_await stream_->write_all(data);
    watchdog_->lift();
    co_return r;
  }

  void watch_disconnect(std::function<void()> fn) {
    gone_fn_ = std::move(fn);
    if (!background_) start_background_read();
  }

  std::unique_ptr<MessageParser> parser_;
  std::shared_ptr<ServerState> server_;
  StreamPtr stream_;
  std::string pending_;  // read, not parsed
  bool upgraded_ = false;
  bool close_after_ = false;

 private:
  Task<bool> serve_one();
  Task<bool> read_head();
  Task<void> refuse(Status status);

  void start_background_read() {
    background_ = true;
    async::spawn(server_->loop, background_read(shared_from_this()));
  }
  static Task<void> background_read(std::shared_ptr<Connection> self) {
    auto ready = co_await self->stream_->wait_readable();
    Result<size_t> r = size_t{0};
    if (ready.ok()) {
      SpareBlock buffer;
      r = co_await self->stream_->read_some({buffer.get(), SpareBlock::kBytes});
      if (r.ok()) self->pending_.append(buffer.get(), *r);
    } else {
      r = ready.status();
    }
    if (!r.ok()) self->background_error_ = r.status();
    else if (*r == 0) self->gone_ = true;
    self->background_done_.notify();
    if ((!r.ok() || *r == 0) && self->gone_fn_) self->gone_fn_();
  }

  std::shared_ptr<Watchdog> watchdog_;
  bool stalled_ = false, first_ = true;
  Duration body_deadline_{0};
  bool background_ = false, gone_ = false;
  Status background_error_;
  std::function<void()> gone_fn_;
  async::Notify background_done_;
};

class ServerRequest : public Request {
 public:
  explicit ServerRequest(Connection& c) : connection_(c) {
    method = c.parser_->method();
    target = c.parser_->target();
    size_t q = target.find('?');
    path = target.substr(0, q);
    if (q != std::string::npos) query = Query::parse(std::string_view(target).substr(q + 1));
    headers = c.parser_->headers();
  }
  const Peer& peer() const override { return connection_.stream_->peer(); }

  Task<Result<std::string>> read_chunk() override {
    CO_TRY_OK(co_await expect_continue());
    CO_TRY_OK(co_await connection_.need_body());
    co_return connection_.parser_->take_body();
  }

  Task<Result<std::string>> read_body(size_t limit) override {
    if (auto r = check_length(headers, limit); !r.ok()) {
      connection_.close_after_ = true;
      co_return std::move(r).status();
    }
    std::string all;
    for (;;) {
      CO_TRY(std::string piece, co_await read_chunk());
      if (piece.empty()) co_return all;
      if (all.size() + piece.size() > limit) {
        connection_.close_after_ = true;
        co_return body_too_large(limit);
      }
      if (all.empty()) all = std::move(piece);
      else all += piece;
    }
  }

 private:
  Task<Result<>> expect_continue() {
    if (continued_) co_return Result<>{};
    continued_ = true;
    if (!iequals(headers.get("Expect"), "100-continue") || connection_.parser_->done()) co_return Result<>{};
    co_return co_await connection_.write("HTTP/1.1 100 Continue\r\n\r\n");
  }
  Connection& connection_;
  bool continued_ = false;
};

class ServerResponse : public ResponseWriter {
 public:
  ServerResponse(Connection& c, bool head_only) : connection_(c), head_only_(head_only) {}

  Task<Result<>> send(int status, Headers headers, std::string body) override {
    started_ = true;
    bool bodyless = status == 204 || status == 304 || status < 200;
    if (!bodyless && !headers.has("Content-Length")) headers.add("Content-Length", std::to_string(body.size()));
    if (!keep()) headers.add("Connection", "close");
    SpareBuffer out;
    append_response_head(out.text, status, headers);
    finished_ = true;
    if (head_only_ || bodyless) co_return co_await connection_.write(out.text);
    if (body.size() <= kJoinLimit) {
      out.text += body;
      co_return co_await connection_.write(out.text);
    }
    CO_TRY_OK(co_await connection_.write(out.text));
    co_return co_await connection_.write(body);
  }

  Task<Result<>> start(int status, Headers headers) override {
    started_ = true;
    chunked_ = !connection_.parser_->http10();
    if (chunked_) headers.add("Transfer-Encoding", "chunked");
    else connection_.close_after_ = true;
    if (!keep()) headers.add("Connection", "close");
    co_return co_await connection_.write(response_head(status, headers));
  }
  Task<Result<>> write(std::string_view data) override {
    if (data.empty() || head_only_) co_return Result<>{};
    SpareBuffer out;
    if (chunked_) append_chunk(out.text, data);
    else out.text = data;
    auto r = co_await connection_.write(out.text);
    if (!r.ok()) connection_.close_after_ = true;
    co_return r;
  }
  Task<Result<>> finish() override {
    finished_ = true;
    if (!chunked_ || head_only_) co_return Result<>{};
    co_return co_await connection_.write("0\r\n\r\n");
  }

  Task<Result<StreamPtr>> upgrade(Headers headers) override {
    started_ = finished_ = true;
    CO_TRY_OK(co_await connection_.write(response_head(101, headers)));
    connection_.upgraded_ = true;
    co_return prefixed_stream(std::exchange(connection_.pending_, {}), connection_.stream_);
  }

  void on_disconnect(std::function<void()> fn) override { connection_.watch_disconnect(std::move(fn)); }
  bool started() const override { return started_; }
  bool finished() const { return finished_; }

 private:
  bool keep() const { return connection_.parser_->keep_alive() && !connection_.close_after_; }
  Connection& connection_;
  bool head_only_, started_ = false, finished_ = false, chunked_ = false;
};

Task<bool> Connection::read_head() {
  parser_ = MessageParser::create(MessageParser::Kind::Request, server_->options.max_header_bytes);
  if (pending_.empty() && !first_ && std::exchange(server_->crowded, false)) co_return false;
  bool begun = !pending_.empty(), hungry = pending_.empty();
  const HttpServerOptions& o = server_->options;
  idle_since = system_clock().mono();  // also while a head comes: it is not worth more than a newcomer
  watchdog_->limit(begun ? o.header_timeout : first_ ? o.first_request_timeout : o.idle_timeout);
  while (!parser_->header_done()) {
    if (hungry) {
      auto more = co_await fill();
      if (!more.ok() || !*more) co_return false;
      if (!begun) {
        begun = true;
        watchdog_->limit(server_->options.header_timeout);
      }
    }
    auto fed = feed();
    if (!fed.ok()) {
      watchdog_->lift();
      co_await refuse(fed.status());
      co_return false;
    }
    hungry = true;
    if (!parser_->header_done() && pending_.size() > server_->options.max_header_bytes) {
      co_await refuse(Status(Reason::RequestEntityTooLarge, "request header fields too large"));
      co_return false;
    }
  }
  watchdog_->lift();
  co_return true;
}

Task<void> Connection::refuse(Status status) {
  close_after_ = true;
  std::string body = status.message() + "\n";
  int code = status.is(Reason::RequestEntityTooLarge) ? 431 : 400;
  Headers headers{{"Content-Type", "text/plain; charset=utf-8"}, {"Connection", "close"}, {"Content-Length", std::to_string(body.size())}};
  (void)co_await write(response_head(code, headers) + body);
}

// Returns whether the connection can take another request.
Task<bool> Connection::serve_one() {
  if (!co_await read_head()) co_return false;
  idle_since = Duration{0};
  stalled_ = false;
  body_deadline_ = Duration{0};
  ServerRequest request(*this);
  ServerResponse response(*this, request.method == "HEAD");
  co_await server_->handler(request, response);
  gone_fn_ = nullptr;  // it may hold what the handler had on its stack
  if (upgraded_) co_return false;
  if (!response.started()) {
    (void)co_await response.send(500, {{"Content-Type", "text/plain"}}, "no answer\n");
  } else if (!response.finished()) {
    co_return false;  // a stream that ended early: the missing last chunk tells the client
  }
  if (close_after_ || !parser_->keep_alive() || server_->stopped) co_return false;
  for (size_t drained = 0; !parser_->done();) {
    if (auto r = co_await need_body(); !r.ok()) co_return false;
    drained += parser_->take_body().size();
    if (drained > kDrainLimit) co_return false;
  }
  co_return true;
}

class Server : public HttpServer {
 public:
  Server(std::shared_ptr<ServerState> state, std::unique_ptr<Listener> listener) : state_(std::move(state)), listener_(std::move(listener)) {}
  ~Server() override { stop(); }
  int port() const override { return listener_->port(); }
  void stop() override {
    listener_->close();
    state_->loop.post([s = state_] {
      s->stopped = true;
      auto open = s->open;  // who stops may leave the set
      for (OpenConnection* c : open) c->stop();
    });
  }

 private:
  std::shared_ptr<ServerState> state_;
  std::unique_ptr<Listener> listener_;
};

}  // namespace

Task<void> serve_http1(std::shared_ptr<ServerState> server, StreamPtr stream) { co_await Connection::run(std::make_shared<Connection>(std::move(server), std::move(stream))); }

void ServerState::make_room() {
  OpenConnection* oldest = nullptr;
  for (OpenConnection* c : open)
    if (c->idle_since != Duration{0} && (!oldest || c->idle_since < oldest->idle_since)) oldest = c;
  crowded = !oldest;
  if (!oldest) return;
  oldest->idle_since = Duration{0};  // not twice
  oldest->stop();
}

Status body_too_large(size_t limit) { return Status(Reason::RequestEntityTooLarge, "Request entity too large: limit is " + std::to_string(limit)); }

Result<> check_length(const Headers& headers, size_t limit) {
  auto length = parse_int(headers.get("Content-Length"));
  if (length && *length > 0 && static_cast<uint64_t>(*length) > limit) return body_too_large(limit);
  return {};
}

Result<std::unique_ptr<HttpServer>> serve_http(async::Loop& loop, HttpServerOptions options, Handler handler) {
  auto state = std::shared_ptr<ServerState>(new ServerState{loop, options, std::move(handler), {}, false});
  options.listen.make_room = [weak = std::weak_ptr<ServerState>(state)] {
    if (auto s = weak.lock()) s->make_room();
  };
  TRY(auto listener, listen(loop, options.listen, [state](StreamPtr stream) {
        if (state->stopped) return stream->close();
        if (stream->peer().http2) return async::spawn(state->loop, serve_http2(state, std::move(stream)));
        async::spawn(state->loop, serve_http1(state, std::move(stream)));
      }));
  return std::unique_ptr<HttpServer>(std::make_unique<Server>(state, std::move(listener)));
}

}  // namespace k8lite::net
