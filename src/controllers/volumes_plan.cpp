#include "controllers/volumes_plan.h"

#include "api/volumes.h"
#include "base/quantity.h"

namespace k8lite::controllers {

using json::Doc;
using json::Node;
using json::Value;

namespace {

bool annotated(const Doc& object, std::string_view key) { return static_cast<bool>(object["metadata"]["annotations"][key]); }

Node reference_to(const Doc& claim) {
  return Node::obj({{"apiVersion", "v1"}, {"kind", "PersistentVolumeClaim"}, {"namespace", claim.path("metadata.namespace").str()}, {"name", claim.path("metadata.name").str()},
                    {"uid", claim.path("metadata.uid").str()}, {"resourceVersion", claim.path("metadata.resourceVersion").str()}});
}

Node status_of(const Doc& claim, std::string_view phase) {
  Node status = claim["status"].to_node();
  status.set("phase", phase);
  if (phase != "Bound") status.erase("accessModes"), status.erase("capacity");
  return status;
}

// Both sides say it: the volume first, then the claim.
void bind(ClaimPlan& plan, const Doc& claim, const Doc& volume) {
  if (!volume.path("spec.claimRef.uid").equals(claim.path("metadata.uid").str())) {
    plan.volume = volume.to_node();
    if (!volume.path("spec.claimRef")) plan.volume["metadata"]["annotations"].set(api::kBoundByController, "yes");
    plan.volume["spec"].set("claimRef", reference_to(claim));
  }
  std::string name = volume.path("metadata.name").str();
  if (!claim.path("spec.volumeName").equals(name) || !annotated(claim, api::kBindCompleted)) {
    plan.claim = claim.to_node();
    if (claim.path("spec.volumeName").empty()) plan.claim["metadata"]["annotations"].set(api::kBoundByController, "yes");
    plan.claim["metadata"]["annotations"].set(api::kBindCompleted, "yes");
    plan.claim["spec"].set("volumeName", name);
  }
  plan.status = status_of(claim, "Bound");
  plan.status.set("accessModes", volume.path("spec.accessModes").to_node());
  plan.status.set("capacity", Node::obj({{"storage", volume.path("spec.capacity.storage").str()}}));
}

// A folder has no size of its own: what the volume says it has is raised, and that is all. Admission has asked the class.
void expand(ClaimPlan& plan, const Doc& claim, const Doc& volume) {
  auto wanted = Quantity::parse(claim.path("spec.resources.requests.storage").str()), has = Quantity::parse(volume.path("spec.capacity.storage").str());
  if (!wanted || !has || *wanted <= *has) return;
  // What asks for more than before, not what was given less from the start.
  auto told = Quantity::parse(claim.path("status.capacity.storage").str());
  if (!claim.path("status.phase").equals("Bound") || !told || *told > *has) return;
  if (local_path_of(volume).empty()) {
    if (volume["metadata"]["annotations"][api::kProvisionedBy])
      plan.events.push_back({"Normal", "ExternalExpanding", "waiting for an external controller to expand this PVC"});
    return;
  }
  std::string size = claim.path("spec.resources.requests.storage").str();
  if (plan.volume.is_null()) plan.volume = volume.to_node();
  plan.volume["spec"]["capacity"].set("storage", size);
  plan.status.set("capacity", Node::obj({{"storage", size}}));
  Node conditions = Node::array();
  for (const Node& c : plan.status.get("conditions").items())
    if (c.get("type").str() != "Resizing" && c.get("type").str() != "FileSystemResizePending") conditions.append(c);
  if (conditions.items().empty()) plan.status.erase("conditions");
  else plan.status.set("conditions", std::move(conditions));
  plan.events.push_back({"Normal", "VolumeResizeSuccessful", "Resize volume succeeded"});
}

void named_volume(ClaimPlan& plan, const Doc& claim, const ClaimWorld& world) {
  std::string name = claim.path("spec.volumeName").str();
  Doc volume;
  for (const Doc& v : world.volumes)
    if (v.path("metadata.name").equals(name)) volume = v;
  bool completed = annotated(claim, api::kBindCompleted);
  auto lost = [&](const char* reason, const char* message) {
    plan.status = status_of(claim, "Lost");
    if (!claim.path("status.phase").equals("Lost")) plan.events.push_back({"Warning", reason, message});
  };
  if (!volume && completed) return lost("ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!");
  if (!volume) return;
  bool ours = api::is_reserved_for(volume.root(), claim.root());
  if (ours) {
    bind(plan, claim, volume);
    if (completed) expand(plan, claim, volume);
    return;
  }
  if (!volume.path("spec.claimRef")) {
    if (completed || api::volume_suits(volume.root(), claim.root())) return bind(plan, claim, volume);
    plan.events.push_back({"Warning", "VolumeMismatch", "Cannot bind to requested volume " + json::quoted(name) + ": it does not have the size, access modes, mode or storage class of the claim"});
    return;
  }
  if (completed) lost("ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly");
}

void provision(ClaimPlan& plan, const Doc& claim, const ClaimWorld& world) {
  std::string provisioner = world.storage_class["provisioner"].str();
  auto failed = [&](const std::string& why) { plan.events.push_back({"Warning", "ProvisioningFailed", "failed to provision volume with StorageClass " + json::quoted(world.storage_class.path("metadata.name").str()) + ": " + why}); };
  for (Value mode : claim.path("spec.accessModes").items())
    if (!mode.equals("ReadWriteOnce") && !mode.equals("ReadWriteOncePod")) return failed("a folder of one node cannot be " + mode.str() + ": only ReadWriteOnce and ReadWriteOncePod are supported");
  if (claim.path("spec.volumeMode").equals("Block")) return failed("block volumes are not supported");
  if (claim.path("spec.selector")) return failed("claim.spec.selector is not supported");
  if (!world.node) {
    if (!annotated(claim, api::kSelectedNode)) return failed("no node was selected for the claim: the class needs volumeBindingMode WaitForFirstConsumer");
    plan.claim = claim.to_node();  // that node is gone: the scheduler chooses again
    plan.claim["metadata"]["annotations"].erase(api::kSelectedNode);
    return failed("the selected node " + json::quoted(claim["metadata"]["annotations"][api::kSelectedNode].str()) + " is not there");
  }
  const std::string name = "pvc-" + claim.path("metadata.uid").str(), ns = claim.path("metadata.namespace").str();
  std::string root = world.node["metadata"]["annotations"][api::kStoragePathAnnotation].str(world.storage_path);
  std::string host = world.node["metadata"]["labels"]["kubernetes.io/hostname"].str(world.node.path("metadata.name").str());
  Node expression = Node::obj({{"key", "kubernetes.io/hostname"}, {"operator", "In"}, {"values", Node::arr({host})}});
  Node metadata = Node::obj({{"name", name}, {"finalizers", Node::arr({api::kLocalPathFinalizer})}});
  metadata["annotations"].set(api::kProvisionedBy, provisioner);
  Node spec = Node::obj({{"capacity", Node::obj({{"storage", claim.path("spec.resources.requests.storage").str()}})},
                         {"accessModes", claim.path("spec.accessModes").to_node()},
                         {"claimRef", reference_to(claim)},
                         {"persistentVolumeReclaimPolicy", world.storage_class["reclaimPolicy"].str("Delete")},
                         {"storageClassName", world.storage_class.path("metadata.name").str()},
                         {"volumeMode", "Filesystem"},
                         {"hostPath", Node::obj({{"path", root + "/" + name + "_" + ns + "_" + claim.path("metadata.name").str()}, {"type", "DirectoryOrCreate"}})},
                         {"nodeAffinity", Node::obj({{"required", Node::obj({{"nodeSelectorTerms", Node::arr({Node::obj({{"matchExpressions", Node::arr({expression})}})})}})}})}});
  plan.new_volume = Node::obj({{"apiVersion", "v1"}, {"kind", "PersistentVolume"}, {"metadata", std::move(metadata)}, {"spec", std::move(spec)}});
  plan.events.push_back({"Normal", "ProvisioningSucceeded", "Successfully provisioned volume " + name});
}

void unnamed_volume(ClaimPlan& plan, const Doc& claim, const ClaimWorld& world) {
  if (Doc volume = api::find_volume(claim.root(), world.volumes, world.storage_class.root(), world.node.root())) return bind(plan, claim, volume);
  std::string wanted = api::class_of_claim(claim.root());
  if (wanted.empty()) return void(plan.events.push_back({"Normal", "FailedBinding", "no persistent volumes available for this claim and no storage class is set"}));
  if (!world.storage_class) return void(plan.events.push_back({"Warning", "ProvisioningFailed", "storageclass.storage.k8s.io " + json::quoted(wanted) + " not found"}));
  if (api::waits_for_consumer(world.storage_class.root()) && !annotated(claim, api::kSelectedNode))
    return void(plan.events.push_back({"Normal", "WaitForFirstConsumer", "waiting for first consumer to be created before binding"}));
  Value provisioner = world.storage_class["provisioner"];
  if (api::is_local_path(provisioner)) return provision(plan, claim, world);
  if (provisioner.equals("kubernetes.io/no-provisioner")) return void(plan.events.push_back({"Warning", "ProvisioningFailed", "no volume plugin matched name: kubernetes.io/no-provisioner"}));
  if (!claim["metadata"]["annotations"][api::kStorageProvisioner].equals(provisioner.str())) {
    plan.claim = claim.to_node();
    plan.claim["metadata"]["annotations"].set(api::kStorageProvisioner, provisioner.str());
  }
  plan.events.push_back({"Normal", "ExternalProvisioning", "Waiting for a volume to be created either by the external provisioner '" + provisioner.str() + "' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered."});
}

}  // namespace

ClaimPlan plan_claim(const Doc& claim, const ClaimWorld& world) {
  ClaimPlan plan;
  plan.status = claim["status"].to_node();
  bool ending = static_cast<bool>(claim.path("metadata.deletionTimestamp"));
  if (ending && !annotated(claim, api::kBindCompleted)) return plan;
  if (!annotated(claim, api::kBindCompleted)) plan.status = status_of(claim, "Pending");
  if (claim.path("spec.volumeName").empty()) unnamed_volume(plan, claim, world);
  else named_volume(plan, claim, world);
  return plan;
}

std::string local_path_of(const Doc& volume) {
  if (!api::is_local_path(volume["metadata"]["annotations"][api::kProvisionedBy])) return "";
  return volume.path("spec.hostPath.path").str();
}

VolumePlan plan_volume(const Doc& volume, const Doc& claim) {
  Value ref = volume.path("spec.claimRef");
  VolumePlan plan{"Available", "", "", false, false, {}};
  if (!ref || ref["uid"].empty()) return plan;
  bool there = claim && claim.path("metadata.uid").equals(ref["uid"].str());
  if (there) {
    std::string bound_to = claim.path("spec.volumeName").str();
    plan.phase = bound_to == volume.path("metadata.name").str() ? "Bound" : bound_to.empty() ? volume.path("status.phase").str("Available") : "Available";
    if (plan.phase == "Pending") plan.phase = "Available";
    if (bound_to.empty() || plan.phase == "Bound") return plan;
    // The claim took another one meanwhile.
    if (!local_path_of(volume).empty() && volume.path("spec.persistentVolumeReclaimPolicy").equals("Delete")) plan.remove = true;
    else plan.forget_claim = annotated(volume, api::kBoundByController);
    return plan;
  }
  plan.phase = "Released";
  std::string policy = volume.path("spec.persistentVolumeReclaimPolicy").str("Retain");
  if (policy == "Retain") return plan;
  if (policy == "Delete" && !local_path_of(volume).empty()) {
    plan.remove = true;
    return plan;
  }
  Value by = volume["metadata"]["annotations"][api::kProvisionedBy];
  if (policy == "Delete" && by) return plan;  // its own provisioner does it
  plan.phase = "Failed";
  plan.message = policy == "Recycle" ? "No recycler plugin found for the volume!" : "error getting deleter volume plugin for volume " + json::quoted(volume.path("metadata.name").str()) + ": no deletable volume plugin matched";
  if (!volume.path("status.phase").equals("Failed")) plan.events.push_back({"Warning", policy == "Recycle" ? "VolumeFailedRecycle" : "VolumeFailedDelete", plan.message});
  return plan;
}

}  // namespace k8lite::controllers
