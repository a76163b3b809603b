// A store that was left in the middle of things, and one that a disk has damaged.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "image/fake_registry.h"
#include "image/manifest.h"
#include "image/store.h"

using namespace k8lite;
using namespace k8lite::image;
using namespace k8lite::image::testing;
namespace fs = std::filesystem;
using Catch::Contains;

namespace {

struct Temp {
  std::string path;
  Temp() {
    char name[] = "/tmp/k8lite-repair-XXXXXX";
    path = mkdtemp(name);
  }
  ~Temp() { fs::remove_all(path); }
};

std::string layer_of(const std::string& name) {
  std::string out;
  for (int i = 0; i < 40; ++i) out += entry(name + std::to_string(i), '0', std::string(50'000, name[0]));
  return out + tar_end();
}
Result<> add(ImageStore& store, const std::string& name) {
  std::string tar = layer_of(name), config = json::Node::obj({{"architecture", this_platform().architecture}, {"os", "linux"}, {"name", name}, {"rootfs", json::Node::obj({{"diff_ids", json::Node::arr({digest_of(tar)})}})}}).dump();
  TextSource source(tar);
  TRY(os::Fd lease, store.lease());
  TRY_OK(store.add_layer(digest_of(tar), source));
  auto r = store.add_image({"docker.io/library/" + name + ":1", config, "", 0, false, {}});
  return r.ok() ? Result<>() : Result<>(r.status());
}

}  // namespace

TEST_CASE("store: killed at any moment, it opens with whole images or none", "[root]") {
  Temp t;
  REQUIRE(ImageStore::open(t.path + "/s").ok());
  size_t whole = 0;
  for (int round = 0; round < 12; ++round) {
    pid_t pid = fork();
    if (pid == 0) {
      StoreOptions options;
      options.confined = round % 2 == 1;
      auto store = ImageStore::open(t.path + "/s", options);
      for (const char* name : {"a", "b", "c", "d", "e", "f"}) {
        if (!store.ok() || !add(**store, name).ok()) _exit(1);
        (void)(*store)->remove(name + std::string(":1"));
      }
      _exit(0);
    }
    usleep(static_cast<useconds_t>(3000 + round * 7000));
    kill(pid, SIGKILL);
    int status = 0;
    waitpid(pid, &status, 0);
    CHECK(!(WIFEXITED(status) && WEXITSTATUS(status) == 1));
    // A child that had not yet begun may hold the lock for a moment: then the next one to open it cleans up.
    auto store = ImageStore::open(t.path + "/s");
    auto clean = [&t] {
      for (const auto& name : os::list_dir(t.path + "/s/layers"))
        if (name.starts_with("tmp-")) return false;
      return true;
    };
    for (int i = 0; i < 300 && !clean(); ++i) {
      usleep(50'000);
      store = ImageStore::open(t.path + "/s");
    }
    REQUIRE(store.ok());
    CHECK(clean());
    for (const auto& image : (*store)->list())
      for (const json::Node& id : image.config.path("rootfs.diff_ids").items()) {
        auto r = (*store)->verify_layer(id.str());
        CHECK((r.ok() ? "ok" : r.status().message()) == "ok");
        ++whole;
      }
  }
  CHECK(whole >= 12);  // the built-in one at least
}

TEST_CASE("store: what is broken is dropped when it is opened, and comes anew", "[root]") {
  Temp t;
  std::string root = t.path + "/s";
  auto store = ImageStore::open(root).value();
  for (const char* name : {"good", "cut", "bare", "file"}) REQUIRE(add(*store, name).ok());
  auto record = [&](const std::string& name) { return root + "/images/" + hex_of(digest_of("docker.io/library/" + name + ":1")) + ".json"; };
  auto folder = [&](const std::string& name) { return root + "/layers/" + hex_of(digest_of(layer_of(name))); };
  store = nullptr;
  fs::resize_file(record("cut"), 40);
  fs::remove_all(folder("bare"));
  fs::remove_all(folder("file"));
  std::ofstream(folder("file")) << "no folder";
  std::ofstream(root + "/images/half.json.tmp") << "x";
  std::ofstream(root + "/images/" + std::string(64, 'a') + ".json") << "{}";
  fs::create_directories(root + "/layers/tmp-1-1/x");
  fs::create_directories(root + "/import-9");
  fs::create_symlink("../layers/nowhere", root + "/l/nowhere");
  store = ImageStore::open(root).value();
  REQUIRE(store->find("good:1"));
  for (const char* name : {"cut", "bare", "file"}) CHECK(!store->find(std::string(name) + ":1"));
  CHECK(os::list_dir(root + "/images").size() == 2);  // and the built-in one
  CHECK(!os::exists(root + "/layers/tmp-1-1"));
  CHECK(!os::exists(root + "/import-9"));
  CHECK(!fs::is_symlink(root + "/l/nowhere"));
  (void)store->sweep();
  for (const char* name : {"cut", "bare", "file"}) {
    CHECK(add(*store, name).ok());
    CHECK(store->find(std::string(name) + ":1"));
  }
  // Somebody is at it: nothing is touched.
  auto lease = store->lease();
  fs::create_directories(root + "/layers/tmp-2-2");
  REQUIRE(ImageStore::open(root).ok());
  CHECK(os::exists(root + "/layers/tmp-2-2"));
}

TEST_CASE("store: a layer that changed on disk is told", "[root]") {
  Temp t;
  auto store = ImageStore::open(t.path + "/s").value();
  REQUIRE(add(*store, "x").ok());
  std::string id = digest_of(layer_of("x")), file = t.path + "/s/layers/" + hex_of(id) + "/x7";
  CHECK(store->verify_layer(id).ok());
  std::fstream(file) << "other";
  CHECK_THAT(store->verify_layer(id).status().message(), Contains("has changed on disk"));
  fs::resize_file(file, 10);
  CHECK_THAT(store->verify_layer(id).status().message(), Contains("a file of the layer is shorter than it was"));
  CHECK_THAT(store->verify_layer("sha256:" + std::string(64, '0')).status().message(), Contains("is missing"));
}

TEST_CASE("store: only root reaches what layers hold", "[root]") {
  Temp t;
  auto store = ImageStore::open(t.path + "/s").value();
  CHECK((fs::status(t.path + "/s").permissions() & fs::perms::mask) == fs::perms::owner_all);
}

TEST_CASE("store: a pinned name stays pinned", "[root]") {
  Temp t;
  auto store = ImageStore::open(t.path + "/s").value();
  REQUIRE(add(*store, "x").ok());
  CHECK(!store->find("x:1")->pinned);
  REQUIRE(store->pin("x:1").ok());
  CHECK(ImageStore::open(t.path + "/s").value()->find("x:1")->pinned);
  CHECK(!store->pin("none:1").ok());
}
