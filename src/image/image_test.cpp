#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "image/pull.h"
#include "image/reference.h"
#include "image/store.h"
#include "image/tar.h"
#include "os/files.h"

using namespace k8lite;
using namespace k8lite::image;
namespace fs = std::filesystem;

namespace {

struct Temp {
  std::string path;
  Temp() {
    char name[] = "/tmp/k8lite-image-XXXXXX";
    path = mkdtemp(name);
  }
  ~Temp() { fs::remove_all(path); }
};

// A tar entry, by hand: hostile ones cannot be made with tar(1).
std::string entry(const std::string& name, char type, const std::string& content, const std::string& link = "") {
  std::string h(512, '\0');
  name.copy(h.data(), 100);
  std::memcpy(h.data() + 100, "0000755", 7);
  std::memcpy(h.data() + 108, "0000000", 7);
  std::memcpy(h.data() + 116, "0000000", 7);
  char size[16];
  std::snprintf(size, sizeof size, "%011zo", content.size());
  std::memcpy(h.data() + 124, size, 11);
  std::memcpy(h.data() + 136, "00000000000", 11);
  h[156] = type;
  link.copy(h.data() + 157, 100);
  std::memcpy(h.data() + 257, "ustar\00000", 8);
  unsigned sum = 0;
  for (size_t i = 0; i < 512; ++i) sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(h[i]);
  std::snprintf(h.data() + 148, 8, "%06o", sum);
  std::string body = content;
  body.resize((content.size() + 511) / 512 * 512);
  return h + body;
}
std::string end_of_archive() { return std::string(1024, '\0'); }

Result<> unpack(const Temp& t, const std::string& tar, UnpackLimits limits = {}) {
  fs::create_directories(t.path + "/l");
  std::ofstream(t.path + "/t.tar", std::ios::binary) << tar;
  auto source = file_source(t.path + "/t.tar");
  return unpack_layer(**source, t.path + "/l", limits);
}

}  // namespace

TEST_CASE("reference: names are normalised as docker does") {
  struct Row {
    const char *in, *out;
  };
  for (const Row& r : {Row{"redis", "docker.io/library/redis:latest"}, Row{"k8lite/echoserver:1.0", "docker.io/k8lite/echoserver:1.0"}, Row{"127.0.0.1:5000/a", "127.0.0.1:5000/a:latest"},
                       Row{"localhost/a/b:x", "localhost/a/b:x"}, Row{"quay.io/x/y:1", "quay.io/x/y:1"}})
    CHECK(parse_reference(r.in).value().text() == r.out);
  for (const char* bad : {"", "UPPER", "a:b:c:d", "a@sha256:12", "a//b", "a:", "-a"}) {
    CAPTURE(bad);
    CHECK(!parse_reference(bad).ok());
  }
}

TEST_CASE("unpack: files, links and whiteouts land as overlayfs wants them", "[root]") {
  Temp t;
  auto r = unpack(t, entry("etc/", '5', "") + entry("etc/a", '0', "hello") + entry("etc/b", '2', "", "a") + entry("etc/c", '1', "", "etc/a") + entry("etc/.wh.gone", '0', "") +
                         entry("opt/x/.wh..wh..opq", '0', "") + end_of_archive());
  INFO((r.ok() ? std::string() : r.status().message()));
  REQUIRE(r.ok());
  CHECK(os::read_file(t.path + "/l/etc/c").value() == "hello");
  CHECK(fs::is_symlink(t.path + "/l/etc/b"));
  CHECK(fs::is_character_file(t.path + "/l/etc/gone"));
  CHECK(fs::is_directory(t.path + "/l/opt/x"));
}

TEST_CASE("unpack: hostile layers are refused and touch nothing outside", "[root]") {
  Temp t;
  std::ofstream(t.path + "/outside") << "safe";
  CHECK(!unpack(t, entry("../outside", '0', "evil") + end_of_archive()).ok());
  CHECK(!unpack(t, entry("a/../../outside", '0', "evil") + end_of_archive()).ok());
  CHECK(!unpack(t, entry("d", '2', "", "..") + entry("d/outside", '0', "evil") + end_of_archive()).ok());
  CHECK(!unpack(t, entry("e", '2', "", t.path) + entry("e/outside", '0', "evil") + end_of_archive()).ok());
  CHECK(!unpack(t, entry("h", '1', "", "../outside") + end_of_archive()).ok());
  CHECK(unpack(t, entry("/abs", '0', "inside") + end_of_archive()).ok());
  CHECK(os::read_file(t.path + "/l/abs").value() == "inside");
  CHECK(!unpack(t, entry("big", '0', std::string(5000, 'x')) + end_of_archive(), {.bytes = 1000}).ok());
  CHECK(!unpack(t, entry("cut", '0', std::string(5000, 'x')).substr(0, 1500)).ok());
  CHECK(!unpack(t, "this is no archive at all, not even nearly" + std::string(600, 'x')).ok());
  CHECK(os::read_file(t.path + "/outside").value() == "safe");
}

TEST_CASE("store: the echo image is there, archives are imported, damaged ones are not", "[root]") {
  Temp t;
  auto store = ImageStore::open(t.path + "/images");
  REQUIRE(store.ok());
  auto echo = (*store)->find("k8lite/echoserver:1.0");
  REQUIRE(echo);
  CHECK(os::exists(echo->layers.at(0) + "/echoserver"));
  // A docker archive, made here.
  std::string layer = entry("hello", '0', "world") + entry("etc/passwd", '0', "root:x:0:0::/:/bin/sh\napp:x:1000:1001::/:/bin/sh\n") + entry("etc/group", '0', "grp:x:2000:app\n") + end_of_archive();
  std::ofstream(t.path + "/layer.tar", std::ios::binary) << layer;
  auto source = file_source(t.path + "/layer.tar");
  HashingSource hash(**source);
  REQUIRE(hash.drain().ok());
  std::string diff_id = hash.digest();
  auto archive = [&](const std::string& id) {
    std::string config = json::Node::obj({{"architecture", "amd64"}, {"os", "linux"}, {"config", json::Node::obj({{"Cmd", json::Node::arr({"/hello"})}})}, {"rootfs", json::Node::obj({{"diff_ids", json::Node::arr({id})}})}}).dump();
    return entry("config.json", '0', config) + entry("l/layer.tar", '0', layer) + entry("manifest.json", '0', R"([{"Config":"config.json","RepoTags":["hello:1"],"Layers":["l/layer.tar"]}])") + end_of_archive();
  };
  std::ofstream(t.path + "/good.tar", std::ios::binary) << archive(diff_id);
  auto names = (*store)->import_archive(t.path + "/good.tar");
  INFO((names.ok() ? std::string() : names.status().message()));
  REQUIRE(names.ok());
  CHECK(*names == std::vector<std::string>{"hello:1"});
  std::ofstream(t.path + "/wrong.tar", std::ios::binary) << archive("sha256:" + std::string(64, '0'));
  auto wrong = (*store)->import_archive(t.path + "/wrong.tar");
  REQUIRE(!wrong.ok());
  CHECK(wrong.status().message().find("digest") != std::string::npos);
  // What was imported is there after a restart.
  store = ImageStore::open(t.path + "/images");
  auto image = (*store)->find("docker.io/library/hello:1");
  REQUIRE(image);
  CHECK(os::read_file(image->layers.at(0) + "/hello").value() == "world");
  CHECK(resolve_user(image->layers, "app").value().uid == 1000);
  CHECK(resolve_user(image->layers, "app").value().groups == std::vector<uint64_t>{2000});
  CHECK(resolve_user(image->layers, "0:grp").value().gid == 2000);
  CHECK(resolve_user(image->layers, "77").value().uid == 77);
  CHECK(!resolve_user(image->layers, "nobody").ok());
  REQUIRE((*store)->remove("hello:1").ok());
  CHECK(!(*store)->find("hello:1"));
}
