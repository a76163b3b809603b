// What `--kubelet-arg KEY=VALUE` can set: the flags of upstream's kubelet that mean something here, by upstream's
// names. Those that this node agent does not know are told and left out, so that the arguments of an existing cluster
// do not keep a node from starting.
#pragma once
#include <string>
#include <vector>

#include "base/clock.h"
#include "kubelet/eviction.h"

namespace k8lite::kubelet {

struct KubeletArgs {
  std::string pod_manifest_path;  // "": <data-dir>/agent/pod-manifests
  EvictionSettings eviction = default_eviction();
  int max_pods = 110;
  int64_t log_bytes = 10 << 20, log_files = 5;  // of a container's log, before it is turned over, and how many are kept
  Duration shutdown_grace{0}, shutdown_grace_critical{0};  // 0: the machine's shutdown is not waited for
  int64_t pod_pids_limit = 0;                                                 // 0: none
  int64_t reserved_cpu_milli = 0, reserved_memory = 0, reserved_storage = 0;  // kube-reserved + system-reserved
  std::vector<std::string> unknown;
};
Result<KubeletArgs> parse_kubelet_args(const std::vector<std::string>& args);

}  // namespace k8lite::kubelet
