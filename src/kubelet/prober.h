// Liveness, readiness and startup probes: tasks of the loop, which also keeps their times. Only commands, and telling
// what was found, need a thread, since they block; there is none where nobody needs one. Results are told only when a
// threshold was passed. (Kubernetes documentation: "Configure Liveness, Readiness and Startup Probes".)
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "async/async.h"
#include "base/json.h"
#include "kubelet/probe_actions.h"

namespace k8lite::kubelet {

enum class ProbeKind { Startup, Liveness, Readiness };

struct ProbeTarget {
  std::string pod_uid, pod_key, container, container_id;
  std::string pod_ip;
  json::Doc pod;
};

struct ProberCore;

class Prober {
 public:
  // Runs a command in the container: exit code and output. Blocks.
  using Exec = std::function<Result<std::pair<int, std::string>>(
      const ProbeTarget& target, const std::vector<std::string>& command, Duration timeout)>;
  // After `threshold` results in a row; on a thread that may block.
  using Changed = std::function<void(const ProbeTarget& target, ProbeKind kind, bool good)>;
  // Every single failure, for events; on a thread that may block.
  using Failed = std::function<void(const ProbeTarget& target, ProbeKind kind, const std::string& message)>;

  Prober(async::Loop& loop, const Clock& clock, Exec exec, Changed changed, Failed failed);
  ~Prober();  // waits for commands under way and for what is being told; not on the loop's thread

  // Starts the probes of a container that runs now. Those of another run of it end.
  void add(const ProbeTarget& target);
  void remove(const std::string& pod_uid, const std::string& container_id);

 private:
  std::shared_ptr<ProberCore> core_;
};

}  // namespace k8lite::kubelet
