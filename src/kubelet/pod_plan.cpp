#include "kubelet/pod_plan.h"

#include <algorithm>

namespace k8lite::kubelet {
namespace {

using json::Value;

const ContainerRun* find(const Runs& runs, Value container) {
  auto it = runs.find(container["name"].str());
  return it == runs.end() ? nullptr : &it->second;
}

void start_when_due(PodActions& out, Value container, const ContainerRun* run, Duration mono) {
  if (!run || run->not_before <= mono) {
    out.start.push_back(container["name"].str());
    return;
  }
  Duration left = run->not_before - mono;
  if (out.wake_after == Duration{0} || left < out.wake_after) out.wake_after = left;
}

// The first rule that knows the exit code decides (KEP-5307); "": none does.
std::string matching_rule(Value container, int exit_code) {
  for (Value rule : container["restartPolicyRules"].items()) {
    bool listed = false;
    for (Value v : rule.path("exitCodes.values").items()) listed |= v.int_or(-1) == exit_code;
    if (listed == rule.path("exitCodes.operator").equals("In")) return rule["action"].str();
  }
  return {};
}

// May the main containers run? Fills in what is to be started before they may.
bool plan_init(Value pod, const Runs& runs, bool initialized, Duration mono, PodActions& out) {
  for (Value c : pod.path("spec.initContainers").items()) {
    const ContainerRun* run = find(runs, c);
    if (is_sidecar(c)) {
      if (!is_running(run)) start_when_due(out, c, run, mono);
      // The next one waits until it has started.
      if (!initialized && !(is_running(run) && run->started && !run->hooking)) return false;
      continue;
    }
    // Once the pod is on its way, nobody goes back to its init containers.
    if (initialized || (has_ended(run) && run->current.exit_code == 0)) continue;
    if (is_running(run)) return false;
    if (has_ended(run) && !restarts(pod, c, true, *run))
      out.finished = true;
    else
      start_when_due(out, c, run, mono);
    return false;
  }
  return true;
}

bool mains_are_over(Value pod, const Runs& runs) {
  for (Value c : pod.path("spec.containers").items()) {
    const ContainerRun* run = find(runs, c);
    if (!has_ended(run) || restarts(pod, c, false, *run)) return false;
  }
  return pod.path("spec.containers").size() > 0;
}

PodActions finished() {
  PodActions out;
  out.finished = true;
  return out;
}

}  // namespace

bool is_sidecar(Value container) { return container["restartPolicy"].equals("Always"); }
bool is_running(const ContainerRun* run) { return run && run->exists && run->current.running; }
bool has_ended(const ContainerRun* run) { return run && run->exists && !run->again && !run->current.running; }

bool is_ephemeral(Value pod, std::string_view name) {
  for (Value c : pod.path("spec.ephemeralContainers").items())
    if (c["name"].equals(name)) return true;
  return false;
}

bool is_init(Value pod, std::string_view name) {
  for (Value c : pod.path("spec.initContainers").items())
    if (c["name"].equals(name)) return true;
  return false;
}

bool has_other_image(Value pod, std::string_view name, const ContainerRun& run) {
  return !run.asked_image.empty() && !run.owed && !is_ephemeral(pod, name) &&
         !find_container(pod, name)["image"].equals(run.asked_image);
}

bool has_initialized(Value pod, const Runs& runs) {
  for (Value c : pod.path("spec.containers").items())
    if (const ContainerRun* run = find(runs, c); run && run->exists && !run->again) return true;
  return false;
}

bool restarts(Value pod, Value container, bool init, const ContainerRun& run) {
  if (is_ephemeral(pod, container["name"].str())) return false;
  if (run.again || run.owed || (init && is_sidecar(container))) return true;
  if (!matching_rule(container, run.current.exit_code).empty()) return true;
  std::string policy = pod.path("spec.restartPolicy").str("Always");
  if (std::string own = container["restartPolicy"].str(); !own.empty()) policy = own;
  if (init) return policy != "Never" && run.current.exit_code != 0;
  return policy == "Always" || (policy == "OnFailure" && run.current.exit_code != 0);
}

bool restarts_all(Value pod, const Runs& runs) {
  for (std::string_view list : {"containers", "initContainers"})
    for (Value c : pod["spec"][list].items())
      if (const ContainerRun* run = find(runs, c);
          has_ended(run) && matching_rule(c, run->current.exit_code) == "RestartAllContainers")
        return true;
  return false;
}

Duration pause_after(const ContainerRun& run) {
  Duration ran(
      static_cast<int64_t>(run.current.finished_us - std::min(run.current.started_us, run.current.finished_us)));
  return ran >= kBackoffReset ? Duration{0} : run.backoff;
}

Duration next_backoff(Duration backoff) {
  return backoff == Duration{0} ? kFirstBackoff : std::min(backoff * 2, kLongestBackoff);
}

PodActions plan_pod(Value pod, const Runs& runs, Duration mono) {
  if (mains_are_over(pod, runs)) return finished();
  PodActions out;
  // Ephemeral containers come whenever they are asked for, once each, and the pod does not depend on them.
  for (Value c : pod.path("spec.ephemeralContainers").items())
    if (const ContainerRun* run = find(runs, c); !run || !run->exists) start_when_due(out, c, run, mono);
  bool may_run = plan_init(pod, runs, has_initialized(pod, runs), mono, out);
  if (out.finished) return finished();
  if (!may_run) return out;
  for (Value c : pod.path("spec.containers").items()) {
    const ContainerRun* run = find(runs, c);
    if (is_running(run)) {
      if (run->hooking) break;  // the next container starts when its hook has ended
      continue;
    }
    if (has_ended(run) && !restarts(pod, c, false, *run)) continue;
    start_when_due(out, c, run, mono);
    bool starts = !out.start.empty() && c["name"].equals(out.start.back());
    if (starts && c["lifecycle"]["postStart"]) break;
  }
  return out;
}

bool may_stop(Value pod, const Runs& runs, std::string_view name) {
  bool later = false;  // among the init containers: after `name`
  for (Value c : pod.path("spec.initContainers").items()) {
    if (later && is_running(find(runs, c))) return false;
    if (c["name"].equals(name)) {
      if (!is_sidecar(c)) return true;
      later = true;
    }
  }
  if (!later) return true;
  for (Value c : pod.path("spec.containers").items())
    if (is_running(find(runs, c))) return false;
  return true;
}

bool is_ready(Value pod) {
  for (Value c : pod.path("status.conditions").items())
    if (c["type"].equals("Ready")) return c["status"].equals("True");
  return false;
}

Value find_container(Value pod, std::string_view name) {
  for (std::string_view list : {"containers", "initContainers", "ephemeralContainers"})
    for (Value c : pod["spec"][list].items())
      if (c["name"].equals(name)) return c;
  return {};
}

}  // namespace k8lite::kubelet
