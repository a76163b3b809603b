// Archives: docker's (`docker save`: manifest.json) and OCI layouts (index.json), in and out. Reading spools the members to a temporary
// folder of the store, because they come in any order; layers are then unpacked from there.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

#include "base/log.h"
#include "base/strings.h"
#include "image/manifest.h"
#include "image/pack.h"
#include "image/store.h"

namespace k8lite::image {
namespace {

using json::Node;

constexpr size_t kMaxMembers = 20'000;
constexpr size_t kMaxLinkHops = 8;

// "a/./b/../c" -> "a/c"
std::string clean(std::string_view path) {
  std::vector<std::string> out;
  for (auto part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..") out.emplace_back(part);
    else if (!out.empty()) out.pop_back();
  }
  return join(out, "/");
}

std::vector<std::string> texts(const Node& list) {
  std::vector<std::string> out;
  for (const Node& n : list.items()) out.push_back(n.str());
  return out;
}

class Importer {
 public:
  Importer(ImageStore& store, std::string folder, bool pinned, UnpackLimits limits) : store_(store), folder_(std::move(folder)), pinned_(pinned), limits_(limits) {}

  Result<std::vector<std::string>> run(const std::string& path) {
    TRY(auto raw, file_source(path));
    TRY(auto source, decompressed(std::move(raw)));
    TRY_OK(os::make_dirs(folder_, 0700));
    TRY_OK(read_tar(*source, [this](const TarEntry& e, Source& data) { return member(e, data); }));
    if (files_.empty()) return bad_request("the archive is empty");
    // Docker writes both files; the OCI one knows the digests.
    if (files_.count("index.json")) TRY_OK(oci());
    if (names_.empty() && files_.count("manifest.json")) TRY_OK(docker());
    if (!names_.empty()) return names_;
    if (files_.count("index.json") || files_.count("manifest.json")) return bad_request("the archive names no image");
    return bad_request("neither a docker archive (manifest.json) nor an OCI layout (index.json)");
  }

 private:
  Result<> member(const TarEntry& e, Source& data) {
    std::string name = clean(e.name);
    if (files_.size() + links_.size() > kMaxMembers) return bad_request("the archive holds more than " + std::to_string(kMaxMembers) + " members, the limit");
    if (e.type == '2') links_[name] = clean(name.substr(0, name.find('/') == name.npos ? 0 : name.rfind('/') + 1) + e.link);
    if (e.type == '1') links_[name] = clean(e.link);
    if (e.type != '0') return {};
    if (e.sparse) return bad_request(name + ": a sparse file, which has no place in an archive of images");
    std::string to = folder_ + "/" + std::to_string(files_.size());
    os::Fd fd(::open(to.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!fd) return Status::from_errno("create " + to, errno);
    std::vector<char> buffer(128 * 1024);
    Digester digester;
    for (;;) {
      TRY(size_t got, data.read(buffer.data(), buffer.size()));
      if (got == 0) break;
      if (is_full(fd.get(), limits_)) return Status(Reason::InternalError, "no space left on device", ENOSPC);
      digester.update({buffer.data(), got});
      TRY_OK(write_all(fd.get(), {buffer.data(), got}));
    }
    std::string digest = digester.finish();
    if (name.starts_with("blobs/sha256/") && name.substr(13) != hex_of(digest)) return bad_request(name + ": its digest is " + digest);
    files_[name] = to;
    return {};
  }

  Result<std::string> file(std::string name) const {
    name = clean(name);
    for (size_t hop = 0; hop < kMaxLinkHops; ++hop) {
      if (auto it = files_.find(name); it != files_.end()) return it->second;
      auto link = links_.find(name);
      if (link == links_.end()) break;
      name = link->second;
    }
    return bad_request("the archive has no " + name);
  }
  Result<std::string> text(const std::string& name) const {
    TRY(std::string path, file(name));
    return os::read_file(path, kMaxManifest);
  }
  Result<Node> document(const std::string& name) const {
    TRY(std::string t, text(name));
    auto node = Node::parse(t);
    if (!node.ok()) return std::move(node).status().within(name);
    return node;
  }
  static std::string blob(const std::string& digest) { return "blobs/sha256/" + hex_of(digest); }

  // The name a descriptor of index.json carries, "" for none: docker and containerd write one annotation, skopeo and podman the other.
  static std::string name_of(const Node& descriptor) {
    const Node& annotations = descriptor.get("annotations");
    std::string name = annotations.get("io.containerd.image.name").str();
    if (!name.empty()) return name;
    name = annotations.get("org.opencontainers.image.ref.name").str();
    return name.find_first_of("/:") == name.npos ? "" : name;
  }

  Result<> oci() {
    TRY(Node index, document("index.json"));
    for (const Node& d : index.get("manifests").items()) {
      std::string name = name_of(d), digest = d.get("digest").str();
      if (name.empty()) continue;
      if (!is_digest(digest)) return bad_request("unsupported digest " + json::quoted(digest));
      TRY(Node m, document(blob(digest)));
      if (is_index(m)) {
        auto chosen = choose_platform(m, this_platform());
        if (!chosen.ok()) return std::move(chosen).status().within("image " + json::quoted(name));
        TRY(m, document(blob(chosen->digest)));
      }
      TRY(Manifest manifest, parse_manifest(m));
      std::vector<std::string> layers;
      for (const auto& l : manifest.layers) layers.push_back(blob(l.digest));
      TRY_OK(one(blob(manifest.config.digest), layers, {name}, digest).within("image " + json::quoted(name)));
    }
    return {};
  }

  Result<> docker() {
    TRY(Node list, document("manifest.json"));
    for (const Node& m : list.items()) {
      auto names = texts(m.get("RepoTags"));
      if (!names.empty()) TRY_OK(one(m.get("Config").str(), texts(m.get("Layers")), names, "").within("image " + json::quoted(names[0])));
    }
    return {};
  }

  Result<> one(const std::string& config_name, const std::vector<std::string>& layers, const std::vector<std::string>& names, const std::string& digest) {
    TRY(std::string config_text, text(config_name));
    TRY(Node config, Node::parse(config_text));
    Manifest manifest;
    manifest.layers.resize(layers.size());
    TRY(auto ids, layer_ids(config, manifest, this_platform()));
    int64_t size = static_cast<int64_t>(config_text.size());
    for (size_t i = 0; i < layers.size(); ++i) {
      TRY(std::string path, file(layers[i]));
      struct stat st {};
      if (::stat(path.c_str(), &st) == 0) size += st.st_size;
      TRY(auto raw, file_source(path));
      TRY_OK(store_.add_layer(ids[i], *raw).within("layer " + ids[i]));
    }
    for (const auto& name : names) {
      TRY(Reference reference, parse_reference(name));
      TRY_OK(store_.add_image({reference.text(), config_text, digest, size, pinned_, {}}));
      names_.push_back(reference.text());
    }
    return {};
  }

  ImageStore& store_;
  const std::string folder_;
  const bool pinned_;
  const UnpackLimits limits_;
  std::map<std::string, std::string> files_, links_;  // member -> spooled file, member -> member
  std::vector<std::string> names_;
};

bool is_archive_name(std::string_view name) {
  for (std::string_view end : {".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.zstd"})
    if (name.ends_with(end) && name[0] != '.') return true;
  return false;
}

std::string stamp_of(const std::string& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0 || !S_ISREG(st.st_mode)) return "";
  return std::to_string(st.st_size) + "/" + std::to_string(st.st_mtim.tv_sec) + "." + std::to_string(st.st_mtim.tv_nsec);
}

}  // namespace

Result<std::vector<std::string>> ImageStore::import_archive(const std::string& path, bool pinned) {
  static std::atomic<unsigned> counter{0};
  TRY(os::Fd held, lease());
  std::string folder = root_ + "/import-" + std::to_string(getpid()) + "-" + std::to_string(counter++);
  auto names = Importer(*this, folder, pinned, options_.limits).run(path);
  (void)os::remove_tree(folder);
  held.reset();
  if (!names.ok()) (void)sweep();  // layers of what failed half way
  return std::move(names).within(path);
}

// imported.json remembers what was read, so that a start reads no archive twice: file -> size and time, and the names it brought.
void ImageStore::import_folder(const std::string& folder) {
  std::string memory = root_ + "/imported.json";
  Node done = Node::parse(os::read_file(memory).value_or("{}")).value_or(Node::object());
  bool changed = false;
  for (const auto& name : os::list_dir(folder)) {
    std::string path = folder + "/" + name, stamp = stamp_of(path);
    if (!is_archive_name(name) || stamp.empty()) continue;
    const Node& before = done.get(path);
    bool fresh = before.get("stamp").str() != stamp;
    if (!fresh && before.find("names")) {
      auto known = texts(before.get("names"));
      fresh = !std::all_of(known.begin(), known.end(), [this](const std::string& n) { return find(n).has_value(); });
    }
    if (!fresh) continue;
    auto r = import_archive(path);
    if (!r.ok() && !r.status().is(Reason::BadRequest) && !r.status().is(Reason::NotFound)) {  // the disk's fault, not the archive's
      log_warn("an image archive is left out until the next look", {{"error", r.status()}});
      continue;
    }
    changed = true;
    Node entry = Node::obj({{"stamp", stamp}});
    if (r.ok()) {
      log_info("images imported", {{"file", name}, {"images", join(*r, " ")}});
      for (const auto& n : *r) entry["names"].append(n);
    } else {
      log_warn("an image archive is left out until it changes", {{"error", r.status()}});
    }
    done.set(path, std::move(entry));
  }
  if (changed)
    if (auto r = os::write_file(memory, done.dump(), 0600, false); !r.ok()) log_warn("the list of imported archives was not written", {{"error", r.status()}});
}

namespace {

class Exporter {
 public:
  Exporter(std::string layers, std::string folder, int fd) : layers_(std::move(layers)), folder_(std::move(folder)), fd_(fd) {}

  Result<> add(const Image& image, const std::vector<std::string>& names, const std::string& config_text) {
    Node layers = Node::array(), paths = Node::array();
    for (const Node& id : image.config.path("rootfs.diff_ids").items()) {
      std::string layer = layers_ + "/" + hex_of(id.str());
      if (!packed_.count(layer)) {
        TRY(PackedLayer made, pack_layer(layer, folder_ + "/" + std::to_string(packed_.size())));
        packed_[layer] = made;
      }
      const PackedLayer& p = packed_[layer];
      blobs_[p.digest] = p;
      layers.append(descriptor_of(kLayerType, p.digest, p.size));
      paths.append("blobs/sha256/" + hex_of(p.digest));
    }
    texts_[image.id] = config_text;
    std::string manifest = manifest_text(image.id, config_text.size(), layers);
    std::string digest = digest_of(manifest);
    texts_[digest] = manifest;
    Node tags = Node::array();
    for (const auto& name : names) {
      Node d = descriptor_of(kManifestType, digest, manifest.size());
      d["annotations"] = Node::obj({{"io.containerd.image.name", name}, {"org.opencontainers.image.ref.name", name}});
      manifests_.append(std::move(d));
      tags.append(name);
    }
    docker_.append(Node::obj({{"Config", "blobs/sha256/" + hex_of(image.id)}, {"RepoTags", tags}, {"Layers", paths}}));
    return {};
  }

  Result<> write() {
    TRY_OK(small("oci-layout", R"({"imageLayoutVersion":"1.0.0"})"));
    TRY_OK(small("index.json", Node::obj({{"schemaVersion", 2}, {"manifests", manifests_}}).dump()));
    TRY_OK(small("manifest.json", docker_.dump()));
    for (const auto& [digest, text] : texts_) TRY_OK(small("blobs/sha256/" + hex_of(digest), text));
    std::vector<char> buffer(128 * 1024);
    for (const auto& [digest, layer] : blobs_) {
      TRY_OK(write_all(fd_, tar_header("blobs/sha256/" + hex_of(digest), layer.size)));
      TRY(auto file, file_source(layer.path));
      for (;;) {
        TRY(size_t n, file->read(buffer.data(), buffer.size()));
        if (n == 0) break;
        TRY_OK(write_all(fd_, {buffer.data(), n}));
      }
      TRY_OK(write_all(fd_, tar_padding(layer.size)));
    }
    return write_all(fd_, tar_end());
  }

 private:
  Result<> small(const std::string& name, const std::string& text) { return write_all(fd_, tar_header(name, text.size()) + text + tar_padding(text.size())); }

  const std::string layers_, folder_;
  const int fd_;
  std::map<std::string, PackedLayer> packed_;      // by layer folder
  std::map<std::string, PackedLayer> blobs_;       // by digest
  std::map<std::string, std::string> texts_;       // by digest
  Node manifests_ = Node::array(), docker_ = Node::array();
};

}  // namespace

Result<> ImageStore::export_archive(const std::vector<std::string>& references, int fd) const {
  static std::atomic<unsigned> counter{0};
  TRY(os::Fd held, lease());
  std::string folder = root_ + "/import-export-" + std::to_string(getpid()) + "-" + std::to_string(counter++);
  TRY_OK(os::make_dirs(folder, 0700));
  Exporter exporter(root_ + "/layers", folder, fd);
  auto work = [&]() -> Result<> {
    for (const auto& reference : references) {
      auto image = find(reference);
      if (!image) return not_found("image " + json::quoted(reference) + " not found");
      TRY(ImageRecord record, record_of(reference));
      auto parsed = parse_reference(reference);
      bool by_name = parsed.ok() && std::find(image->names.begin(), image->names.end(), parsed->text()) != image->names.end();
      TRY_OK(exporter.add(*image, by_name ? std::vector<std::string>{parsed->text()} : image->names, record.config_text).within(reference));
    }
    return exporter.write();
  };
  auto done = work();
  (void)os::remove_tree(folder);
  return done;
}

}  // namespace k8lite::image
