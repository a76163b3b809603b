#include "image/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

#include "base/embedded.h"
#include "base/gunzip.h"
#include "base/log.h"
#include "base/strings.h"
#include "image/manifest.h"
#include "image/partial.h"
#include "image/unpacker.h"

namespace k8lite::embedded_echo {
std::span<const k8lite::EmbeddedFile> files();
}

namespace k8lite::image {
namespace {

using json::Node;

constexpr std::string_view kEchoName = "docker.io/k8lite/echoserver:1.0";
constexpr size_t kMaxEcho = 16 << 20;
constexpr size_t kLinkName = 12;  // hex digits of a layer's digest

std::string stamp_of(const std::string& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0) return "";
  return std::to_string(st.st_ino) + "/" + std::to_string(st.st_size) + "/" + std::to_string(st.st_ctim.tv_sec) + "." + std::to_string(st.st_ctim.tv_nsec);
}

std::string without_extension(const std::string& name) { return name.substr(0, name.find('.')); }

// docker.io/library/redis of docker.io/library/redis:7 and …@sha256:….
std::string repository_of(const std::string& name) {
  std::string out = name.substr(0, name.find('@'));
  size_t slash = out.rfind('/');
  return out.substr(0, out.find(':', slash == out.npos ? 0 : slash));
}

std::string link_target(const std::string& link) {
  char text[256];
  ssize_t n = readlink(link.c_str(), text, sizeof text);
  return n > 0 ? std::string(text, static_cast<size_t>(n)) : "";
}

int64_t size_on_disk(const std::string& folder) { return parse_int(os::read_file(folder + ".size").value_or("0")).value_or(0); }

}  // namespace

Result<std::unique_ptr<ImageStore>> ImageStore::open(const std::string& root, StoreOptions options) {
  std::unique_ptr<ImageStore> store(new ImageStore(root, std::move(options)));
  TRY_OK(os::make_dirs(root + "/layers", 0711));
  TRY_OK(os::make_dirs(root + "/l", 0711));
  TRY_OK(os::make_dirs(root + "/images", 0700));
  // Layers hold programs with the setuid bit and devices: nobody of this machine but root reaches them.
  (void)::chmod(root.c_str(), 0700);
  store->check();
  drop_partials(store->partial_folder(), kPartialAge);
  // A node whose disk is full still starts.
  if (auto r = store->add_echo_image(); !r.ok()) log_warn("the built-in image is not there", {{"error", r.status()}});
  store->load_new();
  return store;
}

std::string ImageStore::layer_folder(const std::string& diff_id) const { return root_ + "/layers/" + hex_of(diff_id); }
std::string ImageStore::layer_link(const std::string& diff_id) const {
  std::string link = root_ + "/l/" + hex_of(diff_id).substr(0, kLinkName), target = "../layers/" + hex_of(diff_id), now = link_target(link);
  if (now == target) return link;
  if (!now.empty() && os::exists(root_ + "/l/" + now)) return layer_folder(diff_id);  // two layers alike in 12 digits
  std::string temporary = link + "." + std::to_string(getpid());
  ::unlink(temporary.c_str());
  if (symlink(target.c_str(), temporary.c_str()) == 0 && ::rename(temporary.c_str(), link.c_str()) == 0) return link;
  return layer_folder(diff_id);
}
std::string ImageStore::record_file(const std::string& name) const { return hex_of(digest_of(name)) + ".json"; }
bool ImageStore::has_layer(const std::string& diff_id) const { return is_digest(diff_id) && os::exists(layer_folder(diff_id)); }

// ---- leases ----

Result<os::Fd> ImageStore::lease() const {
  os::Fd fd(::open((root_ + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return Status::from_errno("open " + root_ + "/lock", errno);
  if (flock(fd.get(), LOCK_SH) != 0) return Status::from_errno("lock " + root_ + "/lock", errno);
  return fd;
}

Result<int64_t> ImageStore::sweep() {
  os::Fd exclusive = exclusive_hold(root_);
  if (!exclusive) return int64_t{0};
  load_new();
  std::set<std::string> needed;
  if (options_.layers_in_use) needed = options_.layers_in_use();
  {
    std::lock_guard lock(mutex_);
    for (const auto& [file, known] : by_file_)
      for (const auto& layer : known.image.layers) needed.insert(layer.substr(layer.rfind('/') + 1, kLinkName));
  }
  int64_t freed = 0;
  for (const auto& name : os::list_dir(root_ + "/layers")) {
    if (needed.count(name.substr(0, kLinkName))) continue;
    std::string path = root_ + "/layers/" + name;
    if (name.find('.') == name.npos) {
      freed += size_on_disk(path);
      ::unlink((root_ + "/l/" + name.substr(0, kLinkName)).c_str());
      // Away at once, so that a crash in the middle leaves no half layer under its name.
      std::string away = root_ + "/layers/tmp-" + name;
      if (::rename(path.c_str(), away.c_str()) == 0) path = away;
    } else if (os::exists(root_ + "/layers/" + without_extension(name))) {
      continue;  // goes with its layer, which comes before it
    }
    TRY_OK(os::remove_tree(path));
  }
  return freed;
}

// ---- layers ----

Result<> ImageStore::unpack_into(const std::string& folder, const std::string& diff_id, Source& packed, const LayerCheck& verify) {
  TRY_OK(os::make_dirs(folder));
  std::string record = folder + ".split";
  os::Fd split(::open(record.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!split) return Status::from_errno("create " + record, errno);
  TRY(LayerFacts facts, options_.confined ? unpack_confined(packed, folder, std::move(split), options_.limits) : unpack_here(packed, folder, std::move(split), options_.limits));
  if (verify) TRY_OK(verify());
  if (facts.diff_id != diff_id) return bad_request("wrong diff id calculated on extraction: the content's digest is " + facts.diff_id + ", the image's config names " + diff_id);
  TRY_OK(os::write_file(folder + ".size", std::to_string(facts.bytes), 0600, false));
  os::Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || syncfs(fd.get()) != 0) return Status::from_errno("sync the layer", errno);
  return {};
}

Result<> ImageStore::add_layer(const std::string& diff_id, Source& packed, const LayerCheck& verify) {
  if (!is_digest(diff_id)) return bad_request("layer digest \"" + diff_id + "\" is not a sha256 digest");
  if (has_layer(diff_id)) return {};
  static std::atomic<unsigned> counter{0};
  std::string folder = root_ + "/layers/tmp-" + std::to_string(getpid()) + "-" + std::to_string(counter++);
  auto done = unpack_into(folder, diff_id, packed, verify);
  if (done.ok()) {
    std::string target = layer_folder(diff_id);
    for (const char* end : {".size", ".split"})
      if (::rename((folder + end).c_str(), (target + end).c_str()) != 0) done = Status::from_errno("rename layer", errno);
    if (done.ok() && ::rename(folder.c_str(), target.c_str()) != 0 && !has_layer(diff_id)) done = Status::from_errno("rename layer", errno);
  }
  for (const char* end : {"", ".size", ".split"}) (void)os::remove_tree(folder + end);
  return done;
}

// ---- records: images/<hash of the name>.json ----

Result<Image> ImageStore::add_image(const ImageRecord& record) {
  Node credentials = Node::array();
  for (const auto& c : record.credentials) credentials.append(c);
  std::string text = Node::obj({{"name", record.name}, {"digest", record.digest}, {"size", record.size}, {"pinned", record.pinned}, {"credentials", credentials}, {"config", record.config_text}}).dump();
  TRY(Node config, Node::parse(record.config_text));
  for (const Node& id : config.path("rootfs.diff_ids").items())
    if (!has_layer(id.str())) return bad_request("image " + record.name + ": layer " + id.str() + " is missing");
  std::string file = record_file(record.name), path = root_ + "/images/" + file;
  if (os::read_file(path).value_or("") != text) TRY_OK(os::write_file(path, text, 0600));
  TRY_OK(load_one(file));
  std::lock_guard lock(mutex_);
  return image_of(record);
}

Result<> ImageStore::load_one(const std::string& file) {
  Known known;
  std::string path = root_ + "/images/" + file;
  known.stamp = stamp_of(path);
  TRY(std::string text, os::read_file(path));
  TRY(Node node, Node::parse(text));
  ImageRecord& r = known.record;
  r.name = node.get("name").str();
  r.config_text = node.get("config").str();
  r.digest = node.get("digest").str();
  r.size = node.get("size").int_or(0);
  r.pinned = node.get("pinned").bool_or(false);
  for (const Node& c : node.get("credentials").items()) r.credentials.insert(c.str());
  Image& image = known.image;
  TRY(image.config, Node::parse(r.config_text));
  known.id = image.id = digest_of(r.config_text);
  image.size = r.size;
  const auto& ids = image.config.path("rootfs.diff_ids").items();
  std::set<std::string> seen;
  for (auto it = ids.rbegin(); it != ids.rend(); ++it) {
    if (!has_layer(it->str())) return bad_request("layer " + it->str() + " is missing");
    // A layer that comes twice: overlayfs refuses it, and the upper one hides the lower one wholly.
    if (!seen.insert(it->str()).second) continue;
    image.layers.push_back(layer_link(it->str()));
    if (r.size == 0) image.size += size_on_disk(layer_folder(it->str()));
  }
  if (image.layers.empty()) return bad_request("the image has no layers");
  std::lock_guard lock(mutex_);
  by_file_[file] = std::move(known);
  return {};
}

void ImageStore::load_new() const {
  std::set<std::string> there;
  for (const auto& file : os::list_dir(root_ + "/images")) {
    if (!file.ends_with(".json")) continue;
    there.insert(file);
    std::string stamp = stamp_of(root_ + "/images/" + file);
    {
      std::lock_guard lock(mutex_);
      auto it = by_file_.find(file);
      if (it != by_file_.end() && it->second.stamp == stamp) continue;
    }
    auto r = const_cast<ImageStore*>(this)->load_one(file);
    if (r.ok()) continue;
    std::lock_guard lock(mutex_);
    if (std::exchange(complained_[file], stamp) != stamp) log_warn("an image's record is left out", {{"file", file}, {"error", r.status()}});
  }
  std::lock_guard lock(mutex_);
  std::erase_if(complained_, [&there](const auto& e) { return !there.count(e.first); });
  auto& known = const_cast<ImageStore*>(this)->by_file_;
  std::erase_if(known, [&there](const auto& e) { return !there.count(e.first); });
}

Image ImageStore::image_of(const ImageRecord& record) const {
  Image out;
  auto own = by_file_.find(record_file(record.name));
  if (own == by_file_.end()) return out;
  out = own->second.image;
  out.digest = record.digest;
  bool everybody = false;
  std::string repository = repository_of(record.name);
  for (const auto& [file, known] : by_file_) {
    if (known.id != out.id) continue;
    const ImageRecord& r = known.record;
    (r.name.find('@') == r.name.npos ? out.names : out.digests).push_back(r.name);
    out.pinned |= r.pinned;
    if (repository_of(r.name) == repository) {
      everybody |= r.credentials.empty();
      out.credentials.insert(r.credentials.begin(), r.credentials.end());
    }
    struct stat st {};
    if (::stat((root_ + "/images/" + file).c_str(), &st) == 0) out.used = std::max(out.used, Instant{static_cast<int64_t>(st.st_mtim.tv_sec) * 1'000'000});
    if (out.digest.empty()) out.digest = r.digest;
  }
  if (everybody) out.credentials.clear();
  return out;
}

std::optional<Image> ImageStore::find(const std::string& reference) const {
  // Another process (`k8lite ctr`) may have brought, moved or removed names; looking costs one readdir and a stat each.
  load_new();
  return find_known(reference);
}

std::optional<Image> ImageStore::find_known(const std::string& reference) const {
  std::lock_guard lock(mutex_);
  std::string id = reference.starts_with("sha256:") ? reference.substr(7) : reference;
  if (id.size() >= 12 && id.find_first_not_of("0123456789abcdef") == id.npos)
    for (const auto& [file, known] : by_file_)
      if (hex_of(known.id).starts_with(id)) return image_of(known.record);
  auto parsed = parse_reference(reference);
  if (!parsed.ok()) return {};
  if (auto it = by_file_.find(record_file(parsed->text())); it != by_file_.end()) return image_of(it->second.record);
  if (parsed->digest.empty()) return {};
  for (const auto& [file, known] : by_file_)
    if (known.record.digest == parsed->digest) return image_of(known.record);
  return {};
}

std::vector<Image> ImageStore::list() const {
  load_new();
  std::map<std::string, Image> by_id;
  std::lock_guard lock(mutex_);
  for (const auto& [file, known] : by_file_)
    if (!by_id.count(known.id)) by_id[known.id] = image_of(known.record);
  std::vector<Image> out;
  for (auto& [id, image] : by_id) out.push_back(std::move(image));
  return out;
}

Result<ImageRecord> ImageStore::record_of(const std::string& reference) const {
  auto image = find(reference);
  if (!image) return not_found("image " + json::quoted(reference) + " not found");
  auto parsed = parse_reference(reference);
  std::lock_guard lock(mutex_);
  if (parsed.ok())
    if (auto it = by_file_.find(record_file(parsed->text())); it != by_file_.end()) return it->second.record;
  for (const auto& [file, known] : by_file_)
    if (known.id == image->id) return known.record;
  return not_found("image " + json::quoted(reference) + " not found");
}

Result<> ImageStore::tag(const std::string& reference, const std::string& new_name) {
  TRY(Reference wanted, parse_reference(new_name));
  if (!wanted.digest.empty()) return bad_request("a tag may not hold a digest: " + new_name);
  TRY(ImageRecord record, record_of(reference));
  record.name = wanted.text();
  TRY_OK(add_image(record));
  return {};
}

Result<> ImageStore::remove(const std::string& reference, bool all_names) {
  auto image = find(reference);
  if (!image) return not_found("image " + json::quoted(reference) + " not found");
  auto parsed = parse_reference(reference);
  std::string one = !all_names && parsed.ok() ? parsed->text() : "";
  bool is_tag = std::find(image->names.begin(), image->names.end(), one) != image->names.end();
  std::vector<std::string> names;
  // The last tag takes the names by digest along.
  if (is_tag && image->names.size() > 1) names = {one};
  else if (!one.empty() && std::find(image->digests.begin(), image->digests.end(), one) != image->digests.end() && !image->names.empty()) names = {one};
  else names = image->names, names.insert(names.end(), image->digests.begin(), image->digests.end());
  for (const auto& name : names)
    if (::unlink((root_ + "/images/" + record_file(name)).c_str()) != 0 && errno != ENOENT) return Status::from_errno("remove " + name, errno);
  load_new();
  TRY_OK(sweep());
  return {};
}

void ImageStore::mark_used(const std::string& id) {
  constexpr int64_t kEvery = 3600;  // seconds: a restarting container writes no disk
  std::lock_guard lock(mutex_);
  for (auto& [file, known] : by_file_) {
    std::string path = root_ + "/images/" + file;
    struct stat st {};
    if (known.id != id || ::stat(path.c_str(), &st) != 0) continue;
    timespec now[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
    if (system_clock().now().us / 1'000'000 - st.st_mtim.tv_sec < kEvery) continue;
    utimensat(AT_FDCWD, path.c_str(), now, 0);
    known.stamp = stamp_of(path);
  }
}

// The echo image needs no archive: one layer with the embedded program.
Result<> ImageStore::add_echo_image() {
  TRY(std::string elf, gunzip(embedded_echo::files()[0].content, kMaxEcho));
  std::string layer = tar_header("echoserver", elf.size(), 0755) + elf + tar_padding(elf.size()) + tar_end();
  std::string diff_id = digest_of(layer);
  std::string config = Node::obj({{"architecture", this_platform().architecture}, {"os", "linux"}, {"created", "1970-01-01T00:00:00Z"},
                                  {"config", Node::obj({{"Entrypoint", Node::arr({"/echoserver"})}, {"ExposedPorts", Node::obj({{"8080/tcp", Node::object()}})}, {"WorkingDir", "/"}})},
                                  {"rootfs", Node::obj({{"type", "layers"}, {"diff_ids", Node::arr({diff_id})}})}}).dump();
  if (!has_layer(diff_id)) {
    TextSource source(layer);
    TRY_OK(add_layer(diff_id, source));
  }
  TRY_OK(add_image({std::string(kEchoName), config, "", static_cast<int64_t>(layer.size()), true, {}}));
  return {};
}

}  // namespace k8lite::image
