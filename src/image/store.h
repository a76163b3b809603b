// The node's images: names, configs and unpacked layers shared by overlayfs. Everything appears whole or not at all (temporary folder,
// sync, rename), so neither a crash nor a full disk leaves half an image. Compressed layers are not kept: beside each unpacked layer lies
// what the tar held besides file content, from which export writes the same bytes again. Thread-safe; several processes may share a
// store (a running node and `k8lite ctr`); calls block. What is broken all the same is dropped when a store is opened, so that it comes anew.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "image/reference.h"
#include "image/source.h"
#include "image/tar.h"
#include "os/files.h"

namespace k8lite::image {

struct Image {
  std::string id;                    // "sha256:…" of its config
  std::vector<std::string> names;    // docker.io/library/redis:7
  std::vector<std::string> digests;  // docker.io/library/redis@sha256:…: of what the registry's tag named
  std::string digest;                // of its manifest, "" for imported ones without
  json::Node config;                 // the OCI image config: config.Entrypoint, config.Cmd, config.Env, …
  std::vector<std::string> layers;   // folders for overlayfs, topmost first: short links, since mount(2) takes only a page of options
  int64_t size = 0;                  // as it came: config and compressed layers
  bool pinned = false;               // by the administrator: never collected, never asked for at a registry
  // Credentials it was pulled with from the repository that was asked for, hashed; a pod without one of them asks the registry again
  // (KEP-2535). Empty: everybody may use it.
  std::set<std::string> credentials;
  Instant used;                      // when it came or a container last started from it
};

// What is written down of one name of an image.
struct ImageRecord {
  std::string name;               // docker.io/library/redis:7, or …@sha256:…
  std::string config_text;        // kept byte for byte
  std::string digest;             // of the manifest, "" for none
  int64_t size = 0;               // 0: the size of its layers on disk
  bool pinned = false;
  std::set<std::string> credentials;
};

struct User {
  uint64_t uid = 0, gid = 0;
  std::vector<uint64_t> groups;
};

struct StoreOptions {
  // Layers that containers stand on (the names of Image::layers' folders): kept even when no image needs them any more.
  std::function<std::set<std::string>()> layers_in_use;
  UnpackLimits limits;
  // Layers are unpacked in a confined child process: for executables whose main() knows kUnpackCommand (image/unpacker.h).
  bool confined = false;
};

class ImageStore {
 public:
  // Opens (and creates) <root>/{layers,images}; the echo image is put in place when it is not there yet.
  static Result<std::unique_ptr<ImageStore>> open(const std::string& root, StoreOptions options = {});

  // Normal form, short form, name@digest, "sha256:…" or (12 digits and more of) its hex digits.
  std::optional<Image> find(const std::string& reference_or_id) const;
  std::vector<Image> list() const;
  const std::string& root() const { return root_; }

  // `docker save` and OCI layouts, plain, gzip or zstd. Returns the names that were imported.
  Result<std::vector<std::string>> import_archive(const std::string& path, bool pinned = true);
  // Every archive of a folder that is new or has changed; what cannot be imported is logged and left out until it changes.
  void import_folder(const std::string& folder);
  // Writes one archive that docker, containerd, skopeo and podman read: an OCI layout with docker's manifest.json beside it.
  Result<> export_archive(const std::vector<std::string>& references, int fd) const;

  Result<> tag(const std::string& reference, const std::string& new_name);
  // One name; with an id, or `all_names`, all names of the image. What no image needs goes with the last name.
  Result<> remove(const std::string& reference, bool all_names = true);
  void mark_used(const std::string& id);
  Result<> pin(const std::string& reference);  // never collected from now on, never asked for at a registry
  // Reads an unpacked layer back and compares it with its digest: what a bad disk did shows here. Reads all of it.
  Result<> verify_layer(const std::string& diff_id) const;
  // What is written down of one name, or of any name of that image.
  Result<ImageRecord> record_of(const std::string& reference) const;

  // For pulls: is the layer there? Unpacks it from a tar (gzip, zstd or plain) whose digest must be diff_id. `verify` has the last word
  // before the layer appears.
  bool has_layer(const std::string& diff_id) const;
  using LayerCheck = std::function<Result<>()>;
  Result<> add_layer(const std::string& diff_id, Source& packed, const LayerCheck& verify = {});
  std::string partial_folder() const { return root_ + "/partial"; }  // see image/partial.h
  const UnpackLimits& limits() const { return options_.limits; }
  // Registers an image whose layers are all there.
  Result<Image> add_image(const ImageRecord& record);

  // While one is held, by whatever process, nothing unnamed is swept: hold it from the first layer of an image to its record, and from
  // finding an image to the start of its container.
  Result<os::Fd> lease() const;
  // Removes layers that neither an image nor a container needs; returns the bytes freed. 0 while somebody holds a lease.
  Result<int64_t> sweep();

 private:
  ImageStore(std::string root, StoreOptions options) : root_(std::move(root)), options_(std::move(options)) {}
  void load_new() const;  // records that another process has written or removed since
  Result<> load_one(const std::string& file);
  std::optional<Image> find_known(const std::string& reference) const;
  Result<> add_echo_image();
  std::string layer_folder(const std::string& diff_id) const;
  std::string layer_link(const std::string& diff_id) const;  // makes it
  std::string record_file(const std::string& name) const;
  Image image_of(const ImageRecord& record) const;  // with all its names; the mutex is held
  Result<> unpack_into(const std::string& folder, const std::string& diff_id, Source& packed, const LayerCheck& verify);
  void drop_leftovers();
  void check();  // fsck: see repair.cpp

  struct Known {
    ImageRecord record;
    std::string id;
    Image image;  // without names
    std::string stamp;  // of its file
  };
  const std::string root_;
  const StoreOptions options_;
  mutable std::mutex mutex_;
  std::map<std::string, Known> by_file_;  // name of the record's file
  mutable std::map<std::string, std::string> complained_;  // broken records' stamps
};

// The store's lock for one process alone, where no other one holds a lease now.
os::Fd exclusive_hold(const std::string& root);

// "1000", "app", "app:grp", "0:0" against /etc/passwd and /etc/group of the layers. BadRequest when a name is not there.
Result<User> resolve_user(const std::vector<std::string>& layers, const std::string& user);

}  // namespace k8lite::image
