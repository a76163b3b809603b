// What `kubectl get pods` prints: the pod's state as one word, and restarts (Kubernetes' server-side printing).
#include "api/columns.h"
#include "base/strings.h"

namespace k8lite::api::print {
namespace {

std::string waiting_or_terminated_reason(Value status, std::string_view prefix) {
  Value waiting = status["state"]["waiting"], terminated = status["state"]["terminated"];
  if (waiting && !waiting["reason"].empty()) return std::string(prefix) + waiting["reason"].str();
  if (!terminated) return {};
  if (!terminated["reason"].empty()) return std::string(prefix) + terminated["reason"].str();
  if (terminated["signal"].int_or(0) != 0) return std::string(prefix) + "Signal:" + std::to_string(terminated["signal"].int_or(0));
  return std::string(prefix) + "ExitCode:" + std::to_string(terminated["exitCode"].int_or(0));
}

struct PodSummary {
  std::string reason;
  int ready = 0, total = 0;
  int64_t restarts = 0;
  std::string last_restart;          // RFC 3339, so that the greater text is the later time
  int64_t sidecar_restarts = 0;      // of init containers that go on running
  std::string last_sidecar_restart;
};

bool restartable_init(Value pod, const std::string& container) {
  for (Value c : pod.path("spec.initContainers").items())
    if (c["name"].equals(container)) return c["restartPolicy"].equals("Always");
  return false;
}

// Whether init containers still hold the pod back; sets the reason to show.
bool summarize_init(Value pod, PodSummary& s) {
  size_t i = 0, total = pod.path("spec.initContainers").size();
  for (Value c : pod.path("status.initContainerStatuses").items()) {
    bool sidecar = restartable_init(pod, c["name"].str());
    std::string finished = c.path("lastState.terminated.finishedAt").str();
    s.restarts += c["restartCount"].int_or(0);
    s.last_restart = std::max(s.last_restart, finished);
    if (sidecar) {
      s.sidecar_restarts += c["restartCount"].int_or(0);
      s.last_sidecar_restart = std::max(s.last_sidecar_restart, finished);
    }
    Value terminated = c["state"]["terminated"];
    ++i;
    if (terminated && terminated["exitCode"].int_or(0) == 0) continue;
    if (sidecar && c["started"].bool_or(false)) {
      if (c["ready"].bool_or(false)) ++s.ready;
      continue;
    }
    std::string why;
    if (terminated || (c["state"]["waiting"] && !c["state"]["waiting"]["reason"].equals("PodInitializing"))) why = waiting_or_terminated_reason(c, "Init:");
    s.reason = why.empty() ? "Init:" + std::to_string(i - 1) + "/" + std::to_string(total) : why;
    return true;
  }
  return false;
}

void summarize_containers(Value pod, PodSummary& s) {
  bool running = false;
  s.restarts = s.sidecar_restarts;
  s.last_restart = s.last_sidecar_restart;
  std::vector<Value> statuses;
  for (Value c : pod.path("status.containerStatuses").items()) statuses.push_back(c);
  for (auto it = statuses.rbegin(); it != statuses.rend(); ++it) {
    Value c = *it;
    s.restarts += c["restartCount"].int_or(0);
    std::string finished = c.path("lastState.terminated.finishedAt").str();
    s.last_restart = std::max(s.last_restart, finished);
    if (std::string why = waiting_or_terminated_reason(c, ""); !why.empty()) s.reason = why;
    else if (c["ready"].bool_or(false) && c["state"]["running"]) {
      running = true;
      ++s.ready;
    }
  }
  if (s.reason == "Completed" && running) s.reason = has_condition(pod, "Ready") ? "Running" : "NotReady";
}

PodSummary summarize(Value pod) {
  PodSummary s;
  s.total = static_cast<int>(pod.path("spec.containers").size());
  for (Value c : pod.path("spec.initContainers").items()) s.total += c["restartPolicy"].equals("Always");
  s.reason = pod.path("status.reason").str();
  if (s.reason.empty()) s.reason = pod.path("status.phase").str();
  for (Value c : pod.path("status.conditions").items())
    if (c["type"].equals("PodScheduled") && c["reason"].equals("SchedulingGated")) s.reason = "SchedulingGated";
  if (!summarize_init(pod, s) || has_condition(pod, "Initialized")) summarize_containers(pod, s);
  bool ended = pod.path("status.phase").equals("Succeeded") || pod.path("status.phase").equals("Failed");
  if (!pod.path("metadata.deletionTimestamp")) return s;
  if (pod.path("status.reason").equals("NodeLost")) s.reason = "Unknown";
  else if (!ended) s.reason = "Terminating";
  return s;
}

}  // namespace

Cells pod_cells(Value pod, Instant now) {
  PodSummary s = summarize(pod);
  std::string restarts = std::to_string(s.restarts);
  if (s.restarts > 0 && !s.last_restart.empty()) restarts += " (" + age_of(s.last_restart, now) + " ago)";
  size_t wanted = pod.path("spec.readinessGates").size(), open = 0;
  for (Value gate : pod.path("spec.readinessGates").items()) open += has_condition(pod, gate["conditionType"].str());
  std::string gates = wanted ? std::to_string(open) + "/" + std::to_string(wanted) : "<none>";
  std::string ip = pod.path("status.podIPs").at(0)["ip"].str();
  return {name(pod), std::to_string(s.ready) + "/" + std::to_string(s.total), s.reason, restarts, age(pod, now), or_none(ip),
          or_none(pod.path("spec.nodeName").str()), or_none(pod.path("status.nominatedNodeName").str()), gates};
}

}  // namespace k8lite::api::print
