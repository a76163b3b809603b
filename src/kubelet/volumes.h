// A pod's volumes on the node: folders, projected files (updated atomically by a symlink swap), host paths, persistent
// volumes (folders and devices of this machine, NFS).
#pragma once
#include <functional>
#include <map>
#include <string>

#include "kubelet/environment.h"
#include "runtime/launch.h"

namespace k8lite::kubelet {

struct VolumeContext {
  std::string pod_dir;  // <data>/agent/pods/<uid>
  const EnvironmentInput& environment;
  // A token of the pod's service account: audience ("" the server's), seconds.
  std::function<Result<std::string>(const std::string& audience, int64_t expiration_seconds)> token;
  // The volume that a claim of the pod's namespace is bound to; an error while it is not.
  std::function<Result<json::Doc>(const std::string& claim)> volume_of_claim;
  // An address of an NFS server; blocks.
  std::function<Result<std::string>(const std::string& host)> resolve = {};
};

std::string volume_dir(const std::string& pod_dir, std::string_view name);
// Creates or refreshes every volume; errors name it: `MountVolume.SetUp failed for volume "x" : configmap "y" not found`.
Result<> set_up_volumes(const VolumeContext& context);
// Does the pod have volumes whose content changes (config maps, secrets, tokens)?
bool has_changing_volumes(json::Value pod);
// The mounts of one container, its volumes being set up (container_mounts.cpp). What a subPath asks for is made.
Result<std::vector<runtime::BindMount>> container_mounts(json::Value pod, json::Value container, const std::string& pod_dir, const std::map<std::string, std::string>& environment);
Result<> check_volume_path(const std::string& path);  // relative, without ".."
Result<> tear_down_volumes(const std::string& pod_dir);

}  // namespace k8lite::kubelet
