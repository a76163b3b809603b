// This node's pods and containers as crictl shows them: the records beside the shims, and what the shims say runs.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kubelet/container_record.h"
#include "runtime/runtime.h"

namespace k8lite::app::crictl {

struct Container {
  kubelet::ContainerRecord record;
  kubelet::PodRecord pod;
  runtime::shim::State state;
  bool known = false;  // to its shim
  std::string id;      // 64 hex digits
  std::string state_name() const { return !known ? "Unknown" : state.running ? "Running" : "Exited"; }
};
struct Pod {
  kubelet::PodRecord record;
  bool ready = false;  // its shim lives
  std::string id;
};

struct NodeView {
  std::unique_ptr<runtime::Runtime> runtime;
  std::vector<Pod> pods;              // newest first
  std::vector<Container> containers;  // newest first
};
NodeView look();

// By the beginning of an id, a name in the cluster's status (k8lite://uid/web-0), or a name that only one has.
Result<Container> find_container(const NodeView& node, const std::string& id);

}  // namespace k8lite::app::crictl
