#include "controllers/volumes.h"

#include "api/volumes.h"
#include "base/log.h"

namespace k8lite::controllers {

using json::Doc;
using json::Node;
using machinery::Action;

namespace {

constexpr std::string_view kClaimKey = "claim/", kVolumeKey = "volume/";

std::string claim_key(const Doc& claim) { return std::string(kClaimKey) + machinery::object_key(claim.root()); }
std::string volume_key(const std::string& name) { return std::string(kVolumeKey) + name; }

}  // namespace

VolumeController::VolumeController(Context& c)
    : Base(c, "persistentvolume-binder"), claims_(c.informer("", "persistentvolumeclaims")), volumes_(c.informer("", "persistentvolumes")), classes_(c.informer("storage.k8s.io", "storageclasses")), nodes_(c.informer("", "nodes")) {
  auto all_pending = [this] {
    for (const Doc& claim : claims_.list())
      if (!claim.path("status.phase").equals("Bound")) queue_.add(claim_key(claim));
  };
  claims_.on_change([this](const Doc& before, const Doc& after) {
    const Doc& claim = after ? after : before;
    if (after) queue_.add(claim_key(after));
    if (std::string volume = claim.path("spec.volumeName").str(); !volume.empty()) queue_.add(volume_key(volume));
    if (after) return;
    for (const Doc& v : volumes_.list())
      if (v.path("spec.claimRef.uid").equals(uid_of(claim))) queue_.add(volume_key(name_of(v)));
  });
  volumes_.on_change([this, all_pending](const Doc& before, const Doc& after) {
    if (after) queue_.add(volume_key(name_of(after)));
    json::Value ref = (after ? after : before).path("spec.claimRef");
    if (ref) queue_.add(std::string(kClaimKey) + ref["namespace"].str() + "/" + ref["name"].str());
    else all_pending();
  });
  classes_.on_change([all_pending](const Doc&, const Doc& after) {
    if (after) all_pending();
  });
}

Result<Action> VolumeController::reconcile(const std::string& key) {
  if (key.starts_with(kClaimKey)) TRY_OK(reconcile_claim(key.substr(kClaimKey.size())));
  else TRY_OK(reconcile_volume(key.substr(kVolumeKey.size())));
  return Action::wait_for_change();
}

Result<> VolumeController::reconcile_claim(const std::string& key) {
  Doc claim = claims_.get(key);
  if (!claim) return told_.erase(key), Result<>();
  std::string node = claim["metadata"]["annotations"][api::kSelectedNode].str();
  std::vector<Doc> volumes = volumes_.list();
  ClaimWorld world{volumes, classes_.get(api::class_of_claim(claim.root())), node.empty() ? Doc() : nodes_.get(node), context_.storage_path};
  ClaimPlan plan = plan_claim(claim, world);
  for (const auto& e : plan.events) {
    std::string text = e.reason + e.message;
    if (std::exchange(told_[key], text) != text) context_.events.record(claim.root(), e.type, e.reason, e.message);
  }
  auto r = act(claim, plan);
  // Somebody else wrote meanwhile: the change brings us back.
  if (!r.ok() && (r.status().is(Reason::Conflict) || r.status().is(Reason::NotFound) || r.status().is(Reason::AlreadyExists))) return {};
  return r;
}

Result<> VolumeController::act(const Doc& claim, ClaimPlan& plan) {
  const machinery::Path path{"", "v1", "persistentvolumeclaims", namespace_of(claim), name_of(claim), ""};
  if (!plan.new_volume.is_null()) TRY_OK(context_.client.create({"", "v1", "persistentvolumes", "", "", ""}, Doc::from(plan.new_volume), as_manager()));
  if (!plan.volume.is_null()) TRY_OK(context_.client.update({"", "v1", "persistentvolumes", "", plan.volume.path("metadata.name").str(), ""}, Doc::from(plan.volume), as_manager()));
  Doc current = claim;
  if (!plan.claim.is_null()) {
    TRY(current, context_.client.update(path, Doc::from(plan.claim), as_manager()));
  }
  return write_status(context_.client, {"", "v1", "persistentvolumeclaims", "", "", ""}, current, plan.status, as_manager());
}

Result<> VolumeController::reconcile_volume(const std::string& name) {
  Doc volume = volumes_.get(name);
  if (!volume || volume.path("metadata.deletionTimestamp")) return {};
  json::Value ref = volume.path("spec.claimRef");
  Doc claim;
  if (ref) {
    std::string key = machinery::object_key(ref["namespace"].str(), ref["name"].str());
    claim = claims_.get(key);
    // A cache that lags must not cost anybody their data: gone is only what the server calls gone.
    if (!claim || !claim.path("metadata.uid").equals(ref["uid"].str())) {
      auto live = context_.client.get({"", "v1", "persistentvolumeclaims", ref["namespace"].str(), ref["name"].str(), ""});
      if (!live.ok() && !live.status().is(Reason::NotFound)) return live.status();
      claim = live.ok() ? *live : Doc();
    }
  }
  VolumePlan plan = plan_volume(volume, claim);
  for (const auto& e : plan.events) context_.events.record(volume.root(), e.type, e.reason, e.message);
  const machinery::Path path{"", "v1", "persistentvolumes", "", name, ""};
  if (plan.forget_claim) {
    Node next = volume.to_node();
    next["spec"].erase("claimRef");
    next["metadata"]["annotations"].erase(api::kBoundByController);
    auto r = context_.client.update(path, Doc::from(next), as_manager());
    return r.ok() || r.status().is(Reason::Conflict) || r.status().is(Reason::NotFound) ? Result<>() : r.status();
  }
  Node status = volume["status"].to_node();
  if (status.path("phase").str() != plan.phase) status.set("lastPhaseTransitionTime", rfc3339(context_.clock.now()));
  status.set("phase", plan.phase);
  if (plan.message.empty()) status.erase("message");
  else status.set("message", plan.message);
  TRY_OK(write_status(context_.client, {"", "v1", "persistentvolumes", "", "", ""}, volume, status, as_manager()));
  if (!plan.remove) return {};
  machinery::DeleteOptions options;
  options.uid = uid_of(volume);
  auto r = context_.client.remove(path, options);
  return r.ok() || r.status().is(Reason::NotFound) ? Result<>() : r.status();
}

void make_default_storage_class(Context& c) {
  const machinery::Path path{"storage.k8s.io", "v1", "storageclasses", "", "local-path", ""};
  if (auto have = c.client.get(path); have.ok() || !have.status().is(Reason::NotFound)) return;
  Node metadata = Node::obj({{"name", "local-path"}});
  metadata["annotations"].set("storageclass.kubernetes.io/is-default-class", "true");
  Node made = Node::obj({{"apiVersion", "storage.k8s.io/v1"}, {"kind", "StorageClass"}, {"metadata", std::move(metadata)}, {"provisioner", api::kLocalPath}, {"reclaimPolicy", "Delete"}, {"volumeBindingMode", "WaitForFirstConsumer"}});
  auto r = c.client.create({"storage.k8s.io", "v1", "storageclasses", "", "", ""}, Doc::from(made), {});
  if (!r.ok() && !r.status().is(Reason::AlreadyExists)) log_warn("the default storage class could not be made", {{"error", r.status()}});
}

EphemeralVolumeController::EphemeralVolumeController(Context& c) : Base(c, "ephemeral-volume-controller"), pods_(c.informer("", "pods")), claims_(c.informer("", "persistentvolumeclaims")) {
  pods_.on_change([this](const Doc&, const Doc& after) {
    if (!after || after.path("metadata.deletionTimestamp")) return;
    for (json::Value v : after.path("spec.volumes").items())
      if (v["ephemeral"]) return queue_.add(machinery::object_key(after.root()));
  });
  // A pod that came while the claim of one before it was still there has waited for this.
  claims_.on_change([this](const Doc& before, const Doc& after) {
    if (after) return;
    for (const Doc& pod : pods_.list(namespace_of(before)))
      for (json::Value v : pod.path("spec.volumes").items())
        if (v["ephemeral"] && api::claim_of(pod.root(), v) == name_of(before)) queue_.add(machinery::object_key(pod.root()));
  });
}

Result<Action> EphemeralVolumeController::reconcile(const std::string& key) {
  Doc pod = pods_.get(key);
  if (!pod || !pod_is_active(pod.root())) return Action::wait_for_change();
  for (json::Value v : pod.path("spec.volumes").items()) {
    json::Value pattern = v["ephemeral"]["volumeClaimTemplate"];
    if (!pattern) continue;
    std::string name = api::claim_of(pod.root(), v);
    if (Doc have = claims_.get(machinery::object_key(namespace_of(pod), name))) {
      if (api::claim_is_of(have.root(), pod.root())) continue;
      context_.events.record(pod.root(), "Warning", "FailedMount", "PVC " + json::quoted(namespace_of(pod) + "/" + name) + " was not created for pod " + json::quoted(key) + " (pod is not owner)");
      continue;
    }
    Node owner = owner_reference(pod);
    owner.set("apiVersion", "v1");
    owner.set("kind", "Pod");
    Node claim = Node::obj({{"apiVersion", "v1"}, {"kind", "PersistentVolumeClaim"}, {"metadata", pattern["metadata"] ? pattern["metadata"].to_node() : Node::object()}, {"spec", pattern["spec"].to_node()}});
    claim["metadata"].set("name", name);
    claim["metadata"].set("ownerReferences", Node::arr({std::move(owner)}));
    auto r = context_.client.create({"", "v1", "persistentvolumeclaims", namespace_of(pod), "", ""}, Doc::from(claim), as_manager());
    if (!r.ok() && !r.status().is(Reason::AlreadyExists)) return r.status();
  }
  return Action::wait_for_change();
}

}  // namespace k8lite::controllers
