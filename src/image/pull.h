// Pulling images from registries: OCI distribution 1.1 and Docker registry v2. https, or http for loopback and configured mirrors.
#pragma once
#include "async/async.h"
#include "image/store.h"

namespace k8lite::image {

struct RegistryAuth {
  std::string username, password;
};
struct Mirror {
  std::vector<std::string> endpoints;  // "http://10.0.0.5:5000"
};
struct RegistryConfig {
  std::string ca_pem, certificate_pem, key_pem;
  bool insecure_skip_verify = false;
  RegistryAuth auth;
};
// K3s's registries.yaml: mirrors and configs, by host; "*" for all others.
struct Registries {
  std::map<std::string, Mirror> mirrors;
  std::map<std::string, RegistryConfig> configs;
};
Result<Registries> read_registries(const std::string& path);  // absent: empty

class Puller {
 public:
  Puller(async::Loop& loop, ImageStore& store, Registries registries) : loop_(loop), store_(store), registries_(std::move(registries)) {}
  // Errors in containerd's words: `failed to pull and unpack image "docker.io/library/x:1": …: not found`.
  Result<Image> pull(const Reference& reference, const std::vector<RegistryAuth>& auth);

 private:
  Result<Image> pull_from(const Reference& reference, const std::string& endpoint, const std::vector<RegistryAuth>& auth);
  async::Loop& loop_;
  ImageStore& store_;
  const Registries registries_;
};

}  // namespace k8lite::image
