// The HTTP/1.1 client: connections to one server, kept alive and reused. A request on a reused connection that died before the first
// byte of an answer is sent once more on a new one, as any client must who keeps connections.
#include <mutex>

#include "base/strings.h"
#include "net/http_wire.h"

namespace k8lite::net {
namespace {

constexpr size_t kReadBytes = 16 * 1024;
constexpr size_t kMaxHeaderBytes = 256 * 1024;
constexpr size_t kErrorBody = 64 * 1024;

struct ClientState {
  async::Loop& loop;
  HttpClientOptions options;
  std::mutex mutex;
  std::vector<StreamPtr> idle;

  StreamPtr take() {
    std::lock_guard lock(mutex);
    if (idle.empty()) return nullptr;
    auto s = std::move(idle.back());
    idle.pop_back();
    return s;
  }
  void give_back(StreamPtr s) {
    std::lock_guard lock(mutex);
    if (idle.size() < options.max_idle) idle.push_back(std::move(s));
    else s->close();
  }
  std::string authority() const {
    std::string host = options.host.find(':') != std::string::npos && !options.host.starts_with("unix:") ? "[" + options.host + "]" : options.host;
    if (host.starts_with("unix:")) return "localhost";
    bool usual = options.port == (options.tls ? 443 : 80);
    return usual ? host : host + ":" + std::to_string(options.port);
  }
};

class Response : public ClientResponse {
 public:
  Response(std::shared_ptr<ClientState> state, StreamPtr stream) : state_(std::move(state)), stream_(std::move(stream)) {
    parser_ = MessageParser::create(MessageParser::Kind::Response, kMaxHeaderBytes);
  }
  ~Response() override {
    if (stream_ && !returned_) stream_->close();
  }

  Task<Result<>> read_head(bool head_only) {
    if (head_only) parser_->skip_body();
    for (;;) {
      while (!parser_->header_done()) CO_TRY_OK(co_await more());
      status = parser_->status();
      if (status >= 200 || status == 101) break;
      auto leftover = std::move(pending_);  // 100 Continue and the like: the real answer follows
      parser_ = MessageParser::create(MessageParser::Kind::Response, kMaxHeaderBytes);
      if (head_only) parser_->skip_body();
      pending_ = std::move(leftover);
      hungry_ = pending_.empty();
    }
    headers = parser_->headers();
    if (parser_->done() && status != 101) give_back();  // an upgraded connection belongs to whoever takes the stream
    co_return Result<>{};
  }

  Task<Result<std::string>> read_chunk() override {
    while (!parser_->done() && parser_->body_ready() == 0) CO_TRY_OK(co_await more());
    std::string out = parser_->take_body();
    if (out.empty()) give_back();
    co_return out;
  }

  Task<Result<std::string>> read_body(size_t limit) override {
    std::string all;
    for (;;) {
      CO_TRY(std::string piece, co_await read_chunk());
      if (piece.empty()) co_return all;
      if (all.size() + piece.size() > limit) {
        cancel();
        co_return Status(Reason::RequestEntityTooLarge, "the response is larger than " + std::to_string(limit) + " bytes");
      }
      all += piece;
    }
  }

  void cancel() override { stream_->close(); }
  bool nothing_received() const { return !received_; }
  StreamPtr take_stream() override {
    returned_ = true;
    return prefixed_stream(std::move(pending_), stream_);
  }

 private:
  void give_back() {
    if (returned_ || !parser_->keep_alive() || !pending_.empty()) return;
    returned_ = true;
    state_->give_back(stream_);
  }

  Task<Result<>> more() {
    if (hungry_ || pending_.empty()) {
      std::string buffer(kReadBytes, '\0');
      CO_TRY(size_t n, co_await stream_->read_some({buffer.data(), buffer.size()}));
      if (n == 0) {
        if (parser_->header_done()) co_return parser_->put_eof();
        co_return unavailable("the server closed the connection without an answer");
      }
      received_ = true;
      pending_.append(buffer.data(), n);
    }
    size_t before = pending_.size();
    CO_TRY(size_t used, parser_->put(pending_));
    pending_.erase(0, used);
    hungry_ = pending_.size() == before;
    co_return Result<>{};
  }

  std::shared_ptr<ClientState> state_;
  StreamPtr stream_;
  std::unique_ptr<MessageParser> parser_;
  std::string pending_;
  bool hungry_ = true, received_ = false, returned_ = false;
};

class Client : public HttpClient {
 public:
  explicit Client(std::shared_ptr<ClientState> state) : state_(std::move(state)) {}
  ~Client() override {
    std::lock_guard lock(state_->mutex);
    for (auto& s : state_->idle) s->close();
    state_->idle.clear();
  }

  Task<Result<std::unique_ptr<ClientResponse>>> send(ClientRequest request) override {
    CO_TRY(auto response, co_await exchange(state_, std::move(request)));
    co_return std::unique_ptr<ClientResponse>(std::move(response));
  }

  Task<Result<Upgraded>> upgrade(ClientRequest request) override {
    if (!request.headers.has("Connection")) request.headers.add("Connection", "Upgrade");
    CO_TRY(auto response, co_await exchange(state_, std::move(request)));
    if (response->status != 101) {
      auto body = co_await response->read_body(kErrorBody);
      Status status(reason_from_http(response->status), body.ok() ? *body : "the server did not switch protocols");
      co_return std::move(status).within("upgrade refused (" + std::to_string(response->status) + ")");
    }
    Headers headers = response->headers;
    co_return Upgraded{response->take_stream(), headers};
  }

 private:
  static Task<Result<StreamPtr>> connect(std::shared_ptr<ClientState> state) {
    const HttpClientOptions& o = state->options;
    if (!o.dial) co_return co_await dial(state->loop, o.host, o.port, o.tls, o.connect_timeout);
    CO_TRY(StreamPtr raw, co_await o.dial());
    if (!o.tls) co_return raw;
    co_return co_await tls_handshake_client(raw, o.tls, o.host);
  }
  static Task<Result<std::unique_ptr<Response>>> exchange(std::shared_ptr<ClientState> state, ClientRequest request) {
    bool has_body = !request.body.empty() || request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
    if (!request.headers.has("Host")) request.headers.add("Host", state->authority());
    if (has_body) request.headers.set("Content-Length", std::to_string(request.body.size()));
    std::string head = request.method + " " + (request.target.empty() ? "/" : request.target) + " HTTP/1.1\r\n";
    for (const auto& [name, value] : request.headers.rows()) {
      if (value.find_first_of("\r\n") != std::string::npos) co_return bad_request("header " + name + " holds a line break");
      head += name + ": " + value + "\r\n";
    }
    head += "\r\n";
    std::string wire = head + request.body;
    for (;;) {
      StreamPtr stream = state->take();
      bool reused = stream != nullptr;
      if (!reused) {
        CO_TRY(stream, co_await connect(state));
      }
      auto r = co_await try_once(state, stream, wire, request.method == "HEAD");
      if (r.result.ok() || !reused || !r.untouched) co_return std::move(r.result);
    }
  }

  struct Outcome {
    Result<std::unique_ptr<Response>> result;
    bool untouched;  // no byte of an answer came
  };
  static Task<Outcome> try_once(std::shared_ptr<ClientState> state, StreamPtr stream, std::string_view wire, bool head_only) {
    auto response = std::make_unique<Response>(state, stream);
    auto late = std::make_shared<bool>(false);
    uint64_t timer = 0;
    if (state->options.response_timeout > Duration{0})
      timer = state->loop.after(state->options.response_timeout, [stream, late] {
        *late = true;
        stream->close();
      });
    auto sent = co_await stream->write_all(wire);
    Result<> got = sent;
    // A server may answer and close before it has read everything: its answer counts more than our broken pipe.
    auto head = co_await response->read_head(head_only);
    if (head.ok() || sent.ok()) got = head;
    if (timer) state->loop.cancel_timer(timer);
    bool untouched = response->nothing_received() && !*late;
    if (*late) co_return Outcome{timed_out(state->authority() + ": no answer in time"), false};
    if (!got.ok()) co_return Outcome{got.status().within(state->authority()), untouched};
    co_return Outcome{std::move(response), false};
  }

  std::shared_ptr<ClientState> state_;
};

}  // namespace

std::shared_ptr<HttpClient> make_http_client(async::Loop& loop, HttpClientOptions options) {
  return std::make_shared<Client>(std::shared_ptr<ClientState>(new ClientState{loop, std::move(options), {}, {}}));
}

}  // namespace k8lite::net
