#include "image/registries.h"

#include <re2/re2.h>

#include <arpa/inet.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/log.h"
#include "base/strings.h"
#include "base/yaml.h"
#include "image/digest.h"
#include "net/http.h"
#include "os/files.h"

namespace k8lite::image {
namespace {

using json::Node;

struct Location {
  std::string host, port, path;
};

// "https://host:5000/v2/team/" -> host, 5000, /team; the version prefix of the registry API says nothing.
Location location(std::string_view text) {
  for (std::string_view scheme : {"https://", "http://"})
    if (text.starts_with(scheme)) text.remove_prefix(scheme.size());
  size_t slash = text.find('/');
  Location out;
  out.host = text.substr(0, slash);
  if (slash != text.npos) out.path = text.substr(slash);
  while (out.path.ends_with("/")) out.path.pop_back();
  for (std::string_view version : {"/v1", "/v2"})
    if (out.path == version || out.path.starts_with(std::string(version) + "/")) out.path.erase(0, version.size());
  if (size_t colon = out.host.rfind(':'); colon != std::string::npos && !out.host.ends_with("]")) {
    out.port = out.host.substr(colon + 1);
    out.host.resize(colon);
  }
  return out;
}

// '*' stands for any run of characters within one label of a host.
bool label_matches(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] != '*') return !text.empty() && pattern[0] == text[0] && label_matches(pattern.substr(1), text.substr(1));
  for (size_t i = 0; i <= text.size(); ++i)
    if (label_matches(pattern.substr(1), text.substr(i))) return true;
  return false;
}

bool matches(const Location& entry, const Location& image) {
  auto a = split(entry.host, '.'), b = split(image.host, '.');
  if (a.size() != b.size() || entry.port != image.port || !image.path.starts_with(entry.path)) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (a[i].size() > 63 || std::count(a[i].begin(), a[i].end(), '*') > 4 || !label_matches(a[i], b[i])) return false;
  return true;
}

RegistryAuth auth_of(const Node& v, const char* identity, const char* token) {
  RegistryAuth a{v.get("username").str(), v.get("password").str(), v.get(identity).str(), v.get(token).str()};
  if (std::string both = v.get("auth").str(); a.username.empty() && !both.empty())
    if (auto plain = base64_decode(both))
      if (size_t colon = plain->find(':'); colon != std::string::npos) a.username = plain->substr(0, colon), a.password = plain->substr(colon + 1);
  // Go's encoder of some clients pads passwords with zero bytes.
  while (a.password.ends_with('\0')) a.password.pop_back();
  return a;
}

bool is_loopback(const std::string& host) { return host == "localhost" || host.starts_with("127.") || host == "::1" || host == "[::1]"; }

std::string host_of(const std::string& registry) {
  if (registry.starts_with("[")) return registry.substr(1, registry.find(']') - 1);
  return registry.substr(0, registry.rfind(':'));
}

// Go's "$1" and "${1}" as RE2 writes them; "$$" is a dollar.
std::string replacement_of(const std::string& go) {
  std::string out;
  for (size_t i = 0; i < go.size(); ++i) {
    if (go[i] == '\\') out += "\\\\";
    if (go[i] == '\\') continue;
    if (go[i] != '$' || i + 1 == go.size()) {
      out += go[i];
      continue;
    }
    bool braced = go[i + 1] == '{';
    size_t digit = i + 1 + braced;
    if (go[i + 1] == '$') {
      out += go[++i];
    } else if (digit < go.size() && go[digit] >= '0' && go[digit] <= '9' && (!braced || (digit + 1 < go.size() && go[digit + 1] == '}'))) {
      out += std::string("\\") + go[digit];
      i = digit + braced;
    } else {
      out += go[i];
    }
  }
  return out;
}

// The first pattern that matches. One that is no regular expression was complained about when the file was read.
std::string rewritten(const std::string& repository, const Mirror& mirror) {
  for (const auto& [pattern, replacement] : mirror.rewrites) {
    re2::RE2 re(pattern, re2::RE2::Quiet);
    std::string out = repository;
    if (re.ok() && re2::RE2::GlobalReplace(&out, re, replacement_of(replacement)) > 0) return out;
  }
  return repository;
}

RegistryConfig config_for(const Registries& registries, const std::string& host, const std::string& registry) {
  for (const auto& key : {host, registry, std::string("*")})
    if (auto it = registries.configs.find(key); it != registries.configs.end()) return it->second;
  return {};
}

}  // namespace

std::string RegistryAuth::hash() const { return digest_of(username + '\0' + password + '\0' + identity_token + '\0' + registry_token); }

Result<Registries> parse_registries(std::string_view yaml, const std::string& name) {
  Registries out;
  TRY(auto documents, parse_yaml(yaml, name));
  if (documents.empty() || documents[0].value.is_null()) return out;
  const Node& root = documents[0].value;
  if (!root.is_object()) return bad_request(name + ": \"mirrors\" and \"configs\" are wanted");
  for (const auto& [host, m] : root.get("mirrors").members()) {
    Mirror& mirror = out.mirrors[host];
    for (const Node& e : m.get("endpoint").items()) {
      if (auto url = net::Url::parse(e.str()); !url.ok()) return std::move(url).status().within(name + ": mirrors." + host + ".endpoint");
      mirror.endpoints.push_back(e.str());
    }
    for (const auto& [from, to] : m.get("rewrite").members()) {
      if (re2::RE2 check(from, re2::RE2::Quiet); !check.ok()) return bad_request(name + ": mirrors." + host + ".rewrite: " + json::quoted(from) + ": " + check.error());
      mirror.rewrites.emplace_back(from, to.str());
    }
  }
  for (const auto& [host, c] : root.get("configs").members()) {
    RegistryConfig& config = out.configs[host];
    config.auth = auth_of(c.get("auth"), "identity_token", "registry_token");
    const Node& tls = c.get("tls");
    config.ca_file = tls.get("ca_file").str();
    config.cert_file = tls.get("cert_file").str();
    config.key_file = tls.get("key_file").str();
    config.insecure_skip_verify = tls.get("insecure_skip_verify").bool_or(false);
  }
  return out;
}

Result<Registries> RegistriesFile::current() {
  std::lock_guard lock(mutex_);
  struct stat st {};
  std::string stamp = "absent";
  if (!path_.empty() && ::stat(path_.c_str(), &st) == 0)
    stamp = std::to_string(st.st_ino) + "/" + std::to_string(st.st_size) + "/" + std::to_string(st.st_mtim.tv_sec) + "." + std::to_string(st.st_mtim.tv_nsec);
  if (stamp == stamp_) return last_;
  stamp_ = stamp;
  last_ = Registries{};
  if (stamp == "absent") return last_;
  auto text = os::read_file(path_, 1 << 20);
  last_ = text.ok() ? parse_registries(*text, path_) : Result<Registries>(text.status());
  if (!last_.ok()) log_error("the registries' settings are unusable", {{"error", last_.status()}});
  return last_;
}

std::vector<Endpoint> endpoints_for(const Reference& reference, const Registries& registries) {
  std::vector<Endpoint> out;
  auto mirror = registries.mirrors.find(reference.registry);
  bool any = mirror == registries.mirrors.end();
  if (any) mirror = registries.mirrors.find("*");
  auto add = [&](std::string url, const std::string& repository, const std::string& mirror_of) {
    while (url.ends_with('/')) url.pop_back();
    std::string host = url.substr(url.find("//") + 2);
    size_t slash = host.find('/');
    bool bare = slash == host.npos;
    host = host.substr(0, slash);
    if (bare) url += "/v2";
    if (std::any_of(out.begin(), out.end(), [&](const Endpoint& e) { return e.url == url && e.repository == repository; })) return;
    out.push_back({url, repository, mirror_of, config_for(registries, host, reference.registry)});
  };
  if (mirror != registries.mirrors.end())
    for (const auto& endpoint : mirror->second.endpoints) add(endpoint, rewritten(reference.repository, mirror->second), reference.registry);
  if (reference.registry == "docker.io") add("https://registry-1.docker.io", reference.repository, "");
  else add((is_loopback(host_of(reference.registry)) ? "http://" : "https://") + reference.registry, reference.repository, "");
  return out;
}

std::vector<RegistryAuth> docker_config_auths(const Node& config, const Reference& reference) {
  std::vector<std::pair<std::string, RegistryAuth>> found;
  RegistryAuth fallback;  // index.docker.io, for images of docker.io
  Location image = location(reference.name());
  for (const auto& [key, value] : (config.find("auths") ? config.get("auths") : config).members()) {
    if (!value.is_object()) continue;
    Location entry = location(key);
    auto auth = auth_of(value, "identitytoken", "registrytoken");
    if (auth.empty()) continue;
    if (matches(entry, image)) found.emplace_back(entry.host + entry.path, auth);
    else if ((entry.host == "index.docker.io" || entry.host == "registry-1.docker.io") && reference.registry == "docker.io") fallback = auth;
  }
  // The kubelet walks its keys in reverse order, so the longer path comes first.
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<RegistryAuth> out;
  for (auto& [key, auth] : found) out.push_back(std::move(auth));
  if (out.empty() && !fallback.empty()) out.push_back(std::move(fallback));
  return out;
}

Environment process_environment() {
  return [](std::string_view name) {
    const char* value = std::getenv(std::string(name).c_str());
    return std::string(value ? value : "");
  };
}

namespace {

// An address as 16 bytes (IPv4 mapped), for CIDRs.
std::optional<std::string> address_bytes(const std::string& text) {
  in_addr v4;
  in6_addr v6;
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) return std::string(10, '\0') + "\xff\xff" + std::string(reinterpret_cast<char*>(&v4), 4);
  if (inet_pton(AF_INET6, text.c_str(), &v6) == 1) return std::string(reinterpret_cast<char*>(&v6), 16);
  return {};
}

bool in_cidr(const std::string& address, std::string_view cidr) {
  size_t slash = cidr.find('/');
  auto net = address_bytes(std::string(cidr.substr(0, slash))), a = address_bytes(address);
  auto bits = parse_int(cidr.substr(slash + 1));
  if (!net || !a || !bits || *bits < 0) return false;
  int64_t n = cidr.find(':') == cidr.npos ? *bits + 96 : *bits;
  if (n > 128) return false;
  size_t whole = static_cast<size_t>(n / 8), rest = static_cast<size_t>(n % 8);
  if (net->compare(0, whole, *a, 0, whole) != 0) return false;
  if (rest == 0) return true;
  auto mask = static_cast<unsigned char>(0xff << (8 - rest));
  return (static_cast<unsigned char>((*net)[whole]) & mask) == (static_cast<unsigned char>((*a)[whole]) & mask);
}

bool bypasses(const std::string& host, int port, std::string_view list) {
  if (is_loopback(host)) return true;
  for (auto piece : split(list, ',')) {
    std::string rule = lower(trim(piece));
    if (rule.empty()) continue;
    if (rule == "*") return true;
    if (rule.find('/') != rule.npos) {
      if (in_cidr(host, rule)) return true;
      continue;
    }
    if (size_t colon = rule.rfind(':'); colon != rule.npos && rule.find(':') == colon) {
      if (rule.substr(colon + 1) != std::to_string(port)) continue;
      rule.resize(colon);
    }
    if (rule.starts_with("*.")) rule.erase(0, 1);
    if (host == rule || host.ends_with(rule.starts_with('.') ? rule : "." + rule)) return true;
  }
  return false;
}

}  // namespace

Result<Proxy> proxy_for(std::string_view scheme, const std::string& host, int port, const Environment& environment) {
  if (!environment) return Proxy{};
  auto ask = [&environment](const std::string& name) {
    std::string value = environment(name);
    return value.empty() ? environment(lower(name)) : value;
  };
  std::string text = ask(scheme == "https" ? "HTTPS_PROXY" : "HTTP_PROXY");
  if (text.empty() || bypasses(lower(host), port, ask("NO_PROXY"))) return Proxy{};
  std::string name = scheme == "https" ? "HTTPS_PROXY" : "HTTP_PROXY";
  if (text.find("://") == text.npos) text = "http://" + text;
  Proxy out;
  size_t start = text.find("://") + 3;
  if (size_t at = text.find('@', start); at != text.npos) {
    out.authorization = "Basic " + base64_encode(url_decode(text.substr(start, at - start)));
    text.erase(start, at + 1 - start);
  }
  auto url = net::Url::parse(text);
  if (!url.ok()) return bad_request(name + ": not a proxy's URL");
  if (url->scheme != "http") return bad_request(name + ": only http:// proxies are supported, not " + url->scheme + "://");
  out.host = url->host;
  out.port = url->port;
  return out;
}

}  // namespace k8lite::image
