// What this node writes down of a pod and of each container it starts, beside the pod's shim in /run: who it is, which image it stands on,
// where its log is. `k8lite crictl` reads it, and the collection of images knows from it what is in use. Gone after a reboot, as the
// containers are.
#pragma once
#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "runtime/shim_protocol.h"

namespace k8lite::kubelet {

inline constexpr const char* kRunDir = "/run/k8lite/pods";

struct PodRecord {
  std::string uid, name, ns, ip;
  json::Node labels, annotations;
  int64_t created_us = 0;
  bool host_network = false;
};
struct ContainerRecord {
  std::string id;        // of the shim's container: "web-0"
  std::string pod_uid, name;
  int attempt = 0;
  std::string image;     // as the pod's author wrote it
  std::string image_id;  // "sha256:…" of its config
  std::vector<std::string> layers;  // names of the image's layer folders
  std::string log_path;
  int64_t created_us = 0;
  runtime::shim::Process process;   // for exec
};

Result<> write_record(const std::string& run_dir, const PodRecord& record);
Result<> write_record(const std::string& run_dir, const ContainerRecord& record);
Result<> write_volume_record(const std::string& run_dir, const ContainerRecord& record);  // of an image volume: `id` is the volume's name
void remove_record(const std::string& run_dir, const std::string& pod_uid, const std::string& container_id);
std::vector<PodRecord> pod_records(const std::string& run_dir);
std::vector<ContainerRecord> container_records(const std::string& run_dir, const std::string& pod_uid);

std::set<std::string> layers_in_use(const std::string& run_dir);
std::set<std::string> images_in_use(const std::string& run_dir);  // ids

// The 64 hex digits by which crictl knows a pod or a container.
std::string cri_id(const std::string& pod_uid, const std::string& container_id = {});

}  // namespace k8lite::kubelet
