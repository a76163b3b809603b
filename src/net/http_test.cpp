// The HTTP server and client against each other over loopback, plain and TLS, and the server against hostile bytes.
#include <catch2/catch.hpp>

#include "net/http.h"
#include "pki/pki.h"

using namespace k8lite;
using namespace k8lite::net;

namespace {

struct World {
  async::Loop loop;
  std::unique_ptr<HttpServer> server;
  std::atomic<int> disconnects{0};
  std::shared_ptr<HttpClient> client;
  pki::KeyPair ca, server_key, client_key;

  explicit World(bool tls, HttpServerOptions options = {}) {
    loop.start();
    options.listen.address = "127.0.0.1";
    if (tls) {
      Instant now = system_clock().now();
      ca = pki::create_ca("test-ca", now, seconds(3600 * 24)).value();
      server_key = pki::issue(ca, {.common_name = "server", .organizations = {}, .dns_names = {"localhost"}, .addresses = {"127.0.0.1"}, .server = true}, now).value();
      client_key = pki::issue(ca, {.common_name = "alice", .organizations = {"admins", "users"}, .dns_names = {}, .addresses = {}, .client = true}, now).value();
      options.listen.tls = make_tls_server({server_key.certificate_pem, server_key.key_pem, ca.certificate_pem}).value();
    }
    server = serve_http(loop, options, [this](Request& q, ResponseWriter& r) { return handle(this, &q, &r); }).value();
    client = connect(tls ? make_tls_client({.ca_pem = ca.certificate_pem, .certificate_pem = client_key.certificate_pem, .key_pem = client_key.key_pem, .server_name = {}}).value()
                         : nullptr);
  }
  ~World() {
    server->stop();
    loop.stop();
  }
  std::shared_ptr<HttpClient> connect(std::shared_ptr<TlsClientContext> tls) {
    return make_http_client(loop, {.host = "127.0.0.1", .port = server->port(), .tls = std::move(tls)});
  }

  static Task<void> handle(World* self, Request* request, ResponseWriter* response) {
    if (request->path == "/echo") {
      auto body = co_await request->read_body(8 << 20);
      if (!body.ok()) {
        (void)co_await response->send(http_code(body.status().reason()), {}, body.status().message());
        co_return;
      }
      (void)co_await response->send(200, {{"X-Method", request->method}}, *body);
    } else if (request->path == "/who") {
      const Peer& p = request->peer();
      std::string who = p.has_certificate ? p.common_name + " of " + p.organizations.at(0) + "," + p.organizations.at(1) : p.bad_certificate ? "bad" : "nobody";
      (void)co_await response->send(200, {}, who);
    } else if (request->path == "/stream") {
      (void)co_await response->start(200, {});
      for (int i = 0; i < 3; ++i) (void)co_await response->write("part " + std::to_string(i) + "\n");
      (void)co_await response->finish();
    } else if (request->path == "/forever") {
      async::Notify gone;
      (void)co_await response->start(200, {});
      response->on_disconnect([self, &gone] {
        ++self->disconnects;
        gone.notify();
      });
      (void)co_await response->write("begin");
      co_await gone.wait();
    } else if (request->path == "/short") {
      (void)co_await response->start(200, {{"Connection", "x"}});
      response->on_disconnect([self] { ++self->disconnects; });
      (void)co_await response->write("done");
      (void)co_await response->finish();
    } else if (request->path == "/upgrade") {
      auto stream = co_await response->upgrade({{"Connection", "Upgrade"}, {"Upgrade", "echo"}});
      if (!stream.ok()) co_return;
      char buffer[64];
      auto n = co_await (*stream)->read_some(buffer);
      if (n.ok()) (void)co_await (*stream)->write_all("echo " + std::string(buffer, *n));
      (*stream)->close();
    } else {
      (void)co_await response->send(404, {}, "nothing here");
    }
  }

  struct Answer {
    int status;
    std::string body;
  };
  Answer ask(ClientRequest request) {
    auto r = async::block_on(loop, fetch(client, std::move(request)));
    INFO((r.ok() ? std::string() : r.status().message()));
    REQUIRE(r.ok());
    return r.value();
  }
  static Task<Result<Answer>> fetch(std::shared_ptr<HttpClient> client, ClientRequest request) {
    CO_TRY(auto response, co_await client->send(std::move(request)));
    CO_TRY(std::string body, co_await response->read_body(16 << 20));
    co_return Answer{response->status, body};
  }
  // Sends raw bytes and returns all that comes back.
  std::string raw(std::string bytes) {
    return async::block_on(loop, raw_exchange(this, std::move(bytes)));
  }
  static Task<std::string> raw_exchange(World* self, std::string bytes) {
    auto stream = co_await dial(self->loop, "127.0.0.1", self->server->port(), nullptr, seconds(5));
    if (!stream.ok()) co_return stream.status().message();
    (*stream)->set_timeout(milliseconds(700));
    (void)co_await (*stream)->write_all(bytes);
    std::string all;
    char buffer[4096];
    for (;;) {
      auto n = co_await (*stream)->read_some(buffer);
      if (!n.ok() || *n == 0) break;
      all.append(buffer, *n);
    }
    (*stream)->close();
    co_return all;
  }
};

}  // namespace

TEST_CASE("http: requests and answers cross plain and TLS connections, small and large") {
  for (bool tls : {false, true}) {
    World w(tls);
    for (size_t size : {size_t{0}, size_t{5}, size_t{70'000}, size_t{5'000'000}}) {
      std::string body(size, 'x');
      auto a = w.ask({.method = "POST", .target = "/echo?a=b", .headers = {}, .body = body});
      CHECK(a.status == 200);
      CHECK(a.body == body);
    }
    CHECK(w.ask({.target = "/nowhere"}).status == 404);
    CHECK(w.ask({.target = "/stream"}).body == "part 0\npart 1\npart 2\n");
    CHECK(w.ask({.method = "HEAD", .target = "/echo"}).body.empty());
    CHECK(w.ask({.method = "POST", .target = "/echo", .headers = {}, .body = std::string(9 << 20, 'x')}).status == 413);
  }
}

TEST_CASE("http: the server knows who holds a certificate, who has none and who shows a foreign one") {
  World w(true);
  CHECK(w.ask({.target = "/who"}).body == "alice of admins,users");
  w.client = w.connect(make_tls_client({.ca_pem = w.ca.certificate_pem}).value());
  CHECK(w.ask({.target = "/who"}).body == "nobody");
  auto other = pki::create_ca("other", system_clock().now(), seconds(3600)).value();
  auto mallory = pki::issue(other, {.common_name = "alice", .organizations = {"admins"}, .dns_names = {}, .addresses = {}, .client = true}, system_clock().now()).value();
  w.client = w.connect(make_tls_client({.ca_pem = w.ca.certificate_pem, .certificate_pem = mallory.certificate_pem, .key_pem = mallory.key_pem, .server_name = {}}).value());
  CHECK(w.ask({.target = "/who"}).body == "bad");
  w.client = w.connect(make_tls_client({.ca_pem = other.certificate_pem}).value());
  auto r = async::block_on(w.loop, World::fetch(w.client, {.target = "/who"}));
  REQUIRE(!r.ok());
  CHECK(r.status().message().find("certificate") != std::string::npos);
}

TEST_CASE("http: a client that goes away is noticed while a response streams") {
  World w(true);
  auto response = async::block_on(w.loop, w.client->send({.target = "/forever"}));
  REQUIRE(response.ok());
  auto first = async::block_on(w.loop, (*response)->read_chunk());
  CHECK(first.value() == "begin");
  (*response)->cancel();
  for (int i = 0; i < 500 && w.disconnects == 0; ++i) std::this_thread::sleep_for(milliseconds(10));
  CHECK(w.disconnects == 1);
}

TEST_CASE("http: nobody is told of a disconnect after the response has ended") {
  World w(false);
  std::string r = w.raw("GET /short HTTP/1.1\r\nHost: a\r\n\r\n");  // raw() closes its end after the server has closed or said nothing for a while
  CHECK(r.find("done") != std::string::npos);
  for (int i = 0; i < 20; ++i) std::this_thread::sleep_for(milliseconds(10));
  CHECK(w.disconnects == 0);
}

TEST_CASE("http: an upgraded connection is handed over with what was read ahead") {
  World w(false);
  auto up = async::block_on(w.loop, w.client->upgrade({.target = "/upgrade", .headers = {{"Upgrade", "echo"}}, .body = {}}));
  REQUIRE(up.ok());
  auto stream = up->stream;
  REQUIRE(async::block_on(w.loop, stream->write_all("hello")).ok());
  char buffer[64];
  auto n = async::block_on(w.loop, stream->read_some(buffer));
  REQUIRE(n.ok());
  CHECK(std::string(buffer, *n) == "echo hello");
  CHECK(w.raw("GET /upgrade HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\nahead").ends_with("echo ahead"));
}

TEST_CASE("http: pipelined requests are answered in order and chunked bodies are understood") {
  World w(false);
  std::string r = w.raw(
      "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
      "GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  size_t first = r.find("abcdefg"), second = r.find("nothing here");
  CHECK(first != std::string::npos);
  CHECK(second != std::string::npos);
  CHECK(first < second);
}

TEST_CASE("http: nonsense is refused and slow heads are cut off") {
  HttpServerOptions options;
  options.header_timeout = milliseconds(200);
  World w(false, options);
  CHECK(w.raw("hello world\r\n\r\n").starts_with("HTTP/1.1 400"));
  CHECK(w.raw("GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n").starts_with("HTTP/1.1 400"));
  CHECK(w.raw("GET / HTTP/1.1\r\nX: " + std::string(70'000, 'a') + "\r\n\r\n").starts_with("HTTP/1.1 431"));
  CHECK(w.raw("GET / HTTP/1.1\r\nHost: a").empty());
}

TEST_CASE("http: a body that is too long is refused before it comes, one that does not come in time gets 504") {
  HttpServerOptions options;
  options.body_timeout = milliseconds(200);
  World w(false, options);
  CHECK(w.raw("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n").starts_with("HTTP/1.1 413"));
  std::string late = w.raw("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
  CHECK(late.starts_with("HTTP/1.1 504"));
  CHECK(late.find("request did not complete within the allotted timeout") != std::string::npos);
  // The answer survives a peer that goes on sending.
  CHECK(w.raw("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n" + std::string(300'000, 'x')).starts_with("HTTP/1.1 413"));
}

TEST_CASE("http: a connection that asks for nothing is closed") {
  HttpServerOptions options;
  options.first_request_timeout = milliseconds(200);
  World w(false, options);
  auto stream = async::block_on(w.loop, dial(w.loop, "127.0.0.1", w.server->port(), nullptr, seconds(15))).value();
  stream->set_timeout(seconds(15));
  char buffer[16];
  auto n = async::block_on(w.loop, stream->read_some(buffer));
  bool closed = n.ok() && *n == 0;
  CHECK(closed);
}

TEST_CASE("http: a full server lets a newcomer in at the cost of who was idle for longest, and waits where nobody is") {
  HttpServerOptions options;
  options.listen.max_connections = 3;
  World w(false, options);
  auto open = [&w](std::string request) {
    auto stream = async::block_on(w.loop, dial(w.loop, "127.0.0.1", w.server->port(), nullptr, seconds(15))).value();
    stream->set_timeout(seconds(15));
    REQUIRE(async::block_on(w.loop, stream->write_all(request + " HTTP/1.1\r\nHost: a\r\n\r\n")).ok());
    return stream;
  };
  auto answer = [&w](const StreamPtr& stream) {
    char buffer[4096];
    auto n = async::block_on(w.loop, stream->read_some(buffer));
    return n.ok() ? std::string(buffer, *n) : "";
  };
  auto idle = open("GET /nowhere");
  CHECK(answer(idle).find("404") != std::string::npos);
  std::vector<StreamPtr> busy;
  for (int i = 0; i < 3; ++i) {
    busy.push_back(open("GET /forever"));
    CHECK(answer(busy.back()).find("200") != std::string::npos);
  }
  CHECK(answer(idle).empty());  // closed for the third
  auto waits = open("GET /nowhere");
  busy.front()->close();
  CHECK(answer(waits).find("404") != std::string::npos);
  busy.push_back(open("GET /forever"));
  CHECK(answer(busy.back()).find("200") != std::string::npos);
  waits->close();
  for (auto& s : busy) s->close();
}
