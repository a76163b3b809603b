// What a node knows about registries before it talks to one: /etc/k8lite/registries.yaml in K3s's format (mirrors, rewrites, credentials,
// TLS), credentials of docker config JSON with the kubelet's matching, and proxies of the environment. Pure but for reading the file.
#pragma once
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "image/reference.h"

namespace k8lite::image {

struct RegistryAuth {
  std::string username, password;
  std::string identity_token;  // OAuth2 refresh token
  std::string registry_token;  // sent as it is
  bool empty() const { return username.empty() && identity_token.empty() && registry_token.empty(); }
  std::string hash() const;    // to tell credentials apart without keeping them
};
struct Mirror {
  std::vector<std::string> endpoints;                          // "http://10.0.0.5:5000", "https://mirror/v2/cache"
  std::vector<std::pair<std::string, std::string>> rewrites;   // regular expression on the repository, its replacement with $1
};
struct RegistryConfig {
  std::string ca_file, cert_file, key_file;
  bool insecure_skip_verify = false;
  RegistryAuth auth;
};
struct Registries {
  std::map<std::string, Mirror> mirrors;          // by registry; "*" for all others
  std::map<std::string, RegistryConfig> configs;  // by registry or endpoint's host; "*" for all others
};
Result<Registries> parse_registries(std::string_view yaml, const std::string& name);

// The file as it is now: read again when its time or size has changed. A broken one is an error until it is mended; absent is empty.
class RegistriesFile {
 public:
  explicit RegistriesFile(std::string path) : path_(std::move(path)) {}
  Result<Registries> current();

 private:
  const std::string path_;
  std::mutex mutex_;
  std::string stamp_ = "never";
  Result<Registries> last_ = Registries{};
};

// One place to try: the API's root, the repository there, TLS and credentials of registries.yaml.
struct Endpoint {
  std::string url;         // "https://mirror:5000/v2" or "…/v2/cache"
  std::string repository;
  std::string mirror_of;   // "docker.io" for a mirror: sent as ?ns=
  RegistryConfig config;
};
// Mirrors first, then the registry itself: http only for loopback and where a mirror says so.
std::vector<Endpoint> endpoints_for(const Reference& reference, const Registries& registries);

// Credentials of a docker config ({"auths": {...}} or the older .dockercfg form) that fit an image, best match first.
std::vector<RegistryAuth> docker_config_auths(const json::Node& config, const Reference& reference);

// Asked by name: HTTP_PROXY and so on.
using Environment = std::function<std::string(std::string_view)>;
Environment process_environment();
struct Proxy {
  std::string host;  // "" : none
  int port = 0;
  std::string authorization;  // "Basic …" or ""
};
// For a URL's scheme, host and port. NO_PROXY: hosts, .domains, addresses, CIDRs, host:port, "*"; loopback is never proxied.
Result<Proxy> proxy_for(std::string_view scheme, const std::string& host, int port, const Environment& environment);

}  // namespace k8lite::image
