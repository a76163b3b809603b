// `k8lite ctr images …`: the node's image store from the command line, beside a running node or without one. It works on the store's
// folder; a running node sees what changes at the next start of a container.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <span>

#include "app/images_cli.h"
#include "app/server.h"
#include "base/clock.h"
#include "base/strings.h"
#include "image/manifest.h"
#include "kubelet/image_pulls.h"
#include "os/files.h"

namespace k8lite::app {
namespace {

constexpr const char* kUsage =
    "k8lite ctr - images of this node\n\nUsage:\n"
    "  k8lite ctr [--data-dir DIR] images import FILE...          import docker archives or OCI layouts (plain, gzip, zstd); - is standard input\n"
    "  k8lite ctr [--data-dir DIR] images export FILE NAME...     write images to an archive; - is standard output\n"
    "  k8lite ctr [--data-dir DIR] images ls [-q] [NAME...]       list images\n"
    "  k8lite ctr [--data-dir DIR] images check [-q]              list images with their layers\n"
    "  k8lite ctr [--data-dir DIR] images pull [-u USER:PW] [--plain-http] [-k] NAME...\n"
    "  k8lite ctr [--data-dir DIR] images push [-u USER:PW] [--plain-http] [-k] REMOTE [LOCAL]\n"
    "  k8lite ctr [--data-dir DIR] images tag [--force] NAME NEW-NAME...\n"
    "  k8lite ctr [--data-dir DIR] images rm NAME...\n"
    "  k8lite ctr version\n";

constexpr const char* kManifestType = "application/vnd.oci.image.manifest.v1+json";

struct Options {
  std::string data_dir = "/var/lib/k8lite", platform;
  TransferOptions transfer{.registries_file = "/etc/k8lite/registries.yaml", .credentials = {}};
  bool quiet = false, force = false;
  std::vector<std::string> words;  // behind "images"
};

// Of ctr, and without a meaning here: there is one namespace, one snapshotter and no daemon to reach.
constexpr std::string_view kIgnoredValues[] = {"-n", "--namespace", "-a", "--address", "--timeout", "--connect-timeout", "--snapshotter", "--label", "--hosts-dir", "--max-concurrent-downloads", "--base-name", "--index-name", "--tlscacert", "--tlscert", "--tlskey"};
constexpr std::string_view kIgnored[] = {"--all-platforms", "--digests", "--no-unpack", "--debug", "--local", "--all-metadata", "--print-chainid", "--sync", "--skip-manifest-json", "--allow-non-distributable-blobs", "--compress-blobs"};

int fail(const Status& status) {
  std::fprintf(stderr, "k8lite ctr: %s\n", status.message().c_str());
  return 1;
}
int misuse(const char* text) {
  std::fprintf(stderr, "k8lite ctr: %s\n", text);
  return 1;
}

// ctr's tables: a space between columns as wide as their widest cell.
void print_columns(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> width;
  for (const auto& row : rows)
    for (size_t i = 0; i < row.size(); ++i) {
      if (width.size() <= i) width.push_back(0);
      width[i] = std::max(width[i], row[i].size());
    }
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) line += row[i] + std::string(width[i] + 1 - row[i].size(), ' ');
    std::printf("%s\n", line.c_str());
  }
}

// "name==docker.io/library/x:1" (ctr's filter) or a name as one writes it.
bool is_wanted(const std::string& name, const std::vector<std::string>& filters) {
  return filters.empty() || std::any_of(filters.begin(), filters.end(), [&name](const std::string& f) {
           std::string plain = f.starts_with("name==") ? f.substr(6) : f;
           auto reference = image::parse_reference(plain);
           return plain == name || (reference.ok() && reference->text() == name);
         });
}

int list(const image::ImageStore& store, const Options& o, bool check) {
  std::vector<std::vector<std::string>> rows;
  if (check) rows.push_back({"REF", "TYPE", "DIGEST", "STATUS", "SIZE", "UNPACKED"});
  else rows.push_back({"REF", "TYPE", "DIGEST", "SIZE", "PLATFORMS", "LABELS"});
  std::vector<std::string> filters(o.words.begin() + 1, o.words.end());
  for (const auto& image : store.list()) {
    auto names = image.names;
    names.insert(names.end(), image.digests.begin(), image.digests.end());
    std::string size = binary_size(image.size), digest = image.digest.empty() ? image.id : image.digest;
    std::string parts = std::to_string(image.config.path("rootfs.diff_ids").items().size() + 2);  // manifest, config, layers
    std::string platform = image.config.get("os").str_or("linux") + "/" + image.config.get("architecture").str() + (image.config.get("variant").str().empty() ? "" : "/" + image.config.get("variant").str());
    std::string status = "complete (" + parts + "/" + parts + ")";
    if (check && std::any_of(names.begin(), names.end(), [&filters](const std::string& n) { return is_wanted(n, filters); }))
      for (const json::Node& id : image.config.path("rootfs.diff_ids").items())
        if (auto r = store.verify_layer(id.str()); !r.ok()) status = "damaged (" + r.status().message() + ")";
    for (const auto& name : names) {
      if (!is_wanted(name, filters)) continue;
      if (o.quiet) std::printf("%s\n", name.c_str());
      else if (check) rows.push_back({name, kManifestType, digest, status, size + "/" + size, "true"});
      else rows.push_back({name, kManifestType, digest, size, platform, std::string("io.cri-containerd.image=managed") + (image.pinned ? ",io.cri-containerd.pinned=pinned" : "")});
    }
  }
  std::sort(rows.begin() + 1, rows.end());
  if (!o.quiet) print_columns(rows);
  return 0;
}

int import(image::ImageStore& store, const std::vector<std::string>& files) {
  if (files.empty()) return misuse("import: which archive?");
  for (const auto& file : files) {
    auto names = store.import_archive(file == "-" ? "/dev/stdin" : file);
    if (!names.ok()) return fail(names.status());
    for (const auto& n : *names) {
      auto image = store.find(n);
      std::printf("unpacking %s (%s)...done\n", n.c_str(), !image ? "" : image->digest.empty() ? image->id.c_str() : image->digest.c_str());
    }
  }
  return 0;
}

int export_images(const image::ImageStore& store, const std::vector<std::string>& words) {
  if (words.size() < 2) return misuse("export: an archive's name and at least one image are wanted");
  std::vector<std::string> names(words.begin() + 1, words.end());
  if (words[0] == "-") {
    if (isatty(STDOUT_FILENO)) return misuse("export: an archive is not written to a terminal");
    auto r = store.export_archive(names, STDOUT_FILENO);
    return r.ok() ? 0 : fail(r.status());
  }
  std::string temporary = words[0] + ".part";
  os::Fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd) return fail(Status::from_errno("create " + temporary, errno));
  auto r = store.export_archive(names, fd.get());
  if (r.ok() && (fsync(fd.get()) != 0 || ::rename(temporary.c_str(), words[0].c_str()) != 0)) r = Status::from_errno("write " + words[0], errno);
  if (!r.ok()) ::unlink(temporary.c_str());
  return r.ok() ? 0 : fail(r.status());
}

int pull(image::ImageStore& store, const Options& o, const std::vector<std::string>& names) {
  if (names.empty()) return misuse("please provide an image reference to pull");
  std::string own = image::this_platform().text();
  if (!o.platform.empty() && o.platform != own && !own.starts_with(o.platform + "/")) return misuse(("this node runs " + own + " only, not " + o.platform).c_str());
  for (const auto& name : names) {
    Duration begin = system_clock().mono();
    auto image = pull_image(store, name, o.transfer);
    if (!image.ok()) return fail(image.status());
    std::printf("unpacking %s %s...\ndone: %s\t\n", own.c_str(), image->digest.c_str(), kubelet::pull_duration(system_clock().mono() - begin).c_str());
  }
  return 0;
}

int push(const image::ImageStore& store, const Options& o, const std::vector<std::string>& words) {
  if (words.empty() || words.size() > 2) return misuse("please provide a remote image reference to push, and the local one where it is called otherwise");
  auto digest = push_image(store, words.back(), words[0], o.transfer);
  if (!digest.ok()) return fail(digest.status());
  std::printf("pushed %s %s\n", words[0].c_str(), digest->c_str());
  return 0;
}

int tag(image::ImageStore& store, const Options& o, const std::vector<std::string>& words) {
  if (words.size() < 2) return misuse("please provide an image name to tag from, and one or more to tag to");
  auto from = store.find(words[0]);
  for (size_t i = 1; i < words.size(); ++i) {
    auto there = store.find(words[i]);
    if (there && from && there->id != from->id && !o.force) return misuse(("image \"" + words[i] + "\": already exists; --force moves the name").c_str());
    if (auto r = store.tag(words[0], words[i]); !r.ok()) return fail(r.status());
    std::printf("%s\n", words[i].c_str());
  }
  return 0;
}

int run_images(image::ImageStore& store, const Options& o) {
  const std::string& verb = o.words[0];
  std::vector<std::string> rest(o.words.begin() + 1, o.words.end());
  if (verb == "list" || verb == "ls") return list(store, o, false);
  if (verb == "check") return list(store, o, true);
  if (verb == "import") return import(store, rest);
  if (verb == "export") return export_images(store, rest);
  if (verb == "push") return push(store, o, rest);
  if (verb == "tag") return tag(store, o, rest);
  if (verb == "pull") return pull(store, o, rest);
  if (verb == "remove" || verb == "rm" || verb == "delete" || verb == "del") {
    if (rest.empty()) return misuse("remove: which image?");
    for (const auto& name : rest) {
      if (auto r = store.remove(name, false); !r.ok()) return fail(r.status());
      std::printf("%s\n", name.c_str());
    }
    return 0;
  }
  return std::fputs(kUsage, stderr), 1;
}

}  // namespace

int run_ctr(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    std::string a = argv[i];
    auto value = [&](const std::string& flag) {
      if (a.starts_with(flag + "=")) return a.substr(flag.size() + 1);
      return i + 1 < argc ? std::string(argv[++i]) : std::string();
    };
    auto is = [&a](const std::string& flag) { return a == flag || a.starts_with(flag + "="); };
    auto among = [&a](std::span<const std::string_view> list) { return std::find(list.begin(), list.end(), a.substr(0, a.find('='))) != list.end(); };
    if (is("--data-dir")) o.data_dir = value("--data-dir");
    else if (is("--private-registry")) o.transfer.registries_file = value("--private-registry");
    else if (is("-u")) o.transfer.credentials = value("-u");
    else if (is("--user")) o.transfer.credentials = value("--user");
    else if (is("--platform")) o.platform = value("--platform");
    else if (a == "--plain-http") o.transfer.plain_http = true;
    else if (a == "-k" || a == "--skip-verify") o.transfer.skip_verify = true;
    else if (a == "-q" || a == "--quiet") o.quiet = true;
    else if (a == "--force") o.force = true;
    else if (a == "-h" || a == "--help") return std::fputs(kUsage, stdout), 0;
    else if (among(kIgnored)) continue;
    else if (among(kIgnoredValues)) value(a.substr(0, a.find('=')));
    else if (a.size() > 1 && a[0] == '-') return std::fprintf(stderr, "k8lite ctr: unknown flag %s\n", a.c_str()), 1;
    else o.words.push_back(a);
  }
  if (!o.words.empty() && o.words[0] == "version") return std::printf("Client:\n  Version:  %s\n  Runtime:  k8lite\n", K8LITE_VERSION), 0;
  o.transfer.show = !o.quiet;
  bool images = o.words.size() >= 2 && (o.words[0] == "images" || o.words[0] == "image" || o.words[0] == "i");
  if (!images) return std::fputs(kUsage, stderr), 1;
  o.words.erase(o.words.begin());
  auto store = open_image_store(o.data_dir);
  if (!store.ok()) return fail(store.status());
  return run_images(**store, o);
}

int run_token(int argc, char** argv) {
  std::string data_dir = "/var/lib/k8lite";
  for (int i = 1; i < argc; ++i) {
    std::string a = argv[i];
    if (a == "--data-dir" && i + 1 < argc) data_dir = argv[++i];
    else if (a.starts_with("--data-dir=")) data_dir = a.substr(11);
    else return std::fputs("usage: k8lite token [--data-dir DIR]   print the token with which nodes join\n", a == "--help" ? stdout : stderr), a == "--help" ? 0 : 1;
  }
  auto text = os::read_file(data_dir + "/server/token");
  if (!text.ok()) {
    std::fprintf(stderr, "k8lite token: %s: no server has run with this data directory, or you are not root\n", text.status().message().c_str());
    return 1;
  }
  std::fputs(text->c_str(), stdout);
  return 0;
}

}  // namespace k8lite::app
