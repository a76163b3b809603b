// Volumes: a pod goes only where its claims can be used, and claims that wait for their consumer are bound before the
// pod is. (Kubernetes documentation: "Persistent Volumes", "Storage Classes: Volume Binding Mode"; plugins
// VolumeBinding and VolumeRestrictions.)
#include <algorithm>

#include "api/placement.h"
#include "api/volumes.h"
#include "scheduler/cycle.h"

namespace k8lite::scheduler {

using json::Doc;
using json::Value;

namespace {

// Calls `see(name, key, claim, made)` for each claim of the pod; claim empty: there is none. `made`: the pod's own,
// made from its template.
template <class F>
void each_claim(const PodInfo& info, const Snapshot& snapshot, F see) {
  if (info.claims.empty()) return;
  Value pod = info.pod.root();
  const std::string& ns = info.ns;
  for (Value v : pod.path("spec.volumes").items()) {
    bool made = false;
    std::string name = api::claim_of(pod, v, &made);
    if (name.empty()) continue;
    auto it = snapshot.claims.find(ns + "/" + name);
    see(name, ns + "/" + name, it == snapshot.claims.end() ? Doc() : it->second, made);
  }
}

bool bound(const Doc& claim) {
  return !claim.path("spec.volumeName").empty() && claim["metadata"]["annotations"][api::kBindCompleted];
}

Doc class_of(const Doc& claim, const Snapshot& snapshot) {
  auto it = snapshot.classes.find(api::class_of_claim(claim.root()));
  return it == snapshot.classes.end() ? Doc() : it->second;
}

bool topology_allows(const Doc& storage_class, Value node) {
  Value terms = storage_class["allowedTopologies"];
  if (terms.size() == 0) return true;
  for (Value term : terms.items()) {
    bool fits = true;
    for (Value e : term["matchLabelExpressions"].items()) {
      bool listed = false;
      for (Value v : e["values"].items()) listed |= node["metadata"]["labels"][e["key"].str()].equals(v.str());
      fits &= listed;
    }
    if (fits) return true;
  }
  return false;
}

// Can a claim that waits be given a volume on this node?
bool can_be_bound(const Doc& claim, const Snapshot& snapshot, Value node) {
  if (Value chosen = claim["metadata"]["annotations"][api::kSelectedNode];
      chosen && !chosen.equals(node.path("metadata.name").str()))
    return false;
  Doc storage_class = class_of(claim, snapshot);
  if (api::find_volume(claim.root(), snapshot.volumes(), storage_class.root(), node)) return true;
  return !storage_class["provisioner"].equals("kubernetes.io/no-provisioner") && topology_allows(storage_class, node);
}

}  // namespace

std::string check_claims(const PodInfo& info, const Snapshot& snapshot) {
  std::string why;
  Value pod = info.pod.root();
  each_claim(info, snapshot, [&](const std::string& name, const std::string& key, const Doc& claim, bool made) {
    if (!why.empty()) return;
    if (!claim && made)
      why = "waiting for ephemeral volume controller to create the persistentvolumeclaim " + json::quoted(name);
    else if (!claim)
      why = "persistentvolumeclaim " + json::quoted(name) + " not found";
    else if (made && !api::claim_is_of(claim.root(), pod))
      why = "PVC " + json::quoted(key) + " was not created for pod " +
            json::quoted(pod.path("metadata.namespace").str() + "/" + pod.path("metadata.name").str()) +
            " (pod is not owner)";
    else if (claim.path("status.phase").equals("Lost"))
      why = "persistentvolumeclaim " + json::quoted(name) + " bound to non-existent persistentvolume " +
            json::quoted(claim.path("spec.volumeName").str());
    else if (claim.path("metadata.deletionTimestamp"))
      why = "persistentvolumeclaim " + json::quoted(name) + " is being deleted";
    else if (!bound(claim) && !api::waits_for_consumer(class_of(claim, snapshot).root()))
      why = "pod has unbound immediate PersistentVolumeClaims";
  });
  return why;
}

std::vector<std::string> unbound_claims(const PodInfo& pod, const Snapshot& snapshot) {
  std::vector<std::string> out;
  each_claim(pod, snapshot, [&](const std::string&, const std::string& key, const Doc& claim, bool) {
    if (claim && !bound(claim)) out.push_back(key);
  });
  return out;
}

Refusal volume_binding(const FilterInput& in, const NodeInfo& n) {
  Refusal out;
  each_claim(in.pod, in.snapshot, [&](const std::string&, const std::string&, const Doc& claim, bool) {
    if (!out.reasons.empty() || !claim) return;
    if (!bound(claim)) {
      if (!can_be_bound(claim, in.snapshot, n.node.root()))
        out = {{"node(s) didn't find available persistent volumes to bind"}, true};
      return;
    }
    Doc volume = in.snapshot.volume(claim.path("spec.volumeName").str());
    if (!volume)
      out = {{"node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"}, true};
    else if (!api::volume_reaches_node(volume.root(), n.node.root()))
      out = {{"node(s) didn't match PersistentVolume's node affinity"}, true};
  });
  return out;
}

Refusal volume_restrictions(const FilterInput& in, const NodeInfo& n) {
  Refusal out;
  each_claim(in.pod, in.snapshot, [&](const std::string&, const std::string& key, const Doc& claim, bool) {
    bool alone = false;
    for (Value mode : claim.path("spec.accessModes").items()) alone |= mode.equals("ReadWriteOncePod");
    if (!alone) return;
    auto uses = [&key](const PodInfo& p) { return std::find(p.claims.begin(), p.claims.end(), key) != p.claims.end(); };
    bool taken = false;
    for (const auto& [other, node] : in.snapshot.pods_of_namespace(in.pod.ns))
      taken |= node->id != n.id && uses(*other);
    for (const auto& [other_key, other] : n.pods) taken |= uses(*other);  // without those that would have to go
    if (taken)
      out.reasons = {"node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"};
  });
  return out;
}

}  // namespace k8lite::scheduler
