// The conformance suite: what every backend promises through the store's public face, on SQLite and on memory.
#include "store/store.h"

#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <thread>

#include "store/object_map.h"

using namespace k8lite;
using namespace k8lite::store;
using Op = Write::Op;

namespace {

struct TempDir {
  std::string path;
  TempDir() {
    char name[] = "/tmp/k8lite-store-XXXXXX";
    path = mkdtemp(name);
  }
  ~TempDir() { std::filesystem::remove_all(path); }
};

json::Doc doc(const std::string& text) { return *json::Doc::parse("{\"v\":\"" + text + "\"}"); }
Write create(const std::string& key, const std::string& v = "1") { return {.op = Op::Create, .key = key, .doc = doc(v), .guards = {}}; }
Write update(const std::string& key, const std::string& v, Revision expected = 0) {
  return {.op = Op::Update, .key = key, .doc = doc(v), .expected = expected, .guards = {}};
}
Write removal(const std::string& key, Revision expected = 0) { return {.op = Op::Remove, .key = key, .doc = {}, .expected = expected, .guards = {}}; }

WriteResult one(Store& s, Write w) {
  std::vector<Write> v;
  v.push_back(std::move(w));
  return s.submit_blocking(std::move(v)).at(0);
}

std::unique_ptr<Store> open(const std::string& kind, const TempDir& dir, StoreOptions options = {}, Clock& clock = system_clock()) {
  std::unique_ptr<Backend> backend;
  if (kind == "memory") {
    backend = memory_backend();
  } else {
    auto b = sqlite_backend(dir.path + "/state.db");
    INFO((b.ok() ? "" : b.status().message()));
    REQUIRE(b.ok());
    backend = std::move(*b);
  }
  auto s = open_store(std::move(backend), clock, options);
  REQUIRE(s.ok());
  return std::move(*s);
}

}  // namespace

TEST_CASE("store: writes are decided by what is there") {
  TempDir dir;
  auto s = open(GENERATE("memory", "sqlite"), dir);
  auto a = one(*s, create("/a"));
  REQUIRE(a.ok());
  CHECK(one(*s, create("/a")).status().is(Reason::AlreadyExists));
  CHECK(one(*s, update("/b", "x")).status().is(Reason::NotFound));
  CHECK(one(*s, update("/a", "2", (*a)->revision + 7)).status().is(Reason::Conflict));
  auto b = one(*s, update("/a", "2", (*a)->revision));
  REQUIRE(b.ok());
  CHECK((*b)->revision > (*a)->revision);
  CHECK((*s->get("/a"))->doc["v"].equals("2"));
  CHECK(one(*s, removal("/a", (*a)->revision)).status().is(Reason::Conflict));
  auto gone = one(*s, removal("/a", (*b)->revision));
  REQUIRE(gone.ok());
  CHECK((*gone)->doc["v"].equals("2"));
  CHECK((*gone)->revision > (*b)->revision);
  CHECK(s->get("/a").status().is(Reason::NotFound));
}

TEST_CASE("store: guards and groups commit together or not at all") {
  TempDir dir;
  auto s = open(GENERATE("memory", "sqlite"), dir);
  auto lock = one(*s, create("/lock"));
  Write guarded = create("/x");
  guarded.guards = {{"/lock", (*lock)->revision}, {"/absent", 0}};
  CHECK(one(*s, guarded).ok());
  guarded.key = "/y";
  guarded.guards = {{"/x", 0}};
  CHECK(one(*s, guarded).status().is(Reason::Conflict));

  Write g1 = create("/g1"), g2 = create("/x"), g3 = create("/g3"), free = create("/free");
  g1.group = g2.group = g3.group = 4;
  auto r = s->submit_blocking({g1, g2, g3, free});
  CHECK(r[0].status().is(Reason::Conflict));
  CHECK(r[1].status().is(Reason::AlreadyExists));
  CHECK(r[2].status().is(Reason::Conflict));
  CHECK(r[3].ok());
  CHECK_FALSE(s->get("/g1").ok());
  // Within a group later writes see earlier ones.
  Write h1 = create("/h"), h2 = removal("/h");
  h1.group = h2.group = 1;
  auto h = s->submit_blocking({h1, h2});
  CHECK((h[0].ok() && h[1].ok()));
  CHECK_FALSE(s->get("/h").ok());
}

TEST_CASE("store: pages of one list come from one snapshot") {
  TempDir dir;
  ManualClock clock;
  auto s = open(GENERATE("memory", "sqlite"), dir, {}, clock);
  for (int i = 10; i < 30; ++i) REQUIRE(one(*s, create("/p/" + std::to_string(i))).ok());
  REQUIRE(one(*s, create("/q/1")).ok());
  auto first = s->list("/p/", {.start_key = {}, .limit = 8, .at = 0});
  REQUIRE(first.ok());
  CHECK(first->items.size() == 8);
  CHECK(first->remaining == 12);
  REQUIRE(one(*s, removal("/p/20")).ok());
  REQUIRE(one(*s, create("/p/205")).ok());
  auto second = s->list("/p/", {.start_key = first->next_key, .limit = 0, .at = first->revision});
  REQUIRE(second.ok());
  CHECK(second->items.size() == 12);
  CHECK(second->items[2]->key == "/p/20");
  CHECK(second->next_key.empty());
  clock.advance(seconds(301));
  CHECK(s->list("/p/", {.start_key = first->next_key, .limit = 0, .at = first->revision}).status().is(Reason::Expired));
}

TEST_CASE("store: a watch sees every change behind its revision, once and in order") {
  TempDir dir;
  auto s = open(GENERATE("memory", "sqlite"), dir);
  auto a = one(*s, create("/w/a"));
  auto b = one(*s, create("/w/b"));
  REQUIRE(one(*s, create("/other")).ok());
  auto w = s->watch("/w/", (*a)->revision);
  REQUIRE(w.ok());
  REQUIRE(one(*s, update("/w/a", "2")).ok());
  REQUIRE(one(*s, removal("/w/b")).ok());
  auto batch = (*w)->poll();
  REQUIRE(batch.ok());
  REQUIRE(batch->events.size() == 3);
  CHECK(batch->events[0].object->key == "/w/b");
  CHECK(batch->events[1].type == Event::Type::Modified);
  CHECK(batch->events[1].previous->doc["v"].equals("1"));
  CHECK(batch->events[2].type == Event::Type::Removed);
  CHECK((*w)->poll()->events.empty());
  std::atomic<int> woken{0};
  (*w)->on_ready([&woken] { ++woken; });
  REQUIRE(one(*s, create("/w/c")).ok());
  REQUIRE(one(*s, create("/w/d")).ok());
  CHECK(woken == 1);
  CHECK((*w)->poll()->events.size() == 2);
}

TEST_CASE("store: slow watchers and old revisions get Expired") {
  TempDir dir;
  StoreOptions options;
  options.history_events = 5;
  options.watch_queue_events = 3;
  auto s = open(GENERATE("memory", "sqlite"), dir, options);
  auto a = one(*s, create("/a"));
  auto w = s->watch("/", 0);
  REQUIRE(w.ok());
  for (int i = 0; i < 8; ++i) REQUIRE(one(*s, update("/a", std::to_string(i))).ok());
  CHECK((*w)->poll().status().is(Reason::Expired));
  CHECK(s->watch("/", (*a)->revision).status().is(Reason::Expired));
}

TEST_CASE("store: the history is bounded by bytes too") {
  TempDir dir;
  StoreOptions options;
  options.history_bytes = 100'000;
  auto s = open(GENERATE("memory", "sqlite"), dir, options);
  auto a = one(*s, create("/a"));
  std::vector<Revision> revisions;
  for (int i = 0; i < 8; ++i) {
    auto r = one(*s, update("/a", std::string(40'000, 'x') + std::to_string(i)));
    REQUIRE(r.ok());
    revisions.push_back((*r)->revision);
  }
  CHECK(s->watch("/", (*a)->revision).status().is(Reason::Expired));
  CHECK(s->watch("/", revisions[6]).ok());
}

TEST_CASE("store: writers on many threads lose nothing") {
  TempDir dir;
  auto s = open(GENERATE("memory", "sqlite"), dir);
  REQUIRE(one(*s, create("/n", "0")).ok());
  std::vector<std::thread> threads;
  std::atomic<int> conflicts{0};
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&s, &conflicts] {
      for (int done = 0; done < 25;) {
        auto now = *s->get("/n");
        int n = std::stoi(now->doc["v"].str());
        if (one(*s, update("/n", std::to_string(n + 1), now->revision)).ok()) ++done;
        else ++conflicts;
      }
    });
  for (auto& t : threads) t.join();
  CHECK((*s->get("/n"))->doc["v"].equals("200"));
}

TEST_CASE("store: after a restart everything durable is there, revisions go on and older watches are told to list again") {
  TempDir dir;
  Revision last = 0;
  {
    auto s = open("sqlite", dir);
    for (int i = 0; i < 30; ++i) REQUIRE(one(*s, create("/k/" + std::to_string(i))).ok());
    REQUIRE(one(*s, removal("/k/7")).ok());
    Write v = update("/k/8", "volatile");
    v.durability = Durability::Volatile;
    last = (*one(*s, v))->revision;
    s->stop();
    CHECK(one(*s, create("/late")).status().is(Reason::ServiceUnavailable));
  }
  auto s = open("sqlite", dir);
  CHECK(s->list("/k/", {})->items.size() == 29);
  CHECK((*s->get("/k/8"))->doc["v"].equals("volatile"));
  CHECK(s->watch("/k/", last).status().is(Reason::Expired));
  CHECK((*one(*s, create("/new")))->revision > last);
}

TEST_CASE("store: a crash loses only volatile writes and gives no revision twice") {
  TempDir dir, crashed;
  auto s = open("sqlite", dir);
  REQUIRE(one(*s, create("/a")).ok());
  Write v = update("/a", "volatile");
  v.durability = Durability::Volatile;
  auto r = one(*s, v);
  REQUIRE(r.ok());
  CHECK((*s->get("/a"))->doc["v"].equals("volatile"));
  // What a power cut would leave: the files as they are now.
  for (const auto& f : std::filesystem::directory_iterator(dir.path)) std::filesystem::copy(f.path(), crashed.path + "/" + f.path().filename().string());
  auto after = open("sqlite", crashed);
  CHECK((*after->get("/a"))->doc["v"].equals("1"));
  CHECK((*one(*after, update("/a", "2")))->revision > (*r)->revision);
  // A durable write takes the volatile ones before it along.
  REQUIRE(one(*s, create("/b")).ok());
  TempDir later;
  for (const auto& f : std::filesystem::directory_iterator(dir.path)) std::filesystem::copy(f.path(), later.path + "/" + f.path().filename().string());
  CHECK((*open("sqlite", later)->get("/a"))->doc["v"].equals("volatile"));
}

TEST_CASE("store: files it cannot use are named, with what to do") {
  TempDir dir;
  std::ofstream(dir.path + "/garbage.db") << std::string(5000, 'x');
  auto garbage = sqlite_backend(dir.path + "/garbage.db");
  REQUIRE_FALSE(garbage.ok());
  CHECK_THAT(garbage.status().message(), Catch::Contains("garbage.db") && Catch::Contains("snapshot"));
  auto missing = sqlite_backend(dir.path + "/no/such/dir.db");
  REQUIRE_FALSE(missing.ok());
  CHECK_THAT(missing.status().message(), Catch::Contains("dir.db"));
}

TEST_CASE("object map: agrees with std::map under random changes, and snapshots do not move") {
  std::mt19937 rng(11);
  ObjectMap map, held;
  std::map<std::string, Revision> model, held_model;
  auto content = [](const ObjectMap& m) {
    std::map<std::string, Revision> seen;
    m.each_from("", [&seen](const ObjectPtr& o) { return seen[o->key] = o->revision, true; });
    return seen;
  };
  // It grows, shrinks to nothing and grows again.
  for (int i = 1; i <= 40'000; ++i) {
    std::string key = "/" + std::to_string(rng() % 5000);
    bool shrinks = i / 10'000 == 2;
    if (shrinks && !model.empty()) {
      auto it = model.lower_bound(key);
      if (it == model.end()) it = model.begin();
      key = it->first;
    }
    if (!shrinks && rng() % 4) {
      map.insert(std::make_shared<const Object>(Object{key, {}, i}));
      model[key] = i;
    } else {
      map.erase(key);
      model.erase(key);
    }
    if (i % 1000) continue;
    CHECK(content(map) == model);
    CHECK(content(held) == held_model);  // as it was, whatever has happened since
    CHECK(map.size() == model.size());
    CHECK(map.count_before("/2") == static_cast<size_t>(std::distance(model.begin(), model.lower_bound("/2"))));
    std::vector<std::string> from_two;
    map.each_from("/2", [&from_two](const ObjectPtr& o) { return from_two.push_back(o->key), from_two.size() < 40; });
    auto it = model.lower_bound("/2");
    for (const auto& k : from_two) CHECK(k == (it++)->first);
    for (int k = 0; k < 100; ++k) {
      std::string probe = "/" + std::to_string(rng() % 5000);
      auto found = map.find(probe);
      CHECK((found ? found->revision : 0) == (model.count(probe) ? model[probe] : 0));
    }
    held = map;
    held_model = model;
  }
}
