// The running scheduler on a fake cluster: binds, waits, tells, tries again, preempts.
#include "scheduler/scheduler.h"

#include <catch2/catch.hpp>

#include "support/fake_cluster.h"

using namespace k8lite;
using json::Doc;
using json::Node;
using machinery::Path;
using testing::eventually;
using testing::FakeCluster;

namespace {

struct World {
  SeededRandom random{1};
  FakeCluster cluster;
  std::unique_ptr<scheduler::Scheduler> scheduler = std::make_unique<scheduler::Scheduler>(cluster, system_clock(), random);

  void node(const char* name, const char* cpu = "1") {
    cluster.put({"", "v1", "nodes", "", "", ""}, Node::obj({{"metadata", Node::obj({{"name", name}})}, {"status", Node::obj({{"allocatable", Node::obj({{"cpu", cpu}, {"memory", "1Gi"}, {"pods", "110"}})}})}}));
  }
  Node pod(const std::string& name, const char* cpu = "100m", int priority = 0) {
    return Node::obj({{"apiVersion", "v1"}, {"kind", "Pod"}, {"metadata", Node::obj({{"name", name}, {"namespace", "default"}})},
                      {"spec", Node::obj({{"schedulerName", "default-scheduler"}, {"priority", priority}, {"containers", Node::arr({Node::obj({{"resources", Node::obj({{"requests", Node::obj({{"cpu", cpu}})}})}})})}})}});
  }
  void put(const Node& p) { cluster.put({"", "v1", "pods", "default", "", ""}, p); }
  Doc at(const std::string& name) { return cluster.at({"", "v1", "pods", "default", name, ""}); }
  std::string on(const std::string& name) { return at(name).path("spec.nodeName").str(); }
  std::string told(const std::string& name) {
    auto p = at(name);
    for (json::Value c : p.path("status.conditions").items())
      if (c["type"].equals("PodScheduled")) return c["message"].str();
    return "";
  }
};

}  // namespace

TEST_CASE("scheduler: pods are bound as nodes and pods come, each once, never beyond the room") {
  World w;
  w.node("a");
  for (int i = 0; i < 15; ++i) w.put(w.pod("p" + std::to_string(i)));
  Node other = w.pod("other");
  other["spec"].set("schedulerName", "mine");
  w.put(other);
  w.scheduler->start();
  auto bound = [&w] {
    std::map<std::string, int> out;
    for (const Doc& p : w.cluster.all({"", "v1", "pods", "default", "", ""})) ++out[p.path("spec.nodeName").str()];
    return out;
  };
  CHECK(eventually([&] { return bound() == std::map<std::string, int>{{"", 6}, {"a", 10}}; }));
  CHECK(eventually([&] { return w.told("p9") != "" || w.told("p14") != "" || w.told("p5") != ""; }));
  w.node("b");
  CHECK(eventually([&] { return bound() == std::map<std::string, int>{{"", 1}, {"a", 10}, {"b", 5}}; }));
  CHECK(w.on("other") == "");
  CHECK(w.cluster.calls("create pods/binding") == 15);
}

TEST_CASE("scheduler: why a pod waits is written down and told, once") {
  World w;
  w.node("a");
  w.put(w.pod("big", "2"));
  w.scheduler->start();
  constexpr const char* kWhy = "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
  CHECK(eventually([&] { return w.told("big") == kWhy; }));
  CHECK(eventually([&] { return w.cluster.all({"", "v1", "events", "default", "", ""}).size() == 1; }));
  Doc event = w.cluster.all({"", "v1", "events", "default", "", ""}).at(0);
  CHECK(event["reason"].equals("FailedScheduling"));
  CHECK(event["message"].equals(kWhy));
}

TEST_CASE("scheduler: a refused binding is tried again, gated and ending pods are left alone") {
  World w;
  w.node("a");
  w.cluster.fail_next("create pods/binding", unavailable("busy"));
  w.put(w.pod("p"));
  Node gated = w.pod("gated");
  gated["spec"]["schedulingGates"] = Node::arr({Node::obj({{"name", "wait"}})});
  w.put(gated);
  w.scheduler->start();
  CHECK(eventually([&] { return w.on("p") == "a"; }));
  CHECK(w.on("gated") == "");
  CHECK(eventually([&] { return w.told("gated") == "Scheduling is blocked due to non-empty scheduling gates"; }));
  w.cluster.merge({"", "v1", "pods", "default", "gated", ""}, R"({"spec":{"schedulingGates":null}})");
  CHECK(eventually([&] { return w.on("gated") == "a"; }));
}

TEST_CASE("scheduler: an important pod takes the place of a lesser one, and its successor does not take it back") {
  World w;
  w.cluster.graceful_pods = true;
  w.node("a");
  w.put(w.pod("low", "1", 1));
  w.scheduler->start();
  REQUIRE(eventually([&] { return w.on("low") == "a"; }));
  w.put(w.pod("high", "1", 1000));
  CHECK(eventually([&] { return static_cast<bool>(w.at("low").path("metadata.deletionTimestamp")); }));
  CHECK(eventually([&] { return w.at("high").path("status.nominatedNodeName").equals("a"); }));
  w.put(w.pod("successor", "1", 1));
  machinery::DeleteOptions now;
  now.grace_period_seconds = 0;
  (void)w.cluster.remove({"", "v1", "pods", "default", "low", ""}, now);
  CHECK(eventually([&] { return w.on("high") == "a"; }));
  CHECK(w.on("successor") == "");
}

TEST_CASE("scheduler: each profile takes the pods that name it, and a budget decides who makes room") {
  World w;
  auto configuration = scheduler::read_configuration("apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\nprofiles: [{}, {schedulerName: calm, plugins: {postFilter: {disabled: [{name: DefaultPreemption}]}}}]", "f");
  REQUIRE(configuration.ok());
  w.scheduler = std::make_unique<scheduler::Scheduler>(w.cluster, system_clock(), w.random, *configuration);
  w.node("a", "2");
  Node guarded = w.pod("guarded", "1", 1);
  guarded["metadata"]["labels"].set("app", "db");
  w.cluster.put({"policy", "v1", "poddisruptionbudgets", "default", "", ""}, Node::obj({{"metadata", Node::obj({{"name", "b"}})}, {"spec", Node::obj({{"selector", Node::obj({{"matchLabels", Node::obj({{"app", "db"}})}})}})}, {"status", Node::obj({{"disruptionsAllowed", 0}})}}));
  w.put(guarded);
  w.put(w.pod("free", "1", 5));
  w.scheduler->start();
  REQUIRE(eventually([&] { return w.on("guarded") == "a" && w.on("free") == "a"; }));
  Node calm = w.pod("calm", "1", 1000);
  calm["spec"].set("schedulerName", "calm");
  w.put(calm);
  CHECK(eventually([&] { return w.told("calm") == "0/1 nodes are available: 1 Insufficient cpu."; }));
  w.put(w.pod("urgent", "1", 1000));
  CHECK(eventually([&] { return w.on("urgent") == "a" || w.on("calm") == "a"; }));
  CHECK(eventually([&] { return !w.at("free"); }));
  CHECK(w.on("guarded") == "a");
}
