// The node agent's decisions about one pod, pure: which containers to start now, what its status says, where its cgroups are.
// (Kubernetes documentation: "Pod Lifecycle", "Init Containers", "Sidecar Containers", "Configure Quality of Service".)
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "runtime/cgroups.h"
#include "runtime/shim_protocol.h"

namespace k8lite::kubelet {

inline constexpr Duration kFirstBackoff = seconds(10), kLongestBackoff = seconds(300), kBackoffReset = seconds(600);

// What is known of one container of a pod.
struct ContainerRun {
  int restart_count = 0;
  bool exists = false;                         // `current` is a run that was started
  runtime::shim::State current;
  std::optional<runtime::shim::State> last;    // the run before it
  std::string waiting_reason, waiting_message; // why nothing runs: ErrImagePull, CreateContainerError, …
  std::string image, image_id, termination_message, last_termination_message;
  Duration not_before{0};                      // mono: earliest next start
  Duration backoff{0};
  bool started = false, ready = false;         // by the startup and readiness probes
  bool hooking = false;                        // its postStart hook has not ended: it does not count as running yet
};
using Runs = std::map<std::string, ContainerRun>;

struct PodActions {
  std::vector<std::string> start;   // containers to start now
  bool finished = false;            // nothing will ever run again: the pod has succeeded or failed
  Duration wake_after{0};           // when to look again (back-off); 0: on change
};
PodActions plan_pod(json::Value pod, const Runs& runs, Duration mono);
// Does a container in this state get another run?
bool restarts(json::Value pod, json::Value container, bool init, const ContainerRun& run);
// The pause before the next start of a container that just ended.
Duration next_backoff(const ContainerRun& run);

struct StatusInput {
  std::string host_ip, pod_ip;
  Instant now;
  bool sandbox_ready = false;
  std::string reason, message;  // of the pod: Evicted, DeadlineExceeded
};
// The pod's status: phase, conditions (others' kept), container statuses. Times of conditions change only with their status.
json::Node pod_status(json::Value pod, const Runs& runs, const StatusInput& input);

enum class Qos { Guaranteed, Burstable, BestEffort };
Qos qos_of(json::Value pod);
std::string_view qos_name(Qos qos);
std::string pod_cgroup(json::Value pod);  // kubepods/burstable/pod<uid>
runtime::Resources container_resources(json::Value container);
int64_t oom_score_adj(json::Value pod, json::Value container, int64_t node_memory);

bool is_ready(json::Value pod);
bool is_ephemeral(json::Value pod, std::string_view name);
json::Value find_container(json::Value pod, std::string_view name);
int port_of(json::Value container, json::Value port);  // a number or the name of one of the container's ports; 0: none

}  // namespace k8lite::kubelet
