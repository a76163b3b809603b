// Binding, provisioning, release and reclaim of persistent volumes: the plan by table, the controller on a simulated cluster.
#include "controllers/volumes.h"

#include <catch2/catch.hpp>

#include "api/volumes.h"
#include "support/controller_world.h"

using namespace k8lite;
using namespace k8lite::controllers;
using json::Doc;
using json::Node;
using k8lite::testing::ControllerWorld;
using machinery::Path;

namespace {

Node parse(const std::string& text) {
  auto n = Node::parse(text);
  CAPTURE(text);
  REQUIRE(n.ok());
  return *n;
}

const std::string kClaim = R"({"metadata":{"name":"data","namespace":"default","uid":"u1"},"spec":{"accessModes":["ReadWriteOnce"],"storageClassName":"slow","resources":{"requests":{"storage":"5Gi"}}}})";

Doc claim(const std::string& changes = "{}") {
  Node n = parse(kClaim), changed = parse(changes);
  for (const auto& [key, value] : changed.members()) {
    if (!value.is_object()) n.set(key, value);
    else
      for (const auto& [inner, v] : value.members()) n[key].set(inner, v);
  }
  return Doc::from(n);
}
Doc volume(const std::string& name, const std::string& size, const std::string& spec = "{}", const std::string& phase = "Available") {
  Node n = Node::obj({{"metadata", Node::obj({{"name", name}})}, {"spec", parse(R"({"accessModes":["ReadWriteOnce"],"storageClassName":"slow","hostPath":{"path":"/x"}})")}, {"status", Node::obj({{"phase", phase}})}});
  n["spec"].set("capacity", Node::obj({{"storage", size}}));
  Node more = parse(spec);
  for (const auto& [key, value] : more.members()) n["spec"].set(key, value);
  return Doc::from(n);
}
Doc storage_class(const std::string& provisioner, const std::string& mode = "Immediate") {
  return Doc::from(Node::obj({{"metadata", Node::obj({{"name", "slow"}})}, {"provisioner", provisioner}, {"volumeBindingMode", mode}, {"reclaimPolicy", "Delete"}}));
}
Doc node(const std::string& name) { return Doc::from(parse(R"({"metadata":{"name":")" + name + R"(","labels":{"kubernetes.io/hostname":")" + name + R"("}}})")); }
std::string reason(const ClaimPlan& p) { return p.events.empty() ? "" : p.events[0].reason; }

}  // namespace

TEST_CASE("volumes: a claim takes the smallest volume that suits") {
  std::vector<Doc> all = {volume("tiny", "1Gi"), volume("large", "50Gi"), volume("right", "8Gi"), volume("other-class", "5Gi", R"({"storageClassName":"fast"})"), volume("many", "6Gi", R"({"accessModes":["ReadWriteMany"]})"),
                          volume("taken", "5Gi", R"({"claimRef":{"namespace":"default","name":"else","uid":"u9"}})"), volume("block", "5Gi", R"({"volumeMode":"Block"})"), volume("released", "5Gi", "{}", "Released")};
  ClaimPlan plan = plan_claim(claim(), {all, storage_class("x"), {}, ""});
  CHECK(plan.volume.path("metadata.name").str() == "right");
  CHECK(plan.volume.path("spec.claimRef.uid").str() == "u1");
  CHECK(plan.volume.path("metadata.annotations").get("pv.kubernetes.io/bound-by-controller").str() == "yes");
  CHECK(plan.claim.path("spec.volumeName").str() == "right");
  CHECK(plan.claim.path("metadata.annotations").get("pv.kubernetes.io/bind-completed").str() == "yes");
  CHECK(plan.status.path("phase").str() == "Bound");
  CHECK(plan.status.path("capacity.storage").str() == "8Gi");
  CHECK(plan.events.empty());
}

TEST_CASE("volumes: one reserved for the claim comes before all others, one reserved for another never") {
  std::vector<Doc> all = {volume("small", "5Gi"), volume("mine", "20Gi", R"({"claimRef":{"namespace":"default","name":"data"}})"), volume("namesake", "5Gi", R"({"claimRef":{"namespace":"default","name":"data","uid":"before"}})")};
  ClaimPlan plan = plan_claim(claim(), {all, storage_class("x", "WaitForFirstConsumer"), {}, ""});
  CHECK(plan.volume.path("metadata.name").str() == "mine");
  CHECK(!plan.volume.path("metadata.annotations").get("pv.kubernetes.io/bound-by-controller").exists());
}

TEST_CASE("volumes: what a claim without a volume is told") {
  struct Row {
    const char* changes;
    Doc storage_class;
    const char *reason, *says;
  };
  for (const Row& r : {Row{R"({"spec":{"storageClassName":""}})", {}, "FailedBinding", "no persistent volumes available for this claim and no storage class is set"},
                       {"{}", {}, "ProvisioningFailed", "storageclass.storage.k8s.io \"slow\" not found"},
                       {"{}", storage_class("k8lite.io/local-path", "WaitForFirstConsumer"), "WaitForFirstConsumer", "waiting for first consumer to be created before binding"},
                       {"{}", storage_class("k8lite.io/local-path"), "ProvisioningFailed", "no node was selected"},
                       {"{}", storage_class("kubernetes.io/no-provisioner"), "ProvisioningFailed", "no volume plugin matched"},
                       {"{}", storage_class("ebs.csi.aws.com"), "ExternalProvisioning", "external provisioner 'ebs.csi.aws.com'"}}) {
    ClaimPlan plan = plan_claim(claim(r.changes), {{}, r.storage_class, {}, ""});
    CHECK(reason(plan) == r.reason);
    REQUIRE(!plan.events.empty());
    CHECK_THAT(plan.events[0].message, Catch::Contains(r.says));
    CHECK(plan.status.path("phase").str() == "Pending");
    CHECK(plan.volume.is_null());
  }
}

TEST_CASE("volumes: the local-path class makes a folder on the selected node") {
  const char* selected = R"({"metadata":{"name":"data","namespace":"default","uid":"u1","annotations":{"volume.kubernetes.io/selected-node":"n1"}}})";
  Doc slow = storage_class("rancher.io/local-path", "WaitForFirstConsumer");
  ClaimPlan plan = plan_claim(claim(selected), {{}, slow, node("n1"), "/srv"});
  CHECK(plan.new_volume.path("spec.hostPath.path").str() == "/srv/pvc-u1_default_data");
  CHECK(plan.new_volume.path("spec.claimRef.uid").str() == "u1");
  CHECK(plan.new_volume.path("spec.persistentVolumeReclaimPolicy").str() == "Delete");
  CHECK(plan.new_volume.path("spec.capacity.storage").str() == "5Gi");
  Doc made = Doc::from(plan.new_volume);
  CHECK(api::volume_reaches_node(made.root(), node("n1").root()));
  CHECK(!api::volume_reaches_node(made.root(), node("n2").root()));
  // The node is gone: the scheduler chooses again.
  plan = plan_claim(claim(selected), {{}, slow, {}, "/srv"});
  CHECK(plan.new_volume.is_null());
  CHECK(!plan.claim.path("metadata.annotations").get("volume.kubernetes.io/selected-node").exists());
  plan = plan_claim(claim(std::string(selected).insert(1, R"("spec":{"accessModes":["ReadWriteMany"]},)")), {{}, slow, node("n1"), "/srv"});
  CHECK(reason(plan) == "ProvisioningFailed");
}

TEST_CASE("volumes: a claim that has lost its volume says so, one that waits for its volume waits") {
  Doc waits = claim(R"({"spec":{"volumeName":"v"}})");
  CHECK(plan_claim(waits, {{}, {}, {}, ""}).status.path("phase").str() == "Pending");
  Doc bound = claim(R"({"metadata":{"name":"data","namespace":"default","uid":"u1","annotations":{"pv.kubernetes.io/bind-completed":"yes"}},"spec":{"volumeName":"v"}})");
  ClaimPlan plan = plan_claim(bound, {{}, {}, {}, ""});
  CHECK(plan.status.path("phase").str() == "Lost");
  CHECK(reason(plan) == "ClaimLost");
  plan = plan_claim(bound, {{volume("v", "5Gi", R"({"claimRef":{"namespace":"default","name":"data","uid":"u2"}})")}, {}, {}, ""});
  CHECK(reason(plan) == "ClaimMisbound");
  plan = plan_claim(waits, {{volume("v", "1Gi")}, {}, {}, ""});
  CHECK(reason(plan) == "VolumeMismatch");
}

TEST_CASE("volumes: what becomes of a volume whose claim is gone") {
  const std::string ref = R"("claimRef":{"namespace":"default","name":"data","uid":"u1"},)";
  auto with = [&](const char* policy, const char* by) {
    Node n = volume("v", "5Gi", "{" + ref + R"("persistentVolumeReclaimPolicy":")" + policy + "\"}", "Bound").to_node();
    if (*by) n["metadata"]["annotations"].set("pv.kubernetes.io/provisioned-by", by);
    return Doc::from(n);
  };
  CHECK(plan_volume(with("Retain", "k8lite.io/local-path"), {}).phase == "Released");
  CHECK(!plan_volume(with("Retain", "k8lite.io/local-path"), {}).remove);
  CHECK(plan_volume(with("Delete", "k8lite.io/local-path"), {}).remove);
  CHECK(!plan_volume(with("Delete", "ebs.csi.aws.com"), {}).remove);
  CHECK(plan_volume(with("Delete", ""), {}).phase == "Failed");
  CHECK(plan_volume(with("Recycle", ""), {}).phase == "Failed");
  Doc bound = claim(R"({"spec":{"volumeName":"v"}})");
  CHECK(plan_volume(with("Delete", "k8lite.io/local-path"), bound).phase == "Bound");
  CHECK(!plan_volume(with("Delete", "k8lite.io/local-path"), bound).remove);
  CHECK(plan_volume(with("Delete", "k8lite.io/local-path"), claim(R"({"metadata":{"name":"data","namespace":"default","uid":"another"}})")).remove);
}

TEST_CASE("volumes: claim and volume find each other, and the volume is released with its claim") {
  ControllerWorld w;
  w.run<VolumeController>();
  Path claims = ControllerWorld::path("", "persistentvolumeclaims"), volumes{"", "v1", "persistentvolumes", "", "", ""};
  Node c = parse(kClaim);
  c["metadata"].erase("uid");
  w.cluster.put(claims, c);
  w.settle();
  Path data = claims;
  data.name = "data";
  CHECK(w.cluster.at(data).path("status.phase").equals("Pending"));
  Node v = volume("v", "5Gi").to_node();
  v.erase("status");
  v["spec"].set("persistentVolumeReclaimPolicy", "Retain");
  w.cluster.put(volumes, v);
  w.settle();
  CHECK(w.cluster.at(data).path("status.phase").equals("Bound"));
  Path one = volumes;
  one.name = "v";
  CHECK(w.cluster.at(one).path("status.phase").equals("Bound"));
  REQUIRE(w.cluster.remove(data, {}).ok());
  w.settle();
  CHECK(w.cluster.at(one).path("status.phase").equals("Released"));
}

TEST_CASE("volumes: an ephemeral volume's claim belongs to its pod") {
  ControllerWorld w;
  w.run<EphemeralVolumeController>();
  w.cluster.put(ControllerWorld::pods(), parse(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"default"},"spec":{"volumes":[{"name":"scratch","ephemeral":{"volumeClaimTemplate":{"metadata":{"labels":{"a":"b"}},"spec":{"accessModes":["ReadWriteOnce"]}}}}]}})"));
  w.settle();
  Doc c = w.cluster.at(ControllerWorld::path("", "persistentvolumeclaims", "p-scratch"));
  CHECK(c.path("metadata.labels.a").equals("b"));
  CHECK(c.path("metadata.ownerReferences").at(0)["uid"].equals(w.cluster.at(ControllerWorld::pods("p")).path("metadata.uid").str()));
  CHECK(c.path("metadata.ownerReferences").at(0)["controller"].bool_or(false));
}

TEST_CASE("volumes: a pod of the same name gets its own ephemeral claim once the one before it is gone") {
  ControllerWorld w;
  w.run<EphemeralVolumeController>();
  const Path claims = ControllerWorld::path("", "persistentvolumeclaims"), claim = ControllerWorld::path("", "persistentvolumeclaims", "p-scratch");
  const std::string pod = R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"default"},"spec":{"volumes":[{"name":"scratch","ephemeral":{"volumeClaimTemplate":{"spec":{"accessModes":["ReadWriteOnce"]}}}}]}})";
  w.cluster.put(ControllerWorld::pods(), parse(pod));
  w.settle();
  std::string first = w.cluster.at(claim).path("metadata.uid").str();
  REQUIRE(w.cluster.remove(ControllerWorld::pods("p"), {}).ok());
  w.cluster.put(ControllerWorld::pods(), parse(pod));
  w.settle();
  CHECK(w.cluster.at(claim).path("metadata.uid").str() == first);  // not its own, and not touched
  REQUIRE(w.cluster.remove(claim, {}).ok());
  w.settle();
  Doc second = w.cluster.at(claim);
  REQUIRE(second);
  CHECK(second.path("metadata.ownerReferences").at(0)["uid"].equals(w.cluster.at(ControllerWorld::pods("p")).path("metadata.uid").str()));
}

TEST_CASE("volumes: a claim that asks for more grows a folder's volume at once, and waits for others' controllers") {
  const char* bound = R"({"metadata":{"name":"data","namespace":"default","uid":"u1","annotations":{"pv.kubernetes.io/bind-completed":"yes"}},"spec":{"volumeName":"v","resources":{"requests":{"storage":"9Gi"}}},"status":{"phase":"Bound","capacity":{"storage":"5Gi"}}})";
  auto made_by = [](const char* provisioner) {
    Node v = volume("v", "5Gi", R"({"claimRef":{"namespace":"default","name":"data","uid":"u1"}})", "Bound").to_node();
    if (*provisioner) v["metadata"]["annotations"].set("pv.kubernetes.io/provisioned-by", provisioner);
    return Doc::from(v);
  };
  ClaimPlan plan = plan_claim(claim(bound), {{made_by("k8lite.io/local-path")}, storage_class("k8lite.io/local-path"), {}, ""});
  CHECK(plan.volume.path("spec.capacity.storage").str() == "9Gi");
  CHECK(plan.status.path("capacity.storage").str() == "9Gi");
  CHECK(reason(plan) == "VolumeResizeSuccessful");
  plan = plan_claim(claim(bound), {{made_by("ebs.csi.aws.com")}, storage_class("ebs.csi.aws.com"), {}, ""});
  CHECK(plan.volume.is_null());
  CHECK(plan.status.path("capacity.storage").str() == "5Gi");
  CHECK(reason(plan) == "ExternalExpanding");
  plan = plan_claim(claim(bound), {{made_by("")}, storage_class("x"), {}, ""});
  CHECK(plan.volume.is_null());
  CHECK(plan.events.empty());
}
