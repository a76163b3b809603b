// What is no resource: discovery, OpenAPI, health, version, metrics and the keys of service account tokens.
#include "apiserver/http/body.h"
#include "apiserver/http/front.h"
#include "apiserver/http/openid.h"
#include "pki/jwt.h"

namespace k8lite::apiserver {

using async::Task;
using json::Node;

Task<void> Front::serve_health(Call& call) {
  bool live = call.info.path.starts_with("/livez") || call.info.path.starts_with("/healthz");
  bool good = live || ready.load();
  std::string name = call.info.path.substr(1, call.info.path.find('/', 1) - 1);
  std::string body = good ? "ok" : "[-]poststarthook failed: the server is starting\n" + name + " check failed\n";
  if (call.request.query.has("verbose")) body = std::string(good ? "[+]" : "[-]") + "ping ok\n[+]store ok\n" + name + (good ? " check passed\n" : " check failed\n");
  (void)co_await call.response.send(good ? 200 : 500, {{"Content-Type", "text/plain; charset=utf-8"}, {"X-Content-Type-Options", "nosniff"}}, body);
}

std::string Front::metrics() const {
  std::string out = "# HELP apiserver_request_total Requests by verb and code.\n# TYPE apiserver_request_total counter\n";
  for (const auto& [key, n] : requests_) out += "apiserver_request_total{verb=" + json::quoted(key.first) + ",code=\"" + std::to_string(key.second) + "\"} " + std::to_string(n) + "\n";
  out += "# HELP apiserver_longrunning_requests Open watches.\n# TYPE apiserver_longrunning_requests gauge\napiserver_longrunning_requests{verb=\"WATCH\"} " + std::to_string(watches_) + "\n";
  return out;
}

Task<void> Front::serve_openid(Call& call) {
  bool keys = call.info.path == kKeySetPath;
  Result<std::string> body = openid_configuration(authn::service_account_issuer(options_.cluster_domain), options_.advertise_address + ":" + std::to_string(options_.advertise_port));
  if (keys) {
    auto key = pki::public_key_of(options_.service_account_key_pem);
    body = key.ok() ? key_set({*key}) : Result<std::string>(key.status());
  }
  if (!body.ok()) co_return co_await send_status(call.response, body.status());
  (void)co_await call.response.send(200, {{"Content-Type", keys ? "application/jwk-set+json" : "application/json"}, {"Cache-Control", "public, max-age=3600"}}, *body);
}

Task<void> Front::serve_meta(Call& call) {
  const std::string& path = call.info.path;
  if (call.request.method != "GET" && call.request.method != "HEAD")
    co_return co_await send_status(call.response, Status(Reason::MethodNotAllowed, "the server does not allow this method on the requested resource"));
  for (const char* p : {"/healthz", "/livez", "/readyz"})
    if (path == p || path.starts_with(std::string(p) + "/")) co_return co_await serve_health(call);
  if (path == "/version" || path == "/version/")
    co_return co_await send(call.response, 200, Node::obj({{"major", "1"}, {"minor", "36"}, {"gitVersion", "v1.36.0+k8lite"}, {"gitCommit", ""}, {"gitTreeState", "clean"}, {"buildDate", "1970-01-01T00:00:00Z"}, {"goVersion", "none"}, {"compiler", "clang"}, {"platform", "linux/amd64"}}).dump(), false);
  if (path == "/metrics") {
    (void)co_await call.response.send(200, {{"Content-Type", "text/plain; version=0.0.4"}}, metrics());
    co_return;
  }
  Result<Document> document = not_found("the server could not find the requested resource");
  std::string accept(call.request.headers.get("Accept"));
  std::string content_type = "application/json";
  if (path.starts_with("/openapi/")) {
    bool protobuf = path == "/openapi/v2" && accept.find("proto-openapi") != accept.npos && accept.find("application/json") == accept.npos;
    document = openapi_.get(rest_.types(), protobuf ? std::string(kOpenApiV2Protobuf) : path);
    if (protobuf) content_type = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
  } else if ((path == "/api" || path == "/apis") && accept.find("as=APIGroupDiscoveryList") != accept.npos && accept.find("v=v2;") != accept.npos) {
    document = aggregated_discovery(rest_.types(), path == "/api");
    content_type = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
  } else if (path == kOpenidConfigurationPath || path == kKeySetPath) {
    co_return co_await serve_openid(call);
  } else if (path == "/") {
    Node paths = Node::array();
    for (const char* p : {"/.well-known/openid-configuration", "/api", "/api/v1", "/apis", "/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3", "/openid/v1/jwks", "/readyz", "/version"}) paths.append(p);
    document = Document{Node::obj({{"paths", std::move(paths)}}).dump(), ""};
  } else if (path.starts_with("/api")) {
    document = discovery_document(rest_.types(), path, options_.advertise_address + ":" + std::to_string(options_.advertise_port));
  }
  if (!document.ok()) co_return co_await send_status(call.response, document.status());
  net::Headers headers{{"Content-Type", content_type}};
  if (!document->etag.empty()) headers.add("ETag", document->etag), headers.add("Vary", "Accept");
  if (!document->etag.empty() && call.request.headers.get("If-None-Match") == document->etag) {
    (void)co_await call.response.send(304, headers, "");
    co_return;
  }
  co_await send_body(call.response, 200, std::move(headers), document->body, takes_gzip(call.request.headers.get("Accept-Encoding")));
}

}  // namespace k8lite::apiserver
