// WebSocket ends against each other and against raw bytes, over in-memory pipes: the HTTP around the handshake is played by the test.
#include "net/websocket.h"

#include <catch2/catch.hpp>

#include "base/strings.h"

using namespace k8lite;
using namespace k8lite::net;
using Socket = std::shared_ptr<WebSocket>;
using Op = WebSocket::Opcode;

namespace {

class FakeRequest : public Request {
 public:
  FakeRequest() { method = "GET"; }
  const Peer& peer() const override { return peer_; }
  Task<Result<std::string>> read_body(size_t) override { co_return std::string(); }
  Task<Result<std::string>> read_chunk() override { co_return std::string(); }

 private:
  Peer peer_;
};

class FakeResponse : public ResponseWriter {
 public:
  explicit FakeResponse(StreamPtr stream) : stream_(std::move(stream)) {}
  Headers sent;
  Task<Result<>> send(int, Headers, std::string) override { co_return Result<>{}; }
  Task<Result<>> start(int, Headers) override { co_return Result<>{}; }
  Task<Result<>> write(std::string_view) override { co_return Result<>{}; }
  Task<Result<>> finish() override { co_return Result<>{}; }
  Task<Result<StreamPtr>> upgrade(Headers headers) override {
    sent = std::move(headers);
    co_return stream_;
  }
  void on_disconnect(std::function<void()>) override {}
  bool started() const override { return false; }

 private:
  StreamPtr stream_;
};

// An HTTP client whose server accepts in the same call.
class PairClient : public HttpClient {
 public:
  explicit PairClient(std::vector<std::string> served) : served_(std::move(served)) {}
  Socket server;
  std::string forged_accept;

  Task<Result<std::unique_ptr<ClientResponse>>> send(ClientRequest) override { co_return unavailable("only upgrades"); }
  Task<Result<Upgraded>> upgrade(ClientRequest asked) override {
    auto [near, far] = stream_pipe();
    FakeRequest request;
    request.headers = asked.headers;
    FakeResponse response(far);
    CO_TRY(server, co_await accept_websocket(request, response, served_));
    if (!forged_accept.empty()) response.sent.set("Sec-WebSocket-Accept", forged_accept);
    co_return Upgraded{near, response.sent};
  }

 private:
  std::vector<std::string> served_;
};

struct World {
  async::Loop loop;
  World() { loop.start(); }
  ~World() { loop.stop(); }
  template <class T>
  T run(Task<T> task) { return async::block_on(loop, std::move(task)); }

  std::pair<Socket, Socket> connect(std::vector<std::string> offered = {}, std::vector<std::string> served = {}) {
    PairClient client(std::move(served));
    auto dialled = run(dial_websocket(client, "/", {}, std::move(offered)));
    REQUIRE(dialled.ok());
    return {dialled.value(), client.server};
  }
  // A server end and the raw bytes' end of its peer.
  std::pair<Socket, StreamPtr> server() {
    auto [near, far] = stream_pipe();
    FakeRequest request;
    request.headers = upgrade_headers();
    FakeResponse response(far);
    auto socket = run(accept_websocket(request, response, {}));
    REQUIRE(socket.ok());
    return {socket.value(), near};
  }
  static Headers upgrade_headers() {  // RFC 6455 §1.3
    return {{"Upgrade", "websocket"}, {"Connection", "keep-alive, Upgrade"}, {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}, {"Sec-WebSocket-Version", "13"}};
  }
  void send(Socket s, Op op, std::string data) { REQUIRE(run(s->write(op, std::move(data))).ok()); }
  void raw(StreamPtr s, std::string bytes) { REQUIRE(run(write_raw(s, std::move(bytes))).ok()); }
  static Task<Result<>> write_raw(StreamPtr s, std::string bytes) { co_return co_await s->write_all(bytes); }
  std::string take(StreamPtr s) {
    auto got = run(read_raw(s));
    return got.ok() ? *got : "error: " + got.status().message();
  }
  static Task<Result<std::string>> read_raw(StreamPtr s) {
    std::string buffer(64 * 1024, '\0');
    CO_TRY(size_t n, co_await s->read_some({buffer.data(), buffer.size()}));
    co_return buffer.substr(0, n);
  }
  std::string read(Socket s) {
    auto m = run(s->read());
    if (!m.ok()) return "error: " + m.status().message();
    return (m->opcode == Op::Text ? "text " : m->opcode == Op::Binary ? "binary " : "close ") + m->data;
  }
};

std::string bytes(std::initializer_list<int> list) {
  std::string out;
  for (int b : list) out += static_cast<char>(b);
  return out;
}

Task<void> write_one(Socket s, std::string data, std::shared_ptr<std::atomic<int>> written) {
  if ((co_await s->write(Op::Binary, std::move(data))).ok()) ++*written;
}
Task<void> read_into(Socket s, std::shared_ptr<std::string> out, std::shared_ptr<async::Notify> done) {
  auto m = co_await s->read();
  *out = m.ok() ? "message" : m.status().message();
  if (m.ok() && m->opcode == Op::Close) *out = "close";
  done->notify();
}

}  // namespace

TEST_CASE("websocket: the accept key and headers are those of RFC 6455", "[websocket]") {
  World w;
  auto [near, far] = stream_pipe();
  FakeRequest request;
  request.headers = World::upgrade_headers();
  request.headers.add("Sec-WebSocket-Protocol", "chat, v4.channel.k8s.io");
  request.headers.add("Sec-WebSocket-Protocol", "v5.channel.k8s.io");
  CHECK(is_websocket_upgrade(request));
  FakeResponse response(far);
  auto socket = w.run(accept_websocket(request, response, {"v5.channel.k8s.io", "v4.channel.k8s.io"}));
  REQUIRE(socket.ok());
  CHECK((*socket)->protocol() == "v5.channel.k8s.io");
  CHECK(response.sent.get("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  CHECK(response.sent.get("Sec-WebSocket-Protocol") == "v5.channel.k8s.io");
  CHECK(response.sent.get("Upgrade") == "websocket");
}

TEST_CASE("websocket: a handshake that does not fit is refused", "[websocket]") {
  World w;
  auto refuse = [&](std::function<void(FakeRequest&)> change, std::vector<std::string> served) {
    FakeRequest request;
    request.headers = World::upgrade_headers();
    change(request);
    FakeResponse response(stream_pipe().first);
    auto r = w.run(accept_websocket(request, response, std::move(served)));
    return !r.ok() && r.status().is(Reason::BadRequest) && response.sent.rows().empty();
  };
  CHECK(refuse([](FakeRequest& r) { r.headers.set("Sec-WebSocket-Version", "8"); }, {}));
  CHECK(refuse([](FakeRequest& r) { r.headers.set("Sec-WebSocket-Key", "short"); }, {}));
  CHECK(refuse([](FakeRequest& r) { r.headers.remove("Connection"); }, {}));
  CHECK(refuse([](FakeRequest& r) { r.method = "POST"; }, {}));
  CHECK(refuse([](FakeRequest& r) { r.headers.add("Sec-WebSocket-Protocol", "chat"); }, {"v5.channel.k8s.io"}));
  CHECK(refuse([](FakeRequest&) {}, {"v5.channel.k8s.io"}));
  CHECK_FALSE(refuse([](FakeRequest&) {}, {}));
  CHECK_FALSE(refuse([](FakeRequest&) {}, {"v5.channel.k8s.io", ""}));
}

TEST_CASE("websocket: the client checks the server's answer", "[websocket]") {
  World w;
  PairClient client({"v5"});
  client.forged_accept = "bm9wZQ==";
  auto r = w.run(dial_websocket(client, "/", {}, {"v5"}));
  REQUIRE_FALSE(r.ok());
  CHECK(r.status().message().find("Accept") != std::string::npos);
  auto [c, s] = w.connect({"v4", "v5"}, {"v5", "v4"});
  CHECK(c->protocol() == "v5");
  CHECK(s->protocol() == "v5");
}

TEST_CASE("websocket: frames of the RFC's examples are read", "[websocket]") {
  World w;
  auto [s, peer] = w.server();
  w.raw(peer, bytes({0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}));  // masked "Hello"
  CHECK(w.read(s) == "text Hello");
  w.raw(peer, bytes({0x01, 0x83, 0, 0, 0, 0, 'H', 'e', 'l', 0x89, 0x82, 0, 0, 0, 0, 'h', 'i', 0x80, 0x82, 0, 0, 0, 0, 'l', 'o'}));
  CHECK(w.read(s) == "text Hello");  // fragments with a ping between them
  CHECK(w.take(peer) == bytes({0x8a, 0x02, 'h', 'i'}));
  w.send(s, Op::Text, "Hello");
  CHECK(w.take(peer) == bytes({0x81, 0x05}) + "Hello");
  w.send(s, Op::Binary, std::string(256, 'x'));
  CHECK(w.take(peer) == bytes({0x82, 0x7e, 0x01, 0x00}) + std::string(256, 'x'));
}

TEST_CASE("websocket: messages of every length class cross both ways", "[websocket]") {
  World w;
  auto [c, s] = w.connect();
  for (size_t n : {0, 1, 125, 126, 65535, 65536, 4 * 1024 * 1024}) {
    auto written = std::make_shared<std::atomic<int>>(0);
    std::string data(n, 'd');
    for (size_t i = 0; i < n; i += 7) data[i] = static_cast<char>(i);
    for (auto [from, to] : {std::pair(c, s), std::pair(s, c)}) {
      async::spawn(w.loop, write_one(from, data, written));
      auto m = w.run(to->read());
      REQUIRE(m.ok());
      CHECK(m->data == data);
    }
  }
  CHECK_FALSE(w.run(c->write(Op::Binary, std::string(4 * 1024 * 1024 + 1, 'x'))).ok());
}

TEST_CASE("websocket: several writers queue and none is torn", "[websocket]") {
  World w;
  auto [c, s] = w.connect();
  auto written = std::make_shared<std::atomic<int>>(0);
  for (int i = 0; i < 20; ++i) async::spawn(w.loop, write_one(c, std::string(50'000, static_cast<char>('a' + i)), written));
  for (int i = 0; i < 20; ++i) CHECK(w.read(s) == "binary " + std::string(50'000, static_cast<char>('a' + i)));
  w.send(c, Op::Text, "last");
  CHECK(*written == 20);
}

TEST_CASE("websocket: a peer that breaks the protocol gets a Close with the reason's code", "[websocket]") {
  struct Case {
    std::string sent;
    int code;
  };
  std::vector<Case> cases = {
      {bytes({0x81, 0x01, 'x'}), 1002},                                       // not masked
      {bytes({0xc1, 0x81, 0, 0, 0, 0, 'x'}), 1002},                           // reserved bit
      {bytes({0x83, 0x80, 0, 0, 0, 0}), 1002},                                // unknown opcode
      {bytes({0x09, 0x80, 0, 0, 0, 0}), 1002},                                // a fragmented ping
      {bytes({0x89, 0xfe, 0, 126, 0, 0, 0, 0}), 1002},                        // a long ping
      {bytes({0x80, 0x81, 0, 0, 0, 0, 'x'}), 1002},                           // continuation of nothing
      {bytes({0x82, 0xff, 0, 0, 0, 0, 0, 0x40, 0, 1, 0, 0, 0, 0}), 1009},     // 4 MiB and a byte
      {bytes({0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0}), 1009},
  };
  for (const auto& c : cases) {
    World w;
    auto [s, peer] = w.server();
    w.raw(peer, c.sent);
    CHECK(w.read(s).starts_with("error: "));
    std::string answer = w.take(peer);
    REQUIRE(answer.size() > 4);
    CHECK(answer[0] == static_cast<char>(0x88));
    CHECK((static_cast<unsigned char>(answer[2]) << 8 | static_cast<unsigned char>(answer[3])) == c.code);
    CHECK(w.read(s) == "error: websocket: closed");
    CHECK(w.take(peer).empty());
  }
}

TEST_CASE("websocket: the closing handshake ends both sides", "[websocket]") {
  World w;
  auto [c, s] = w.connect();
  w.send(c, Op::Text, "before");
  REQUIRE(w.run(c->close(1000, "bye")).ok());
  CHECK_FALSE(w.run(c->write(Op::Text, "late")).ok());
  CHECK(w.read(s) == "text before");
  CHECK(w.read(s) == "close " + bytes({0x03, 0xe8}) + "bye");
  CHECK(w.read(s).starts_with("error: "));
  CHECK_FALSE(w.run(s->write(Op::Text, "late")).ok());
}

TEST_CASE("websocket: a reader at work sees the answer to its own side's close", "[websocket]") {
  World w;
  auto [c, s] = w.connect();
  auto out = std::make_shared<std::string>();
  auto done = std::make_shared<async::Notify>();
  async::spawn(w.loop, read_into(c, out, done));
  REQUIRE(w.run(c->close(1000, "")).ok());
  CHECK(w.read(s).starts_with("close "));
  w.run(done->wait());
  CHECK(*out == "close");
}

TEST_CASE("websocket: a connection that breaks off is an error", "[websocket]") {
  World w;
  auto [s, peer] = w.server();
  w.raw(peer, bytes({0x81, 0x85, 0, 0}));
  peer->close();
  CHECK(w.read(s).starts_with("error: "));
}

TEST_CASE("websocket: as a stream it joins messages and ends with the peer's side", "[websocket]") {
  World w;
  auto [c, s] = w.connect();
  StreamPtr a = websocket_stream(c), b = websocket_stream(s);
  w.raw(a, "one ");
  w.raw(a, "two");
  CHECK(w.take(b) == "one ");
  CHECK(w.take(b) == "two");
  w.raw(b, "back");
  CHECK(w.take(a) == "back");
  a->shutdown_write();
  CHECK(w.take(b).empty());
  CHECK(w.take(a).empty());
  b->close();
  a->close();
}
