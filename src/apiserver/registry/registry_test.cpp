#include "apiserver/registry/registry.h"

#include <catch2/catch.hpp>

using namespace k8lite;
using namespace k8lite::apiserver;
using json::Node;

namespace {

const ObjectKind kMaps{.group = "", .version = "v1", .kind = "ConfigMap", .resource = "configmaps", .counts_generation = false};

struct World {
  async::Loop loop;
  ManualClock clock;
  SeededRandom random{1};
  std::unique_ptr<store::Store> store = store::open_store(store::memory_backend(), clock).value();
  Registry registry{*store, clock, random};
  World() { loop.start(); }

  Result<store::ObjectPtr> create(const std::string& ns, const char* body, RegistryOptions o = {}) {
    return async::block_on(loop, registry.create(kMaps, ns, *Node::parse(body), o));
  }
  Result<store::ObjectPtr> update(const std::string& name, Registry::Change change) {
    return async::block_on(loop, registry.update(kMaps, "a", name, "", std::move(change), {}));
  }
  Result<Registry::Deleted> remove(const std::string& name, DeleteRequest r = {}) {
    return async::block_on(loop, registry.remove(kMaps, "a", name, std::move(r), 0, {}));
  }
};

}  // namespace

TEST_CASE("registry: an object lives from create to delete") {
  World w;
  auto made = w.create("a", R"({"metadata":{"name":"m"},"data":{"k":"v"}})");
  REQUIRE(made.ok());
  CHECK(w.create("a", R"({"metadata":{"name":"m"}})").status().message() == "configmaps \"m\" already exists");
  CHECK((*w.registry.get(kMaps, "a", "m"))->doc.path("data.k").equals("v"));
  CHECK(w.registry.get(kMaps, "b", "m").status().message() == "configmaps \"m\" not found");
  auto gone = w.remove("m");
  REQUIRE(gone.ok());
  CHECK(gone->removed);
  CHECK(w.remove("m").status().is(Reason::NotFound));
}

TEST_CASE("registry: a dry run decides and writes nothing") {
  World w;
  REQUIRE(w.create("a", R"({"metadata":{"name":"m"}})", {.dry_run = true}).ok());
  CHECK_FALSE(w.registry.get(kMaps, "a", "m").ok());
}

TEST_CASE("registry: a change is tried again on a newer object, unless it names a resourceVersion") {
  World w;
  REQUIRE(w.create("a", R"({"metadata":{"name":"m"},"data":{}})").ok());
  auto interfering = [&w](bool pinned) {
    bool first = true;
    return w.update("m", [&w, &first, pinned](const store::Object& now) -> Result<Node> {
      Node n = now.doc.to_node();
      n["data"].set("mine", pinned ? "2" : "1");
      if (pinned) n["metadata"].set("resourceVersion", std::to_string(now.revision));
      if (std::exchange(first, false)) {
        Node other = now.doc.to_node();
        other["data"].set(pinned ? "b" : "a", "theirs");
        store::Write write{.op = store::Write::Op::Update, .key = now.key, .doc = json::Doc::from(other), .guards = {}};
        w.store->submit_blocking({write});
      }
      return n;
    });
  };
  auto merged = interfering(false);
  REQUIRE(merged.ok());
  CHECK((*merged)->doc["data"].to_node() == Node::obj({{"a", "theirs"}, {"mine", "1"}}));
  CHECK(interfering(true).status().is(Reason::Conflict));
}

TEST_CASE("registry: an update that changes nothing is no write") {
  World w;
  auto made = w.create("a", R"({"metadata":{"name":"m"},"data":{"k":"v"}})");
  auto same = w.update("m", [](const store::Object& now) -> Result<Node> { return now.doc.to_node(); });
  REQUIRE(same.ok());
  CHECK((*same)->revision == (*made)->revision);
}

TEST_CASE("registry: taking the last finalizer of a deleted object away removes it") {
  World w;
  REQUIRE(w.create("a", R"({"metadata":{"name":"m","finalizers":["x/y"]}})").ok());
  auto waiting = w.remove("m");
  REQUIRE(waiting.ok());
  CHECK_FALSE(waiting->removed);
  CHECK(w.registry.get(kMaps, "a", "m").ok());
  REQUIRE(w.update("m", [](const store::Object& now) -> Result<Node> {
             Node n = now.doc.to_node();
             n["metadata"].erase("finalizers");
             return n;
           }).ok());
  CHECK_FALSE(w.registry.get(kMaps, "a", "m").ok());
}

TEST_CASE("registry: continue tokens go on where the page ended, and foreign ones are refused") {
  World w;
  for (auto* name : {"a", "b", "c", "d", "e"}) REQUIRE(w.create("a", (std::string(R"({"metadata":{"name":")") + name + "\"}}").c_str()).ok());
  REQUIRE(w.create("b", R"({"metadata":{"name":"z"}})").ok());
  auto first = w.registry.list(kMaps, {.ns = "a", .limit = 3, .continue_token = {}});
  REQUIRE(first.ok());
  CHECK(first->items.size() == 3);
  CHECK(first->remaining == 2);
  auto second = w.registry.list(kMaps, {.ns = "a", .limit = 3, .continue_token = first->continue_token});
  REQUIRE(second.ok());
  CHECK(second->items.size() == 2);
  CHECK(second->continue_token.empty());
  CHECK(w.registry.list(kMaps, {})->items.size() == 6);
  CHECK(w.registry.list(kMaps, {.ns = "b", .limit = 3, .continue_token = first->continue_token}).status().is(Reason::BadRequest));
  CHECK(w.registry.list(kMaps, {.ns = "a", .limit = 3, .continue_token = "x!"}).status().is(Reason::BadRequest));
}
