// Who has to go when budgets, nominations and priorities below zero are looked at.
#include <catch2/catch.hpp>

#include "base/random.h"
#include "scheduler/cycle.h"

using namespace k8lite;
using namespace k8lite::scheduler;
using json::Doc;

namespace {

Doc doc(const std::string& text) {
  auto d = Doc::parse(text);
  CAPTURE(text);
  REQUIRE(d.ok());
  return *d;
}

struct World {
  Snapshot s;
  void node(const std::string& name, int cpu = 2) {
    s.set_node(doc(R"({"metadata":{"name":")" + name + R"("},"status":{"allocatable":{"cpu":")" + std::to_string(cpu) + R"(","memory":"8Gi","pods":"110"}}})"));
  }
  static Doc pod(const std::string& name, int priority, int cpu, const std::string& on = "", const std::string& app = "", const std::string& started = "2026-01-01T00:00:00Z", const std::string& more = "") {
    return doc(R"({"metadata":{"name":")" + name + R"(","namespace":"default","uid":")" + name + R"(","labels":{)" + (app.empty() ? "" : R"("app":")" + app + "\"") + R"(}},"spec":{"priority":)" + std::to_string(priority) + (on.empty() ? "" : R"(,"nodeName":")" + on + "\"") + more +
               R"(,"containers":[{"name":"c","resources":{"requests":{"cpu":")" + std::to_string(cpu) + R"("}}}]},"status":{"startTime":")" + started + "\"}}");
  }
  void runs(const std::string& on, const std::string& name, int priority, int cpu, const std::string& app = "", const std::string& started = "2026-01-01T00:00:00Z") {
    s.set_pod("default/" + name, pod(name, priority, cpu, on, app, started));
  }
  void budget(const std::string& app, int allowed, const std::string& disrupted = "{}") {
    s.set_budget("default/" + app, doc(R"({"metadata":{"name":"b","namespace":"default"},"spec":{"selector":{"matchLabels":{"app":")" + app + R"("}}},"status":{"disruptionsAllowed":)" + std::to_string(allowed) + R"(,"disruptedPods":)" + disrupted + "}}"));
  }
  Preemption make_room(int priority, int cpu, const std::string& more = "") {
    PodInfo p(pod("p", priority, cpu, "", "", "2026-01-01T00:00:00Z", more));
    return preempt(p, s, {}, schedule(p, s, {}));
  }
};

}  // namespace

TEST_CASE("preemption: the node where fewer budgets are violated, even for more important victims") {
  World w;
  w.node("a");
  w.node("b");
  w.runs("a", "guarded", 1, 2, "db");
  w.runs("b", "free", 5, 2);
  CHECK(w.make_room(10, 2).node == "a");
  w.budget("db", 0);
  CHECK(w.make_room(10, 2).node == "b");
  w.budget("db", 1);
  CHECK(w.make_room(10, 2).node == "a");
  // One that is counted as disrupted already costs nothing.
  w.budget("db", 0, R"({"guarded":"2026-01-01T00:00:00Z"})");
  CHECK(w.make_room(10, 2).node == "a");
}

TEST_CASE("preemption: on a node, those whose budget allows it go first") {
  World w;
  w.node("a", 2);
  w.runs("a", "guarded", 1, 1, "db");
  w.runs("a", "free", 5, 1);
  CHECK(w.make_room(10, 1).victims == std::vector<std::string>{"default/guarded"});
  w.budget("db", 0);
  CHECK(w.make_room(10, 1).victims == std::vector<std::string>{"default/free"});
  CHECK(w.make_room(10, 2).victims == std::vector<std::string>{"default/free", "default/guarded"});  // nothing else helps: it goes all the same
  // A budget for one: the less important of two is the one too many.
  World v;
  v.node("a", 3);
  v.runs("a", "one", 1, 1, "db");
  v.runs("a", "two", 2, 1, "db");
  v.runs("a", "free", 3, 1);
  v.budget("db", 1);
  CHECK(v.make_room(10, 1).victims == std::vector<std::string>{"default/two"});
}

TEST_CASE("preemption: fewer victims weigh less, of priorities below zero, too; then those that ran for less long") {
  World w;
  w.node("a");
  w.node("b");
  w.runs("a", "a1", -10, 1);
  w.runs("a", "a2", -10, 1);
  w.runs("b", "b1", -10, 2);
  CHECK(w.make_room(0, 2).node == "b");
  World v;
  v.node("a");
  v.node("b");
  v.runs("a", "old", 1, 2, "", "2026-01-01T00:00:00Z");
  v.runs("b", "young", 1, 2, "", "2026-02-01T00:00:00Z");
  CHECK(v.make_room(10, 2).node == "b");
}

TEST_CASE("preemption: says why the room that could be made is not enough") {
  World w;
  w.node("a", 4);
  w.runs("a", "low", 1, 2);
  w.runs("a", "high", 100, 2);
  w.node("b", 1);
  CHECK(w.make_room(10, 3).message == "preemption: 0/2 nodes are available: 1 Insufficient cpu, 1 Preemption is not helpful for scheduling.");
  CHECK(w.make_room(1, 3).message == "preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling.");
}

TEST_CASE("preemption: less important pods that waited for the node look again") {
  World w;
  w.node("a");
  w.runs("a", "low", 1, 2);
  w.s.nominate("default/middle", "a", World::pod("middle", 5, 1));
  w.s.nominate("default/top", "a", World::pod("top", 50, 1));
  Preemption p = w.make_room(10, 1);
  CHECK(p.node == "a");
  CHECK(p.displaced == std::vector<std::string>{"default/middle"});
}

TEST_CASE("schedule: where others were ended for it a pod goes, though another node is better") {
  World w;
  w.node("a");
  w.node("b");
  w.runs("b", "x", 1, 1);
  PodInfo p(World::pod("p", 10, 1));
  CHECK(schedule(p, w.s, {}).node == "a");
  w.s.nominate("default/p", "b", p.pod);
  CHECK(schedule(p, w.s, {}).node == "b");
}

TEST_CASE("schedule: a pod that names its nodes looks at no others") {
  World w;
  for (const char* n : {"a", "b", "c"}) w.node(n);
  auto only = [](const char* node) { return R"(,"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchFields":[{"key":"metadata.name","operator":"In","values":[")" + std::string(node) + R"("]}]}]}}})"; };
  CHECK(schedule(PodInfo(World::pod("p", 0, 1, "", "", "", only("b"))), w.s, {}).node == "b");
  w.runs("b", "x", 1, 2);
  CHECK(schedule(PodInfo(World::pod("p", 0, 1, "", "", "", only("b"))), w.s, {}).message == "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity].");
  CHECK(schedule(PodInfo(World::pod("p", 0, 1, "", "", "", only("gone"))), w.s, {}).message == "0/3 nodes are available: 3 node(s) didn't satisfy plugin(s) [NodeAffinity].");
  std::string both = R"(,"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchFields":[{"key":"metadata.name","operator":"In","values":["a"]},{"key":"metadata.name","operator":"In","values":["b"]}]}]}}})";
  CHECK(schedule(PodInfo(World::pod("p", 0, 1, "", "", "", both)), w.s, {}).message == "0/3 nodes are available: pod affinity terms conflict.");
}

// Property: the indexes say what a walk over all pods would say, whatever came and went.
TEST_CASE("snapshot: random changes leave the indexes true") {
  SeededRandom random(4);
  Snapshot s;
  for (int i = 0; i < 3000; ++i) {
    std::string node = "n" + std::to_string(random.next() % 6), name = "p" + std::to_string(random.next() % 40);
    uint64_t what = random.next() % 10;
    if (what == 0) s.remove_node(node);
    else if (what < 3) s.set_node(doc(R"({"metadata":{"name":")" + node + R"(","labels":{"topology.kubernetes.io/zone":"z)" + std::to_string(random.next() % 3) + R"("}},"status":{"images":[{"names":["i)" + std::to_string(random.next() % 3) + R"("]}]}})"));
    else if (what < 5) s.remove_pod("ns" + std::to_string(random.next() % 2) + "/" + name);
    else {
      std::string ns = "ns" + std::to_string(random.next() % 2), phase = random.next() % 8 ? "Running" : "Failed", ending = random.next() % 5 ? "" : R"("deletionTimestamp":"2026-01-01T00:00:00Z",)";
      std::string affinity = random.next() % 3 ? "" : R"(,"affinity":{"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"z","labelSelector":{}}]}})";
      s.set_pod(ns + "/" + name, doc(R"({"metadata":{)" + ending + R"("name":")" + name + R"(","namespace":")" + ns + R"(","ownerReferences":[{"kind":"ReplicaSet","controller":true,"uid":"o)" + std::to_string(random.next() % 3) + R"("}]},"spec":{"nodeName":")" + node + "\"" + affinity + R"(},"status":{"phase":")" + phase + "\"}}"));
    }
    std::map<std::string, size_t> of_namespace, of_owner, with_image;
    size_t anti = 0;
    for (const auto& [n, info] : s.nodes()) {
      for (const auto& [image, size] : info.images) ++with_image[image];
      for (const auto& [key, p] : info.pods) {
        ++of_namespace[p->ns];
        of_owner[p->owner] += !p->ending;
        anti += !p->anti_affinity.empty();
        REQUIRE(s.pods_of_namespace(p->ns).at(p.get()) == &info);
      }
    }
    for (const char* ns : {"ns0", "ns1"}) REQUIRE(s.pods_of_namespace(ns).size() == of_namespace[ns]);
    for (const char* o : {"o0", "o1", "o2"}) {
      size_t sum = 0;
      for (const auto& [n, count] : s.pods_of_owner(o)) sum += static_cast<size_t>(count);
      REQUIRE(sum == of_owner[o]);
    }
    for (const char* image : {"i0", "i1", "i2"}) REQUIRE(static_cast<size_t>(s.nodes_with_image(image)) == with_image[image]);
    REQUIRE(s.pods_with_anti_affinity().size() == anti);
    REQUIRE(s.order().size() == s.nodes().size());
  }
}
