// Which PersistentVolume suits which claim: the rules shared by the binder, the scheduler and the node. Pure. (Kubernetes documentation,
// "Persistent Volumes", "Storage Classes"; annotation names are those of the PersistentVolume controller.)
#pragma once
#include <string>
#include <vector>

#include "base/json.h"

namespace k8lite::api {

inline constexpr std::string_view kBindCompleted = "pv.kubernetes.io/bind-completed";
inline constexpr std::string_view kBoundByController = "pv.kubernetes.io/bound-by-controller";
inline constexpr std::string_view kProvisionedBy = "pv.kubernetes.io/provisioned-by";
inline constexpr std::string_view kStorageProvisioner = "volume.kubernetes.io/storage-provisioner";
inline constexpr std::string_view kSelectedNode = "volume.kubernetes.io/selected-node";
// The built-in provisioner of folders on nodes, under its own name and the one it has in K3s.
inline constexpr std::string_view kLocalPath = "k8lite.io/local-path";
// Keeps a provisioned volume until its node has removed the folder.
inline constexpr std::string_view kLocalPathFinalizer = "external-provisioner.volume.kubernetes.io/finalizer";
// Where a node keeps these folders; it says so itself.
inline constexpr std::string_view kStoragePathAnnotation = "k8lite.io/storage-path";

bool is_local_path(json::Value provisioner);

std::string class_of_claim(json::Value claim);   // spec.storageClassName or the old annotation; "" : none
std::string class_of_volume(json::Value volume);
bool waits_for_consumer(json::Value storage_class);
// The claim of this name and, where the reference has one, of this uid.
bool is_reserved_for(json::Value volume, json::Value claim);
// May it be used on this node? A volume without node affinity may be used anywhere.
bool volume_reaches_node(json::Value volume, json::Value node);
// Large enough, with all access modes, of the same mode and class, selected by the claim's selector.
bool volume_suits(json::Value volume, json::Value claim);
// The volume to bind: one reserved for the claim, else the smallest that suits and is Available; empty: none. With a `node`, only those
// that can be used there; without, and when the claim waits for its consumer, only a reserved one.
json::Doc find_volume(json::Value claim, const std::vector<json::Doc>& volumes, json::Value storage_class, json::Value node);
// The claim that a pod's volume stands for: its name, "" when the volume is no claim. `made_for_pod`: an ephemeral one.
std::string claim_of(json::Value pod, json::Value volume, bool* made_for_pod = nullptr);
// Was the claim made for this pod? One of the same name may be left over from a pod before it, or be somebody's own.
bool claim_is_of(json::Value claim, json::Value pod);

}  // namespace k8lite::api
