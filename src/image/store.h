// The node's images: names, configs and unpacked layers shared by overlayfs. Everything appears whole or not at all (temporary folder,
// sync, rename). Thread-safe; calls block.
#pragma once
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "image/reference.h"
#include "image/source.h"

namespace k8lite::image {

struct Image {
  std::string id;                    // "sha256:…" of its config
  std::vector<std::string> names;    // docker.io/library/redis:7
  std::string digest;                // of its manifest, "" for imported ones without
  json::Node config;                 // the OCI image config: config.Entrypoint, config.Cmd, config.Env, …
  std::vector<std::string> layers;   // folders for overlayfs, topmost first
  int64_t size = 0;
  bool pinned = false;
};

struct User {
  uint64_t uid = 0, gid = 0;
  std::vector<uint64_t> groups;
};

class ImageStore {
 public:
  // Opens (and creates) <root>/{layers,images}; the echo image is put in place when it is not there yet.
  static Result<std::unique_ptr<ImageStore>> open(const std::string& root);

  std::optional<Image> find(const std::string& reference_or_id) const;  // normal form or "sha256:…"
  std::vector<Image> list() const;
  // `docker save` and OCI layouts, plain, gzip or zstd. Returns the names that were imported.
  Result<std::vector<std::string>> import_archive(const std::string& path);
  // Every archive of a folder; what cannot be imported is logged.
  void import_folder(const std::string& folder);
  Result<> remove(const std::string& reference);

  // For pulls: is the layer there? Unpacks it from an (uncompressed) tar whose digest must be diff_id.
  bool has_layer(const std::string& diff_id) const;
  Result<> add_layer(const std::string& diff_id, Source& tar);
  // Registers an image whose layers are all there. `config_text` is kept byte for byte.
  Result<Image> add_image(const std::string& name, const std::string& config_text, const std::string& manifest_digest, bool pinned);

 private:
  explicit ImageStore(std::string root) : root_(std::move(root)) {}
  Result<> load();
  void load_one(const std::string& file);
  std::optional<Image> find_known(const std::string& reference) const;
  void load_new() const;  // records that another process has written since
  Result<> add_echo_image();
  std::string layer_folder(const std::string& diff_id) const;
  Result<std::vector<std::string>> import_files(const std::map<std::string, std::string>& files, const std::string& what);
  Result<std::string> import_one(const std::map<std::string, std::string>& files, const std::string& config, const std::vector<std::string>& layers, const std::vector<std::string>& names, const std::string& digest);

  const std::string root_;
  mutable std::mutex mutex_;
  std::map<std::string, Image> by_name_;
  std::map<std::string, bool> seen_files_;  // of images/
};

// "1000", "app", "app:grp", "0:0" against /etc/passwd and /etc/group of the layers. BadRequest when a name is not there.
Result<User> resolve_user(const std::vector<std::string>& layers, const std::string& user);

}  // namespace k8lite::image
