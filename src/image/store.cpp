#include "image/store.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "base/embedded.h"
#include "base/gunzip.h"
#include "base/log.h"
#include "base/strings.h"
#include "image/tar.h"
#include "os/files.h"

namespace k8lite::embedded_echo {
std::span<const k8lite::EmbeddedFile> files();
}

namespace k8lite::image {
namespace {

using json::Node;

constexpr std::string_view kEchoName = "docker.io/k8lite/echoserver:1.0";

std::string hex_of(const std::string& digest) { return digest.substr(digest.find(':') + 1); }
bool good_digest(const std::string& d) { return d.starts_with("sha256:") && d.size() == 71 && d.find_first_not_of("0123456789abcdef", 7) == d.npos; }

class TextSource : public Source {
 public:
  explicit TextSource(std::string_view text) : text_(text) {}
  Result<size_t> read(char* buffer, size_t size) override {
    size_t n = text_.copy(buffer, size);
    text_.remove_prefix(n);
    return n;
  }

 private:
  std::string_view text_;
};

Result<std::string> digest_of(std::string_view text) {
  TextSource source(text);
  HashingSource hash(source);
  TRY_OK(hash.drain());
  return hash.digest();
}

// A file inside of a layer, followed as the container would (links stay in the layer).
Result<std::string> read_in_layers(const std::vector<std::string>& layers, const std::string& path) {
  for (const auto& layer : layers) {
    os::Fd root(::open(layer.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    open_how how{};
    how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    os::Fd fd(static_cast<int>(syscall(SYS_openat2, root.get(), path.c_str(), &how, sizeof how)));
    struct stat st;
    if (!fd || fstat(fd.get(), &st) != 0) continue;
    if (!S_ISREG(st.st_mode)) break;  // a whiteout
    return os::read_file("/proc/self/fd/" + std::to_string(fd.get()), 4 << 20);
  }
  return not_found(path);
}

std::optional<uint64_t> decimal(std::string_view text) {
  auto n = parse_int(text);
  if (!n || *n < 0) return {};
  return static_cast<uint64_t>(*n);
}

}  // namespace

Result<std::unique_ptr<ImageStore>> ImageStore::open(const std::string& root) {
  std::unique_ptr<ImageStore> store(new ImageStore(root));
  TRY_OK(os::make_dirs(root + "/layers", 0711));
  TRY_OK(os::make_dirs(root + "/images", 0700));
  for (const auto& name : os::list_dir(root + "/layers"))
    if (name.starts_with("tmp-")) (void)os::remove_tree(root + "/layers/" + name);
  for (const auto& name : os::list_dir(root))
    if (name.starts_with("import-")) (void)os::remove_tree(root + "/" + name);
  TRY_OK(store->load());
  TRY_OK(store->add_echo_image());
  return store;
}

std::string ImageStore::layer_folder(const std::string& diff_id) const { return root_ + "/layers/" + hex_of(diff_id); }
bool ImageStore::has_layer(const std::string& diff_id) const { return good_digest(diff_id) && os::exists(layer_folder(diff_id)); }

// ---- images/<hash>.json: {"name","digest","pinned","config": text} ----

Result<> ImageStore::load() {
  for (const auto& file : os::list_dir(root_ + "/images")) load_one(file);
  return {};
}

void ImageStore::load_one(const std::string& file) {
  if (!file.ends_with(".json")) return;
  {
    std::lock_guard lock(mutex_);
    seen_files_[file] = true;
  }
  auto text = os::read_file(root_ + "/images/" + file);
  auto record = text.ok() ? Node::parse(*text) : Result<Node>(text.status());
  auto image = record.ok() ? add_image(record->get("name").str(), record->get("config").str(), record->get("digest").str(), record->get("pinned").bool_or(false)) : Result<Image>(record.status());
  if (!image.ok()) log_warn("an image's record is left out", {{"file", file}, {"error", image.status()}});
}

Result<Image> ImageStore::add_image(const std::string& name, const std::string& config_text, const std::string& manifest_digest, bool pinned) {
  Image image;
  TRY(image.config, Node::parse(config_text));
  TRY(image.id, digest_of(config_text));
  image.names = {name};
  image.digest = manifest_digest;
  image.pinned = pinned;
  const Node& ids = image.config.get("rootfs").get("diff_ids");
  for (auto it = ids.items().rbegin(); it != ids.items().rend(); ++it) {
    if (!has_layer(it->str())) return bad_request("image " + name + ": layer " + it->str() + " is missing");
    image.layers.push_back(layer_folder(it->str()));
    image.size += parse_int(os::read_file(layer_folder(it->str()) + ".size").value_or("0")).value_or(0);
  }
  if (image.layers.empty()) return bad_request("image " + name + " has no layers");
  TRY(std::string file, digest_of(name));
  std::string path = root_ + "/images/" + hex_of(file) + ".json";
  std::string record = Node::obj({{"name", name}, {"digest", manifest_digest}, {"pinned", pinned}, {"config", config_text}}).dump();
  if (os::read_file(path).value_or("") != record) TRY_OK(os::write_file(path, record, 0600));
  std::lock_guard lock(mutex_);
  by_name_[name] = image;
  return image;
}

Result<> ImageStore::add_layer(const std::string& diff_id, Source& tar) {
  if (!good_digest(diff_id)) return bad_request("layer digest \"" + diff_id + "\" is not a sha256 digest");
  if (has_layer(diff_id)) return {};
  static std::atomic<unsigned> counter{0};
  std::string folder = root_ + "/layers/tmp-" + std::to_string(getpid()) + "-" + std::to_string(counter++);
  TRY_OK(os::make_dirs(folder));
  HashingSource hash(tar);
  auto unpacked = unpack_layer(hash, folder);
  if (unpacked.ok()) unpacked = hash.drain();
  if (unpacked.ok())
    if (std::string got = hash.digest(); got != diff_id) unpacked = bad_request("its digest is " + got);
  if (unpacked.ok()) {
    os::Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    TRY_OK(os::write_file(layer_folder(diff_id) + ".size", std::to_string(hash.bytes()), 0600, false));
    syncfs(fd.get());
    if (::rename(folder.c_str(), layer_folder(diff_id).c_str()) != 0 && !has_layer(diff_id)) unpacked = Status::from_errno("rename layer", errno);
  }
  (void)os::remove_tree(folder);
  if (!unpacked.ok()) return std::move(unpacked).status().within("layer " + diff_id);
  return {};
}

void ImageStore::load_new() const {
  for (const auto& file : os::list_dir(root_ + "/images")) {
    {
      std::lock_guard lock(mutex_);
      if (seen_files_.count(file)) continue;
    }
    const_cast<ImageStore*>(this)->load_one(file);
  }
}

std::optional<Image> ImageStore::find(const std::string& reference) const {
  auto found = find_known(reference);
  if (found) return found;
  load_new();  // `k8lite ctr images import` may have brought it
  return find_known(reference);
}

std::optional<Image> ImageStore::find_known(const std::string& reference) const {
  std::lock_guard lock(mutex_);
  if (auto it = by_name_.find(reference); it != by_name_.end()) return it->second;
  if (reference.starts_with("sha256:"))
    for (const auto& [name, image] : by_name_)
      if (image.id == reference) return image;
  auto parsed = parse_reference(reference);
  if (!parsed.ok()) return {};
  if (auto it = by_name_.find(parsed->text()); it != by_name_.end()) return it->second;
  if (!parsed->digest.empty())
    for (const auto& [name, image] : by_name_)
      if (image.digest == parsed->digest) return image;
  return {};
}

std::vector<Image> ImageStore::list() const {
  std::map<std::string, Image> by_id;
  std::lock_guard lock(mutex_);
  for (const auto& [name, image] : by_name_) {
    auto [it, fresh] = by_id.emplace(image.id, image);
    if (!fresh) it->second.names.push_back(name);
  }
  std::vector<Image> out;
  for (auto& [id, image] : by_id) out.push_back(std::move(image));
  return out;
}

Result<> ImageStore::remove(const std::string& reference) {
  auto image = find(reference);
  if (!image) return not_found("image " + reference + " not found");
  std::lock_guard lock(mutex_);
  for (const auto& name : image->names) {
    TRY(std::string file, digest_of(name));
    ::unlink((root_ + "/images/" + hex_of(file) + ".json").c_str());
    by_name_.erase(name);
  }
  for (const auto& layer : image->layers) {
    bool used = std::any_of(by_name_.begin(), by_name_.end(), [&layer](const auto& e) { return std::find(e.second.layers.begin(), e.second.layers.end(), layer) != e.second.layers.end(); });
    if (used) continue;
    TRY_OK(os::remove_tree(layer));
    ::unlink((layer + ".size").c_str());
  }
  return {};
}

#if defined(__aarch64__)
constexpr const char* kArchitecture = "arm64";
#elif defined(__arm__)
constexpr const char* kArchitecture = "arm";
#else
constexpr const char* kArchitecture = "amd64";
#endif

// The echo image needs no archive: one layer with the embedded program.
Result<> ImageStore::add_echo_image() {
  TRY(std::string elf, gunzip(embedded_echo::files()[0].content, 16 << 20));
  TRY(std::string diff_id, digest_of(elf));
  std::string config = Node::obj({{"architecture", kArchitecture}, {"os", "linux"},
                                  {"config", Node::obj({{"Entrypoint", Node::arr({"/echoserver"})}, {"ExposedPorts", Node::obj({{"8080/tcp", Node::object()}})}, {"WorkingDir", "/"}})},
                                  {"rootfs", Node::obj({{"type", "layers"}, {"diff_ids", Node::arr({diff_id})}})}}).dump();
  std::string folder = layer_folder(diff_id);
  if (!os::exists(folder)) {
    std::string temporary = root_ + "/layers/tmp-echo";
    (void)os::remove_tree(temporary);
    TRY_OK(os::make_dirs(temporary));
    TRY_OK(os::write_file(temporary + "/echoserver", elf, 0755));
    TRY_OK(os::write_file(folder + ".size", std::to_string(elf.size()), 0600, false));
    if (::rename(temporary.c_str(), folder.c_str()) != 0) return Status::from_errno("rename " + folder, errno);
  }
  TRY_OK(add_image(std::string(kEchoName), config, "", true));
  return {};
}

// ---- archives ----

Result<std::vector<std::string>> ImageStore::import_archive(const std::string& path) {
  TRY(auto raw, file_source(path));
  TRY(auto source, decompressed(std::move(raw)));
  std::string folder = root_ + "/import-" + std::to_string(getpid()) + "-" + hex_of(digest_of(path).value_or("x:x")).substr(0, 12);
  TRY_OK(os::make_dirs(folder, 0700));
  std::map<std::string, std::string> files;
  size_t n = 0;
  auto read = read_tar(*source, [&](const TarEntry& e, Source& data) -> Result<> {
    std::string name = e.name.starts_with("./") ? e.name.substr(2) : e.name;
    if (e.type == '2' || e.type == '1') {  // older archives share layers by links
      std::string target = e.link.starts_with("../") ? e.link.substr(3) : e.link;
      if (auto it = files.find(target); it != files.end()) files[name] = it->second;
      return {};
    }
    if (e.type != '0') return {};
    std::string to = folder + "/" + std::to_string(n++);
    os::Fd fd(::open(to.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    char buffer[65536];
    for (;;) {
      TRY(size_t got, data.read(buffer, sizeof buffer));
      if (got == 0) break;
      if (::write(fd.get(), buffer, got) != static_cast<ssize_t>(got)) return Status::from_errno("write " + to, errno);
    }
    files[name] = to;
    return {};
  });
  Result<std::vector<std::string>> out = read.ok() ? import_files(files, path) : Result<std::vector<std::string>>(read.status());
  (void)os::remove_tree(folder);
  return std::move(out).within(path);
}

Result<std::string> ImageStore::import_one(const std::map<std::string, std::string>& files, const std::string& config, const std::vector<std::string>& layers, const std::vector<std::string>& names, const std::string& digest) {
  auto file = [&files](const std::string& name) -> Result<std::string> {
    auto it = files.find(name);
    if (it == files.end()) return bad_request("the archive has no " + name);
    return it->second;
  };
  TRY(std::string config_file, file(config));
  TRY(std::string config_text, os::read_file(config_file));
  TRY(Node parsed, Node::parse(config_text));
  const Node& ids = parsed.get("rootfs").get("diff_ids");
  if (ids.size() != layers.size()) return bad_request("the image's config names " + std::to_string(ids.size()) + " layers, its manifest " + std::to_string(layers.size()));
  for (size_t i = 0; i < layers.size(); ++i) {
    TRY(std::string layer_file, file(layers[i]));
    TRY(auto raw, file_source(layer_file));
    TRY(auto tar, decompressed(std::move(raw)));
    TRY_OK(add_layer(ids.items()[i].str(), *tar));
  }
  for (const auto& name : names) {
    TRY(Reference reference, parse_reference(name));
    TRY_OK(add_image(reference.text(), config_text, digest, true));
  }
  return config;
}

Result<std::vector<std::string>> ImageStore::import_files(const std::map<std::string, std::string>& files, const std::string& what) {
  auto json_of = [&files](const std::string& name) -> Result<Node> {
    auto it = files.find(name);
    if (it == files.end()) return not_found(name);
    TRY(std::string text, os::read_file(it->second));
    return Node::parse(text);
  };
  auto texts = [](const Node& list) {
    std::vector<std::string> out;
    for (const Node& n : list.items()) out.push_back(n.str());
    return out;
  };
  std::vector<std::string> imported;
  if (auto manifest = json_of("manifest.json"); manifest.ok()) {
    for (const Node& m : manifest->items()) {
      auto names = texts(m.get("RepoTags"));
      if (names.empty()) continue;
      TRY_OK(import_one(files, m.get("Config").str(), texts(m.get("Layers")), names, ""));
      imported.insert(imported.end(), names.begin(), names.end());
    }
  } else if (auto index = json_of("index.json"); index.ok()) {
    auto blob = [](const std::string& digest) { return "blobs/sha256/" + hex_of(digest); };
    for (const Node& d : index->get("manifests").items()) {
      TRY(Node m, json_of(blob(d.get("digest").str())));
      std::string name = d.get("annotations").get("io.containerd.image.name").str();
      if (name.empty()) name = d.get("annotations").get("org.opencontainers.image.ref.name").str();
      if (name.empty() || m.get("layers").empty()) continue;
      std::vector<std::string> layers;
      for (const Node& l : m.get("layers").items()) layers.push_back(blob(l.get("digest").str()));
      TRY_OK(import_one(files, blob(m.get("config").get("digest").str()), layers, {name}, d.get("digest").str()));
      imported.push_back(name);
    }
  } else {
    return bad_request("neither a docker archive (manifest.json) nor an OCI layout (index.json)");
  }
  if (imported.empty()) return bad_request("the archive names no image");
  return imported;
}

void ImageStore::import_folder(const std::string& folder) {
  for (const auto& name : os::list_dir(folder)) {
    bool archive = false;
    for (const char* end : {".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.zstd"}) archive |= name.ends_with(end);
    if (!archive) continue;
    auto r = import_archive(folder + "/" + name);
    if (r.ok()) log_info("images imported", {{"file", name}, {"images", join(*r, " ")}});
    else log_warn("an image archive is left out", {{"error", r.status()}});
  }
}

// ---- users ----

Result<User> resolve_user(const std::vector<std::string>& layers, const std::string& text) {
  User out;
  size_t colon = text.find(':');
  std::string user = text.substr(0, colon), group = colon == text.npos ? "" : text.substr(colon + 1);
  if (user.empty()) user = "0";
  std::string passwd = read_in_layers(layers, "etc/passwd").value_or(""), groups = read_in_layers(layers, "etc/group").value_or("");
  auto number = decimal(user);
  bool found = number.has_value();
  out.uid = number.value_or(0);
  std::string name = user;
  for (auto line : split(passwd, '\n')) {
    auto f = split(line, ':');
    if (f.size() < 4 || (number ? f[2] != user : f[0] != user)) continue;
    out.uid = decimal(f[2]).value_or(out.uid);
    out.gid = decimal(f[3]).value_or(0);
    name = f[0];
    found = true;
    break;
  }
  if (!found) return bad_request("unable to find user " + user + ": no matching entries in passwd file");
  bool group_found = group.empty() || decimal(group).has_value();
  if (auto g = decimal(group)) out.gid = *g;
  for (auto line : split(groups, '\n')) {
    auto f = split(line, ':');
    if (f.size() < 4) continue;
    if (!group.empty() && f[0] == group) out.gid = decimal(f[2]).value_or(0), group_found = true;
    for (auto member : split(f[3], ','))
      if (member == name && group.empty()) out.groups.push_back(decimal(f[2]).value_or(0));
  }
  if (!group_found) return bad_request("unable to find group " + group + ": no matching entries in group file");
  return out;
}

}  // namespace k8lite::image
