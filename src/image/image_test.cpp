#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "image/fake_registry.h"
#include "image/reference.h"
#include "image/store.h"
#include "image/tar.h"
#include "os/files.h"

using namespace k8lite;
using namespace k8lite::image;
using namespace k8lite::image::testing;
namespace fs = std::filesystem;

namespace {

struct Temp {
  std::string path;
  Temp() {
    char name[] = "/tmp/k8lite-image-XXXXXX";
    path = mkdtemp(name);
  }
  ~Temp() {
    umount2((path + "/disk").c_str(), MNT_DETACH);  // of the test that fills one
    fs::remove_all(path);
  }
};

std::string end_of_archive() { return tar_end(); }

void put(const std::string& path, const std::string& content) { std::ofstream(path, std::ios::binary) << content; }

Result<> unpack(const Temp& t, const std::string& tar, UnpackLimits limits = {}) {
  fs::remove_all(t.path + "/l");
  fs::create_directories(t.path + "/l");
  std::ofstream(t.path + "/t.tar", std::ios::binary) << tar;
  auto source = file_source(t.path + "/t.tar");
  return unpack_layer(**source, t.path + "/l", {limits, {}, nullptr});
}

}  // namespace

TEST_CASE("reference: names are normalised as docker does") {
  struct Row {
    const char *in, *out;
  };
  for (const Row& r : {Row{"redis", "docker.io/library/redis:latest"}, Row{"k8lite/echoserver:1.0", "docker.io/k8lite/echoserver:1.0"}, Row{"127.0.0.1:5000/a", "127.0.0.1:5000/a:latest"},
                       Row{"localhost/a/b:x", "localhost/a/b:x"}, Row{"quay.io/x/y:1", "quay.io/x/y:1"}})
    CHECK(parse_reference(r.in).value().text() == r.out);
  CHECK(parse_reference("docker.io/library/redis:7@sha256:" + std::string(64, 'a')).value().familiar() == "redis:7@sha256:" + std::string(64, 'a'));
  CHECK(parse_reference("Upper").status().message() == "couldn't parse image name \"Upper\": invalid reference format: repository name (library/Upper) must be lowercase");
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

TEST_CASE("unpack: absolute names and links are the layer's own", "[root]") {
  Temp t;
  CHECK(unpack(t, entry("/abs", '0', "inside") + end_of_archive()).ok());
  CHECK(os::read_file(t.path + "/l/abs").value() == "inside");
  REQUIRE(unpack(t, entry("usr/lib/", '5', "") + entry("lib", '2', "", "usr/lib") + entry("lib/x", '0', "through") + end_of_archive()).ok());
  CHECK(os::read_file(t.path + "/l/usr/lib/x").value() == "through");
  // A device is made, but it is only a name in the layer.
  CHECK(unpack(t, entry("dev/mem", '3', "") + end_of_archive()).ok());
  CHECK(!unpack(t, entry("x", 'Z', "") + end_of_archive()).ok());
}

TEST_CASE("unpack: a layer beyond a limit is refused, naming the limit", "[root]") {
  Temp t;
  auto why = [&](const std::string& tar, UnpackLimits limits) {
    auto r = unpack(t, tar, limits);
    return r.ok() ? std::string("ok") : r.status().message();
  };
  UnpackLimits limits;
  limits.bytes = 1000;
  CHECK(why(entry("big", '0', std::string(5000, 'x')) + end_of_archive(), limits) == "entry \"big\": the layer holds more than 1000 bytes, the limit");
  limits = {};
  limits.entries = 2;
  CHECK(why(entry("a", '0', "") + entry("b", '0', "") + entry("c", '0', "") + end_of_archive(), limits) == "the layer holds more than 2 entries, the limit");
  std::string deep;
  for (int i = 0; i < 300; ++i) deep += "d/";
  std::string pax = "path=" + deep + "x\n";
  pax = std::to_string(pax.size() + 4) + " " + pax;
  CHECK(why(entry("p", 'x', pax) + entry("p", '0', "") + end_of_archive(), {}).find("more than 200 folders deep, the limit") != std::string::npos);
  CHECK(why(entry("cut", '0', std::string(5000, 'x')).substr(0, 1500), {}).find("truncated") != std::string::npos);
  CHECK(why("this is no archive at all, not even nearly" + std::string(600, 'x'), {}).find("no tar archive") != std::string::npos);
}

TEST_CASE("store: ten gigabytes of zeros in ten megabytes are refused early", "[root]") {
  Temp t;
  StoreOptions options;
  options.limits.ratio_from = 8 << 20;  // 1 GiB, were it not a test
  options.confined = true;
  auto store = ImageStore::open(t.path + "/s", options).value();
  std::string packed = gzip(tar_header("zeros", uint64_t{10} << 30) + std::string(64 << 20, '\0'));
  TextSource raw(packed);
  auto r = store->add_layer("sha256:" + std::string(64, '0'), raw);
  REQUIRE(!r.ok());
  CHECK(r.status().message() == "entry \"zeros\": the layer is more than 250 times its compressed size, the limit");
  CHECK(os::list_dir(t.path + "/s/layers").size() == 3);
}

TEST_CASE("unpack: a full disk is an error that says so, and leaves nothing", "[root]") {
  Temp t;
  fs::create_directories(t.path + "/disk");
  REQUIRE(mount("none", (t.path + "/disk").c_str(), "tmpfs", 0, "size=8m") == 0);
  {
    auto store = ImageStore::open(t.path + "/disk/s");
    INFO((store.ok() ? std::string() : store.status().message()));
    REQUIRE(store.ok());
    std::string tar = entry("big", '0', std::string(20 << 20, 'x')) + end_of_archive();
    TextSource source(tar);
    auto r = (*store)->add_layer(digest_of(tar), source);
    REQUIRE(!r.ok());
    CHECK(r.status().sys_errno() == ENOSPC);
    CHECK(r.status().message().find("o space left on device") != std::string::npos);
    CHECK(os::list_dir(t.path + "/disk/s/layers").size() == 3);
    // What is kept free for the node is not for layers.
    put(t.path + "/disk/ballast", std::string(7'500'000, 'b'));
    std::string little = entry("little", '0', "x") + end_of_archive();
    TextSource text(little);
    CHECK((*store)->add_layer(digest_of(little), text).status().message() == "entry \"little\": no space left on device (some is kept free for the node)");
    CHECK(ImageStore::open(t.path + "/disk/s").ok());
  }
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
  std::string diff_id = digest_of(layer);
  auto archive = [&](const std::string& id) {
    std::string config = json::Node::obj({{"architecture", "amd64"}, {"os", "linux"}, {"config", json::Node::obj({{"Cmd", json::Node::arr({"/hello"})}})}, {"rootfs", json::Node::obj({{"diff_ids", json::Node::arr({id})}})}}).dump();
    return entry("config.json", '0', config) + entry("l/layer.tar", '0', layer) + entry("manifest.json", '0', R"([{"Config":"config.json","RepoTags":["hello:1"],"Layers":["l/layer.tar"]}])") + end_of_archive();
  };
  std::ofstream(t.path + "/good.tar", std::ios::binary) << archive(diff_id);
  auto names = (*store)->import_archive(t.path + "/good.tar");
  INFO((names.ok() ? std::string() : names.status().message()));
  REQUIRE(names.ok());
  CHECK(*names == std::vector<std::string>{"docker.io/library/hello:1"});
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

namespace {

// A docker archive of one image with these layers.
std::string docker_archive(const std::string& name, const std::vector<std::string>& tars, const std::string& arch = "amd64") {
  json::Node ids = json::Node::array(), paths = json::Node::array();
  std::string out;
  for (size_t i = 0; i < tars.size(); ++i) {
    ids.append(digest_of(tars[i]));
    paths.append(std::to_string(i) + "/layer.tar");
    out += entry(std::to_string(i) + "/layer.tar", '0', gzip(tars[i]));
  }
  std::string config = json::Node::obj({{"architecture", arch}, {"os", "linux"}, {"config", json::Node::object()}, {"rootfs", json::Node::obj({{"diff_ids", ids}})}}).dump();
  std::string manifest = json::Node::arr({json::Node::obj({{"Config", "c.json"}, {"RepoTags", json::Node::arr({name})}, {"Layers", paths}})}).dump();
  return out + entry("c.json", '0', config) + entry("manifest.json", '0', manifest) + tar_end();
}
std::string why(const Result<std::vector<std::string>>& r) { return r.ok() ? "ok" : r.status().message(); }

}  // namespace

TEST_CASE("store: an image is exported byte for byte and imported elsewhere", "[root]") {
  Temp t;
  auto store = ImageStore::open(t.path + "/a").value();
  std::string base = entry("etc/", '5', "") + entry("etc/a", '0', "hello") + entry("etc/b", '1', "", "etc/a") + entry("etc/c", '2', "", "a") + tar_end();
  std::string top = entry("etc/.wh.a", '0', "") + entry("empty", '0', "") + entry("big", '0', std::string(300'000, 'y')) + tar_end() + std::string(9000, '\0');
  put(t.path + "/in.tar", docker_archive("team/x:2", {base, top}));
  REQUIRE(store->import_archive(t.path + "/in.tar").ok());
  std::string id = store->find("team/x:2")->id;
  os::Fd out(::open((t.path + "/out.tar").c_str(), O_RDWR | O_CREAT, 0600));
  auto exported = store->export_archive({"team/x:2", "k8lite/echoserver:1.0"}, out.get());
  INFO((exported.ok() ? std::string() : exported.status().message()));
  REQUIRE(exported.ok());
  auto other = ImageStore::open(t.path + "/b").value();
  auto names = other->import_archive(t.path + "/out.tar");
  INFO(why(names));
  REQUIRE(names.ok());
  auto image = other->find("team/x:2");
  REQUIRE(image);
  CHECK(image->id == id);
  CHECK(os::read_file(image->layers[0] + "/big").value() == std::string(300'000, 'y'));
  CHECK(!image->digest.empty());
}

TEST_CASE("store: a layer that comes twice is stacked once", "[root]") {
  Temp t;
  auto store = ImageStore::open(t.path + "/s").value();
  std::string empty = tar_end(), base = entry("a", '0', "1") + tar_end();
  put(t.path + "/x.tar", docker_archive("x:1", {base, empty, entry("b", '0', "2") + tar_end(), empty}));
  auto names = store->import_archive(t.path + "/x.tar");
  INFO(why(names));
  REQUIRE(names.ok());
  CHECK(store->find("x:1")->layers.size() == 3);
}

TEST_CASE("store: names come and go, layers go with the last one", "[root]") {
  Temp t;
  std::set<std::string> in_use;
  StoreOptions options;
  options.layers_in_use = [&in_use] { return in_use; };
  auto store = ImageStore::open(t.path + "/s", options).value();
  put(t.path + "/x.tar", docker_archive("x:1", {entry("a", '0', "1") + tar_end()}));
  REQUIRE(store->import_archive(t.path + "/x.tar", false).ok());
  REQUIRE(store->tag("x:1", "y:2").ok());
  CHECK(!store->tag("none:1", "y:3").ok());
  auto image = store->find("y:2");
  REQUIRE(image);
  CHECK(image->names == std::vector<std::string>{"docker.io/library/x:1", "docker.io/library/y:2"});
  CHECK(store->find(image->id.substr(7, 12))->id == image->id);
  // Another process sees it and takes one name away; this one sees that.
  REQUIRE(ImageStore::open(t.path + "/s").value()->remove("x:1", false).ok());
  CHECK(!store->find("x:1"));
  CHECK(os::exists(image->layers[0]));
  in_use = {image->layers[0].substr(image->layers[0].rfind('/') + 1)};
  REQUIRE(store->remove("y:2", false).ok());
  CHECK(!store->find("y:2"));
  CHECK(os::exists(image->layers[0]));  // a container stands on it
  in_use.clear();
  {
    auto lease = store->lease();
    CHECK(store->sweep().value() == 0);
    CHECK(os::exists(image->layers[0]));
  }
  CHECK(store->sweep().value() > 0);
  CHECK(!os::exists(image->layers[0]));
  CHECK(!store->remove("y:2").ok());
}

TEST_CASE("store: a folder's archives are read once, again when they change, and broken ones are told", "[root]") {
  Temp t;
  fs::create_directories(t.path + "/in");
  put(t.path + "/in/a.tar.gz", gzip(docker_archive("a:1", {entry("a", '0', "1") + tar_end()})));
  put(t.path + "/in/b.tar", docker_archive("b:1", {entry("a", '0', "1") + tar_end()}).substr(0, 700));
  put(t.path + "/in/notes.txt", "not an archive");
  auto store = ImageStore::open(t.path + "/s").value();
  store->import_folder(t.path + "/in");
  REQUIRE(store->find("a:1"));
  CHECK(store->find("a:1")->pinned);
  CHECK(!store->find("b:1"));
  put(t.path + "/in/b.tar", docker_archive("b:1", {entry("a", '0', "2") + tar_end()}));
  store->import_folder(t.path + "/in");
  CHECK(store->find("b:1"));
  REQUIRE(store->remove("a:1").ok());
  store->import_folder(t.path + "/in");
  CHECK(store->find("a:1"));
}

TEST_CASE("store: archives that are none say what they are", "[root]") {
  Temp t;
  auto store = ImageStore::open(t.path + "/s").value();
  auto said = [&](const std::string& content) {
    put(t.path + "/x.tar", content);
    return why(store->import_archive(t.path + "/x.tar"));
  };
  std::string good = docker_archive("x:1", {entry("a", '0', std::string(5000, 'x')) + tar_end()});
  using Catch::Contains;
  CHECK_THAT(said("garbage " + std::string(2000, 'g')), Contains("x.tar: this is no tar archive"));
  CHECK_THAT(said(""), Contains("the archive is empty"));
  CHECK_THAT(said(good.substr(0, 700)), Contains("the archive is truncated"));
  CHECK_THAT(said(gzip(good).substr(0, 300)), Contains("the gzip stream is truncated"));
  CHECK_THAT(said(zstd(good).substr(0, 200)), Contains("the zstd stream is truncated"));
  CHECK_THAT(said(entry("hello", '0', "x") + tar_end()), Contains("neither a docker archive (manifest.json) nor an OCI layout (index.json)"));
  CHECK_THAT(said(entry("manifest.json", '0', "[]") + tar_end()), Contains("the archive names no image"));
  CHECK_THAT(said(entry("manifest.json", '0', "{nonsense") + tar_end()), Contains("manifest.json"));
  CHECK_THAT(said(entry("manifest.json", '0', R"([{"Config":"c","RepoTags":["x:1"],"Layers":["l"]}])") + tar_end()), Contains("the archive has no c"));
  CHECK_THAT(said(docker_archive("x:1", {entry("a", '0', "1") + tar_end()}, "s390x")), Contains("the image is for linux/s390x"));
  CHECK_THAT(said(docker_archive("x:1", {"no tar at all" + std::string(600, 'x')})), Contains("image \"x:1\": layer sha256:") && Contains("no tar archive"));
  CHECK(store->list().size() == 1);
  CHECK(os::list_dir(t.path + "/s/layers").size() == 3);
}
