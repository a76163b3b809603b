// Pulling images from registries: OCI distribution 1.1 and Docker registry v2, straight from the wire into unpacked layers: digests are
// checked while bytes stream by, a cut connection is taken up again where it broke, a few layers come at once.
#pragma once
#include <atomic>
#include <condition_variable>
#include <set>

#include "async/async.h"
#include "image/manifest.h"
#include "image/registries.h"
#include "image/remote.h"
#include "image/store.h"

namespace k8lite::image {

// How far a pull is, for whoever shows it. Thread-safe.
class PullProgress {
 public:
  struct Row {
    std::string name, state;       // "layer-sha256:…"; waiting, downloading, extracting, done, exists
    int64_t done = 0, total = -1;  // bytes; -1: not known
  };
  void set(const std::string& name, const std::string& state, int64_t done = 0, int64_t total = -1);
  std::vector<Row> rows() const;   // in the order they appeared
  int64_t fetched() const;         // bytes that came over the wire

 private:
  mutable std::mutex mutex_;
  std::vector<Row> rows_;
};

struct PullerOptions {
  int parallel_layers = 4;  // of all pulls together
  bool guard = true;        // an image that needed the caller's credentials is for those who have them
  RemoteOptions remote;
  bool plain_http = false, skip_verify = false;  // of the registry itself, whatever registries.yaml says
  PullProgress* progress = nullptr;              // outlives the puller
};

struct Pulled {
  Image image;
  std::string credential;           // hash of the caller's credentials that were needed; "" : none
};

// Thread-safe; calls block (never on the loop's thread).
class Puller {
 public:
  // `registries_file` is read again when it changes. Proxies come from `environment` (HTTP_PROXY, HTTPS_PROXY, NO_PROXY).
  Puller(async::Loop& loop, ImageStore& store, std::string registries_file, Environment environment = {}, PullerOptions options = {});
  // Credentials are tried in order, then those of registries.yaml, then none. Errors in containerd's words:
  // `failed to pull and unpack image "docker.io/library/x:1": failed to resolve reference "docker.io/library/x:1": …: not found`.
  Result<Pulled> pull(const Reference& reference, const std::vector<RegistryAuth>& auth);
  void stop();  // pulls under way fail soon

 private:
  Result<Pulled> pull_from(const Endpoint& endpoint, const Reference& reference, const std::vector<RegistryAuth>& auth);
  Result<Pulled> pull_manifest(Remote& remote, const Reference& reference);
  Result<> pull_layers(Remote& remote, const Manifest& manifest, const std::vector<std::string>& ids);
  Result<> fetch_layer(Remote& remote, const Descriptor& layer, const std::string& diff_id, const std::atomic<bool>& give_up, bool& resumed);
  void tell(const std::string& name, const char* state, int64_t done = 0, int64_t total = -1) const;
  Result<> pull_layer(Remote& remote, const Descriptor& layer, const std::string& diff_id, const std::atomic<bool>& give_up);
  Result<Pulled> record(Remote& remote, const Reference& reference, const std::string& config_text, const std::string& digest, int64_t size);
  // One at a time of each key (an image, a layer); a few layers at a time.
  class Turn;
  class Slot;

  async::Loop& loop_;
  ImageStore& store_;
  RegistriesFile registries_;
  const Environment environment_;
  const PullerOptions options_;
  std::mutex mutex_;
  std::condition_variable wake_;
  int slots_;
  std::set<std::string> busy_;
  std::atomic<bool> stopping_{false};
};

}  // namespace k8lite::image
