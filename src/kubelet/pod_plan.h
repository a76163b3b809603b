// The node agent's decisions about one pod, pure: which containers to start now, what its status says, where its cgroups are.
// (Kubernetes documentation: "Pod Lifecycle", "Init Containers", "Sidecar Containers", "Configure Quality of Service".)
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "kubelet/resize.h"
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
  bool start_failed = false, last_start_failed = false;  // the run ended before its first instruction
  Duration not_before{0};                      // mono: earliest next start
  Duration backoff{0};                         // what the last restart cost; 0: there was none for long
  bool started = false, ready = false;         // by the startup and readiness probes
  bool hooking = false;                        // its postStart hook has not ended: it does not count as running yet
  std::string asked_image;                     // as the spec had it when a start was tried last; "": not known
  bool owed = false;                           // it is stopped only to be started with another image or other resources
  json::Node resources;                        // that the current run has
  bool again = false;                          // however the current run ended, another is owed (the pod starts over)
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
// Did a container end in a way that its rules answer with a new start of the whole pod?
bool restarts_all(json::Value pod, const Runs& runs);
// From the end of the current run to the next start; what the pause after that one will be.
Duration pause_after(const ContainerRun& run);
Duration next_backoff(Duration backoff);
// Has the spec another image now than when the container was started, or tried to? The one thing beside its resources that may change.
bool has_other_image(json::Value pod, std::string_view name, const ContainerRun& run);
// Has one of the main containers been started?
bool has_initialized(json::Value pod, const Runs& runs);
// While the pod ends: may this container be told? Sidecars are, last to first, when what they serve has ended.
bool may_stop(json::Value pod, const Runs& runs, std::string_view name);
bool is_running(const ContainerRun* run);
bool has_ended(const ContainerRun* run);

struct StatusInput {
  std::string host_ip, pod_ip;
  Instant now;
  bool sandbox_ready = false;
  std::string reason, message;  // of the pod: Evicted, DeadlineExceeded
  bool disruption = false;      // the node ends it for reasons of its own
  ResizeVerdict resize = {};    // pending
  bool resizing = false;        // in progress
  std::string resize_error = {};
  bool recursive_read_only = true;  // this kernel can
  bool over = false;            // it is being deleted and nothing of it will run again: the phase becomes Failed or Succeeded
};
// The pod's status: phase, conditions (others' kept), container statuses. Times of conditions change only with their status.
json::Node pod_status(json::Value pod, const Runs& runs, const StatusInput& input);

enum class Qos { Guaranteed, Burstable, BestEffort };
Qos qos_of(json::Value pod);
std::string_view qos_name(Qos qos);
std::string pod_cgroup(json::Value pod);  // kubepods/burstable/pod<uid>
runtime::Resources pod_limits(json::Value pod);  // of the cgroup around its containers
runtime::Resources container_resources(json::Value container);
int64_t oom_score_adj(json::Value pod, json::Value container, int64_t node_memory);

// The end of a log as a termination message has it: the last 80 lines, 2048 bytes at most, without the node's own marks (CRI's format).
std::string log_end(std::string_view log);
std::string format_pod(json::Value pod);  // as messages name one: name_namespace(uid)
bool is_ready(json::Value pod);
bool is_sidecar(json::Value container);  // of an init container
bool is_init(json::Value pod, std::string_view name);
bool is_ephemeral(json::Value pod, std::string_view name);
json::Value find_container(json::Value pod, std::string_view name);
int port_of(json::Value container, json::Value port);  // a number or the name of one of the container's ports; 0: none

}  // namespace k8lite::kubelet
