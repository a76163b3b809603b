// Pulls from a registry that has every fault a registry can have.
#include <sys/mount.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "image/fake_registry.h"
#include "image/partial.h"
#include "image/pull.h"

using namespace k8lite;
using namespace k8lite::image;
using namespace k8lite::image::testing;
namespace fs = std::filesystem;

namespace {

struct Place {
  std::string path;
  async::Loop loop;
  std::unique_ptr<ImageStore> store;
  std::unique_ptr<FakeRegistry> registry;
  std::unique_ptr<Puller> puller;

  explicit Place(Environment environment = {}) {
    char name[] = "/tmp/k8lite-pull-XXXXXX";
    path = mkdtemp(name);
    loop.start();
    store = open_store();
    registry = std::make_unique<FakeRegistry>(loop);
    PullerOptions options;
    options.remote.pause = milliseconds(1);
    puller = std::make_unique<Puller>(loop, *store, path + "/registries.yaml", std::move(environment), options);
  }
  ~Place() {
    puller = nullptr;
    registry = nullptr;
    loop.stop();
    store = nullptr;
    fs::remove_all(path);
  }
  std::unique_ptr<ImageStore> open_store() const {
    StoreOptions options;
    options.confined = true;
    return ImageStore::open(path + "/store", options).value();
  }
  // As a process that was killed and started again.
  void restart() {
    PullerOptions options;
    options.remote.pause = milliseconds(1);
    options.progress = &progress;
    puller = nullptr;
    store = open_store();
    puller = std::make_unique<Puller>(loop, *store, path + "/registries.yaml", Environment{}, options);
  }
  PullProgress progress;
  Result<Pulled> pull(const std::string& repository, const std::vector<RegistryAuth>& auth = {}) { return puller->pull(parse_reference(registry->host() + "/" + repository).value(), auth); }
  void settings(const std::string& yaml) { std::ofstream(path + "/registries.yaml") << yaml; }
  std::vector<std::string> leftovers() const {
    std::vector<std::string> out;
    for (const auto& name : os::list_dir(path + "/store/layers"))
      if (name.starts_with("tmp-")) out.push_back(name);
    return out;
  }
};

std::string hello(const std::string& text = "world") { return entry("hello", '0', text) + tar_end(); }
// Does not compress: a cut in the middle is in the middle.
std::string noise(size_t size) {
  std::string out(size, '\0');
  uint32_t x = 1;
  for (char& c : out) c = static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
  return out;
}
std::string why(const Result<Pulled>& r) { return r.ok() ? std::string("ok") : r.status().message(); }
using Catch::Contains;

}  // namespace

TEST_CASE("pull: OCI and docker manifests, gzip, zstd and plain layers, by tag and by digest", "[root]") {
  Place p;
  std::string digest = p.registry->add_image("gz", {hello(), entry("more", '0', "x") + tar_end()});
  p.registry->add_image("zst", {hello("zstd")}, zstd);
  p.registry->add_image("plain", {hello("plain")}, [](const std::string& t) { return t; }, "amd64", true);
  for (auto [tag, text] : {std::pair{"gz", "world"}, {"zst", "zstd"}, {"plain", "plain"}}) {
    auto r = p.pull(std::string("a/b:") + tag);
    INFO(why(r));
    REQUIRE(r.ok());
    CHECK(os::read_file(r->image.layers.back() + "/hello").value() == text);
    CHECK(r->credential.empty());
    CHECK(r->image.size > 0);
  }
  auto r = p.pull("a/b@" + digest);
  INFO(why(r));
  REQUIRE(r.ok());
  CHECK(r->image.digests == std::vector<std::string>{p.registry->host() + "/a/b@" + digest});
  CHECK(r->image.names == std::vector<std::string>{p.registry->host() + "/a/b:gz"});
  CHECK(p.registry->count("GET /v2/a/b/blobs/") == 3 + 2 + 2);  // nothing again for the digest
}

TEST_CASE("pull: an index gives this machine's image; another machine's is refused", "[root]") {
  Place p;
  std::string mine = p.registry->add_image("x", {hello("mine")}), other = p.registry->add_image("other", {hello("other")}, gzip, "s390x");
  auto row = [](const std::string& digest, const char* arch) { return json::Node::obj({{"digest", digest}, {"platform", json::Node::obj({{"os", "linux"}, {"architecture", arch}})}}); };
  p.registry->manifests["many"] = json::Node::obj({{"schemaVersion", 2}, {"manifests", json::Node::arr({row(other, "s390x"), row(mine, "amd64")})}}).dump();
  p.registry->manifests["none"] = json::Node::obj({{"schemaVersion", 2}, {"manifests", json::Node::arr({row(other, "s390x")})}}).dump();
  auto r = p.pull("a:many");
  INFO(why(r));
  REQUIRE(r.ok());
  CHECK(os::read_file(r->image.layers[0] + "/hello").value() == "mine");
  CHECK_THAT(why(p.pull("a:none")), Contains("no match for platform in manifest: not found"));
  CHECK_THAT(why(p.pull("a:other")), Contains("the image is for linux/s390x, this node is linux/amd64"));
}

TEST_CASE("manifest: variants of arm fit from the best down") {
  auto index = [](std::vector<std::pair<std::string, std::string>> rows) {
    json::Node list = json::Node::array();
    for (const auto& [arch, variant] : rows) {
      json::Node platform = json::Node::obj({{"os", "linux"}, {"architecture", arch}});
      if (!variant.empty()) platform.set("variant", variant);
      list.append(json::Node::obj({{"digest", digest_of(arch + variant)}, {"platform", platform}}));
    }
    return json::Node::obj({{"manifests", list}});
  };
  auto chosen = [&](const json::Node& i, const char* arch, const char* variant) {
    auto r = choose_platform(i, {arch, variant});
    return r.ok() ? r->digest : r.status().message();
  };
  auto all = index({{"amd64", ""}, {"arm", "v5"}, {"arm", "v6"}, {"arm", "v7"}, {"arm64", "v8"}});
  CHECK(chosen(all, "arm", "v7") == digest_of("armv7"));
  CHECK(chosen(all, "arm", "v6") == digest_of("armv6"));
  CHECK(chosen(all, "arm64", "v8") == digest_of("arm64v8"));
  CHECK(chosen(index({{"arm", "v5"}, {"arm", "v6"}}), "arm", "v7") == digest_of("armv6"));
  CHECK(chosen(index({{"arm", "v7"}}), "arm", "v6") == "no match for platform in manifest: not found");
  CHECK(chosen(index({{"arm64", ""}}), "arm64", "v8") == digest_of("arm64"));
}

TEST_CASE("pull: a connection that breaks is taken up where it broke", "[root]") {
  Place p;
  p.registry->add_image("big", {entry("hello", '0', noise(900'000)) + tar_end()});
  bool ranges = GENERATE(true, false);
  p.registry->intercept = [&p, ranges](const FakeRegistry::Asked& a) -> std::optional<FakeRegistry::Reply> {
    std::string digest = a.path.substr(a.path.rfind('/') + 1);
    if (a.method != "GET" || a.path.find("/blobs/") == a.path.npos || p.registry->blobs[digest].size() < 1000) return {};
    const std::string& body = p.registry->blobs[digest];
    std::string range(a.headers.get("Range"));
    size_t from = range.empty() ? 0 : std::stoul(range.substr(6));
    if (!ranges) return FakeRegistry::Reply{200, {}, body, p.registry->count("/blobs/" + digest) < 3 ? size_t{500'000} : std::string::npos};
    FakeRegistry::Reply r{from ? 206 : 200, {}, body.substr(from), 300'000};
    r.headers.set("Content-Range", "bytes " + std::to_string(from) + "-" + std::to_string(body.size() - 1) + "/" + std::to_string(body.size()));
    return r;
  };
  auto r = p.pull("a:big");
  INFO(why(r));
  REQUIRE(r.ok());
  CHECK(os::read_file(r->image.layers[0] + "/hello").value() == noise(900'000));
}

TEST_CASE("pull: what came before the process ended is not fetched again", "[root]") {
  Place p;
  std::string tar = entry("hello", '0', noise(3'000'000)) + tar_end();
  p.registry->add_image("big", {tar});
  std::string digest = digest_of(gzip(tar)), partial = p.path + "/store/partial/" + hex_of(digest);
  size_t size = p.registry->blobs[digest].size();
  p.registry->intercept = [&](const FakeRegistry::Asked& a) -> std::optional<FakeRegistry::Reply> {
    if (a.path.find("/blobs/" + digest) == a.path.npos) return {};
    if (a.headers.has("Range")) return FakeRegistry::Reply{503, {}, ""};
    return FakeRegistry::Reply{200, {}, p.registry->blobs[digest], 2'000'000};
  };
  CHECK_THAT(why(p.pull("a:big")), Contains("got 2000000 of"));
  REQUIRE(fs::file_size(partial) == 2'000'000);
  std::vector<std::string> ranges;
  std::mutex mutex;
  p.registry->intercept = [&](const FakeRegistry::Asked& a) -> std::optional<FakeRegistry::Reply> {
    std::lock_guard lock(mutex);
    if (a.path.find("/blobs/" + digest) != a.path.npos) ranges.emplace_back(a.headers.get("Range"));
    return {};
  };
  SECTION("whole") {
    p.restart();
    auto r = p.pull("a:big");
    INFO(why(r));
    REQUIRE(r.ok());
    CHECK(ranges == std::vector<std::string>{"bytes=2000000-"});
    CHECK(os::read_file(r->image.layers[0] + "/hello").value() == noise(3'000'000));
    auto rows = p.progress.rows();
    REQUIRE(rows.size() == 4);
    CHECK(rows[3].name == "layer-" + digest);
    CHECK(rows[3].state == "done");
    CHECK(rows[3].done == static_cast<int64_t>(size));
  }
  SECTION("all of it was there") {
    std::ofstream(partial, std::ios::binary) << p.registry->blobs[digest];
    p.restart();
    REQUIRE(p.pull("a:big").ok());
    CHECK(ranges.empty());
  }
  SECTION("what was kept is broken: once more from the beginning") {
    std::ofstream(partial, std::ios::binary) << std::string(2'000'000, '\0');
    p.restart();
    auto r = p.pull("a:big");
    INFO(why(r));
    REQUIRE(r.ok());
    CHECK(ranges.back() == "");
  }
  SECTION("more was kept than there is") {
    std::ofstream(partial, std::ios::binary) << std::string(size + 1, 'x');
    p.restart();
    REQUIRE(p.pull("a:big").ok());
    CHECK(ranges == std::vector<std::string>{""});
  }
  SECTION("a registry without ranges") {
    p.registry->intercept = [&](const FakeRegistry::Asked& a) -> std::optional<FakeRegistry::Reply> {
      if (a.path.find("/blobs/" + digest) == a.path.npos) return {};
      return FakeRegistry::Reply{200, {}, p.registry->blobs[digest]};
    };
    p.restart();
    REQUIRE(p.pull("a:big").ok());
  }
  CHECK(!os::exists(partial));
  CHECK(p.leftovers().empty());
}

TEST_CASE("pull: a full disk ends the keeping of a download, not the download", "[root]") {
  Place p;
  std::string disk = p.path + "/disk";
  fs::create_directories(disk);
  REQUIRE(mount("none", disk.c_str(), "tmpfs", 0, "size=1m") == 0);
  std::string content = noise(3'000'000);
  {
    auto partial = PartialBlob::open(disk + "/partial", {digest_of(content), "", static_cast<int64_t>(content.size())}, {});
    REQUIRE(partial);
    TextSource rest(content);
    partial->follow(rest);
    HashingSource hash(*partial);
    REQUIRE(hash.drain().ok());
    CHECK(hash.digest() == digest_of(content));
    CHECK(os::list_dir(disk + "/partial").empty());
  }
  umount2(disk.c_str(), MNT_DETACH);
}

TEST_CASE("pull: what was kept of abandoned downloads goes after a day", "[root]") {
  Place p;
  fs::create_directories(p.store->partial_folder());
  std::string old = p.store->partial_folder() + "/" + std::string(64, 'a'), fresh = p.store->partial_folder() + "/" + std::string(64, 'b');
  for (const auto& path : {old, fresh}) std::ofstream(path) << "x";
  fs::last_write_time(old, fs::file_time_type::clock::now() - std::chrono::hours(25));
  p.restart();
  CHECK(!os::exists(old));
  CHECK(os::exists(fresh));
}

TEST_CASE("pull: truncated, damaged and wrong layers leave nothing behind", "[root]") {
  Place p;
  p.registry->add_image("x", {hello(), entry("big", '0', noise(300'000)) + tar_end()});
  auto layer = [&](const FakeRegistry::Asked& a) { return a.path.find("/blobs/") != a.path.npos && p.registry->blobs[a.path.substr(a.path.rfind('/') + 1)].size() > 100'000; };
  SECTION("truncated") {
    p.registry->intercept = [&](const FakeRegistry::Asked& a) -> std::optional<FakeRegistry::Reply> {
      if (!layer(a)) return {};
      if (a.headers.has("Range")) return FakeRegistry::Reply{503, {}, ""};
      return FakeRegistry::Reply{200, {}, p.registry->blobs[a.path.substr(a.path.rfind('/') + 1)], 100'000};
    };
    CHECK_THAT(why(p.pull("a:x")), Contains("truncated layer sha256:") && Contains("got 100000 of"));
  }
  SECTION("shorter than the manifest says") {
    p.registry->intercept = [&](const FakeRegistry::Asked& a) -> std::optional<FakeRegistry::Reply> {
      if (!layer(a)) return {};
      if (a.headers.has("Range")) return FakeRegistry::Reply{416, {}, ""};
      return FakeRegistry::Reply{200, {}, p.registry->blobs[a.path.substr(a.path.rfind('/') + 1)].substr(0, 100'000)};
    };
    CHECK_THAT(why(p.pull("a:x")), Contains("truncated layer sha256:") && Contains("got 100000 of"));
  }
  SECTION("damaged") {
    p.registry->intercept = [&](const FakeRegistry::Asked& a) -> std::optional<FakeRegistry::Reply> {
      if (!layer(a)) return {};
      std::string body = p.registry->blobs[a.path.substr(a.path.rfind('/') + 1)];
      body[150'000] ^= 1;
      return FakeRegistry::Reply{200, {}, body};
    };
    CHECK_THAT(why(p.pull("a:x")), Contains("unexpected commit digest") && Contains("expected sha256:"));
  }
  SECTION("of another config") {
    std::string& manifest = p.registry->manifests["x"];
    std::string other = gzip(hello("another"));
    p.registry->blobs[digest_of(other)] = other;
    auto node = json::Node::parse(manifest).value();
    node["layers"].items()[0].set("digest", digest_of(other));
    node["layers"].items()[0].set("size", static_cast<int64_t>(other.size()));
    manifest = node.dump();
    CHECK_THAT(why(p.pull("a:x")), Contains("wrong diff id calculated on extraction"));
  }
  CHECK(p.leftovers().empty());
  CHECK(!p.store->find(p.registry->host() + "/a:x"));
  CHECK(p.store->sweep().ok());
  CHECK(os::list_dir(p.path + "/store/layers").size() == 3);  // the echo image's
}

TEST_CASE("pull: errors name their cause", "[root]") {
  Place p;
  p.registry->add_image("x", {hello()});
  CHECK_THAT(why(p.pull("a:none")), Contains("failed to pull and unpack image \"127.0.0.1:") && Contains("failed to resolve reference") && Contains("a:none: not found"));
  CHECK_THAT(why(p.pull("a@sha256:" + std::string(64, '0'))), Contains("not found"));
  auto nobody = p.puller->pull(parse_reference("127.0.0.1:1/a:1").value(), {});
  CHECK_THAT(why(nobody), Contains("failed to do request: Get") && Contains("127.0.0.1:1") && Contains("refused"));
  p.registry->manifests["sha256:" + std::string(64, '1')] = p.registry->manifests["x"];
  CHECK_THAT(why(p.pull("a@sha256:" + std::string(64, '1'))), Contains("unexpected digest of the manifest"));
  p.registry->manifests["junk"] = "this is no json";
  CHECK(!p.pull("a:junk").ok());
  p.registry->manifests["old"] = R"({"schemaVersion":1,"fsLayers":[]})";
  CHECK_THAT(why(p.pull("a:old")), Contains("schema 1"));
  p.registry->intercept = [](const FakeRegistry::Asked&) { return FakeRegistry::Reply{429, {}, R"({"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]})"}; };
  CHECK_THAT(why(p.pull("a:x")), Contains("429 Too Many Requests: toomanyrequests: slow down"));
}

TEST_CASE("pull: basic credentials, wrong and right, and the node's own", "[root]") {
  Place p;
  p.registry->add_image("x", {hello()});
  std::string good = "Basic " + base64_encode("me:secret");
  p.registry->intercept = [good](const FakeRegistry::Asked& a) -> std::optional<FakeRegistry::Reply> {
    if (a.headers.get("Authorization") == good) return {};
    return FakeRegistry::Reply{401, {{"WWW-Authenticate", "Basic realm=\"r\""}}, "{}"};
  };
  CHECK_THAT(why(p.pull("a:x")), Contains("no basic auth credentials"));
  CHECK_THAT(why(p.pull("a:x", {{"me", "wrong", "", ""}})), Contains("pull access denied, repository does not exist or may require authorization"));
  auto r = p.pull("a:x", {{"me", "wrong", "", ""}, {"me", "secret", "", ""}});
  INFO(why(r));
  REQUIRE(r.ok());
  CHECK(r->credential == RegistryAuth{"me", "secret", "", ""}.hash());
  CHECK(r->image.credentials.count(r->credential) == 1);
  p.settings("configs:\n  \"" + p.registry->host() + "\":\n    auth: {username: me, password: secret}\n");
  auto own = p.pull("a:x");
  INFO(why(own));
  REQUIRE(own.ok());
  CHECK(own->credential.empty());
  CHECK(own->image.credentials.empty());  // now everybody on this node may use it
}

TEST_CASE("pull: bearer tokens, for anonymous and named users, asked for again when they run out", "[root]") {
  Place p;
  p.registry->add_image("x", {hello()});
  std::string host = p.registry->host();
  std::atomic<int> tokens{0};
  p.registry->intercept = [&, host](const FakeRegistry::Asked& a) -> std::optional<FakeRegistry::Reply> {
    if (a.path.starts_with("/token")) {
      if (a.headers.has("Authorization") && a.headers.get("Authorization") != "Basic " + base64_encode("me:secret")) return FakeRegistry::Reply{401, {}, "{}"};
      if (a.path.find("scope=repository%3Aa%3Apull") == a.path.npos) return FakeRegistry::Reply{400, {}, "{}"};
      return FakeRegistry::Reply{200, {}, R"({"token":"t)" + std::to_string(++tokens) + "\"}"};
    }
    bool blob = a.path.find("/blobs/") != a.path.npos;
    std::string wanted = blob ? "Bearer t2" : "Bearer t1";
    if (a.headers.get("Authorization") == wanted || (!blob && tokens > 1)) return {};
    return FakeRegistry::Reply{401, {{"WWW-Authenticate", "Bearer realm=\"http://" + host + "/token\",service=\"reg\",scope=\"repository:a:pull\""}}, "{}"};
  };
  SECTION("anonymous") {
    auto r = p.pull("a:x");
    INFO(why(r));
    CHECK(r.ok());
  }
  SECTION("named") {
    auto r = p.pull("a:x", {{"me", "secret", "", ""}});
    INFO(why(r));
    CHECK(r.ok());
  }
  SECTION("refused") {
    p.registry->intercept = [host](const FakeRegistry::Asked& a) -> std::optional<FakeRegistry::Reply> {
      if (a.path.starts_with("/token")) return FakeRegistry::Reply{401, {}, "{}"};
      return FakeRegistry::Reply{401, {{"WWW-Authenticate", "Bearer realm=\"http://" + host + "/token\",service=\"reg\""}}, "{}"};
    };
    CHECK_THAT(why(p.pull("a:x", {{"me", "nope", "", ""}})), Contains("failed to authorize: failed to fetch oauth token: unexpected status from GET request to http://" + host + "/token") && Contains("401 Unauthorized"));
  }
}

TEST_CASE("pull: redirects are followed without credentials", "[root]") {
  Place p;
  p.registry->add_image("x", {hello()});
  FakeRegistry far(p.loop);
  far.blobs = p.registry->blobs;
  p.registry->intercept = [&](const FakeRegistry::Asked& a) -> std::optional<FakeRegistry::Reply> {
    if (a.headers.get("Authorization") != "Basic " + base64_encode("me:secret")) return FakeRegistry::Reply{401, {{"WWW-Authenticate", "Basic realm=\"r\""}}, "{}"};
    if (a.path.find("/blobs/") == a.path.npos) return {};
    return FakeRegistry::Reply{307, {{"Location", "http://" + far.host() + "/cdn/" + a.path.substr(a.path.rfind('/') + 1)}}, ""};
  };
  auto r = p.pull("a:x", {{"me", "secret", "", ""}});
  INFO(why(r));
  REQUIRE(r.ok());
  REQUIRE(far.asked().size() == 2);
  for (const auto& a : far.asked()) CHECK(!a.headers.has("Authorization"));
}

TEST_CASE("pull: a tag that has not moved costs one request, a moved one is fetched", "[root]") {
  Place p;
  p.registry->add_image("x", {hello()});
  auto first = p.pull("a:x");
  REQUIRE(first.ok());
  size_t before = p.registry->asked().size();
  REQUIRE(p.pull("a:x").ok());
  CHECK(p.registry->asked().size() == before + 1);
  CHECK(p.registry->asked().back().method == "HEAD");
  p.registry->add_image("x", {hello("newer")});
  auto second = p.pull("a:x");
  REQUIRE(second.ok());
  CHECK(second->image.id != first->image.id);
  auto old = p.store->find(first->image.id);
  REQUIRE(old);
  CHECK(old->names.empty());
  CHECK(old->digests.size() == 1);
}

TEST_CASE("pull: mirrors come first, with rewrites, and plain http only where settings say so", "[root]") {
  Place p;
  p.registry->add_image("x", {hello()});
  p.settings("mirrors:\n  registry.test:\n    endpoint: [\"http://127.0.0.1:1\", \"http://" + p.registry->host() + "/v2/cache\"]\n    rewrite: {\"^team/(.*)\": \"mirrored/$1\"}\n");
  auto r = p.puller->pull(parse_reference("registry.test/team/app:x").value(), {});
  INFO(why(r));
  REQUIRE(r.ok());
  CHECK(r->image.names == std::vector<std::string>{"registry.test/team/app:x"});
  CHECK(p.registry->count("GET /v2/cache/mirrored/app/manifests/x?ns=registry.test") == 1);
  // The file is read again when it changes.
  p.settings("mirrors: {}\n# another size\n");
  CHECK(!p.puller->pull(parse_reference("registry.test/team/other:x").value(), {}).ok());
  p.settings("mirrors: [this is wrong\n");
  CHECK_THAT(why(p.puller->pull(parse_reference("registry.test/team/other:x").value(), {})), Contains("registries.yaml"));
}

TEST_CASE("pull: through a proxy", "[root]") {
  std::string proxy;
  Place p([&proxy](std::string_view name) { return name == "HTTP_PROXY" ? proxy : std::string(); });
  p.registry->add_image("x", {hello()});
  proxy = "http://user:pw@" + p.registry->host();
  p.settings("mirrors:\n  registry.test: {endpoint: [\"http://far.registry.test\"]}\n");
  auto r = p.puller->pull(parse_reference("registry.test/a:x").value(), {});
  INFO(why(r));
  REQUIRE(r.ok());
  auto first = p.registry->asked().at(0);
  CHECK(first.path == "http://far.registry.test/v2/a/manifests/x?ns=registry.test");
  CHECK(first.headers.get("Host") == "far.registry.test");
  CHECK(first.headers.get("Proxy-Authorization") == "Basic " + base64_encode("user:pw"));
}

TEST_CASE("pull: many at once share layers and stay within the bound", "[root]") {
  Place p;
  std::vector<std::string> tars;
  for (int i = 0; i < 12; ++i) tars.push_back(entry("f" + std::to_string(i), '0', noise(50'000)) + tar_end());
  p.registry->add_image("x", tars);
  p.registry->add_image("y", {tars[0], tars[1], hello()});
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int i = 0; i < 6; ++i) threads.emplace_back([&p, &good, i] { good += p.pull(i % 2 ? "a:x" : "a:y").ok(); });
  for (auto& t : threads) t.join();
  CHECK(good == 6);
  std::map<std::string, int> asked;
  for (const auto& a : p.registry->asked())
    if (a.path.find("/blobs/") != a.path.npos && p.registry->blobs[a.path.substr(a.path.rfind('/') + 1)].size() > 10'000) ++asked[a.path];
  CHECK(asked.size() == 12);
  for (const auto& [path, n] : asked) CHECK(n == 1);
}

namespace {

// A certificate for 127.0.0.1 that is its own CA, by the openssl command.
bool make_certificate(const std::string& dir) {
  std::string command = "cd " + dir + " && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=r -addext subjectAltName=IP:127.0.0.1,DNS:far.registry.test >/dev/null 2>&1";
  return std::system(command.c_str()) == 0;
}

// A proxy that takes CONNECT and brings everybody to the same port.
struct ConnectProxy {
  async::Loop& loop;
  int target;
  std::unique_ptr<net::Listener> listener;
  std::mutex mutex;
  std::vector<std::string> heads;
  bool refuse = false;

  ConnectProxy(async::Loop& l, int port) : loop(l), target(port) {
    net::ListenOptions options;
    options.address = "127.0.0.1";
    listener = net::listen(loop, options, [this](net::StreamPtr s) { async::spawn(loop, serve(this, std::move(s))); }).value();
  }
  static async::Task<void> serve(ConnectProxy* self, net::StreamPtr client) {
    std::string head;
    while (head.find("\r\n\r\n") == head.npos) {
      char byte[1];
      auto n = co_await client->read_some({byte, 1});
      if (!n.ok() || *n == 0) co_return;
      head += byte[0];
    }
    {
      std::lock_guard lock(self->mutex);
      self->heads.push_back(head);
    }
    std::string answer = self->refuse ? "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n" : "HTTP/1.1 200 OK\r\n\r\n";
    (void)co_await client->write_all(answer);
    if (self->refuse) co_return client->close();
    auto server = co_await net::dial(self->loop, "127.0.0.1", self->target, nullptr, seconds(2));
    if (server.ok()) co_await net::splice(client, *server);
  }
};

}  // namespace

TEST_CASE("pull: over TLS with a CA of its own, directly and through a proxy", "[root]") {
  std::string proxy;
  Place p([&proxy](std::string_view name) { return name == "https_proxy" ? proxy : std::string(); });
  if (!make_certificate(p.path)) {
    WARN("no openssl command: not tested");
    return;
  }
  auto tls = net::make_tls_server({os::read_file(p.path + "/cert.pem").value(), os::read_file(p.path + "/key.pem").value(), ""});
  REQUIRE(tls.ok());
  p.registry = std::make_unique<FakeRegistry>(p.loop, *tls);
  p.registry->add_image("x", {hello()});
  int port = static_cast<int>(parse_int(p.registry->host().substr(10)).value());
  std::string mirror = "mirrors:\n  registry.test: {endpoint: [\"https://" + p.registry->host() + "\"]}\n";
  auto reference = parse_reference("registry.test/a:x").value();
  p.settings(mirror);
  CHECK_THAT(why(p.puller->pull(reference, {})), Contains("self") || Contains("certificate"));
  p.settings(mirror + "configs: {\"" + p.registry->host() + "\": {tls: {insecure_skip_verify: true}}}\n");
  auto r = p.puller->pull(reference, {});
  INFO(why(r));
  CHECK(r.ok());
  p.settings(mirror + "configs: {\"" + p.registry->host() + "\": {tls: {ca_file: " + p.path + "/cert.pem}}}\n");
  r = p.puller->pull(parse_reference("registry.test/b:x").value(), {});
  INFO(why(r));
  CHECK(r.ok());
  ConnectProxy connect(p.loop, port);
  proxy = "http://u:p@127.0.0.1:" + std::to_string(connect.listener->port());
  p.settings("mirrors:\n  registry.test: {endpoint: [\"https://far.registry.test:" + std::to_string(port) + "\"]}\nconfigs: {\"*\": {tls: {ca_file: " + p.path + "/cert.pem}}}\n");
  r = p.puller->pull(parse_reference("registry.test/c:x").value(), {});
  INFO(why(r));
  CHECK(r.ok());
  REQUIRE(!connect.heads.empty());
  CHECK(connect.heads[0].starts_with("CONNECT far.registry.test:" + std::to_string(port) + " HTTP/1.1\r\n"));
  CHECK_THAT(connect.heads[0], Contains("Proxy-Authorization: Basic dTpw"));
  connect.refuse = true;
  CHECK_THAT(why(p.puller->pull(parse_reference("registry.test/d:x").value(), {})), Contains("CONNECT far.registry.test") && Contains("407 Proxy Authentication Required"));
  connect.listener->close();
}

TEST_CASE("pull: stop ends a pull that hangs", "[root]") {
  Place p;
  p.registry->add_image("x", {hello()});
  net::ListenOptions options;
  options.address = "127.0.0.1";
  std::vector<net::StreamPtr> held;  // accepts and never answers
  auto silent = net::listen(p.loop, options, [&held](net::StreamPtr s) { held.push_back(std::move(s)); }).value();
  std::thread stopper([&p] {
    usleep(300'000);
    p.puller->stop();
  });
  Duration begin = system_clock().mono();
  CHECK(!p.puller->pull(parse_reference("127.0.0.1:" + std::to_string(silent->port()) + "/a:x").value(), {}).ok());
  CHECK(system_clock().mono() - begin < seconds(15));
  stopper.join();
  silent->close();
  usleep(50'000);
  held.clear();
}

TEST_CASE("pull: the same image from two repositories has the credentials of each", "[root]") {
  Place p;
  p.registry->add_image("x", {hello()});
  std::string good = "Basic " + base64_encode("me:secret");
  p.registry->intercept = [good](const FakeRegistry::Asked& a) -> std::optional<FakeRegistry::Reply> {
    if (a.path.find("/open/") != a.path.npos || a.headers.get("Authorization") == good) return {};
    return FakeRegistry::Reply{401, {{"WWW-Authenticate", "Basic realm=\"r\""}}, "{}"};
  };
  REQUIRE(p.pull("open/a:x").ok());
  REQUIRE(p.pull("closed/a:x", {{"me", "secret", "", ""}}).ok());
  CHECK(p.store->find(p.registry->host() + "/open/a:x")->credentials.empty());
  CHECK(p.store->find(p.registry->host() + "/closed/a:x")->credentials.size() == 1);
}
