// What is no resource: discovery, OpenAPI, health, version, metrics and the keys of service account tokens.
#include <algorithm>

#include "apiserver/http/body.h"
#include "apiserver/http/front.h"
#include "apiserver/http/openid.h"
#include "base/strings.h"

namespace k8lite::apiserver {

using async::Task;
using json::Node;

#if defined(__x86_64__)
constexpr const char* kPlatform = "linux/amd64";
#elif defined(__aarch64__)
constexpr const char* kPlatform = "linux/arm64";
#else
constexpr const char* kPlatform = "linux/arm";
#endif

Task<void> Front::serve_health(Call& call) {
  Health::Answer a = health.ask(call.info.path, call.request.query);
  if (a.code == 404) co_return co_await send_status(call.response, not_found("the server could not find the requested resource"));
  (void)co_await call.response.send(a.code, {{"Content-Type", "text/plain; charset=utf-8"}, {"Cache-Control", "no-cache, private"}, {"X-Content-Type-Options", "nosniff"}}, a.text);
}

std::string Front::figures_text() const {
  using metrics::Type;
  std::string out;
  metrics_.write(out);
  if (auditor_) auditor_->write_metrics(out);
  bool first = true;
  for (const auto& [resource, count] : rest_.object_counts()) {
    metrics::write_sample(out, "apiserver_storage_objects", Type::Gauge, "Objects stored, by kind.", metrics::Labels().add("resource", resource).text(), static_cast<double>(count), first);
    first = false;
  }
  metrics::write_sample(out, "k8lite_store_revision", Type::Gauge, "The newest revision of the store.", "", static_cast<double>(rest_.revision()));
  metrics::write_sample(out, "k8lite_build_info", Type::Gauge, "The version of this server.", "version=\"v1.36.0+k8lite\",major=\"1\",minor=\"36\"", 1);
  metrics::write_sample(out, "kubernetes_build_info", Type::Gauge, "The version of Kubernetes that this server is.", "git_version=\"v1.36.0+k8lite\",major=\"1\",minor=\"36\"", 1);
  for (const auto& more : figures) more(out);
  metrics::write_process(out);
  return out;
}

Task<void> Front::serve_openid(Call& call) {
  bool keys = call.info.path == kKeySetPath;
  Result<std::string> body = openid_configuration(options_.issuers.front(), options_.advertise_address + ":" + std::to_string(options_.advertise_port), options_.service_account_keys);
  if (keys) body = key_set(options_.service_account_keys);
  if (!body.ok()) co_return co_await send_status(call.response, body.status());
  (void)co_await call.response.send(200, {{"Content-Type", keys ? "application/jwk-set+json" : "application/json"}, {"Cache-Control", "public, max-age=3600"}}, *body);
}

namespace {

enum class DiscoveryForm { Plain, Yaml, Aggregated, None };

// The first range of an Accept header that discovery can be served in.
DiscoveryForm discovery_form(std::string_view accept, bool can_aggregate) {
  if (trim(accept).empty()) return DiscoveryForm::Plain;
  for (auto range : split(accept, ',')) {
    auto parts = split(range, ';');
    std::string type = lower(trim(parts[0]));
    std::string_view as, version;
    for (auto part : parts) {
      part = trim(part);
      if (part.starts_with("as=")) as = part.substr(3);
      if (part.starts_with("v=")) version = part.substr(2);
    }
    bool yaml = type == "application/yaml", json = type == "application/json" || type == "*/*" || type == "application/*";
    if (as.empty() && (yaml || json)) return yaml ? DiscoveryForm::Yaml : DiscoveryForm::Plain;
    if (json && can_aggregate && as == "APIGroupDiscoveryList" && version == "v2") return DiscoveryForm::Aggregated;
  }
  return DiscoveryForm::None;
}

Node version_info() {
  return Node::obj({{"major", "1"}, {"minor", "36"}, {"emulationMajor", "1"}, {"emulationMinor", "36"}, {"minCompatibilityMajor", "1"}, {"minCompatibilityMinor", "35"}, {"gitVersion", "v1.36.0+k8lite"}, {"gitCommit", ""}, {"gitTreeState", "clean"},
                    {"buildDate", "1970-01-01T00:00:00Z"}, {"goVersion", "none"}, {"compiler", "clang"}, {"platform", kPlatform}});
}

}  // namespace

Task<void> Front::serve_meta(Call& call) {
  const std::string& path = call.info.path;
  if (call.request.method != "GET" && call.request.method != "HEAD")
    co_return co_await send_status(call.response, Status(Reason::MethodNotAllowed, "the server does not allow this method on the requested resource"));
  for (const char* p : {"/healthz", "/livez", "/readyz"})
    if (path == p || path.starts_with(std::string(p) + "/")) co_return co_await serve_health(call);
  if (path == "/version" || path == "/version/")
    co_return co_await send(call.response, 200, version_info().dump(), false);
  if (path == "/metrics") {
    (void)co_await call.response.send(200, {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}}, figures_text());
    co_return;
  }
  Result<Document> document = not_found("the server could not find the requested resource");
  std::string accept(call.request.headers.get("Accept"));
  std::string content_type = "application/json";
  bool is_discovery = path == "/api" || path == "/apis" || path.starts_with("/api/") || path.starts_with("/apis/");
  DiscoveryForm form = discovery_form(accept, path == "/api" || path == "/apis");
  if (path.starts_with("/openapi/")) {
    bool protobuf = path == "/openapi/v2" && accept.find("proto-openapi") != accept.npos && accept.find("application/json") == accept.npos;
    document = openapi_.get(rest_.types(), protobuf ? std::string(kOpenApiV2Protobuf) : path);
    if (protobuf) content_type = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
  } else if (is_discovery && form == DiscoveryForm::None) {
    document = Status(Reason::NotAcceptable, "only the following media types are accepted: application/json, application/yaml");
  } else if (is_discovery && form == DiscoveryForm::Aggregated) {
    document = aggregated_discovery(rest_.types(), path == "/api");
    content_type = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
  } else if (path == kOpenidConfigurationPath || path == kKeySetPath) {
    co_return co_await serve_openid(call);
  } else if (path == "/") {
    Node paths = Node::array();
    std::vector<std::string> known = health.paths();
    for (const char* p : {"/.well-known/openid-configuration", "/api", "/apis", "/metrics", "/openapi/v2", "/openapi/v3", "/openid/v1/jwks", "/version"}) known.push_back(p);
    for (const auto& type : rest_.types().all()) {
      const std::string& group = type->row->group;
      if (!group.empty()) known.push_back("/apis/" + group);
      known.push_back((group.empty() ? "/api/" : "/apis/" + group + "/") + type->row->version);
    }
    std::sort(known.begin(), known.end());
    known.erase(std::unique(known.begin(), known.end()), known.end());
    for (auto& p : known) paths.append(std::move(p));
    document = Document{Node::obj({{"paths", std::move(paths)}}).dump(), ""};
  } else if (is_discovery) {
    document = discovery_document(rest_.types(), path, options_.advertise_address + ":" + std::to_string(options_.advertise_port));
  }
  if (!document.ok()) co_return co_await send_status(call.response, document.status());
  if (is_discovery && form == DiscoveryForm::Yaml) co_return co_await send(call.response, 200, document->body, true);
  net::Headers headers{{"Content-Type", content_type}};
  if (!document->etag.empty()) headers.add("ETag", document->etag), headers.add("Vary", "Accept");
  if (!document->etag.empty() && call.request.headers.get("If-None-Match") == document->etag) {
    (void)co_await call.response.send(304, headers, "");
    co_return;
  }
  co_await send_body(call.response, 200, std::move(headers), document->body, takes_gzip(call.request.headers.get("Accept-Encoding")) && !call.pretty ? &packers_ : nullptr);
}

}  // namespace k8lite::apiserver
