// `k8lite ctr images …`: the node's image store from the command line. It works on the store's folder; a running node sees new images at
// the next start of a container.
#include <cstdio>

#include "app/server.h"
#include "base/strings.h"
#include "image/store.h"
#include "os/files.h"

namespace k8lite::app {
namespace {

constexpr const char* kUsage =
    "k8lite ctr - images of this node\n\nUsage:\n"
    "  k8lite ctr [--data-dir DIR] images import FILE...   import docker archives or OCI layouts (plain, gzip, zstd)\n"
    "  k8lite ctr [--data-dir DIR] images list             list images\n"
    "  k8lite ctr [--data-dir DIR] images remove NAME...   remove images\n";

int fail(const Status& status) {
  std::fprintf(stderr, "k8lite ctr: %s\n", status.message().c_str());
  return 1;
}

std::string human_size(int64_t bytes) {
  char text[32];
  double v = static_cast<double>(bytes);
  const char* unit = "B";
  for (const char* u : {"KiB", "MiB", "GiB"})
    if (v >= 1024) v /= 1024, unit = u;
  std::snprintf(text, sizeof text, "%.1f %s", v, unit);
  return text;
}

int list(const image::ImageStore& store) {
  std::printf("%-60s %-14s %10s\n", "REF", "IMAGE ID", "SIZE");
  for (const auto& image : store.list())
    for (const auto& name : image.names) std::printf("%-60s %-14s %10s\n", name.c_str(), image.id.substr(7, 12).c_str(), human_size(image.size).c_str());
  return 0;
}

}  // namespace

int run_ctr(int argc, char** argv) {
  std::string data_dir = "/var/lib/k8lite";
  std::vector<std::string> words;
  for (int i = 1; i < argc; ++i) {
    std::string a = argv[i];
    if (a == "--data-dir" && i + 1 < argc) data_dir = argv[++i];
    else if (a.starts_with("--data-dir=")) data_dir = a.substr(11);
    else if (a == "-n" || a == "--namespace") ++i;  // containerd's namespaces: there is one here
    else if (a == "-h" || a == "--help") return std::fputs(kUsage, stdout), 0;
    else words.push_back(a);
  }
  bool images = words.size() >= 2 && (words[0] == "images" || words[0] == "image" || words[0] == "i");
  if (!images) return std::fputs(kUsage, stderr), 1;
  auto store = image::ImageStore::open(data_dir + "/agent/store");
  if (!store.ok()) return fail(store.status());
  const std::string& verb = words[1];
  if (verb == "list" || verb == "ls") return list(**store);
  if (words.size() < 3 || (verb != "import" && verb != "remove" && verb != "rm")) return std::fputs(kUsage, stderr), 1;
  for (size_t i = 2; i < words.size(); ++i) {
    if (verb == "import") {
      auto names = (*store)->import_archive(words[i]);
      if (!names.ok()) return fail(names.status());
      for (const auto& n : *names) std::printf("imported %s\n", n.c_str());
    } else {
      if (auto r = (*store)->remove(words[i]); !r.ok()) return fail(r.status());
      std::printf("removed %s\n", words[i].c_str());
    }
  }
  return 0;
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
