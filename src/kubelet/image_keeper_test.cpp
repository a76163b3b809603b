#include <sys/mount.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "image/fake_registry.h"
#include "kubelet/container_record.h"
#include "kubelet/image_keeper.h"

using namespace k8lite;
using namespace k8lite::kubelet;
namespace fs = std::filesystem;

namespace {
struct Temp {
  std::string path;
  Temp() {
    char name[] = "/tmp/k8lite-keeper-XXXXXX";
    path = mkdtemp(name);
  }
  ~Temp() {
    umount2(path.c_str(), MNT_DETACH);
    fs::remove_all(path);
  }
};
image::Image unused(const char* id, int64_t used_s, bool pinned = false) {
  image::Image i;
  i.id = id;
  i.used = {used_s * 1'000'000};
  i.pinned = pinned;
  return i;
}
using Ids = std::vector<std::string>;

std::string archive(const std::string& name, const std::string& content) {
  using namespace image::testing;
  std::string layer = entry("f", '0', content) + image::tar_end();
  std::string config = json::Node::obj({{"architecture", "amd64"}, {"os", "linux"}, {"rootfs", json::Node::obj({{"diff_ids", json::Node::arr({image::digest_of(layer)})}})}}).dump();
  std::string manifest = json::Node::arr({json::Node::obj({{"Config", "c"}, {"RepoTags", json::Node::arr({name})}, {"Layers", json::Node::arr({"l"})}})}).dump();
  return entry("c", '0', config) + entry("l", '0', layer) + entry("manifest.json", '0', manifest) + image::tar_end();
}
}  // namespace

TEST_CASE("image collection: nothing below the high mark, the longest unused first above it") {
  std::vector<image::Image> images = {unused("new", 900), unused("old", 100), unused("pinned", 1, true), unused("used", 2), unused("young", 995)};
  ImageGcPolicy policy;
  Instant now{1000 * int64_t{1'000'000}};
  policy.min_age = seconds(50);
  CHECK(plan_collection(images, {"used"}, {1000, 160}, policy, now).remove.empty());
  auto plan = plan_collection(images, {"used"}, {1000, 150}, policy, now);
  CHECK(plan.remove == Ids{"old", "new"});
  CHECK(plan.bytes == 50);
}

TEST_CASE("image collection: a filling disk loses unused images only", "[root]") {
  Temp t;
  REQUIRE(mount("none", t.path.c_str(), "tmpfs", 0, "size=24m") == 0);
  image::StoreOptions options;
  options.limits.free_bytes = 0;
  auto store = image::ImageStore::open(t.path + "/s", options).value();
  auto bring = [&](const std::string& name, char fill, bool pinned) {
    std::ofstream("/tmp/" + fs::path(t.path).filename().string() + ".tar", std::ios::binary) << archive(name, std::string(3 << 20, fill));
    auto r = store->import_archive("/tmp/" + fs::path(t.path).filename().string() + ".tar", pinned);
    INFO((r.ok() ? "" : r.status().message()));
    REQUIRE(r.ok());
  };
  bring("pinned:1", 'p', true);
  bring("used:1", 'u', false);
  bring("unused:1", 'x', false);
  fs::remove("/tmp/" + fs::path(t.path).filename().string() + ".tar");
  std::vector<std::string> warnings;
  ImageKeeperOptions o;
  o.images_in_use = [&] { return std::set<std::string>{store->find("used:1")->id}; };
  o.warn = [&](const std::string& reason, const std::string&) { warnings.push_back(reason); };
  o.policy.min_age = Duration{0};
  ImageKeeper keeper(*store, system_clock(), o);
  keeper.collect();
  CHECK(store->find("unused:1"));  // there is room
  std::ofstream(t.path + "/ballast", std::ios::binary) << std::string(12 << 20, 'b');
  keeper.collect();
  CHECK(!store->find("unused:1"));
  CHECK(store->find("used:1"));
  CHECK(store->find("pinned:1"));
  CHECK(warnings.empty());
  std::ofstream(t.path + "/ballast", std::ios::binary) << std::string(16 << 20, 'b');
  keeper.collect();
  CHECK(warnings == Ids{"FreeDiskSpaceFailed"});
}

TEST_CASE("image keeper: an archive dropped into the folder is imported and pinned", "[root]") {
  Temp t;
  fs::create_directories(t.path + "/in");
  auto store = image::ImageStore::open(t.path + "/s").value();
  ImageKeeperOptions o;
  o.folder = t.path + "/in";
  std::ofstream(t.path + "/in/first.tar", std::ios::binary) << archive("first:1", "1");
  ImageKeeper keeper(*store, system_clock(), o);
  keeper.start();
  auto comes = [&](const char* name) {
    for (int i = 0; i < 600 && !store->find(name); ++i) usleep(50'000);
    return store->find(name).has_value();
  };
  CHECK(comes("first:1"));
  std::ofstream(t.path + "/in/.second.tar", std::ios::binary) << archive("second:1", "2");
  fs::rename(t.path + "/in/.second.tar", t.path + "/in/second.tar");
  CHECK(comes("second:1"));
  CHECK(store->find("second:1")->pinned);
  keeper.stop();
}

TEST_CASE("image keeper: lists name images that are pulled, again until they come, and pinned", "[root]") {
  Temp t;
  fs::create_directories(t.path + "/in");
  auto store = image::ImageStore::open(t.path + "/s").value();
  std::ofstream(t.path + "/in/list.txt") << "# what this node needs\n\n one:1 \ntwo:2  # later\nabsent:1\n";
  std::mutex mutex;
  std::vector<std::string> asked;
  bool two = false;
  ImageKeeperOptions o;
  o.folder = t.path + "/in";
  o.pull = [&](const std::string& name) -> Result<> {
    std::lock_guard lock(mutex);
    asked.push_back(name);
    if (name == "absent:1" || (name == "two:2" && !std::exchange(two, true))) return not_found(name + ": not found");
    std::ofstream(t.path + "/x.tar", std::ios::binary) << archive(name, name);
    auto r = store->import_archive(t.path + "/x.tar", false);
    return r.ok() ? Result<>() : Result<>(r.status());
  };
  ImageKeeper keeper(*store, system_clock(), o);
  keeper.pull_lists();
  CHECK(asked == Ids{"one:1", "two:2", "absent:1"});
  CHECK(store->find("one:1")->pinned);
  CHECK(!store->find("two:2"));
  keeper.pull_lists();
  CHECK(asked == Ids{"one:1", "two:2", "absent:1", "two:2", "absent:1"});
  CHECK(store->find("two:2")->pinned);
  // A new list is read when it appears.
  keeper.start();
  std::ofstream(t.path + "/in/.more") << "three:3\n";
  fs::rename(t.path + "/in/.more", t.path + "/in/more.txt");
  for (int i = 0; i < 600 && !store->find("three:3"); ++i) usleep(50'000);
  CHECK(store->find("three:3"));
  keeper.stop();
}

TEST_CASE("image collection: the kubelet's flags set its marks") {
  auto p = image_gc_policy({"image-gc-high-threshold=95", "--image-gc-low-threshold=90", "minimum-image-ttl-duration=5m", "max-pods=10"}).value();
  CHECK(p.high_percent == 95);
  CHECK(p.low_percent == 90);
  CHECK(p.min_age == seconds(300));
  CHECK(image_gc_policy({}).value().high_percent == 85);
  CHECK(image_gc_policy({"image-gc-low-threshold=90"}).status().message() == "--kubelet-arg image-gc-low-threshold: 90 must be less than image-gc-high-threshold, 85");
  CHECK(image_gc_policy({"image-gc-high-threshold=x"}).status().message() == "--kubelet-arg image-gc-high-threshold=x: must be between 0 and 100, inclusive");
  CHECK(!image_gc_policy({"minimum-image-ttl-duration=soon"}).ok());
  // 100 percent: never.
  ImageGcPolicy never;
  never.high_percent = 100;
  CHECK(plan_collection({unused("old", 1)}, {}, {1000, 0}, never, Instant{1'000'000'000}).remove.empty());
}

TEST_CASE("container records: what is written is read, and tells what is in use") {
  Temp t;
  fs::create_directories(t.path + "/uid-1");
  PodRecord pod{"uid-1", "web", "default", "10.42.0.9", json::Node::obj({{"app", "web"}}), json::Node::object(), 5, false};
  REQUIRE(write_record(t.path, pod).ok());
  ContainerRecord c;
  c.id = "main-2";
  c.pod_uid = "uid-1";
  c.name = "main";
  c.attempt = 2;
  c.image = "redis:7";
  c.image_id = "sha256:abc";
  c.layers = {"l1", "l2"};
  c.process.args = {"sh", "-c", "true"};
  c.process.env = {"A=b"};
  REQUIRE(write_record(t.path, c).ok());
  CHECK(pod_records(t.path).at(0).name == "web");
  auto back = container_records(t.path, "uid-1").at(0);
  CHECK(back.attempt == 2);
  CHECK(back.process.args == c.process.args);
  CHECK(images_in_use(t.path) == std::set<std::string>{"sha256:abc"});
  CHECK(layers_in_use(t.path) == std::set<std::string>{"l1", "l2"});
  remove_record(t.path, "uid-1", "main-2");
  CHECK(container_records(t.path, "uid-1").empty());
}
