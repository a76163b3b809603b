// Requests and responses of HTTP/2 as handlers see them, and the task that runs a handler for one stream.
#include <nghttp2/nghttp2.h>

#include "base/strings.h"
#include "net/h2_connection.h"

namespace k8lite::net {
namespace {

Duration now() { return system_clock().mono(); }

class H2Request : public Request {
 public:
  H2Request(H2Connection& c, H2Stream& s) : connection_(c), stream_(s) {
    method = std::move(s.method);
    target = std::move(s.target);
    size_t q = target.find('?');
    path = target.substr(0, q);
    if (q != std::string::npos) query = Query::parse(std::string_view(target).substr(q + 1));
    headers = std::move(s.headers);
    if (!headers.has("Host") && !s.authority.empty()) headers.add("Host", std::move(s.authority));
  }
  const Peer& peer() const override { return connection_.peer(); }

  Task<Result<std::string>> read_chunk() override {
    H2Stream& s = stream_;
    if (s.body_deadline == Duration{0}) {
      s.body_deadline = now() + connection_.options().body_timeout;
      if (s.in.empty() && !s.in_done && iequals(headers.get("Expect"), "100-continue")) connection_.go_on(s);
    }
    while (s.in.empty()) {
      if (s.in_done) co_return std::string();
      if (s.closed) co_return unavailable("the client closed the connection in the middle of the body");
      Duration left = s.body_deadline - now();
      if (left <= Duration{0}) co_return timed_out(std::string(kBodyTooSlow));
      s.body_wanted = true;
      connection_.arm(left);
      co_await s.in_ready.wait();
      s.body_wanted = false;
    }
    std::string piece = std::exchange(s.in, {});
    connection_.consumed(s, piece.size());
    co_return piece;
  }

  Task<Result<std::string>> read_body(size_t limit) override {
    if (auto r = check_length(headers, limit); !r.ok()) co_return std::move(r).status();
    std::string all;
    for (;;) {
      CO_TRY(std::string piece, co_await read_chunk());
      if (piece.empty()) co_return all;
      if (all.size() + piece.size() > limit) co_return body_too_large(limit);
      if (all.empty())
        all = std::move(piece);
      else
        all += piece;
    }
  }

 private:
  H2Connection& connection_;
  H2Stream& stream_;
};

class H2Response : public ResponseWriter {
 public:
  H2Response(H2Connection& c, H2Stream& s, bool head_only) : connection_(c), stream_(s), head_only_(head_only) {}

  Task<Result<>> send(int status, Headers headers, std::string body) override {
    stream_.started = finished_ = true;
    stream_.gone = nullptr;
    bool bodyless = status == 204 || status == 304;
    if (!bodyless && !headers.has("Content-Length")) headers.add("Content-Length", std::to_string(body.size()));
    bool ends = bodyless || head_only_ || body.empty();
    CO_TRY_OK(connection_.submit_head(stream_, status, headers, ends));
    if (ends) co_return Result<>{};
    stream_.owned = std::move(body);
    stream_.out = stream_.owned;
    stream_.out_end = true;
    connection_.resume(stream_);
    if (stream_.owned.size() <= kH2OwnedBody) co_return Result<>{};
    co_return co_await drained();
  }
  Task<Result<>> start(int status, Headers headers) override {
    stream_.started = true;
    co_return connection_.submit_head(stream_, status, headers, head_only_);
  }
  Task<Result<>> write(std::string_view data) override {
    if (data.empty() || head_only_) co_return Result<>{};
    if (stream_.closed) co_return unavailable("write: the client closed the stream");
    stream_.out = data;
    connection_.resume(stream_);
    co_return co_await drained();
  }
  Task<Result<>> finish() override {
    finished_ = true;
    stream_.gone = nullptr;
    stream_.out_end = true;
    if (!head_only_) connection_.resume(stream_);
    co_return Result<>{};
  }
  Task<Result<StreamPtr>> upgrade(Headers) override {
    co_return bad_request("HTTP/2 has no upgrade: ask again over HTTP/1.1");
  }
  void on_disconnect(std::function<void()> fn) override {
    if (stream_.closed) return connection_.loop().post(std::move(fn));
    stream_.gone = std::move(fn);
  }
  bool started() const override { return stream_.started; }
  bool finished() const { return finished_; }

 private:
  Task<Result<>> drained() {
    while (!stream_.out.empty()) co_await stream_.drained.wait();
    if (stream_.lost) co_return unavailable("write: the client does not take more of the stream");
    co_return Result<>{};
  }

  H2Connection& connection_;
  H2Stream& stream_;
  bool head_only_, finished_ = false;
};

}  // namespace

Task<void> H2Connection::serve(std::shared_ptr<H2Connection> self, H2StreamPtr s) {
  bool head_only = s->method == "HEAD", too_large = s->header_bytes > self->options().max_header_bytes;
  H2Request request(*self, *s);
  H2Response response(*self, *s, head_only);
  const Headers text{{"Content-Type", "text/plain; charset=utf-8"}};
  if (too_large)
    (void)co_await response.send(431, text, "request header fields too large\n");
  else if (!request.path.starts_with('/'))
    (void)co_await response.send(400, text, "the target of a request is a path\n");
  else
    co_await self->server_->handler(request, response);
  s->gone = nullptr;  // it may hold what the handler had on its stack
  if (!response.started())
    (void)co_await response.send(500, text, "no answer\n");
  else if (!response.finished())
    self->reset(*s, NGHTTP2_INTERNAL_ERROR);  // a stream that ended early
  --self->running_;
}

Task<void> serve_http2(std::shared_ptr<ServerState> server, StreamPtr stream) {
  co_await H2Connection::run(std::make_shared<H2Connection>(std::move(server), std::move(stream)));
}

}  // namespace k8lite::net
