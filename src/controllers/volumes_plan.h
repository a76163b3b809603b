// What a claim and a volume need next: binding, provisioning, release, reclaim. Pure. (Kubernetes documentation, "Persistent Volumes":
// binding, reclaiming, phases; reasons and messages as the PersistentVolume controller gives them.)
#pragma once
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"

namespace k8lite::controllers {

struct VolumeEvent {
  std::string type, reason, message;
};

struct ClaimPlan {
  json::Node volume;     // to be written with its new claimRef first; null: none
  json::Node new_volume; // to be created (provisioned); null: none
  json::Node claim;      // the claim as it is to be, status aside; null: as it is
  json::Node status;     // always: what the claim's status is to be
  std::vector<VolumeEvent> events;
};

struct ClaimWorld {
  const std::vector<json::Doc>& volumes;
  json::Doc storage_class;  // of the claim; empty: there is none of this name
  json::Doc node;           // that was selected for the claim; empty: none selected, or gone
  std::string storage_path; // of nodes that do not name their own
};
ClaimPlan plan_claim(const json::Doc& claim, const ClaimWorld& world);

struct VolumePlan {
  std::string phase, reason, message;  // of its status
  bool remove = false;                 // Delete: its claim is gone
  bool forget_claim = false;           // was bound by us to a claim that has another volume
  std::vector<VolumeEvent> events;
};
// `claim`: the one that spec.claimRef names, whatever its uid; empty when there is none.
VolumePlan plan_volume(const json::Doc& volume, const json::Doc& claim);

// The folder on its node of a volume that the built-in provisioner made; "" for any other.
std::string local_path_of(const json::Doc& volume);

}  // namespace k8lite::controllers
