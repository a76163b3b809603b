// Images that go to a registry and come back.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "image/fake_registry.h"
#include "image/push.h"

using namespace k8lite;
using namespace k8lite::image;
using namespace k8lite::image::testing;
namespace fs = std::filesystem;
using Catch::Contains;

namespace {

std::string noise(size_t size) {
  std::string out(size, '\0');
  uint32_t x = 7;
  for (char& c : out) c = static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
  return out;
}

struct Place {
  std::string path;
  async::Loop loop;
  std::unique_ptr<ImageStore> store;
  std::unique_ptr<FakeRegistry> registry;
  PushOptions options;

  Place() {
    char name[] = "/tmp/k8lite-push-XXXXXX";
    path = mkdtemp(name);
    loop.start();
    store = ImageStore::open(path + "/store").value();
    registry = std::make_unique<FakeRegistry>(loop);
    options.remote.pause = milliseconds(1);
    std::string layer = entry("etc/", '5', "") + entry("etc/a", '0', "hello") + tar_end(), big = entry("big", '0', noise(5'000'000)) + tar_end();
    for (const auto& tar : {layer, big}) {
      TextSource source(tar);
      REQUIRE(store->add_layer(digest_of(tar), source).ok());
    }
    json::Node ids = json::Node::arr({digest_of(layer), digest_of(big), digest_of(layer)});
    std::string config = json::Node::obj({{"architecture", this_platform().architecture}, {"os", "linux"}, {"rootfs", json::Node::obj({{"diff_ids", ids}})}}).dump();
    REQUIRE(store->add_image({"docker.io/library/mine:1", config, "", 0, false, {}}).ok());
  }
  ~Place() {
    registry = nullptr;
    loop.stop();
    fs::remove_all(path);
  }
  Result<std::string> push(const std::string& to, const std::string& local = "mine:1", const std::vector<RegistryAuth>& auth = {}) {
    return push_image(loop, *store, {}, {}, local, parse_reference(registry->host() + "/" + to).value(), auth, options);
  }
  std::string why(const Result<std::string>& r) { return r.ok() ? "ok" : r.status().message(); }
};

}  // namespace

TEST_CASE("push: an image goes in pieces and comes back the same", "[root]") {
  Place p;
  PullProgress progress;
  p.options.progress = &progress;
  auto digest = p.push("team/mine:2");
  INFO(p.why(digest));
  REQUIRE(digest.ok());
  CHECK(p.registry->manifests.count("2") == 1);
  CHECK(p.registry->count("PATCH ") == 3);  // the small layer once, the big one in two pieces
  for (const auto& a : p.registry->asked()) CHECK(a.body.size() <= kPushPiece);
  CHECK(progress.rows().back().name == "manifest-" + *digest);
  // Once more: nothing is sent but the manifest.
  REQUIRE(p.push("team/mine:3").ok());
  CHECK(p.registry->count("PATCH ") == 3);
  std::string id = p.store->find("mine:1")->id;
  auto other = ImageStore::open(p.path + "/other").value();
  {
    Puller puller(p.loop, *other, "");
    auto pulled = puller.pull(parse_reference(p.registry->host() + "/team/mine:2").value(), {});
    INFO((pulled.ok() ? std::string() : pulled.status().message()));
    REQUIRE(pulled.ok());
    CHECK(pulled->image.id == id);
    CHECK(pulled->image.digest == *digest);
    CHECK(os::read_file(pulled->image.layers[1] + "/big").value() == noise(5'000'000));
  }
  CHECK(os::list_dir(p.store->root()) == std::vector<std::string>{"images", "l", "layers", "lock"});
}

TEST_CASE("push: refusals say whose they are", "[root]") {
  Place p;
  CHECK_THAT(p.why(p.push("a:1", "none:1")), Contains("image \"none:1\": not found"));
  CHECK_THAT(p.why(p.push("a@sha256:" + std::string(64, 'a'))), Contains("a tag is wanted"));
  p.registry->intercept = [](const FakeRegistry::Asked& a) -> std::optional<FakeRegistry::Reply> {
    if (a.headers.get("Authorization") == "Basic bWU6c2VjcmV0") return {};
    FakeRegistry::Reply r{401, {}, R"({"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]})"};
    r.headers.set("WWW-Authenticate", "Basic realm=\"x\"");
    return r;
  };
  CHECK_THAT(p.why(p.push("a:1")), Contains("failed to push \"" + p.registry->host() + "/a:1\"") && Contains("no basic auth credentials"));
  CHECK(p.why(p.push("a:1", "mine:1", {{"me", "secret", "", ""}})) == "ok");
  p.registry->intercept = [](const FakeRegistry::Asked& a) -> std::optional<FakeRegistry::Reply> {
    if (a.method == "POST") return FakeRegistry::Reply{403, {}, R"({"errors":[{"code":"DENIED","message":"read only"}]})"};
    return {};
  };
  p.registry->blobs.clear();
  CHECK_THAT(p.why(p.push("a:1")), Contains("push access denied") && Contains("denied: read only"));
  int busy = 2;
  p.registry->intercept = [&busy](const FakeRegistry::Asked& a) -> std::optional<FakeRegistry::Reply> {
    if (a.method == "PATCH" && busy-- > 0) return FakeRegistry::Reply{503, {}, ""};
    return {};
  };
  CHECK(p.why(p.push("a:1")) == "ok");
}

TEST_CASE("push: a token for pulling is exchanged for one that may push", "[root]") {
  Place p;
  std::mutex mutex;
  std::vector<std::string> scopes;
  p.registry->intercept = [&](const FakeRegistry::Asked& a) -> std::optional<FakeRegistry::Reply> {
    if (a.path.starts_with("/token")) {
      std::string scope = url_decode(a.path.substr(a.path.find("scope=") + 6));
      std::lock_guard lock(mutex);
      scopes.push_back(scope);
      return FakeRegistry::Reply{200, {}, R"({"token":")" + std::string(scope.ends_with("push") ? "push" : "pull") + R"("})"};
    }
    bool writes = a.method != "GET" && a.method != "HEAD";
    std::string token(a.headers.get("Authorization"));
    if (token == "Bearer push" || (token == "Bearer pull" && !writes)) return {};
    FakeRegistry::Reply r{401, {}, ""};
    r.headers.set("WWW-Authenticate", "Bearer realm=\"http://" + p.registry->host() + "/token\",service=\"r\",scope=\"repository:a:" + (writes ? "pull,push" : "pull") + "\"");
    return r;
  };
  CHECK(p.why(p.push("a:1")) == "ok");
  CHECK(scopes == std::vector<std::string>{"repository:a:pull", "repository:a:pull,push"});
}
