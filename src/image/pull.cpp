#include "image/pull.h"

#include "base/log.h"
#include "base/strings.h"
#include "base/yaml.h"
#include "net/http.h"
#include "os/files.h"

namespace k8lite::image {
namespace {

using json::Node;
using net::ClientRequest;
using net::ClientResponse;

constexpr size_t kMaxManifest = 4 << 20;
constexpr int kMaxRedirects = 5;
constexpr std::string_view kAccept =
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json";

// A connection to one registry with its credentials.
class Session {
 public:
  Session(async::Loop& loop, std::string endpoint, RegistryConfig config, std::vector<RegistryAuth> auth) : loop_(loop), endpoint_(std::move(endpoint)), config_(std::move(config)), auth_(std::move(auth)) {
    if (!config_.auth.username.empty()) auth_.push_back(config_.auth);
    auth_.push_back({});
  }

  Result<std::unique_ptr<ClientResponse>> get(const std::string& path, std::string_view accept) {
    TRY(auto response, send(endpoint_ + path, accept, authorization_));
    if (response->status == 401) {
      std::string challenge(response->headers.get("WWW-Authenticate"));
      for (const auto& auth : auth_) {
        auto header = answer(challenge, auth);
        if (!header.ok()) continue;
        TRY(response, send(endpoint_ + path, accept, *header));
        if (response->status != 401 && response->status != 403) {
          authorization_ = *header;
          break;
        }
      }
    }
    if (response->status == 200) return response;
    std::string url = endpoint_ + path;
    if (response->status == 404) return not_found("failed to resolve reference: " + url + ": not found");
    if (response->status == 401 || response->status == 403) return Status(Reason::Forbidden, "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed");
    return unavailable("unexpected status from GET request to " + url + ": " + std::to_string(response->status));
  }

  Result<std::string> text(const std::string& path, std::string_view accept) {
    TRY(auto response, get(path, accept));
    return async::block_on(loop_, response->read_body(kMaxManifest));
  }
  async::Loop& loop() { return loop_; }

 private:
  Result<std::unique_ptr<ClientResponse>> send(std::string url, std::string_view accept, std::string authorization) {
    for (int hop = 0; hop < kMaxRedirects; ++hop) {
      TRY(net::Url parsed, net::Url::parse(url));
      net::HttpClientOptions options{.host = parsed.host, .port = parsed.port, .tls = nullptr};
      if (parsed.scheme == "https") {
        TRY(options.tls, net::make_tls_client({.ca_pem = config_.ca_pem, .insecure_skip_verify = config_.insecure_skip_verify, .certificate_pem = config_.certificate_pem, .key_pem = config_.key_pem, .server_name = {}}));
      }
      std::string key = parsed.scheme + parsed.host + std::to_string(parsed.port);
      auto& client = clients_[key];
      if (!client) client = net::make_http_client(loop_, options);
      ClientRequest request{"GET", parsed.target, {{"User-Agent", "k8lite"}}, {}};
      if (!accept.empty()) request.headers.add("Accept", std::string(accept));
      if (!authorization.empty()) request.headers.add("Authorization", authorization);
      TRY(auto response, async::block_on(loop_, client->send(std::move(request))));
      if (response->status < 300 || response->status > 308 || response->status == 304) return response;
      std::string to(response->headers.get("Location"));
      if (to.starts_with("/")) to = parsed.scheme + "://" + (parsed.host.find(':') != parsed.host.npos ? "[" + parsed.host + "]" : parsed.host) + ":" + std::to_string(parsed.port) + to;
      if (auto next = net::Url::parse(to); next.ok() && (next->host != parsed.host || next->port != parsed.port)) authorization.clear();  // never to another host
      url = to;
    }
    return bad_request(url + ": more than " + std::to_string(kMaxRedirects) + " redirects");
  }

  // The Authorization header for a challenge: `Bearer realm="…",service="…",scope="…"` or Basic.
  Result<std::string> answer(const std::string& challenge, const RegistryAuth& auth) {
    std::string basic = "Basic " + base64_encode(auth.username + ":" + auth.password);
    if (lower(challenge).starts_with("basic")) {
      if (auth.username.empty()) return Status(Reason::Unauthorized, "the registry wants a user name and password");
      return basic;
    }
    auto field = [&challenge](const std::string& name) {
      size_t at = challenge.find(name + "=\"");
      if (at == challenge.npos) return std::string();
      at += name.size() + 2;
      return challenge.substr(at, challenge.find('"', at) - at);
    };
    std::string realm = field("realm");
    if (realm.empty()) return Status(Reason::Unauthorized, "the registry refuses without saying how to authenticate");
    std::string url = realm + (realm.find('?') == realm.npos ? "?" : "&") + "service=" + url_encode(field("service")) + "&scope=" + url_encode(field("scope"));
    TRY(auto response, send(url, "", auth.username.empty() ? "" : basic));
    TRY(std::string body, async::block_on(loop_, response->read_body(1 << 20)));
    if (response->status != 200) return Status(Reason::Unauthorized, "the registry's token server answered " + std::to_string(response->status));
    TRY(Node token, Node::parse(body));
    std::string text = token.get("token").str_or(token.get("access_token").str());
    return "Bearer " + text;
  }

  async::Loop& loop_;
  std::string endpoint_;
  RegistryConfig config_;
  std::vector<RegistryAuth> auth_;
  std::string authorization_;
  std::map<std::string, std::shared_ptr<net::HttpClient>> clients_;
};

class HttpSource : public Source {
 public:
  HttpSource(async::Loop& loop, std::unique_ptr<ClientResponse> response) : loop_(loop), response_(std::move(response)) {}
  Result<size_t> read(char* buffer, size_t size) override {
    if (at_ >= piece_.size()) {
      TRY(piece_, async::block_on(loop_, response_->read_chunk()));
      at_ = 0;
      if (piece_.empty()) return size_t{0};
    }
    size_t n = piece_.copy(buffer, size, at_);
    at_ += n;
    return n;
  }

 private:
  async::Loop& loop_;
  std::unique_ptr<ClientResponse> response_;
  std::string piece_;
  size_t at_ = 0;
};

// The compressed stream's digest is checked too, once everything has passed through.
class Borrowed : public Source {
 public:
  explicit Borrowed(Source& s) : inner_(s) {}
  Result<size_t> read(char* b, size_t n) override { return inner_.read(b, n); }

 private:
  Source& inner_;
};

class TextBody : public Source {
 public:
  explicit TextBody(std::string_view t) : text_(t) {}
  Result<size_t> read(char* b, size_t n) override {
    size_t k = text_.copy(b, n);
    text_.remove_prefix(k);
    return k;
  }

 private:
  std::string_view text_;
};
Result<std::string> digest_of(std::string_view text) {
  TextBody body(text);
  HashingSource hash(body);
  TRY_OK(hash.drain());
  return hash.digest();
}

struct Platform {
  std::string architecture, variant;
};
Platform this_platform() {
#if defined(__aarch64__)
  return {"arm64", "v8"};
#elif defined(__arm__)
  return {"arm", "v7"};
#else
  return {"amd64", ""};
#endif
}

Result<std::string> choose(const Node& index) {
  Platform p = this_platform();
  std::string fallback;
  for (const Node& m : index.get("manifests").items()) {
    const Node& platform = m.get("platform");
    if (platform.get("os").str_or("linux") != "linux" || platform.get("architecture").str() != p.architecture) continue;
    std::string variant = platform.get("variant").str();
    if (variant == p.variant || variant.empty() || p.variant.empty()) return m.get("digest").str();
    if (fallback.empty()) fallback = m.get("digest").str();
  }
  if (fallback.empty()) return not_found("no match for platform in manifest: not found");
  return fallback;
}

bool is_loopback(const std::string& registry) {
  std::string host = registry.substr(0, registry.rfind(':'));
  return host == "localhost" || host.starts_with("127.") || registry.starts_with("[::1]");
}

}  // namespace

Result<Registries> read_registries(const std::string& path) {
  Registries out;
  auto text = os::read_file(path);
  if (!text.ok()) return text.status().is(Reason::NotFound) ? Result<Registries>(out) : Result<Registries>(text.status());
  TRY(auto documents, parse_yaml(*text, path));
  if (documents.empty() || !documents[0].value.is_object()) return out;
  const Node& root = documents[0].value;
  for (const auto& [host, m] : root.get("mirrors").members())
    for (const Node& e : m.get("endpoint").items()) out.mirrors[host].endpoints.push_back(e.str());
  for (const auto& [host, c] : root.get("configs").members()) {
    RegistryConfig config;
    config.auth = {c.path("auth.username").str(), c.path("auth.password").str()};
    if (std::string both = c.path("auth.auth").str(); !both.empty()) {
      std::string plain = base64_decode(both).value_or("");
      size_t colon = plain.find(':');
      if (colon != plain.npos) config.auth = {plain.substr(0, colon), plain.substr(colon + 1)};
    }
    config.insecure_skip_verify = c.path("tls.insecure_skip_verify").bool_or(false);
    for (auto [key, field] : {std::pair{"ca_file", &config.ca_pem}, {"cert_file", &config.certificate_pem}, {"key_file", &config.key_pem}})
      if (std::string file = c.get("tls").get(key).str(); !file.empty()) {
        TRY(*field, os::read_file(file));
      }
    out.configs[host] = std::move(config);
  }
  return out;
}

Result<Image> Puller::pull(const Reference& reference, const std::vector<RegistryAuth>& auth) {
  std::vector<std::string> endpoints;
  auto mirror = registries_.mirrors.find(reference.registry);
  if (mirror == registries_.mirrors.end()) mirror = registries_.mirrors.find("*");
  if (mirror != registries_.mirrors.end()) endpoints = mirror->second.endpoints;
  if (reference.registry == "docker.io") endpoints.push_back("https://registry-1.docker.io");
  else endpoints.push_back((is_loopback(reference.registry) ? "http://" : "https://") + reference.registry);
  Status last = unavailable("no endpoint");
  for (auto& endpoint : endpoints) {
    while (endpoint.ends_with('/')) endpoint.pop_back();
    auto r = pull_from(reference, endpoint, auth);
    if (r.ok()) return r;
    last = r.status();
    log_debug("pull failed", {{"image", reference.text()}, {"endpoint", endpoint}, {"error", last}});
  }
  return std::move(last).within("failed to pull and unpack image " + json::quoted(reference.text()));
}

Result<Image> Puller::pull_from(const Reference& reference, const std::string& endpoint, const std::vector<RegistryAuth>& auth) {
  std::string host = endpoint.substr(endpoint.find("//") + 2);
  auto config = registries_.configs.find(host.substr(0, host.find('/')));
  if (config == registries_.configs.end()) config = registries_.configs.find(reference.registry);
  if (config == registries_.configs.end()) config = registries_.configs.find("*");
  Session session(loop_, endpoint, config == registries_.configs.end() ? RegistryConfig{} : config->second, auth);
  std::string base = "/v2/" + reference.repository;
  TRY(std::string manifest, session.text(base + "/manifests/" + (reference.digest.empty() ? reference.tag : reference.digest), kAccept));
  TRY(std::string digest, digest_of(manifest));
  if (!reference.digest.empty() && digest != reference.digest) return bad_request("the manifest's digest is " + digest + ", not " + reference.digest);
  TRY(Node m, Node::parse(manifest));
  if (m.get("manifests").size()) {
    TRY(std::string chosen, choose(m));
    TRY(manifest, session.text(base + "/manifests/" + chosen, kAccept));
    TRY(std::string got, digest_of(manifest));
    if (got != chosen) return bad_request("the manifest's digest is " + got + ", not " + chosen);
    TRY(m, Node::parse(manifest));
  }
  std::string config_digest = m.path("config.digest").str();
  if (config_digest.empty()) return bad_request("the registry sent a manifest of an unsupported form");
  TRY(std::string config_text, session.text(base + "/blobs/" + config_digest, ""));
  TRY(std::string config_got, digest_of(config_text));
  if (config_got != config_digest) return bad_request("the config's digest is " + config_got + ", not " + config_digest);
  TRY(Node image_config, Node::parse(config_text));
  if (std::string arch = image_config.get("architecture").str(); !arch.empty() && arch != this_platform().architecture)
    return bad_request("the image is for architecture " + arch + ", this node is " + this_platform().architecture);
  const Node& ids = image_config.get("rootfs").get("diff_ids");
  const Node& layers = m.get("layers");
  if (ids.size() != layers.size()) return bad_request("the config names " + std::to_string(ids.size()) + " layers, the manifest " + std::to_string(layers.size()));
  for (size_t i = 0; i < layers.items().size(); ++i) {
    if (store_.has_layer(ids.items()[i].str())) continue;
    std::string blob = layers.items()[i].get("digest").str();
    TRY(auto response, session.get(base + "/blobs/" + blob, ""));
    HttpSource body(loop_, std::move(response));
    HashingSource hash(body);
    TRY(auto tar, decompressed(std::make_unique<Borrowed>(hash)));
    TRY_OK(store_.add_layer(ids.items()[i].str(), *tar));
    TRY_OK(hash.drain());
    if (std::string got = hash.digest(); got != blob) return bad_request("the layer's digest is " + got + ", not " + blob);
  }
  return store_.add_image(reference.text(), config_text, digest, false);
}

}  // namespace k8lite::image
