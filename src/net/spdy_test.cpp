// SPDY sessions against each other and against raw frames, over in-memory pipes.
#include "net/spdy.h"

#include <catch2/catch.hpp>

#include "base/strings.h"
#include "net/spdy_headers.h"
#include "net/websocket.h"

using namespace k8lite;
using namespace k8lite::net;
using Session = std::shared_ptr<SpdySession>;

namespace {

std::string u32(uint32_t n) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(n >> shift);
  return out;
}
std::string control(unsigned type, unsigned flags, std::string body) {
  return u32(0x80030000u | type) + u32(flags << 24 | static_cast<uint32_t>(body.size())) + body;
}
std::string data(uint32_t id, unsigned flags, std::string body) { return u32(id) + u32(flags << 24 | static_cast<uint32_t>(body.size())) + body; }
std::string from_hex(std::string_view hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) out += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  return out;
}

struct World {
  async::Loop loop;
  Session client, server;
  World() { loop.start(); }
  ~World() {
    client = server = nullptr;
    loop.stop();
  }
  template <class T>
  T run(Task<T> task) { return async::block_on(loop, std::move(task)); }

  void connect() {
    auto [a, b] = stream_pipe();
    client = make_spdy_session(loop, a, false);
    server = make_spdy_session(loop, b, true);
  }
  // Our server end and a peer of raw bytes.
  StreamPtr raw_peer(bool server_end = true) {
    auto [a, b] = stream_pipe();
    server = make_spdy_session(loop, b, server_end);
    auto settings = take(a, 20);
    CHECK(settings == control(4, 0, u32(1) + u32(7) + u32(65536)));
    return a;
  }
  void send(StreamPtr s, std::string bytes) { REQUIRE(run(write_raw(s, std::move(bytes))).ok()); }
  static Task<Result<>> write_raw(StreamPtr s, std::string bytes) { co_return co_await s->write_all(bytes); }
  std::string take(StreamPtr s, size_t n) { return run(take_raw(s, n)); }
  static Task<std::string> take_raw(StreamPtr s, size_t n) {
    std::string out;
    while (out.size() < n) {
      std::string buffer(n - out.size(), '\0');
      auto got = co_await s->read_some({buffer.data(), buffer.size()});
      if (!got.ok() || *got == 0) break;
      out.append(buffer, 0, *got);
    }
    co_return out;
  }
  std::string take_frame(StreamPtr s) {
    std::string head = take(s, 8);
    if (head.size() < 8) return head;
    size_t size = 0;
    for (int i = 5; i < 8; ++i) size = size << 8 | static_cast<unsigned char>(head[i]);
    return head + take(s, size);
  }
  SpdyStreamPtr open(Session s, Headers headers = {}) {
    auto r = run(s->open(std::move(headers)));
    INFO((r.ok() ? std::string() : r.status().message()));
    REQUIRE(r.ok());
    return r.value();
  }
  SpdyStreamPtr accept(Session s) {
    auto r = run(s->accept());
    REQUIRE(r.ok());
    return r.value();
  }
  std::string read(SpdyStreamPtr s) {
    auto r = run(s->read());
    return r.ok() ? *r : "error: " + r.status().message();
  }
  std::string read_all(SpdyStreamPtr s) {
    std::string all;
    for (;;) {
      auto r = run(s->read());
      if (!r.ok()) return "error: " + r.status().message();
      if (r->empty()) return all;
      all += *r;
    }
  }
  void write(SpdyStreamPtr s, std::string text) { REQUIRE(run(s->write(std::move(text))).ok()); }
};

Task<void> write_and_end(SpdyStreamPtr s, std::string text) {
  (void)co_await s->write(std::move(text));
  (void)co_await s->close_write();
}

Task<void> refuse_one(StreamPtr peer) {
  std::string head = co_await World::take_raw(peer, 12);
  if (head.substr(8) == u32(1)) (void)co_await World::write_raw(peer, control(3, 0, u32(1) + u32(3)));
}
Task<void> hang_up(StreamPtr peer) {
  (void)co_await World::take_raw(peer, 12);
  peer->close();
}

// Serves SPDY inside WebSocket: what comes on a stream goes back in brackets.
Task<void> bracket(SpdyStreamPtr s) {
  auto text = co_await s->read();
  if (text.ok()) (void)co_await s->write("<" + *text + ">");
  (void)co_await s->close_write();
}
Task<void> serve_tunnel(async::Loop* loop, Request* request, ResponseWriter* response) {
  auto socket = co_await accept_websocket(*request, *response, {"SPDY/3.1+portforward.k8s.io"});
  if (!socket.ok()) {
    (void)co_await response->send(400, {}, socket.status().message());
    co_return;
  }
  auto session = make_spdy_session(*loop, websocket_stream(*socket), true);
  for (;;) {
    auto s = co_await session->accept();
    if (!s.ok()) co_return;
    async::spawn(*loop, bracket(*s));
  }
}

}  // namespace

TEST_CASE("spdy headers: the dictionary is SPDY/3's and names go out in lower case", "[spdy]") {
  HeaderDeflater deflater;
  HeaderInflater inflater;
  std::string first = deflater.deflate({{"streamType", "stdin"}, {"X-Many", "a"}, {"x-many", "b"}});
  REQUIRE(first.size() > 6);
  CHECK(to_hex(first.substr(2, 4)) == "e3c6a7c2");  // the dictionary's Adler-32
  auto headers = inflater.inflate(first);
  REQUIRE(headers.ok());
  CHECK(headers->rows() == std::vector<std::pair<std::string, std::string>>{{"streamtype", "stdin"}, {"x-many", "a"}, {"x-many", "b"}});
  for (int i = 0; i < 300; ++i) {  // one compressor for all blocks
    auto again = inflater.inflate(deflater.deflate({{"streamType", "stdout"}, {"requestID", std::to_string(i)}}));
    REQUIRE(again.ok());
    CHECK(again->get("requestid") == std::to_string(i));
  }
  CHECK(inflater.inflate(deflater.deflate({})).value().rows().empty());
  CHECK(inflater.inflate(deflater.deflate({{"big", std::string(100'000, 'x')}})).value().get("Big").size() == 100'000);
}

TEST_CASE("spdy headers: bombs and garbage are refused", "[spdy]") {
  HeaderDeflater deflater;
  HeaderInflater one, two, three;
  CHECK_FALSE(one.inflate(deflater.deflate({{"bomb", std::string(1 << 20, '0')}})).ok());
  CHECK_FALSE(two.inflate("no zlib at all").ok());
  CHECK_FALSE(three.inflate("").ok());
}

TEST_CASE("spdy: streams open both ways with their headers and carry data until each side's end", "[spdy]") {
  World w;
  w.connect();
  auto out = w.open(w.client, {{"streamType", "stdout"}});
  auto in = w.accept(w.server);
  CHECK(in->headers().get("StreamType") == "stdout");
  w.write(out, "hello");
  CHECK(w.read(in) == "hello");
  w.write(in, "and back");
  CHECK(w.read(out) == "and back");
  REQUIRE(w.run(out->close_write()).ok());
  CHECK(w.read(in).empty());
  CHECK(w.read(in).empty());
  CHECK_FALSE(w.run(out->write("late")).ok());
  w.write(in, "still open");
  CHECK(w.read(out) == "still open");
  REQUIRE(w.run(in->close_write()).ok());
  CHECK(w.read(out).empty());
  auto from_server = w.open(w.server, {{"streamType", "error"}});
  CHECK(w.accept(w.client)->headers().get("streamtype") == "error");
}

TEST_CASE("spdy: much data crosses windows on several streams at once", "[spdy]") {
  World w;
  w.connect();
  std::vector<SpdyStreamPtr> ends;
  for (int i = 0; i < 4; ++i) {
    auto s = w.open(w.client);
    ends.push_back(w.accept(w.server));
    async::spawn(w.loop, write_and_end(s, std::string(1'000'000, static_cast<char>('a' + i))));
  }
  for (int i = 3; i >= 0; --i) CHECK(w.read_all(ends[i]) == std::string(1'000'000, static_cast<char>('a' + i)));
}

TEST_CASE("spdy: a stream nobody reads does not hold up the others", "[spdy]") {
  World w;
  w.connect();
  auto stuck = w.open(w.client), busy = w.open(w.client);
  auto unread = w.accept(w.server), other = w.accept(w.server);
  async::spawn(w.loop, write_and_end(stuck, std::string(1'000'000, 's')));
  async::spawn(w.loop, write_and_end(busy, std::string(500'000, 'b')));
  CHECK(w.read_all(other).size() == 500'000);
  CHECK(w.read_all(unread).size() == 1'000'000);
}

TEST_CASE("spdy: a reset ends a stream for both and leaves the session", "[spdy]") {
  World w;
  w.connect();
  auto a = w.open(w.client);
  auto b = w.accept(w.server);
  w.write(a, "first");
  a->reset();
  CHECK(w.read(b) == "first");
  CHECK(w.read(b).starts_with("error: "));
  CHECK(w.read(a).starts_with("error: "));
  CHECK_FALSE(w.run(b->write("x")).ok());
  auto c = w.open(w.client);
  auto d = w.accept(w.server);
  d = nullptr;  // dropped: the peer learns
  CHECK(w.read(c).starts_with("error: "));
}

TEST_CASE("spdy: closing the session lets the peer read what was sent and then ends it", "[spdy]") {
  World w;
  w.connect();
  auto a = w.open(w.client);
  auto b = w.accept(w.server);
  w.write(b, "status");
  REQUIRE(w.run(b->close_write()).ok());
  w.server->close();
  CHECK(w.read(a) == "status");
  CHECK(w.read(a).empty());
  CHECK_FALSE(w.run(w.server->accept()).ok());
  CHECK_FALSE(w.run(w.client->accept()).ok());
  CHECK_FALSE(w.run(w.client->open({})).ok());
}

TEST_CASE("spdy: at most 256 streams are open, the next one is refused", "[spdy]") {
  World w;
  StreamPtr peer = w.raw_peer();
  HeaderDeflater deflater;
  std::string opened;
  for (uint32_t i = 0; i < 257; ++i) opened += control(1, 0, u32(2 * i + 1) + u32(0) + std::string(2, '\0') + deflater.deflate({{"n", std::to_string(i)}}));
  w.send(peer, opened);
  HeaderInflater inflater;
  for (uint32_t i = 0; i < 256; ++i) {
    std::string reply = w.take_frame(peer);
    REQUIRE(reply.size() > 12);
    CHECK(reply.substr(0, 4) == u32(0x80030002));
    CHECK(reply.substr(8, 4) == u32(2 * i + 1));
    CHECK(inflater.inflate(reply.substr(12)).ok());
  }
  CHECK(w.take_frame(peer) == control(3, 0, u32(513) + u32(3)));
}

TEST_CASE("spdy: frames of a foreign client are answered as the protocol says", "[spdy]") {
  World w;
  StreamPtr peer = w.raw_peer();
  // A header block {"streamtype": "stdin"} by another compressor with a window of 32 KiB.
  w.send(peer, control(1, 0, u32(1) + u32(0) + std::string(2, '\0') + from_hex("78f9e3c6a7c202a62346703a2b294a4dcc851625acc525c03c01000000ffff")));
  auto s = w.accept(w.server);
  CHECK(s->headers().get("streamType") == "stdin");
  CHECK(w.take_frame(peer).substr(0, 4) == u32(0x80030002));
  w.send(peer, control(6, 0, u32(1)) + control(6, 0, u32(2)) + control(6, 0, u32(3)));
  CHECK(w.take_frame(peer) == control(6, 0, u32(1)));
  CHECK(w.take_frame(peer) == control(6, 0, u32(3)));  // 2 would answer a ping of ours
  w.send(peer, control(200, 0, "from the future") + data(99, 0, "nobody's") + data(1, 0, "ab") + data(1, 1, "c"));
  CHECK(w.read_all(s) == "abc");
  // This peer has announced no windows: a writer goes on beyond 64 KiB.
  async::spawn(w.loop, write_and_end(s, std::string(200'000, 'w')));
  std::string got;
  for (;;) {
    std::string frame = w.take_frame(peer);
    REQUIRE(frame.size() >= 8);
    CHECK(frame.substr(0, 4) == u32(1));
    got += frame.substr(8);
    if (frame[4] == 1) break;
  }
  CHECK(got == std::string(200'000, 'w'));
  w.send(peer, control(7, 0, u32(0) + u32(0)));
  CHECK(w.take_frame(peer).substr(0, 4) == u32(0x80030007));
  CHECK(w.take(peer, 1).empty());
}

TEST_CASE("spdy: windows are heeded once the peer announced them", "[spdy]") {
  World w;
  StreamPtr peer = w.raw_peer();
  HeaderDeflater deflater;
  w.send(peer, control(4, 0, u32(1) + u32(7) + u32(1000)) + control(1, 0, u32(1) + u32(0) + std::string(2, '\0') + deflater.deflate({})));
  auto s = w.accept(w.server);
  (void)w.take_frame(peer);
  async::spawn(w.loop, write_and_end(s, std::string(1500, 'w')));
  CHECK(w.take_frame(peer) == data(1, 0, std::string(1000, 'w')));
  w.send(peer, control(9, 0, u32(1) + u32(100)));
  CHECK(w.take_frame(peer) == data(1, 0, std::string(100, 'w')));
  w.send(peer, control(9, 0, u32(1) + u32(5000)));
  CHECK(w.take_frame(peer) == data(1, 0, std::string(400, 'w')));
  CHECK(w.take_frame(peer) == data(1, 1, ""));
}

TEST_CASE("spdy: what was read is credited to the stream and the session", "[spdy]") {
  World w;
  StreamPtr peer = w.raw_peer();
  HeaderDeflater deflater;
  w.send(peer, control(1, 0, u32(1) + u32(0) + std::string(2, '\0') + deflater.deflate({})));
  auto s = w.accept(w.server);
  (void)w.take_frame(peer);
  w.send(peer, data(1, 0, std::string(40'000, 'd')));
  CHECK(w.take_frame(peer) == control(9, 0, u32(0) + u32(40'000)));
  size_t got = 0;
  while (got < 40'000) got += w.read(s).size();
  std::string update = w.take_frame(peer);
  CHECK(update.substr(0, 12) == control(9, 0, u32(1) + u32(40'000)).substr(0, 12));
}

TEST_CASE("spdy: broken frames end the session with GOAWAY", "[spdy]") {
  for (const std::string& bad : {u32(0x80020001) + u32(0), control(1, 0, "short"), control(1, 0, u32(1) + u32(0) + std::string(2, '\0') + "garbage for zlib"),
                                 u32(0x80030004) + u32(0x00ffffff), control(4, 0, u32(9))}) {
    World w;
    StreamPtr peer = w.raw_peer();
    w.send(peer, bad);
    CHECK(w.take_frame(peer) == control(7, 0, u32(0) + u32(1)));
    CHECK(w.take(peer, 1).empty());
    CHECK_FALSE(w.run(w.server->accept()).ok());
  }
}

TEST_CASE("spdy: open() fails when the peer refuses or goes away", "[spdy]") {
  World w;
  StreamPtr peer = w.raw_peer(false);
  async::spawn(w.loop, refuse_one(peer));
  auto refused = w.run(w.server->open({{"streamType", "data"}}));
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.status().message() == "spdy: the peer refused the stream");
  async::spawn(w.loop, hang_up(peer));
  CHECK_FALSE(w.run(w.server->open({})).ok());
  CHECK_FALSE(w.run(w.server->accept()).ok());
}

TEST_CASE("spdy: a session runs inside a WebSocket of a real HTTP connection", "[spdy][websocket]") {
  World w;
  HttpServerOptions options;
  options.listen.address = "127.0.0.1";
  auto server = serve_http(w.loop, options, [&w](Request& q, ResponseWriter& r) { return serve_tunnel(&w.loop, &q, &r); });
  REQUIRE(server.ok());
  auto client = make_http_client(w.loop, {.host = "127.0.0.1", .port = (*server)->port(), .tls = nullptr});
  auto refused = w.run(dial_websocket(*client, "/portforward", {}, {"other"}));
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.status().is(Reason::BadRequest));
  auto socket = w.run(dial_websocket(*client, "/portforward", {}, {"SPDY/3.1+portforward.k8s.io"}));
  REQUIRE(socket.ok());
  w.client = make_spdy_session(w.loop, websocket_stream(*socket), false);
  for (int i = 0; i < 3; ++i) {
    auto s = w.open(w.client, {{"port", "80"}});
    w.write(s, "request " + std::to_string(i));
    REQUIRE(w.run(s->close_write()).ok());
    CHECK(w.read_all(s) == "<request " + std::to_string(i) + ">");
  }
  w.client->close();
  CHECK_FALSE(w.run(w.client->accept()).ok());
  (*server)->stop();
}
