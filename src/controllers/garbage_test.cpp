// The garbage collector: background, foreground, orphan; owners of every sort; nothing is taken that still has an owner.
#include "controllers/garbage.h"

#include <catch2/catch.hpp>

#include "support/controller_world.h"

using namespace k8lite;
using namespace k8lite::controllers;
using json::Doc;
using json::Node;
using machinery::Path;
using testing::ControllerWorld;

namespace {

struct World : ControllerWorld {
  World() { run<GarbageCollector>(); }
  Path maps(const char* name = "") { return path("", "configmaps", name); }
  Path rs(const char* name = "") { return path("apps", "replicasets", name); }
  Path deployments(const char* name = "") { return path("apps", "deployments", name); }

  Doc put(Path p, const char* name, std::vector<Node> owners = {}) {
    Node n = Node::obj({{"metadata", Node::obj({{"name", name}})}});
    for (auto& o : owners) n["metadata"]["ownerReferences"].append(o);
    p.name.clear();
    return cluster.put(p, n);
  }
  static Node by(const char* api_version, const char* kind, const Doc& owner, bool blocks = true, bool controller = true) {
    return Node::obj({{"apiVersion", api_version}, {"kind", kind}, {"name", name_of(owner)}, {"uid", uid_of(owner)}, {"blockOwnerDeletion", blocks}, {"controller", controller}});
  }
  void remove(const Path& p, const char* policy) {
    machinery::DeleteOptions o;
    o.propagation_policy = policy;
    REQUIRE(cluster.remove(p, o).ok());
    settle();
  }
};

}  // namespace

TEST_CASE("garbage: what to do with an object, by its owners") {
  using S = OwnerState;
  auto object = [](std::vector<const char*> finalizers, size_t owners) {
    Node n = Node::obj({{"metadata", Node::object()}});
    for (auto f : finalizers) n["metadata"]["finalizers"].append(f);
    for (size_t i = 0; i < owners; ++i) n["metadata"]["ownerReferences"].append(Node::obj({{"uid", std::to_string(i)}}));
    return Doc::from(n);
  };
  struct Row { std::vector<const char*> finalizers; std::vector<S> owners; bool blocking; const char* propagation; std::optional<size_t> kept; };
  for (const Row& r : std::vector<Row>{{{}, {}, false, "", {}},
                                       {{}, {S::Solid}, false, "", {}},
                                       {{}, {S::Solid, S::Solid}, true, "", {}},
                                       {{}, {S::Solid, S::Gone}, false, "", 1},
                                       {{}, {S::Gone, S::Waiting, S::Solid}, false, "", 1},
                                       {{}, {S::Gone}, false, "Background", {}},
                                       {{}, {S::Gone, S::Gone}, true, "Background", {}},
                                       {{}, {S::Waiting}, false, "Background", {}},
                                       {{}, {S::Waiting}, true, "Foreground", {}},
                                       {{"orphan"}, {S::Gone}, false, "Orphan", {}},
                                       {{"foregroundDeletion"}, {S::Gone}, false, "Foreground", {}}}) {
    auto plan = plan_garbage(object(r.finalizers, r.owners.size()), r.owners, r.blocking);
    CHECK(plan.remove == !std::string(r.propagation).empty());
    CHECK(plan.propagation == r.propagation);
    CHECK(plan.owners.has_value() == r.kept.has_value());
    if (plan.owners && r.kept) CHECK(plan.owners->size() == *r.kept);
  }
}

TEST_CASE("garbage: in the background a whole tree goes after its root") {
  World w;
  Doc d = w.put(w.deployments(), "d"), rs = w.put(w.rs(), "rs", {w.by("apps/v1", "Deployment", d)});
  w.put(w.pods(), "p1", {w.by("apps/v1", "ReplicaSet", rs)});
  w.put(w.pods(), "p2", {w.by("apps/v1", "ReplicaSet", rs)});
  w.put(w.pods(), "free");
  w.settle();
  CHECK(w.cluster.all(w.pods()).size() == 3);
  w.remove(w.deployments("d"), "Background");
  CHECK_FALSE(w.cluster.at(w.rs("rs")));
  CHECK(w.cluster.names(w.pods()) == std::vector<std::string>{"free"});
}

TEST_CASE("garbage: in the foreground the root goes last") {
  World w;
  w.cluster.graceful_pods = true;
  Doc d = w.put(w.deployments(), "d"), rs = w.put(w.rs(), "rs", {w.by("apps/v1", "Deployment", d)});
  w.put(w.pods(), "p", {w.by("apps/v1", "ReplicaSet", rs)});
  w.settle();
  w.remove(w.deployments("d"), "Foreground");
  CHECK(w.cluster.at(w.deployments("d")));
  CHECK(w.cluster.at(w.rs("rs")).path("metadata.deletionTimestamp"));
  CHECK(w.cluster.at(w.pods("p")).path("metadata.deletionTimestamp"));
  machinery::DeleteOptions now;
  now.grace_period_seconds = 0;
  (void)w.cluster.remove(w.pods("p"), now);
  w.settle();
  CHECK_FALSE(w.cluster.at(w.rs("rs")));
  CHECK_FALSE(w.cluster.at(w.deployments("d")));
}

TEST_CASE("garbage: a dependent that does not block does not hold its owner") {
  World w;
  Doc d = w.put(w.deployments(), "d");
  Node owned = Node::obj({{"metadata", Node::obj({{"name", "m"}, {"finalizers", Node::arr({"example.org/hold"})}, {"ownerReferences", Node::arr({w.by("apps/v1", "Deployment", d, false, false)})}})}});
  w.cluster.put(w.maps(), owned);
  w.settle();
  w.remove(w.deployments("d"), "Foreground");
  CHECK_FALSE(w.cluster.at(w.deployments("d")));
  CHECK(w.cluster.at(w.maps("m")).path("metadata.deletionTimestamp"));  // asked to go, held by its own finalizer
}

TEST_CASE("garbage: orphans stay, without their owner") {
  World w;
  Doc d = w.put(w.deployments(), "d"), other = w.put(w.maps(), "other");
  w.put(w.rs(), "rs", {w.by("apps/v1", "Deployment", d), w.by("v1", "ConfigMap", other, false, false)});
  w.settle();
  w.remove(w.deployments("d"), "Orphan");
  CHECK_FALSE(w.cluster.at(w.deployments("d")));
  REQUIRE(w.cluster.at(w.rs("rs")).path("metadata.ownerReferences").size() == 1);
  CHECK(w.cluster.at(w.rs("rs")).path("metadata.ownerReferences").at(0)["name"].equals("other"));
}

TEST_CASE("garbage: references that are no controllers count, one owner is enough, and gone ones are taken off") {
  World w;
  Doc a = w.put(w.maps(), "a"), b = w.put(w.maps(), "b");
  w.put(w.path("", "secrets"), "s", {w.by("v1", "ConfigMap", a, false, false), w.by("v1", "ConfigMap", b, false, false)});
  w.settle();
  w.remove(w.maps("a"), "Background");
  Path secret = w.path("", "secrets", "s");
  REQUIRE(w.cluster.at(secret));
  CHECK(w.cluster.at(secret).path("metadata.ownerReferences").size() == 1);
  w.remove(w.maps("b"), "Background");
  CHECK_FALSE(w.cluster.at(secret));
}

TEST_CASE("garbage: an owner of the same name is another owner; one that never was, too") {
  World w;
  Doc d = w.put(w.deployments(), "d");
  w.put(w.rs(), "rs", {w.by("apps/v1", "Deployment", d)});
  Node lost = w.by("apps/v1", "Deployment", d);
  lost.set("uid", "never");
  w.put(w.maps(), "lost", {lost});
  w.settle();
  CHECK_FALSE(w.cluster.at(w.maps("lost")));
  CHECK(w.cluster.at(w.rs("rs")));
  (void)w.cluster.remove(w.deployments("d"), {});
  w.put(w.deployments(), "d");
  w.settle();
  CHECK_FALSE(w.cluster.at(w.rs("rs")));
}

TEST_CASE("garbage: what unknown kinds own is left alone, nodes and other built-in kinds are asked for") {
  World w;
  Doc some = w.put(w.maps(), "some");
  w.put(w.maps(), "custom", {w.by("example.org/v1", "Thing", some)});
  Node node = Node::obj({{"apiVersion", "v1"}, {"kind", "Node"}, {"name", "edge"}, {"uid", "gone"}});
  w.put(w.path("coordination.k8s.io", "leases", "", "kube-node-lease"), "edge", {node});
  Node storage = Node::obj({{"apiVersion", "storage.k8s.io/v1"}, {"kind", "StorageClass"}, {"name", "gone"}, {"uid", "x"}});
  w.put(w.maps(), "of-storage", {storage});
  w.settle();
  CHECK(w.cluster.at(w.maps("custom")));
  CHECK_FALSE(w.cluster.at(w.path("coordination.k8s.io", "leases", "edge", "kube-node-lease")));
  CHECK_FALSE(w.cluster.at(w.maps("of-storage")));
}

TEST_CASE("garbage: an API that cannot be asked takes nothing") {
  World w;
  Doc d = w.put(w.deployments(), "d");
  Node lost = w.by("apps/v1", "Deployment", d);
  lost.set("uid", "never");
  w.cluster.fail_next("get deployments", unavailable("down"), 3);
  w.put(w.maps(), "m", {lost});
  w.settle();
  CHECK(w.cluster.at(w.maps("m")));
  for (int i = 0; i < 4; ++i) w.pass(seconds(1));
  CHECK_FALSE(w.cluster.at(w.maps("m")));
}
