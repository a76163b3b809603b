#include "api/volumes.h"

#include "api/placement.h"
#include "api/selector.h"
#include "base/quantity.h"

namespace k8lite::api {

using json::Doc;
using json::Value;

namespace {

constexpr std::string_view kOldClass = "volume.beta.kubernetes.io/storage-class";

Quantity capacity_of(Value volume) { return Quantity::parse(volume.path("spec.capacity.storage").str()).value_or(Quantity()); }
Quantity wanted_by(Value claim) { return Quantity::parse(claim.path("spec.resources.requests.storage").str()).value_or(Quantity()); }

bool has_modes(Value volume, Value claim) {
  for (Value wanted : claim.path("spec.accessModes").items()) {
    bool found = false;
    for (Value have : volume.path("spec.accessModes").items()) found |= have.equals(wanted.str());
    if (!found) return false;
  }
  return true;
}

bool selected(Value volume, Value claim) {
  Value selector = claim.path("spec.selector");
  if (!selector) return true;
  auto parsed = LabelSelector::from_object(selector);
  return parsed.ok() && parsed->matches(volume.path("metadata.labels"));
}

}  // namespace

bool is_local_path(Value provisioner) { return provisioner.equals(kLocalPath) || provisioner.equals("rancher.io/local-path"); }

std::string class_of_claim(Value claim) {
  if (Value old = claim["metadata"]["annotations"][kOldClass]) return old.str();
  return claim.path("spec.storageClassName").str();
}

std::string class_of_volume(Value volume) {
  if (Value old = volume["metadata"]["annotations"][kOldClass]) return old.str();
  return volume.path("spec.storageClassName").str();
}

bool waits_for_consumer(Value storage_class) { return storage_class["volumeBindingMode"].equals("WaitForFirstConsumer"); }

bool is_reserved_for(Value volume, Value claim) {
  Value ref = volume.path("spec.claimRef");
  if (!ref || !ref["name"].equals(claim.path("metadata.name").str()) || !ref["namespace"].equals(claim.path("metadata.namespace").str())) return false;
  return ref["uid"].empty() || ref["uid"].equals(claim.path("metadata.uid").str());
}

bool volume_reaches_node(Value volume, Value node) {
  Value required = volume.path("spec.nodeAffinity.required");
  if (!required) return true;
  for (Value term : required["nodeSelectorTerms"].items())
    if (node_selector_term_matches(term, node)) return true;
  return false;
}

bool volume_suits(Value volume, Value claim) {
  return has_modes(volume, claim) && volume.path("spec.volumeMode").str("Filesystem") == claim.path("spec.volumeMode").str("Filesystem") && class_of_volume(volume) == class_of_claim(claim) &&
         capacity_of(volume) >= wanted_by(claim) && selected(volume, claim);
}

Doc find_volume(Value claim, const std::vector<Doc>& volumes, Value storage_class, Value node) {
  Doc best;
  for (const Doc& v : volumes) {
    if (v.path("metadata.deletionTimestamp") || v.path("spec.volumeMode").str("Filesystem") != claim.path("spec.volumeMode").str("Filesystem")) continue;
    if (is_reserved_for(v.root(), claim)) {
      if (capacity_of(v.root()) >= wanted_by(claim)) return v;
      continue;
    }
    if (v.path("spec.claimRef") || !v.path("status.phase").equals("Available")) continue;
    if (!node && waits_for_consumer(storage_class)) continue;
    if (!volume_suits(v.root(), claim) || (node && !volume_reaches_node(v.root(), node))) continue;
    if (!best || capacity_of(v.root()) < capacity_of(best.root())) best = v;
  }
  return best;
}

std::string claim_of(Value pod, Value volume, bool* made_for_pod) {
  bool ephemeral = static_cast<bool>(volume["ephemeral"]);
  if (made_for_pod) *made_for_pod = ephemeral;
  if (ephemeral) return pod.path("metadata.name").str() + "-" + volume["name"].str();
  return volume["persistentVolumeClaim"]["claimName"].str();
}

bool claim_is_of(Value claim, Value pod) {
  for (Value owner : claim.path("metadata.ownerReferences").items())
    if (owner["controller"].bool_or(false)) return owner["uid"].equals(pod.path("metadata.uid").str());
  return false;
}

}  // namespace k8lite::api
