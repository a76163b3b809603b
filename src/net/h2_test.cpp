// HTTP/2 over TLS: good clients, slow ones and hostile ones against one server, whose handlers are those of HTTP/1.1.
#include <catch2/catch.hpp>

#include "net/h2_client.h"
#include "pki/pki.h"

using namespace k8lite;
using namespace k8lite::net;
using testing::frame;
using testing::H2Client;

namespace {

struct World {
  async::Loop loop;
  pki::KeyPair ca, server_key, client_key;
  std::unique_ptr<HttpServer> server;
  std::atomic<int> disconnects{0}, running{0};
  std::atomic<bool> release{false};

  explicit World(HttpServerOptions options = {}) {
    loop.start();
    Instant now = system_clock().now();
    ca = pki::create_ca("test-ca", now, seconds(3600 * 24)).value();
    server_key = pki::issue(ca,
                            {.common_name = "server",
                             .organizations = {},
                             .dns_names = {"localhost"},
                             .addresses = {"127.0.0.1"},
                             .server = true},
                            now)
                     .value();
    client_key =
        pki::issue(
            ca, {.common_name = "alice", .organizations = {"admins"}, .dns_names = {}, .addresses = {}, .client = true},
            now)
            .value();
    options.listen.address = "127.0.0.1";
    options.listen.tls =
        make_tls_server({server_key.certificate_pem, server_key.key_pem, ca.certificate_pem, true}).value();
    server = serve_http(loop, options, [this](Request& q, ResponseWriter& r) { return handle(this, &q, &r); }).value();
  }
  ~World() {
    release = true;
    server->stop();
    loop.stop();
  }
  std::shared_ptr<TlsClientContext> tls(bool http2 = true) {
    return make_tls_client({.ca_pem = ca.certificate_pem,
                            .certificate_pem = client_key.certificate_pem,
                            .key_pem = client_key.key_pem,
                            .server_name = {},
                            .http2 = http2})
        .value();
  }
  H2Client connect(bool windows = true) { return H2Client(loop, server->port(), tls(), windows); }

  static Task<void> handle(World* self, Request* request, ResponseWriter* response) {
    ++self->running;
    co_await answer(self, request, response);
    --self->running;
  }
  static Task<void> answer(World* self, Request* request, ResponseWriter* response) {
    if (request->path == "/echo") {
      auto body = co_await request->read_body(3 << 20);
      if (!body.ok()) {
        (void)co_await response->send(http_code(body.status().reason()), {}, body.status().message());
        co_return;
      }
      (void)co_await response->send(200, {{"X-Method", request->method}, {"Connection", "close"}}, *body);
    } else if (request->path == "/who") {
      (void)co_await response->send(200, {},
                                    request->peer().common_name + " at " + std::string(request->headers.get("Host")) +
                                        " asks " + std::string(request->query.get("q")));
    } else if (request->path == "/stream") {
      (void)co_await response->start(200, {});
      for (int i = 0; i < 3; ++i) (void)co_await response->write("part " + std::to_string(i) + "\n");
      (void)co_await response->finish();
    } else if (request->path == "/forever") {
      auto gone = std::make_shared<async::Notify>();
      (void)co_await response->start(200, {});
      response->on_disconnect([self, gone] {
        ++self->disconnects;
        gone->notify();
      });
      (void)co_await response->write("begin");
      co_await gone->wait();
    } else if (request->path == "/endless") {
      (void)co_await response->start(200, {});
      std::string piece(100'000, 'e');
      while ((co_await response->write(piece)).ok()) {
      }
      ++self->disconnects;
    } else if (request->path == "/short") {
      (void)co_await response->start(200, {});
      (void)co_await response->write("cut");
    } else if (request->path == "/held") {
      while (!self->release) co_await async::sleep_for(self->loop, milliseconds(5));
      (void)co_await response->send(200, {}, "released");
    } else if (request->path == "/upgrade") {
      auto stream = co_await response->upgrade({{"Upgrade", "echo"}});
      if (!stream.ok()) (void)co_await response->send(400, {}, stream.status().message());
    } else if (request->path != "/silent") {
      (void)co_await response->send(404, {}, "nothing here");
    }
  }
};

void eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 3000 && !condition(); ++i) std::this_thread::sleep_for(milliseconds(5));
  CHECK(condition());
}

}  // namespace

TEST_CASE("h2: who asks for it gets it, everyone else HTTP/1.1") {
  World w;
  auto with = async::block_on(w.loop, dial(w.loop, "127.0.0.1", w.server->port(), w.tls(true), seconds(15))).value();
  CHECK(with->peer().http2);
  auto without =
      async::block_on(w.loop, dial(w.loop, "127.0.0.1", w.server->port(), w.tls(false), seconds(15))).value();
  CHECK_FALSE(without->peer().http2);
  with->close();
  without->close();
}

TEST_CASE("h2: requests and answers of every size and shape") {
  World w;
  auto c = w.connect();
  for (size_t size : {size_t{0}, size_t{5}, size_t{16'384}, size_t{70'000}, size_t{2'000'000}}) {
    std::string body(size, 'x');
    const auto& a = c.wait(c.ask("POST", "/echo?a=b", body));
    CHECK(a.status() == 200);
    CHECK(a.headers.at("x-method") == "POST");
    CHECK(a.headers.count("connection") == 0);
    CHECK(a.body == body);
    CHECK(a.error == 0);
  }
  CHECK(c.wait(c.ask("POST", "/echo", "awaited", {{"expect", "100-continue"}})).body == "awaited");
  CHECK(c.get("/nowhere").status() == 404);
  CHECK(c.get("/who?q=why").body == "alice at localhost asks why");
  CHECK(c.get("/stream").body == "part 0\npart 1\npart 2\n");
  const auto& head = c.wait(c.ask("HEAD", "/nowhere"));
  CHECK(head.body.empty());
  CHECK(head.headers.at("content-length") == "12");
  CHECK(c.get("/silent").status() == 500);
  CHECK(c.get("/short").error == NGHTTP2_INTERNAL_ERROR);
  CHECK(c.get("/upgrade").status() == 400);
  CHECK(c.get("/nowhere").status() == 404);
  CHECK_FALSE(c.goaway);
}

TEST_CASE("h2: many streams share a connection, and one that never reads blocks nobody") {
  World w;
  auto c = w.connect(false);
  std::vector<int32_t> open;
  for (int i = 0; i < 100; ++i) open.push_back(c.ask("GET", "/forever"));
  REQUIRE(c.until([&] {
    for (int32_t id : open)
      if (c.answers[id].body != "begin") return false;
    return true;
  }));
  // Without window updates the answer stops after the stream's first 64 KiB; the connection's own window is opened by
  // hand.
  nghttp2_submit_window_update(c.session, NGHTTP2_FLAG_NONE, 0, 1 << 24);
  int32_t greedy = c.ask("GET", "/endless");
  REQUIRE(c.until([&] { return c.answers[greedy].body.size() >= 65'535; }));
  CHECK(c.get("/who?q=x").status() == 200);
  CHECK(c.answers[greedy].body.size() == 65'535);
  for (int32_t id : open) nghttp2_submit_rst_stream(c.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
  nghttp2_submit_rst_stream(c.session, NGHTTP2_FLAG_NONE, greedy, NGHTTP2_CANCEL);
  c.flush();
  eventually([&] { return w.disconnects == 101 && w.running == 0; });
  CHECK(c.get("/who?q=x").status() == 200);
}

TEST_CASE("h2: a stream whose client does not read is closed, the others go on") {
  HttpServerOptions options;
  options.write_timeout = milliseconds(300);
  World w(options);
  auto c = w.connect(false);
  int32_t watch = c.ask("GET", "/forever");
  nghttp2_submit_window_update(c.session, NGHTTP2_FLAG_NONE, 0, 1 << 24);
  int32_t greedy = c.ask("GET", "/endless");
  const auto& a = c.wait(greedy);
  CHECK(a.closed);
  CHECK(a.error == NGHTTP2_CANCEL);
  eventually([&] { return w.running == 1; });
  CHECK_FALSE(c.answers[watch].closed);
  CHECK(c.get("/who?q=x").status() == 200);
}

TEST_CASE("h2: bodies too large are refused and the connection stays") {
  World w;
  auto c = w.connect();
  CHECK(c.wait(c.ask("POST", "/echo", std::string(100, 'x'), {{"content-length", "100"}})).status() == 200);
  const auto& told = c.wait(c.ask("POST", "/echo", "x", {{"content-length", "3145729"}}, true));
  CHECK(told.status() == 413);
  CHECK(told.body.find("limit is 3145728") != std::string::npos);
  const auto& large = c.wait(c.ask("POST", "/echo", std::string(5 << 20, 'x')));
  CHECK(large.status() == 413);
  CHECK(large.error == NGHTTP2_NO_ERROR);
  CHECK(c.get("/who?q=x").status() == 200);
}

TEST_CASE("h2: a body that does not come in time gets 504 and the connection stays") {
  HttpServerOptions options;
  options.body_timeout = milliseconds(300);
  World w(options);
  auto c = w.connect();
  CHECK(c.wait(c.ask("POST", "/echo", "begun", {}, true)).status() == 504);
  CHECK(c.get("/who?q=x").status() == 200);
}

TEST_CASE("h2: heads too large get 431, nonsense ends the stream or the connection") {
  World w;
  auto c = w.connect();
  CHECK(c.wait(c.ask("GET", "/who", "", {{"x-long", std::string(60'000, 'a')}, {"y-long", std::string(20'000, 'a')}}))
            .status() == 431);
  CHECK(c.wait(c.ask("OPTIONS", "*")).status() == 400);
  CHECK(c.get("/who?q=x").status() == 200);
  auto bad = w.connect();
  bad.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  bad.until([] { return false; });
  CHECK(bad.ended);
  auto odd = w.connect();
  odd.flush();
  odd.send(frame(0, 0, 0, "data on stream 0"));
  odd.until([&] { return odd.goaway; });
  CHECK(odd.goaway_code == NGHTTP2_PROTOCOL_ERROR);
  CHECK(c.get("/who?q=x").status() == 200);
}

TEST_CASE("h2: floods of frames that ask for nothing end their connection") {
  World w;
  auto flooded = [&w](std::string frames) {
    auto c = w.connect();
    c.flush();
    for (int i = 0; i < 50 && c.send(frames); ++i) {
    }
    return c.raw_goaway();
  };
  auto many = [](std::string one, int n) {
    std::string out;
    for (int i = 0; i < n; ++i) out += one;
    return out;
  };
  const int calm = NGHTTP2_ENHANCE_YOUR_CALM;
  CHECK(flooded(many(frame(6, 0, 0, "12345678"), 1000)) == calm);                 // PING
  CHECK(flooded(many(frame(4, 0, 0, ""), 1000)) == calm);                         // SETTINGS
  std::string head("\x82\x84\x87\x41\x01\x61", 6);                                // GET / https, authority "a"
  CHECK(flooded(frame(1, 4, 1, head) + many(frame(0, 0, 1, ""), 1000)) == calm);  // empty DATA
  std::string resets;
  for (int32_t id = 1; id < 4001; id += 2)
    resets += frame(1, 5, id, head) + frame(3, 0, id, std::string("\0\0\0\x08", 4));
  CHECK(flooded(resets) == calm);  // opened and reset at once
  // A head that never ends.
  int said = flooded(frame(1, 0, 1, head) + many(frame(9, 0, 1, std::string(16'000, '\x10')), 50));
  CHECK(said != 0);
  eventually([&] { return w.running == 0; });
  auto good = w.connect();
  CHECK(good.get("/who?q=x").status() == 200);
}

TEST_CASE("h2: handlers of streams that were reset still count") {
  World w;
  auto c = w.connect();
  CHECK(c.get("/who?q=x").status() == 200);  // the server's settings are known from here on
  std::vector<int32_t> ids;
  for (int i = 0; i < 250; ++i) ids.push_back(c.ask("GET", "/held"));
  c.flush();
  eventually([&] { return w.running == 250; });
  for (int32_t id : ids) nghttp2_submit_rst_stream(c.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
  int32_t next = c.ask("GET", "/who?q=x");
  CHECK(c.wait(next).error == NGHTTP2_REFUSED_STREAM);
  w.release = true;
  eventually([&] { return w.running == 0; });
  CHECK(c.get("/who?q=x").status() == 200);
}

TEST_CASE("h2: a server that stops says goodbye, and so does one whose client has nothing to ask") {
  HttpServerOptions options;
  options.idle_timeout = milliseconds(200);
  World w(options);
  auto idle = w.connect();
  CHECK(idle.get("/who?q=x").status() == 200);
  idle.until([&] { return idle.goaway; });
  CHECK(idle.goaway);
  CHECK(idle.goaway_code == NGHTTP2_NO_ERROR);
  idle.until([] { return false; });
  auto busy = w.connect();
  int32_t watch = busy.ask("GET", "/forever");
  REQUIRE(busy.until([&] { return busy.answers[watch].body == "begin"; }));
  w.server->stop();
  busy.until([] { return false; });
  CHECK(busy.goaway);
  eventually([&] { return w.disconnects == 1; });
}

TEST_CASE("h2: half a head is cut off in time") {
  HttpServerOptions options;
  options.header_timeout = milliseconds(200);
  World w(options);
  auto c = w.connect();
  c.flush();
  c.send(frame(1, 0, 1, std::string("\x82\x84\x87", 3)));  // no END_HEADERS
  c.until([] { return false; });
  CHECK(c.ended);
}
