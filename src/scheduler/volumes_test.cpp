// Where a pod with claims may go.
#include <catch2/catch.hpp>

#include "scheduler/cycle.h"

using namespace k8lite;
using namespace k8lite::scheduler;
using json::Doc;
using json::Node;

namespace {

Doc parse(const std::string& text) {
  auto d = Doc::parse(text);
  CAPTURE(text);
  REQUIRE(d.ok());
  return *d;
}

struct World {
  Snapshot s;
  World() {
    for (const char* name : {"a", "b"})
      s.set_node(parse(R"({"metadata":{"name":")" + std::string(name) + R"(","labels":{"kubernetes.io/hostname":")" + name + R"("}},"status":{"allocatable":{"cpu":"2","memory":"4Gi","pods":"110"}}})"));
    s.classes["wait"] = parse(R"({"metadata":{"name":"wait"},"provisioner":"k8lite.io/local-path","volumeBindingMode":"WaitForFirstConsumer"})");
    s.classes["manual"] = parse(R"({"metadata":{"name":"manual"},"provisioner":"kubernetes.io/no-provisioner","volumeBindingMode":"WaitForFirstConsumer"})");
    s.classes["now"] = parse(R"({"metadata":{"name":"now"},"provisioner":"x","volumeBindingMode":"Immediate"})");
  }
  void claim(const std::string& storage_class, const std::string& volume = "", const std::string& mode = "ReadWriteOnce") {
    std::string annotations = volume.empty() ? "{}" : R"({"pv.kubernetes.io/bind-completed":"yes"})";
    s.claims["default/data"] = parse(R"({"metadata":{"name":"data","namespace":"default","uid":"u","annotations":)" + annotations + R"(},"spec":{"accessModes":[")" + mode + R"("],"storageClassName":")" + storage_class + R"(","volumeName":")" + volume +
                                     R"(","resources":{"requests":{"storage":"1Gi"}}}})");
  }
  void volume(const std::string& name, const std::string& node, const std::string& storage_class = "manual") {
    s.set_volume(name, parse(R"({"metadata":{"name":")" + name + R"("},"spec":{"accessModes":["ReadWriteOnce"],"storageClassName":")" + storage_class + R"(","capacity":{"storage":"2Gi"},"nodeAffinity":{"required":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"kubernetes.io/hostname","operator":"In","values":[")" +
                             node + R"("]}]}]}}},"status":{"phase":"Available"}})"));
  }
  static Doc pod(const std::string& name = "p") {
    return parse(R"({"metadata":{"name":")" + name + R"(","namespace":"default","uid":"u-)" + name + R"("},"spec":{"containers":[{"name":"c"}],"volumes":[{"name":"v","persistentVolumeClaim":{"claimName":"data"}}]}})");
  }
  Decision ask() { return schedule(PodInfo(pod()), s, {}); }
};

}  // namespace

TEST_CASE("scheduler: a pod whose claims are not there or not bound goes nowhere") {
  World w;
  CHECK(w.ask().message == "0/2 nodes are available: persistentvolumeclaim \"data\" not found.");
  w.claim("now");
  CHECK(w.ask().message == "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims.");
  w.claim("manual");
  CHECK(w.ask().message == "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind.");
}

TEST_CASE("scheduler: a pod follows its volume") {
  World w;
  w.claim("manual", "v");
  CHECK(w.ask().message == "0/2 nodes are available: 2 node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s).");
  w.volume("v", "b");
  CHECK(w.ask().node == "b");
  CHECK(w.ask().claims.empty());
  w.volume("v", "gone");
  CHECK(w.ask().message == "0/2 nodes are available: 2 node(s) didn't match PersistentVolume's node affinity.");
}

TEST_CASE("scheduler: a claim that waits for its consumer is given a node first") {
  World w;
  w.claim("wait");
  Decision d = w.ask();
  CHECK(!d.node.empty());
  CHECK(d.claims == std::vector<std::string>{"default/data"});
  w.claim("manual");
  w.volume("v", "b");
  d = w.ask();
  CHECK(d.node == "b");
  CHECK(d.claims.size() == 1);
}

TEST_CASE("scheduler: a claim for one pod only is not shared") {
  World w;
  w.claim("manual", "v", "ReadWriteOncePod");
  w.volume("v", "b");
  CHECK(w.ask().node == "b");
  Node other = World::pod("other").to_node();
  other["spec"].set("nodeName", "b");
  w.s.set_pod("default/other", Doc::from(other));
  CHECK_THAT(w.ask().message, Catch::Contains("node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"));
}

TEST_CASE("scheduler: an ephemeral claim of a pod that was there before is not this pod's") {
  World w;
  Doc pod = parse(R"({"metadata":{"name":"p","namespace":"default","uid":"new"},"spec":{"containers":[{"name":"c"}],"volumes":[{"name":"v","ephemeral":{"volumeClaimTemplate":{"spec":{}}}}]}})");
  auto owned_by = [&w](const std::string& uid) {
    w.s.claims["default/p-v"] = parse(R"({"metadata":{"name":"p-v","namespace":"default","uid":"u","ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"p","uid":")" + uid +
                                      R"(","controller":true}]},"spec":{"accessModes":["ReadWriteOnce"],"storageClassName":"wait","resources":{"requests":{"storage":"1Gi"}}}})");
  };
  CHECK(schedule(PodInfo(pod), w.s, {}).message == "0/2 nodes are available: waiting for ephemeral volume controller to create the persistentvolumeclaim \"p-v\".");
  owned_by("old");
  CHECK(schedule(PodInfo(pod), w.s, {}).message == "0/2 nodes are available: PVC \"default/p-v\" was not created for pod \"default/p\" (pod is not owner).");
  owned_by("new");
  CHECK(schedule(PodInfo(pod), w.s, {}).node == "a");
}
