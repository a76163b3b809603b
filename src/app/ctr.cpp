// `k8lite ctr images …`: the node's image store from the command line, beside a running node or without one. It works on the store's
// folder; a running node sees what changes at the next start of a container.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "app/images_cli.h"
#include "app/server.h"
#include "base/strings.h"
#include "os/files.h"

namespace k8lite::app {
namespace {

constexpr const char* kUsage =
    "k8lite ctr - images of this node\n\nUsage:\n"
    "  k8lite ctr [--data-dir DIR] images import FILE...          import docker archives or OCI layouts (plain, gzip, zstd); - is standard input\n"
    "  k8lite ctr [--data-dir DIR] images export FILE NAME...     write images to an archive; - is standard output\n"
    "  k8lite ctr [--data-dir DIR] images list [-q]               list images\n"
    "  k8lite ctr [--data-dir DIR] images pull [-u USER:PW] NAME...\n"
    "  k8lite ctr [--data-dir DIR] images tag NAME NEW-NAME...\n"
    "  k8lite ctr [--data-dir DIR] images remove NAME...\n";

struct Options {
  std::string data_dir = "/var/lib/k8lite", registries = "/etc/k8lite/registries.yaml", user;
  bool quiet = false;
  std::vector<std::string> words;  // behind "images"
};

int fail(const Status& status) {
  std::fprintf(stderr, "k8lite ctr: %s\n", status.message().c_str());
  return 1;
}
int misuse(const char* text) {
  std::fprintf(stderr, "k8lite ctr: %s\n", text);
  return 1;
}

int list(const image::ImageStore& store, const Options& o) {
  if (!o.quiet) std::printf("%-60s %-14s %10s %s\n", "REF", "IMAGE ID", "SIZE", "PINNED");
  for (const auto& image : store.list()) {
    auto names = image.names;
    names.insert(names.end(), image.digests.begin(), image.digests.end());
    for (const auto& name : names) {
      if (o.quiet) std::printf("%s\n", name.c_str());
      else std::printf("%-60s %-14s %10s %s\n", name.c_str(), image.id.substr(7, 12).c_str(), binary_size(image.size).c_str(), image.pinned ? "true" : "false");
    }
  }
  return 0;
}

int import(image::ImageStore& store, const std::vector<std::string>& files) {
  if (files.empty()) return misuse("import: which archive?");
  for (const auto& file : files) {
    auto names = store.import_archive(file == "-" ? "/dev/stdin" : file);
    if (!names.ok()) return fail(names.status());
    for (const auto& n : *names) std::printf("imported %s\n", n.c_str());
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

int run_images(image::ImageStore& store, const Options& o) {
  const std::string& verb = o.words[0];
  std::vector<std::string> rest(o.words.begin() + 1, o.words.end());
  if (verb == "list" || verb == "ls") return list(store, o);
  if (verb == "import") return import(store, rest);
  if (verb == "export") return export_images(store, rest);
  if (verb == "push") return misuse("push: this build does not push images; export them and use skopeo or another client");
  if (verb == "tag") {
    if (rest.size() < 2) return misuse("tag: an image and its new name are wanted");
    for (size_t i = 1; i < rest.size(); ++i) {
      if (auto r = store.tag(rest[0], rest[i]); !r.ok()) return fail(r.status());
      std::printf("%s\n", rest[i].c_str());
    }
    return 0;
  }
  if (verb == "pull") {
    if (rest.empty()) return misuse("pull: which image?");
    for (const auto& name : rest) {
      auto image = pull_image(store, o.registries, name, o.user);
      if (!image.ok()) return fail(image.status());
      std::printf("pulled %s %s\n", name.c_str(), image->digest.c_str());
    }
    return 0;
  }
  if (verb == "remove" || verb == "rm" || verb == "delete" || verb == "del") {
    if (rest.empty()) return misuse("remove: which image?");
    for (const auto& name : rest) {
      if (auto r = store.remove(name, false); !r.ok()) return fail(r.status());
      std::printf("removed %s\n", name.c_str());
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
    if (is("--data-dir")) o.data_dir = value("--data-dir");
    else if (is("--private-registry")) o.registries = value("--private-registry");
    else if (is("-n")) value("-n");  // containerd's namespaces: there is one here
    else if (is("--namespace")) value("--namespace");
    else if (is("--address")) value("--address");
    else if (is("-u")) o.user = value("-u");
    else if (is("--user")) o.user = value("--user");
    else if (a == "-q" || a == "--quiet") o.quiet = true;
    else if (a == "-h" || a == "--help") return std::fputs(kUsage, stdout), 0;
    else if (a == "--all-platforms" || a == "--digests" || a == "--no-unpack") continue;
    else if (a.size() > 1 && a[0] == '-') return std::fprintf(stderr, "k8lite ctr: unknown flag %s\n", a.c_str()), 1;
    else o.words.push_back(a);
  }
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
