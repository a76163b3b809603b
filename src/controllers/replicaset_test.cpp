// ReplicaSets: who goes first, what status says, and stories with a cluster that answers late or not at all.
#include "controllers/replicaset.h"

#include <catch2/catch.hpp>

#include "controllers/replicaset_plan.h"
#include "support/controller_world.h"

using namespace k8lite;
using namespace k8lite::controllers;
using json::Doc;
using json::Node;
using machinery::Path;
using testing::ControllerWorld;

namespace {

struct Pod {
  std::string name, node = "n1", phase = "Running";
  bool ready = true;
  int cost = 0, restarts = 0, ready_for = 1000, age = 1000;
};
constexpr int64_t kNow = 1'700'000'000;

Doc doc(const Pod& p) {
  Node n = Node::obj({{"metadata", Node::obj({{"name", p.name}, {"creationTimestamp", rfc3339({(kNow - p.age) * 1'000'000})}, {"labels", Node::obj({{"app", "web"}})}})}, {"spec", Node::object()},
                      {"status", Node::obj({{"phase", p.phase}, {"containerStatuses", Node::arr({Node::obj({{"restartCount", p.restarts}})})},
                                            {"conditions", Node::arr({Node::obj({{"type", "Ready"}, {"status", p.ready ? "True" : "False"}, {"lastTransitionTime", rfc3339({(kNow - p.ready_for) * 1'000'000})}})})}})}});
  if (!p.node.empty()) n["spec"].set("nodeName", p.node);
  if (p.cost) n["metadata"]["annotations"].set("controller.kubernetes.io/pod-deletion-cost", std::to_string(p.cost));
  return Doc::from(n);
}

Node set(const std::string& name, int replicas, int min_ready = 0) {
  return Node::obj({{"apiVersion", "apps/v1"}, {"kind", "ReplicaSet"}, {"metadata", Node::obj({{"name", name}, {"namespace", "default"}})},
                    {"spec", Node::obj({{"replicas", replicas}, {"minReadySeconds", min_ready}, {"selector", Node::obj({{"matchLabels", Node::obj({{"app", name}})}})},
                                        {"template", Node::obj({{"metadata", Node::obj({{"labels", Node::obj({{"app", name}})}})}, {"spec", Node::obj({{"containers", Node::array()}})}})}})}});
}

ReplicaSetPlan plan(int wanted, const std::vector<Pod>& pods) {
  std::vector<Doc> docs;
  for (const auto& p : pods) docs.push_back(doc(p));
  return plan_replica_set(Doc::from(set("web", wanted)), docs, {kNow * 1'000'000});
}

}  // namespace

TEST_CASE("replicaset: victims, by each rule of the ranking alone") {
  struct Row { const char* why; Pod stays, goes; };
  for (const Row& r : std::vector<Row>{{"not assigned", {.name = "a"}, {.name = "b", .node = ""}},
                                       {"pending", {.name = "a", .ready = false}, {.name = "b", .phase = "Pending", .ready = false}},
                                       {"unknown", {.name = "a", .ready = false}, {.name = "b", .phase = "Unknown", .ready = false}},
                                       {"pending before unknown", {.name = "a", .phase = "Unknown", .ready = false}, {.name = "b", .phase = "Pending", .ready = false}},
                                       {"not ready", {.name = "a"}, {.name = "b", .ready = false}},
                                       {"cheaper", {.name = "a", .cost = 1}, {.name = "b"}},
                                       {"negative cost", {.name = "a"}, {.name = "b", .cost = -5}},
                                       {"ready for less time", {.name = "a", .ready_for = 100}, {.name = "b", .ready_for = 50}},
                                       {"more restarts", {.name = "a"}, {.name = "b", .restarts = 3}},
                                       {"younger", {.name = "a", .age = 500}, {.name = "b", .age = 400}},
                                       {"not ready beats cost", {.name = "a", .cost = -100}, {.name = "b", .ready = false, .cost = 100}},
                                       {"cost beats age", {.name = "a", .cost = 1, .age = 10}, {.name = "b", .age = 1000}}}) {
    CAPTURE(r.why);
    CHECK(plan(1, {r.stays, r.goes}).remove == std::vector<std::string>{r.goes.name});
    CHECK(plan(1, {r.goes, r.stays}).remove == std::vector<std::string>{r.goes.name});
  }
  // The node with more of them loses one.
  CHECK(plan(2, {{.name = "a", .node = "n1"}, {.name = "b", .node = "n2", .ready_for = 10}, {.name = "c", .node = "n2", .ready_for = 20}}).remove == std::vector<std::string>{"b"});
}

TEST_CASE("replicaset: what is over or being deleted does not count, and status says what there is") {
  Node gone = doc({.name = "d"}).to_node();
  gone["metadata"].set("deletionTimestamp", "2023-11-14T22:13:20Z");
  std::vector<Doc> pods = {doc({.name = "a"}), doc({.name = "b", .ready = false}), doc({.name = "c", .phase = "Failed", .ready = false}), Doc::from(gone), doc({.name = "e", .ready_for = 5})};
  Node with = set("web", 5, 60);
  with["metadata"].set("generation", 4);
  auto p = plan_replica_set(Doc::from(with), pods, {kNow * 1'000'000});
  CHECK(p.create == 2);
  CHECK(p.remove.empty());
  CHECK(p.status == Node::obj({{"replicas", 3}, {"observedGeneration", 4}, {"fullyLabeledReplicas", 3}, {"readyReplicas", 2}, {"availableReplicas", 1}, {"terminatingReplicas", 1}}));
}

// Property: a plan leads to the wanted count, and nobody goes while somebody less worthy stays.
TEST_CASE("replicaset: random worlds end with the wanted count and keep the ready ones") {
  SeededRandom random(8);
  for (int round = 0; round < 500; ++round) {
    std::vector<Pod> pods;
    int active = 0, ready = 0;
    for (uint64_t i = random.next() % 8; i > 0; --i) {
      Pod p{.name = "p" + std::to_string(i), .node = random.next() % 3 ? "n" + std::to_string(random.next() % 3) : "", .phase = random.next() % 5 == 0 ? "Failed" : random.next() % 3 ? "Running" : "Pending"};
      p.ready = p.phase == "Running" && !p.node.empty() && random.next() % 2;
      active += p.phase != "Failed";
      ready += p.ready;
      pods.push_back(p);
    }
    int wanted = static_cast<int>(random.next() % 6);
    auto got = plan(wanted, pods);
    CHECK(active + got.create - static_cast<int64_t>(got.remove.size()) == wanted);
    int removed_ready = 0;
    for (const auto& name : got.remove)
      for (const Pod& p : pods)
        if (p.name == name) {
          CHECK(p.phase != "Failed");
          removed_ready += p.ready;
        }
    CHECK(ready - removed_ready >= std::min(ready, wanted));
  }
}

TEST_CASE("replicaset: makes pods, replaces lost ones, scales down, never twice for a late cache") {
  ControllerWorld w;
  w.run<ReplicaSetController>();
  auto rs = w.path("apps", "replicasets");
  w.cluster.put(rs, set("web", 3));
  w.settle();
  CHECK(w.cluster.all(w.pods()).size() == 3);
  CHECK(w.cluster.calls("create pods") == 3);
  w.start_pods();
  w.settle();
  CHECK(w.cluster.at(w.path("apps", "replicasets", "web")).path("status.availableReplicas").int_or(0) == 3);
  (void)w.cluster.remove(w.pods(w.cluster.names(w.pods())[0]), {});
  w.settle();
  CHECK(w.cluster.all(w.pods()).size() == 3);
  CHECK(w.cluster.calls("create pods") == 4);
  w.cluster.merge(w.path("apps", "replicasets", "web"), R"({"spec":{"replicas":1}})");
  w.settle();
  CHECK(w.cluster.all(w.pods()).size() == 1);
  CHECK(w.cluster.calls("delete pods") == 1 + 2);
  w.cluster.merge(w.path("apps", "replicasets", "web"), R"({"spec":{"replicas":0}})");
  w.settle();
  CHECK(w.cluster.all(w.pods()).empty());
}

TEST_CASE("replicaset: adopts orphans that match, and lets go of what no longer does") {
  ControllerWorld w;
  w.run<ReplicaSetController>();
  w.cluster.put(w.pods(), Node::obj({{"metadata", Node::obj({{"name", "orphan"}, {"labels", Node::obj({{"app", "web"}})}})}, {"status", Node::obj({{"phase", "Running"}})}}));
  w.cluster.put(w.pods(), Node::obj({{"metadata", Node::obj({{"name", "stranger"}, {"labels", Node::obj({{"app", "db"}})}})}, {"status", Node::obj({{"phase", "Running"}})}}));
  w.cluster.put(w.path("apps", "replicasets"), set("web", 2));
  w.settle();
  CHECK(w.cluster.calls("create pods") == 2 + 1);
  CHECK(controller_of(w.cluster.at(w.pods("orphan")).root())["name"].equals("web"));
  CHECK_FALSE(controller_of(w.cluster.at(w.pods("stranger")).root()));
  // Somebody takes a pod aside to look at it in peace.
  w.cluster.merge(w.pods("orphan"), R"({"metadata":{"labels":{"app":"debug"}}})");
  w.settle();
  CHECK_FALSE(controller_of(w.cluster.at(w.pods("orphan")).root()));
  CHECK(w.cluster.all(w.pods()).size() == 4);
  CHECK(w.cluster.at(w.path("apps", "replicasets", "web")).path("status.replicas").int_or(0) == 2);
}

TEST_CASE("replicaset: refused creations are told, tried again, and end the condition") {
  ControllerWorld w;
  w.run<ReplicaSetController>();
  w.cluster.fail_next("create pods", Status(Reason::Forbidden, "exceeded quota: q"), 2);
  w.cluster.put(w.path("apps", "replicasets"), set("web", 1));
  w.settle();
  Doc rs = w.cluster.at(w.path("apps", "replicasets", "web"));
  REQUIRE(rs.path("status.conditions").size() == 1);
  CHECK(rs.path("status.conditions").at(0)["type"].equals("ReplicaFailure"));
  CHECK(rs.path("status.conditions").at(0)["message"].equals("exceeded quota: q"));
  for (int i = 0; i < 5; ++i) w.pass(seconds(1));
  CHECK(w.cluster.all(w.pods()).size() == 1);
  CHECK(w.cluster.at(w.path("apps", "replicasets", "web")).path("status.conditions").size() == 0);
}

TEST_CASE("replicaset: a pod counts as available when it was ready long enough") {
  ControllerWorld w;
  w.run<ReplicaSetController>();
  w.cluster.put(w.path("apps", "replicasets"), set("web", 1, 30));
  w.settle();
  w.start_pods();
  w.settle();
  auto available = [&w] { return w.cluster.at(w.path("apps", "replicasets", "web")).path("status.availableReplicas").int_or(0); };
  CHECK(available() == 0);
  w.pass(seconds(29));
  CHECK(available() == 0);
  w.pass(seconds(2));
  CHECK(available() == 1);
}
