// Hostile clients of the real front door: an API server behind TLS, HTTP/1.1 and HTTP/2 on a loopback socket. Whatever
// comes over the wire gets the right status or loses its connection, and others are served all the while.
#include <catch2/catch.hpp>
#include <fstream>

#include "net/h2_client.h"
#include "pki/pki.h"
#include "support/api_world.h"

using namespace k8lite;
using json::Node;
using net::testing::H2Client;
using testing::ApiWorld;

namespace {

struct Answer {
  int status = 0;
  net::Headers headers;
  std::string body;
  std::string reason() const { return Node::parse(body).value_or({}).get("reason").str(); }
};

struct FrontDoor : ApiWorld {
  Instant now = system_clock().now();
  pki::KeyPair ca = pki::create_ca("ca", now, seconds(86'400)).value();
  std::unique_ptr<net::HttpServer> server;
  std::shared_ptr<net::HttpClient> http;

  explicit FrontDoor(net::HttpServerOptions options = {}) {
    auto key = pki::issue(ca,
                          {.common_name = "server",
                           .organizations = {},
                           .dns_names = {"localhost"},
                           .addresses = {"127.0.0.1"},
                           .server = true},
                          now)
                   .value();
    options.listen.address = "127.0.0.1";
    options.listen.tls = net::make_tls_server({key.certificate_pem, key.key_pem, ca.certificate_pem, true}).value();
    server = net::serve_http(loop, options, api->handler()).value();
    http = client_of(tls());
  }
  ~FrontDoor() {
    http = nullptr;
    server->stop();
    async::block_on(loop, settle(this));
  }
  static async::Task<bool> settle(FrontDoor* self) {
    co_return co_await async::sleep_for(self->loop, milliseconds(20));
  }

  std::shared_ptr<net::TlsClientContext> tls(bool http2 = false) {
    return net::make_tls_client(
               {.ca_pem = ca.certificate_pem, .certificate_pem = {}, .key_pem = {}, .server_name = {}, .http2 = http2})
        .value();
  }
  std::shared_ptr<net::HttpClient> client_of(std::shared_ptr<net::TlsClientContext> t) {
    return net::make_http_client(loop, {.host = "127.0.0.1", .port = server->port(), .tls = std::move(t)});
  }
  H2Client h2(bool windows = true) { return H2Client(loop, server->port(), tls(true), windows); }

  Answer over(std::shared_ptr<net::HttpClient> c, net::ClientRequest request) {
    auto r = async::block_on(loop, fetch(std::move(c), std::move(request)));
    CAPTURE((r.ok() ? std::string() : r.status().message()));
    REQUIRE(r.ok());
    return std::move(r).value();
  }
  Answer ask(std::string method, std::string target, std::string body = "", std::string type = "application/json",
             std::string token = "admin") {
    net::Headers headers{{"Content-Type", type}};
    if (!token.empty()) headers.add("Authorization", "Bearer " + token);
    return over(http, {.method = std::move(method),
                       .target = std::move(target),
                       .headers = std::move(headers),
                       .body = std::move(body)});
  }
  static async::Task<Result<Answer>> fetch(std::shared_ptr<net::HttpClient> c, net::ClientRequest request) {
    CO_TRY(auto response, co_await c->send(std::move(request)));
    CO_TRY(std::string body, co_await response->read_body(64 << 20));
    co_return Answer{response->status, response->headers, body};
  }

  net::StreamPtr dial(bool secure = true) {
    auto s = async::block_on(loop, net::dial(loop, "127.0.0.1", server->port(), secure ? tls() : nullptr, seconds(15)))
                 .value();
    s->set_timeout(seconds(15));
    return s;
  }
  bool write(const net::StreamPtr& s, std::string_view bytes) {
    return async::block_on(loop, s->write_all(bytes)).ok();
  }
  // What comes until the end, or until `mark` is in it.
  std::string read(const net::StreamPtr& s, std::string_view mark = "\xff\xff") {
    std::string all;
    char buffer[16 * 1024];
    while (all.find(mark) == all.npos) {
      auto n = async::block_on(loop, s->read_some(buffer));
      if (!n.ok() || *n == 0) break;
      all.append(buffer, *n);
    }
    return all;
  }
  void alive() { CHECK(ask("GET", "/api/v1/namespaces/default").status == 200); }
};

constexpr std::string_view kHead =
    " HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer admin\r\nContent-Type: application/json\r\n";

size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  size_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * 4096;
}

}  // namespace

TEST_CASE("hostile front: bodies that are too deep, too long, or no text") {
  FrontDoor w;
  const std::string maps = "/api/v1/namespaces/default/configmaps";
  CHECK(w.ask("POST", maps, std::string(200'000, '[')).status == 400);
  CHECK(w.ask("POST", maps, R"({"metadata":{"name":"x"},"data":)" + std::string(200'000, '{')).status == 400);
  CHECK(w.ask("POST", maps, std::string(200'000, '['), "application/yaml").status == 400);
  CHECK(
      w.ask("PATCH", "/api/v1/namespaces/default", std::string(200'000, '['), "application/merge-patch+json").status ==
      400);
  CHECK(w.ask("PATCH", "/api/v1/namespaces/default?fieldManager=x", std::string(200'000, '['),
              "application/apply-patch+yaml")
            .status == 400);
  CHECK(w.ask("POST", maps, "k8s" + std::string(1, '\0') + std::string(200'000, '\x0a'),
              "application/vnd.kubernetes.protobuf")
            .status == 400);
  CHECK(w.ask("POST", maps, "{\"metadata\":{\"name\":\"x\"},\"data\":{\"a\":\"\xc3\x28\xff\"}}").status == 400);
  CHECK(w.ask("POST", maps, R"({"metadata":{"name":"x"}} trailing)").status == 400);
  // Announced, and not.
  auto s = w.dial();
  w.write(s, "POST " + maps + std::string(kHead) + "Content-Length: 104857600\r\n\r\n");
  std::string refused = w.read(s);
  CHECK(refused.starts_with("HTTP/1.1 413"));
  CHECK(refused.find("Request entity too large: limit is 3145728") != refused.npos);
  size_t before = resident_bytes();
  s = w.dial();
  w.write(s, "POST " + maps + std::string(kHead) + "Transfer-Encoding: chunked\r\n\r\n");
  std::string piece = "100000\r\n" + std::string(1 << 20, 'x') + "\r\n";
  for (int i = 0; i < 100 && w.write(s, piece); ++i) {
  }
  CHECK(resident_bytes() < before + (40 << 20));
  auto c = w.h2();
  const auto& a = c.wait(c.ask("POST", maps, std::string(8 << 20, 'x'), {{"authorization", "Bearer admin"}}));
  CHECK(a.status() == 413);
  w.alive();
}

TEST_CASE("hostile front: keys twice and numbers out of range") {
  FrontDoor w;
  const std::string maps = "/api/v1/namespaces/default/configmaps";
  auto twice = R"({"metadata":{"name":"twice"},"data":{"a":"1","a":"2"}})";
  CHECK(w.ask("POST", maps + "?fieldValidation=Strict", twice).status == 400);
  auto warned = w.ask("POST", maps + "?fieldValidation=Warn", twice);
  CHECK(warned.status == 201);
  CHECK(std::string(warned.headers.get("Warning")).find("duplicate field") != std::string::npos);
  for (const char* n : {"1e400", "99999999999999999999", "2147483648", "-2147483649", "1.5", "\"1\"", "0x10", "NaN"}) {
    CAPTURE(n);
    auto a = w.ask(
        "POST", "/apis/apps/v1/namespaces/default/deployments",
        std::string(
            R"({"metadata":{"generateName":"d-"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}},"replicas":)") +
            n + "}}");
    bool refused = a.status == 400 || a.status == 422;
    CHECK(refused);
  }
  w.alive();
}

TEST_CASE("hostile front: paths that lead elsewhere or nowhere") {
  FrontDoor w;
  for (const char* path :
       {"/api/v1/namespaces/../secrets", "/api/v1/namespaces/%2e%2e",
        "/api/v1/namespaces/default/pods/%2e%2e%2f%2e%2e%2fsecrets", "/api/v1/namespaces/default/pods/%00",
        "/api/v1/namespaces/default/pods/a%00b", "/../../etc/passwd", "/api/v1/namespaces/default/pods/%",
        "/api/v1/namespaces/default/pods/%zz", "/api/v1/namespaces/default/pods/%ff%fe",
        "/api/v1/namespaces/default/secrets/%2e", "/v1-k8lite/../../x", "/openapi/v3/../../x"}) {
    CAPTURE(path);
    auto a = w.ask("GET", path);
    bool client_error = a.status >= 400 && a.status < 500;
    CHECK(client_error);
    auto c = w.ask("PUT", path, R"({"metadata":{"name":"x"}})");
    client_error = c.status >= 400 && c.status < 500;
    CHECK(client_error);
  }
  std::string longest = "/api/v1/namespaces/default/pods/" + std::string(30'000, 'a');
  auto far = w.ask("GET", longest);
  bool refused = far.status == 400 || far.status == 404;
  CHECK(refused);
  CHECK(w.ask("GET", "/api/v1/pods?labelSelector=" + std::string(30'000, 'a') + "%3D" + std::string(20'000, 'b'))
            .status == 400);
  CHECK(w.ask("GET", "/api/v1/pods?continue=" + std::string(50'000, 'A')).status == 400);
  auto s = w.dial();
  w.write(s, "GET /" + std::string(100'000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(w.read(s).starts_with("HTTP/1.1 431"));
  w.alive();
}

TEST_CASE("hostile front: credentials of another cluster") {
  FrontDoor w;
  Node claims = Node::obj({{"iss", "https://kubernetes.default.svc.cluster.local"},
                           {"sub", "system:serviceaccount:default:default"},
                           {"aud", Node::arr({"k8lite"})},
                           {"exp", int64_t{4'000'000'000}}});
  std::string foreign = pki::sign_jwt(claims, pki::create_signing_key().value()).value();
  for (const std::string& token :
       {foreign, foreign + "x", std::string("a.b.c"), std::string("...."), std::string(60'000, 'x'),
        std::string("\xff\xfe"), std::string("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.")}) {
    CAPTURE(token.substr(0, 100));
    auto a = w.ask("GET", "/api/v1/pods", "", "", token);
    CHECK(a.status == 401);
    CHECK(a.reason() == "Unauthorized");
  }
  auto other = pki::create_ca("ca", w.now, seconds(86'400)).value();
  auto mallory = pki::issue(other,
                            {.common_name = "admin",
                             .organizations = {"system:masters"},
                             .dns_names = {},
                             .addresses = {},
                             .client = true},
                            w.now)
                     .value();
  auto c = w.client_of(net::make_tls_client({.ca_pem = w.ca.certificate_pem,
                                             .certificate_pem = mallory.certificate_pem,
                                             .key_pem = mallory.key_pem,
                                             .server_name = {}})
                           .value());
  CHECK(w.over(c, {.target = "/api/v1/pods"}).status == 401);
  // A certificate of our own CA that is for servers says nothing of a user.
  auto served = pki::issue(w.ca,
                           {.common_name = "admin",
                            .organizations = {"system:masters"},
                            .dns_names = {"x"},
                            .addresses = {},
                            .server = true},
                           w.now)
                    .value();
  c = w.client_of(net::make_tls_client({.ca_pem = w.ca.certificate_pem,
                                        .certificate_pem = served.certificate_pem,
                                        .key_pem = served.key_pem,
                                        .server_name = {}})
                      .value());
  CHECK(w.over(c, {.target = "/api/v1/pods"}).status == 401);
  w.alive();
}

TEST_CASE("hostile front: a watch that never reads is closed, and costs others nothing") {
  net::HttpServerOptions options;
  options.write_timeout = milliseconds(500);
  FrontDoor w(options);
  auto slow = w.dial();
  w.write(slow, "GET /api/v1/configmaps?watch=1&resourceVersion=0" + std::string(kHead) + "\r\n");
  auto c = w.h2(false);  // never opens a window
  int32_t watch = c.ask("GET", "/api/v1/configmaps?watch=1&resourceVersion=0", "", {{"authorization", "Bearer admin"}});
  c.flush();
  size_t before = resident_bytes();
  std::string large(500'000, 'x');
  REQUIRE(w.ask("POST", "/api/v1/namespaces/default/configmaps",
                R"({"metadata":{"name":"big"},"data":{"a":")" + large + R"("}})")
              .status == 201);
  for (int i = 0; i < 200; ++i)
    REQUIRE(w.ask("PATCH", "/api/v1/namespaces/default/configmaps/big",
                  R"({"data":{"n":")" + std::to_string(i) + R"("}})", "application/merge-patch+json")
                .status == 200);
  CHECK(resident_bytes() < before + (200 << 20));
  REQUIRE(c.until([&] { return c.answers[watch].closed; }));
  CHECK(c.answers[watch].body.size() <= 65'535);
  nghttp2_submit_window_update(c.session, NGHTTP2_FLAG_NONE, 0, 1 << 20);
  CHECK(c.wait(c.ask("GET", "/readyz", "", {{"authorization", "Bearer admin"}})).status() >= 200);
  std::string got = w.read(slow);  // what the kernel held, then the end
  CHECK(got.size() < (100u << 20));
  CHECK_FALSE(got.ends_with("0\r\n\r\n"));
  w.alive();
}

TEST_CASE("hostile front: half a handshake, garbage for TLS, half a head, half a body") {
  net::HttpServerOptions options;
  options.listen.handshake_timeout = options.header_timeout = options.first_request_timeout = options.body_timeout =
      milliseconds(500);
  FrontDoor w(options);
  auto silent = w.dial(false);
  CHECK(w.read(silent).empty());
  auto garbage = w.dial(false);
  w.write(garbage, "GET / HTTP/1.1\r\nHost: a\r\n\r\n" + std::string(100'000, '\x16'));
  CHECK(w.read(garbage).size() < 100);
  auto hello = w.dial(false);
  w.write(hello, std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11));
  CHECK(w.read(hello).empty());
  auto head = w.dial();
  w.write(head, "GET /version HTTP/1.1\r\nHost: a\r\nX-Slow: ");
  CHECK(w.read(head).empty());
  auto nothing = w.dial();
  CHECK(w.read(nothing).empty());
  auto body = w.dial();
  w.write(body, "POST /api/v1/namespaces/default/configmaps" + std::string(kHead) + "Content-Length: 100\r\n\r\n{");
  std::string late = w.read(body);
  CHECK(late.starts_with("HTTP/1.1 504"));
  CHECK(late.find("\"Timeout\"") != late.npos);
  w.alive();
}

TEST_CASE("hostile front: who comes when every place is taken gets 429 and may come back") {
  FrontDoor w;
  auto c = w.h2();
  net::Headers ann{{"authorization", "Bearer ann"}, {"content-type", "application/json"}};
  c.until([&] { return c.wait(c.ask("GET", "/version", "", ann)).status() != 0; });
  // Two hundred bodies that never end hold every place for writers. (That ann may not write is found out later.)
  for (int i = 0; i < 200; ++i) c.ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "{", ann, true);
  c.flush();
  Answer a;
  for (int i = 0; i < 3000 && a.status != 429; ++i)
    a = w.ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
              R"({"spec":{"resourceAttributes":{"verb":"get","resource":"pods"}}})", "application/json", "ann");
  CHECK(a.status == 429);
  CHECK(a.reason() == "TooManyRequests");
  CHECK(a.headers.get("Retry-After") == "1");
  CHECK(w.ask("GET", "/version", "", "", "ann").status == 200);
  CHECK(w.ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
              R"({"spec":{"resourceAttributes":{"verb":"get","resource":"pods"}}})")
            .status == 201);
  c.stream->close();
  for (int i = 0; i < 3000 && a.status != 201; ++i)
    a = w.ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
              R"({"spec":{"resourceAttributes":{"verb":"get","resource":"pods"}}})", "application/json", "ann");
  CHECK(a.status == 201);
}
