// Informers against an API that cuts watches, forgets history and refuses lists: the copy ends up true and nobody misses a delete.
#include "machinery/informer.h"

#include <catch2/catch.hpp>

#include "support/fake_cluster.h"

using namespace k8lite;
using namespace k8lite::machinery;
using testing::eventually;
using testing::FakeCluster;
using json::Doc;
using json::Node;

namespace {

const Path kPods{"", "v1", "pods", "default", "", ""};

Node pod(const std::string& name, const std::string& v = "0", const std::string& owner = "") {
  Node n = Node::obj({{"metadata", Node::obj({{"name", name}, {"labels", Node::obj({{"v", v}})}})}});
  if (!owner.empty()) n["metadata"]["ownerReferences"] = Node::arr({Node::obj({{"uid", owner}, {"controller", true}})});
  return n;
}
Path at(const std::string& name) { return {"", "v1", "pods", "default", name, ""}; }

// What the handlers told, replayed: must always be the informer's own picture.
struct Told {
  std::mutex mutex;
  std::map<std::string, std::string> picture;
  std::set<std::string> wrong;
  int changes = 0;
  void watch(Informer& informer) {
    informer.on_change([this](const Doc& before, const Doc& after) {
      std::lock_guard lock(mutex);
      std::string key = object_key((after ? after : before).root());
      ++changes;
      bool had = picture.count(key) > 0;
      if (had != static_cast<bool>(before)) wrong.insert(key + (had ? ": known, told as new" : ": unknown, told as known"));
      if (had && before["metadata"]["labels"]["v"].str() != picture[key]) wrong.insert(key + ": another past");
      if (after) picture[key] = after["metadata"]["labels"]["v"].str();
      else picture.erase(key);
    });
  }
  std::map<std::string, std::string> now() {
    std::lock_guard lock(mutex);
    return picture;
  }
};

std::map<std::string, std::string> truth(FakeCluster& c) {
  std::map<std::string, std::string> out;
  for (const Doc& d : c.all({"", "v1", "pods", "", "", ""})) out[object_key(d.root())] = d["metadata"]["labels"]["v"].str();
  return out;
}

}  // namespace

TEST_CASE("informer: lists, watches and tells before and after") {
  FakeCluster c;
  c.put(kPods, pod("a"));
  Informer informer(c, {"", "v1", "pods", "", "", ""});
  Told told;
  told.watch(informer);
  CHECK_FALSE(informer.synced());
  informer.start();
  REQUIRE(informer.wait_synced(seconds(5)));
  CHECK(informer.get("default/a"));
  c.put(kPods, pod("b"));
  c.put(kPods, pod("a", "1"));
  (void)c.remove(at("b"), {});
  CHECK(eventually([&] { return told.now() == truth(c) && told.changes == 4; }));
  CHECK_FALSE(informer.get("default/b"));
  CHECK(informer.list().size() == 1);
  CHECK(informer.list("default").size() == 1);
  CHECK(informer.list("defaul").empty());
  CHECK(told.wrong == std::set<std::string>{});
}

TEST_CASE("informer: what happened while the watch was cut is told as differences") {
  FakeCluster c;
  for (const char* n : {"stays", "changes", "goes", "again"}) c.put(kPods, pod(n));
  Informer informer(c, {"", "v1", "pods", "", "", ""});
  Told told;
  told.watch(informer);
  informer.start();
  REQUIRE(eventually([&] { return told.now().size() == 4 && c.open_watches() == 1; }));
  c.fail_next("list pods", unavailable("down"), 2);
  c.cut_watches();
  c.put(kPods, pod("changes", "1"));
  (void)c.remove(at("goes"), {});
  (void)c.remove(at("again"), {});
  c.put(kPods, pod("again", "2"));  // another object of the same name
  c.put(kPods, pod("new"));
  CHECK(eventually([&] { return told.now() == truth(c); }));
  CHECK(told.wrong == std::set<std::string>{});
  CHECK(told.changes == 4 + 4);  // one each, and nothing for what stayed
}

TEST_CASE("informer: 410 Gone, at once or in the middle, means listing again") {
  FakeCluster c;
  c.put(kPods, pod("a"));
  Informer informer(c, {"", "v1", "pods", "", "", ""});
  Told told;
  told.watch(informer);
  informer.start();
  REQUIRE(eventually([&] { return c.open_watches() == 1; }));
  int lists = c.calls("list pods");
  c.cut_watches(Status(Reason::Expired, "too old resource version"));
  c.put(kPods, pod("b"));
  CHECK(eventually([&] { return told.now() == truth(c) && c.open_watches() == 1; }));
  CHECK(c.calls("list pods") > lists);
  c.fail_next("watch pods", Status(Reason::Gone, "gone"), 2);
  c.cut_watches();
  c.put(kPods, pod("c"));
  CHECK(eventually([&] { return told.now() == truth(c) && c.open_watches() == 1; }));
  CHECK(told.wrong == std::set<std::string>{});
}

TEST_CASE("informer: a selected copy loses what stops to match and gains what starts to") {
  FakeCluster c;
  c.put(kPods, pod("in", "x"));
  c.put(kPods, pod("out", "y"));
  ListOptions select;
  select.label_selector = "v=x";
  Informer informer(c, {"", "v1", "pods", "", "", ""}, select);
  Told told;
  told.watch(informer);
  informer.start();
  REQUIRE(eventually([&] { return c.open_watches() == 1; }));
  CHECK(told.now() == std::map<std::string, std::string>{{"default/in", "x"}});
  c.put(kPods, pod("in", "y"));
  c.put(kPods, pod("out", "x"));
  CHECK(eventually([&] { return told.now() == std::map<std::string, std::string>{{"default/out", "x"}}; }));
  // The same through a cut.
  c.cut_watches();
  c.put(kPods, pod("in", "x"));
  c.put(kPods, pod("out", "y"));
  CHECK(eventually([&] { return told.now() == std::map<std::string, std::string>{{"default/in", "x"}}; }));
  CHECK(told.wrong == std::set<std::string>{});
}

TEST_CASE("informer: the owner index follows adoption, release and deletion") {
  FakeCluster c;
  c.put(kPods, pod("a", "0", "one"));
  Informer informer(c, {"", "v1", "pods", "", "", ""});
  informer.start();
  REQUIRE(informer.wait_synced(seconds(5)));
  auto owned = [&informer](const char* uid) { return informer.owned_by(uid).size(); };
  CHECK(owned("one") == 1);
  c.put(kPods, pod("a", "1", "two"));
  CHECK(eventually([&] { return owned("one") == 0 && owned("two") == 1; }));
  c.put(kPods, pod("b", "1", "two"));
  CHECK(eventually([&] { return owned("two") == 2; }));
  c.put(kPods, pod("a", "2"));
  (void)c.remove(at("b"), {});
  CHECK(eventually([&] { return owned("two") == 0; }));
}

TEST_CASE("informer: what is not to be kept is not held, but its end is told") {
  FakeCluster c;
  c.put(kPods, pod("free"));
  c.put(kPods, pod("owned", "0", "one"));
  ListOptions select;
  select.keep = [](json::Value object) { return object["metadata"]["ownerReferences"].exists(); };
  Informer informer(c, {"", "v1", "pods", "", "", ""}, select);
  std::mutex mutex;
  std::vector<std::string> told;
  informer.on_change([&](const Doc& before, const Doc& after) {
    std::lock_guard lock(mutex);
    told.push_back(before["metadata"]["name"].str("-") + ">" + after["metadata"]["name"].str("-"));
  });
  std::atomic<int> listed{0};
  informer.on_listed([&listed] { ++listed; });
  auto heard = [&](std::vector<std::string> what) {
    return eventually([&] {
      std::lock_guard lock(mutex);
      return told == what;
    });
  };
  informer.start();
  REQUIRE(informer.wait_synced(seconds(5)));
  CHECK(heard({"->owned"}));
  CHECK(informer.list().size() == 1);
  CHECK_FALSE(informer.get("default/free"));
  c.put(kPods, pod("free", "1"));
  (void)c.remove(at("free"), {});
  CHECK(heard({"->owned", "free>-"}));
  c.put(kPods, pod("owned", "1"));  // let go: told, and no longer held
  CHECK(heard({"->owned", "free>-", "owned>owned"}));
  CHECK(informer.list().empty());
  CHECK(listed == 1);
  c.cut_watches();
  CHECK(eventually([&] { return listed == 2; }));
}

TEST_CASE("informer: long lists come in pages, all of one picture") {
  FakeCluster c;
  for (int i = 0; i < 1203; ++i) c.put(kPods, pod("p" + std::to_string(i)));
  Informer informer(c, {"", "v1", "pods", "", "", ""});
  informer.start();
  REQUIRE(informer.wait_synced(seconds(10)));
  CHECK(informer.list().size() == 1203);
  CHECK(c.calls("list pods") == 3);
}

TEST_CASE("informer: stops in every phase, and stopping twice is no harm") {
  FakeCluster c;
  Informer never(c, kPods);
  never.stop();
  Informer twice(c, kPods);
  twice.start();
  twice.stop();
  twice.stop();
  c.fail_next("list pods", unavailable("down"), 1'000'000);
  Informer waiting(c, kPods);
  waiting.start();
  CHECK_FALSE(waiting.wait_synced(milliseconds(20)));
  waiting.stop();
  CHECK_FALSE(waiting.wait_synced(seconds(1)));  // returns at once
}

// Property: random writes with random cuts; when quiet, informer and handlers hold the truth.
TEST_CASE("informer: random writes and cuts leave a true copy") {
  FakeCluster c;
  SeededRandom random(11);
  Informer informer(c, {"", "v1", "pods", "", "", ""});
  Told told;
  told.watch(informer);
  informer.start();
  for (int i = 0; i < 1500; ++i) {
    std::string name = "p" + std::to_string(random.next() % 15);
    switch (random.next() % 40) {
      case 0: c.cut_watches(); break;
      case 1: c.cut_watches(Status(Reason::Expired, "old")); break;
      case 2: c.fail_next("watch pods", Status(Reason::Expired, "old")); break;
      case 3: c.compact(); break;
      case 4: std::this_thread::sleep_for(std::chrono::milliseconds(2)); break;
      default:
        if (random.next() % 3 == 0) (void)c.remove(at(name), {});
        else c.put(kPods, pod(name, std::to_string(i)));
    }
  }
  CHECK(eventually([&] { return told.now() == truth(c); }));
  CHECK(informer.list().size() == truth(c).size());
  CHECK(told.wrong == std::set<std::string>{});
}
