// The store's own fsck, each time it is opened and nobody else is at it. Everything is renamed into place whole, so after a crash there is
// only rubbish to remove; a record without its layers, a link that leads nowhere or a file cut short by a broken disk is dropped as well,
// because an image that is not there is pulled or imported again, and one that is half there fails for ever.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/log.h"
#include "image/split.h"
#include "image/store.h"

namespace k8lite::image {

using json::Node;

os::Fd exclusive_hold(const std::string& root) {
  os::Fd fd(::open((root + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (fd && flock(fd.get(), LOCK_EX | LOCK_NB) != 0) fd.reset();
  return fd;
}

namespace {

// Why an image cannot be used as it is written down; "" for a sound one.
std::string fault_of(const std::string& root, const std::string& file) {
  auto text = os::read_file(root + "/images/" + file);
  if (!text.ok()) return text.status().message();
  auto node = Node::parse(*text);
  if (!node.ok()) return "it is unreadable: " + node.status().message();
  if (node->get("name").str().empty() || hex_of(digest_of(node->get("name").str())) + ".json" != file) return "it is not that of its name";
  auto config = Node::parse(node->get("config").str());
  if (!config.ok()) return "its config is unreadable";
  for (const Node& id : config->path("rootfs.diff_ids").items())
    if (!is_digest(id.str()) || !os::exists(root + "/layers/" + hex_of(id.str()))) return "layer " + id.str() + " is missing";
  return config->path("rootfs.diff_ids").items().empty() ? "the image has no layers" : "";
}

}  // namespace

void ImageStore::check() {
  os::Fd exclusive = exclusive_hold(root_);
  if (!exclusive) return;
  drop_leftovers();
  for (const auto& name : os::list_dir(root_ + "/layers")) {
    std::string path = root_ + "/layers/" + name;
    if (name.find('.') != name.npos || name.size() != 64) continue;  // side files go with their layer, in sweep()
    os::Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (fd) continue;
    log_warn("a layer that is no folder is dropped", {{"layer", name}});
    (void)os::remove_tree(path);
  }
  for (const auto& file : os::list_dir(root_ + "/images")) {
    std::string why = file.ends_with(".json") ? fault_of(root_, file) : "it is a file that was not finished";
    if (why.empty()) continue;
    log_warn("an image's record is dropped", {{"file", file}, {"why", why}});
    ::unlink((root_ + "/images/" + file).c_str());
  }
  for (const auto& link : os::list_dir(root_ + "/l"))
    if (::access((root_ + "/l/" + link).c_str(), F_OK) != 0) ::unlink((root_ + "/l/" + link).c_str());
}

// What a process that ended in the middle of a pull or an import has left.
void ImageStore::drop_leftovers() {
  for (const auto& name : os::list_dir(root_ + "/layers")) {
    if (!name.starts_with("tmp-")) continue;
    // An unpacker outlives a process that was killed by a moment, in which it may still write.
    for (int attempt = 0; attempt < 20 && !os::remove_tree(root_ + "/layers/" + name).ok(); ++attempt) usleep(50'000);
  }
  for (const auto& name : os::list_dir(root_))
    if (name.starts_with("import-")) (void)os::remove_tree(root_ + "/" + name);
}

Result<> ImageStore::verify_layer(const std::string& diff_id) const {
  if (!has_layer(diff_id)) return not_found("layer " + diff_id + " is missing");
  std::string folder = layer_folder(diff_id);
  if (!os::exists(folder + ".split")) return bad_request("layer " + diff_id + " was stored without the record of its tar");
  Digester digester;
  TRY_OK(rebuild_tar(folder + ".split", folder, [&digester](std::string_view piece) -> Result<> {
    digester.update(piece);
    return {};
  }));
  if (std::string got = digester.finish(); got != diff_id) return bad_request("layer " + diff_id + " has changed on disk: its digest is " + got);
  return {};
}

Result<> ImageStore::pin(const std::string& reference) {
  TRY(ImageRecord record, record_of(reference));
  if (record.pinned) return {};
  record.pinned = true;
  TRY_OK(add_image(record));
  return {};
}

}  // namespace k8lite::image
