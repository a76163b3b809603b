// crictl's commands about images.
#include <algorithm>
#include <cstdio>

#include "app/crictl.h"
#include "app/images_cli.h"
#include "base/strings.h"
#include "kubelet/container_record.h"

namespace k8lite::app::crictl {
namespace {

using json::Node;

Node strings(const std::vector<std::string>& list) {
  Node out = Node::array();
  for (const auto& s : list) out.append(s);
  return out;
}

Node image_object(const image::Image& image) {
  std::string user = image.config.path("config.User").str();
  Node out = Node::obj({{"id", image.id}, {"repoTags", strings(image.names)}, {"repoDigests", strings(image.digests)}, {"size", std::to_string(image.size)}});
  auto uid = parse_int(user.substr(0, user.find(':')));
  out.set("uid", uid ? Node::obj({{"value", std::to_string(*uid)}}) : Node());
  out.set("username", uid ? "" : user);
  out.set("spec", Node());
  out.set("pinned", image.pinned);
  return out;
}

// A name or its beginning up to a tag: "busybox", "docker.io/library/busybox:1".
bool wanted(const image::Image& image, const std::string& filter) {
  if (filter.empty()) return true;
  auto reference = image::parse_reference(filter);
  bool tagged = filter.find(':', filter.rfind('/') == filter.npos ? 0 : filter.rfind('/')) != filter.npos;
  return std::any_of(image.names.begin(), image.names.end(), [&](const std::string& name) {
    return name == filter || (reference.ok() && (tagged ? name == reference->text() : name.starts_with(reference->name() + ":")));
  });
}

void add_rows(Rows& rows, const image::Image& image, const Options& o) {
  std::string id = o.no_trunc ? image.id : image.id.substr(7, 13);
  std::string digest = image.digests.empty() ? "<none>" : image.digests[0].substr(image.digests[0].find('@') + 1);
  if (!o.no_trunc && digest != "<none>") digest = digest.substr(7, 13);
  auto row = [&](const std::string& name, const std::string& tag) {
    std::vector<std::string> r = {name, tag};
    if (o.digests) r.push_back(digest);
    r.push_back(id);
    r.push_back(decimal_size(image.size));
    if (o.pinned) r.push_back(image.pinned ? "true" : "false");
    rows.push_back(std::move(r));
  };
  for (const auto& name : image.names) row(name.substr(0, name.rfind(':')), name.substr(name.rfind(':') + 1));
  if (image.names.empty()) row(image.digests.empty() ? "<none>" : image.digests[0].substr(0, image.digests[0].find('@')), "<none>");
}

}  // namespace

int images(const Options& o) {
  auto store = open_image_store(o.data_dir);
  if (!store.ok()) return fail(store.status().message());
  Node list = Node::array();
  Rows rows = {{"IMAGE", "TAG"}};
  if (o.digests) rows[0].push_back("DIGEST");
  rows[0].insert(rows[0].end(), {"IMAGE ID", "SIZE"});
  if (o.pinned) rows[0].push_back("PINNED");
  for (const auto& image : (*store)->list()) {
    if (!wanted(image, o.words.size() > 1 ? o.words[1] : "")) continue;
    if (o.quiet) std::printf("%s\n", image.id.c_str());
    list.append(image_object(image));
    add_rows(rows, image, o);
  }
  if (o.quiet) return 0;
  if (o.output != "table") return print_value(Node::obj({{"images", list}}), o.output);
  std::sort(rows.begin() + 1, rows.end());
  print_table(rows);
  return 0;
}

int pull(const Options& o) {
  if (o.words.size() != 2) return fail("pull: one image is wanted");
  auto store = open_image_store(o.data_dir);
  if (!store.ok()) return fail(store.status().message());
  TransferOptions transfer;
  transfer.registries_file = o.registries;
  transfer.credentials = o.credentials;
  auto image = pull_image(**store, o.words[1], transfer);
  if (!image.ok()) return fail("pulling image: " + image.status().message());
  std::printf("Image is up to date for %s\n", (image->digests.empty() ? image->id : image->digests[0]).c_str());
  return 0;
}

int remove_images(const Options& o) {
  auto store = open_image_store(o.data_dir);
  if (!store.ok()) return fail(store.status().message());
  std::vector<std::string> names(o.words.begin() + 1, o.words.end());
  if (o.all || o.prune) {
    auto in_use = o.prune ? kubelet::images_in_use(kubelet::kRunDir) : std::set<std::string>();
    for (const auto& image : (*store)->list())
      if (!image.pinned && !in_use.count(image.id)) names.push_back(image.id);
  }
  if (names.empty() && !o.all && !o.prune) return fail("rmi: which image?");
  int code = 0;
  for (const auto& name : names) {
    auto image = (*store)->find(name);
    auto r = image ? (*store)->remove(name) : Result<>(not_found("no such image " + name));
    if (!r.ok()) {
      code = fail(r.status().message());
      continue;
    }
    for (const auto& tag : image->names.empty() ? image->digests : image->names) std::printf("Deleted: %s\n", tag.c_str());
  }
  return code;
}

int inspect_image(const Options& o) {
  if (o.words.size() < 2) return fail("inspecti: which image?");
  auto store = open_image_store(o.data_dir);
  if (!store.ok()) return fail(store.status().message());
  for (size_t i = 1; i < o.words.size(); ++i) {
    auto image = (*store)->find(o.words[i]);
    if (!image) return fail("no such image \"" + o.words[i] + "\" present");
    if (o.output == "table") std::printf("ID: %s\nTag: %s\nDigest: %s\nSize: %s\n", image->id.c_str(), join(image->names, " ").c_str(), join(image->digests, " ").c_str(), decimal_size(image->size).c_str());
    else print_value(Node::obj({{"status", image_object(*image)}, {"info", Node::obj({{"imageSpec", image->config}})}}), o.output);
  }
  return 0;
}

}  // namespace k8lite::app::crictl
