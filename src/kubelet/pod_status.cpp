// What the status of a pod says (Kubernetes documentation: "Pod Lifecycle"; reasons and messages are upstream's, since
// people search for them).
#include "base/strings.h"
#include "kubelet/pod_plan.h"

namespace k8lite::kubelet {

using json::Node;
using json::Value;
using runtime::shim::State;

namespace {

const ContainerRun* find(const Runs& runs, Value container) {
  auto it = runs.find(container["name"].str());
  return it == runs.end() ? nullptr : &it->second;
}

Node terminated_state(const State& s, const std::string& pod_uid, const std::string& message, bool start_failed) {
  std::string reason = start_failed                       ? "StartError"
                       : s.oom_killed && s.exit_code != 0 ? "OOMKilled"
                       : s.exit_code == 0                 ? "Completed"
                                                          : "Error";
  Node t = Node::obj({{"exitCode", s.exit_code},
                      {"reason", reason},
                      {"startedAt", rfc3339({static_cast<int64_t>(s.started_us)})},
                      {"finishedAt", rfc3339({static_cast<int64_t>(s.finished_us)})},
                      {"containerID", "k8lite://" + pod_uid + "/" + s.id}});
  if (s.signal) t.set("signal", s.signal);
  if (!message.empty()) t.set("message", message);
  return Node::obj({{"terminated", std::move(t)}});
}

// As Go writes a duration: "10s", "2m40s".
std::string go_duration(Duration d) {
  int64_t s = d.count() / 1'000'000;
  std::string out = s >= 3600 ? std::to_string(s / 3600) + "h" : "";
  if (s >= 60) out += std::to_string(s / 60 % 60) + "m";
  return out + std::to_string(s % 60) + "s";
}

Node waiting_state(Value pod, Value container, const ContainerRun* run) {
  Node w = Node::object();
  bool crash = has_ended(run) && run->waiting_reason.empty();
  w.set("reason", run && !run->waiting_reason.empty()      ? run->waiting_reason
                  : crash                                  ? "CrashLoopBackOff"
                  : pod.path("spec.initContainers").size() ? "PodInitializing"
                                                           : "ContainerCreating");
  if (run && !run->waiting_message.empty())
    w.set("message", run->waiting_message);
  else if (crash && run->backoff > Duration{0})
    w.set("message", "back-off " + go_duration(run->backoff) +
                         " restarting failed container=" + container["name"].str() + " pod=" + format_pod(pod));
  return Node::obj({{"waiting", std::move(w)}});
}

// The end of a container nobody saw an end of, in a pod that is over.
Node lost_state() {
  return Node::obj({{"terminated", Node::obj({{"exitCode", 137}, {"reason", "ContainerStatusUnknown"}, {"message", "The container could not be located when the pod was terminated"}, {"startedAt", Node()}, {"finishedAt", Node()}})}});
}

Node volume_mounts(Value container, bool recursive);

Node container_status(Value pod, Value container, bool init, const ContainerRun* run, const StatusInput& in, bool over) {
  std::string uid = pod.path("metadata.uid").str();
  Node s = Node::obj({{"name", container["name"].str()},
                      {"restartCount", run ? run->restart_count : 0},
                      {"image", run && !run->image.empty() ? run->image : container["image"].str()},
                      {"imageID", run ? run->image_id : ""}});
  bool ready = false, started = false;
  if (is_running(run) && run->hooking) {
    s["state"]["waiting"].set("reason",
                              pod.path("spec.initContainers").size() ? "PodInitializing" : "ContainerCreating");
  } else if (is_running(run)) {
    s["state"]["running"].set("startedAt", rfc3339({static_cast<int64_t>(run->current.started_us)}));
    started = run->started;
    ready = run->started && run->ready && (!init || is_sidecar(container));
  } else if (has_ended(run) && (over || !restarts(pod, container, init, *run))) {
    s.set("state", terminated_state(run->current, uid, run->termination_message, run->start_failed));
    ready = init && run->current.exit_code == 0;
  } else if (over) {
    s.set("state", lost_state());
  } else {
    s.set("state", waiting_state(pod, container, run));
  }
  bool waits_again = !over && run && run->exists && !run->current.running && restarts(pod, container, init, *run);
  if (waits_again)
    s.set("lastState", terminated_state(run->current, uid, run->termination_message, run->start_failed));
  else if (run && run->last)
    s.set("lastState", terminated_state(*run->last, uid, run->last_termination_message, run->last_start_failed));
  else
    s.set("lastState", Node::object());
  s.set("ready", ready);
  s.set("started", started);
  if (run && run->exists) s.set("containerID", "k8lite://" + uid + "/" + run->current.id);
  if (container["volumeMounts"].size()) s.set("volumeMounts", volume_mounts(container, in.recursive_read_only));
  if (!init || is_sidecar(container)) {
    // What it was given, and what the running one has of it.
    if (Value requests = container["resources"]["requests"]; requests.size())
      s.set("allocatedResources", requests.to_node());
    s.set("resources", is_running(run) ? run->resources : container["resources"].to_node());
  }
  return s;
}

// What became of the words that a container mounts its volumes with (KEP-3857).
Node volume_mounts(Value container, bool recursive) {
  Node out = Node::array();
  for (Value m : container["volumeMounts"].items()) {
    Node s = Node::obj({{"name", m["name"].str()}, {"mountPath", m["mountPath"].str()}});
    if (m["readOnly"].bool_or(false)) {
      std::string word = m["recursiveReadOnly"].str("Disabled");
      s.set("readOnly", true);
      s.set("recursiveReadOnly", word == "IfPossible" ? (recursive ? "Enabled" : "Disabled") : word);
    }
    out.append(std::move(s));
  }
  return out;
}

struct ConditionsWriter {
  Value old;
  Instant now;
  int64_t generation;
  Node out = Node::array();

  void add(std::string_view type, bool value, std::string_view reason = {}, const std::string& message = {}) {
    Node c = Node::obj({{"type", std::string(type)}, {"status", value ? "True" : "False"}, {"lastProbeTime", Node()}});
    std::string since = rfc3339(now);
    for (Value o : old.items())
      if (o["type"].equals(type) && o["status"].equals(value ? "True" : "False"))
        since = o["lastTransitionTime"].str(since);
    c.set("lastTransitionTime", since);
    if (!reason.empty()) c.set("reason", std::string(reason));
    if (!message.empty()) c.set("message", message);
    if (generation > 0) c.set("observedGeneration", generation);
    out.append(std::move(c));
  }
};

std::string phase_of(Value pod, const Runs& runs) {
  bool init_pending = false, init_failed = false;
  for (Value c : pod.path("spec.initContainers").items()) {
    const ContainerRun* run = find(runs, c);
    if (is_sidecar(c)) {
      init_pending |=
          !(is_running(run) && run->started && !run->hooking) && !(run && run->exists && run->restart_count > 0);
      continue;
    }
    bool good = has_ended(run) && run->current.exit_code == 0;
    if (good) continue;
    init_pending = true;
    if (has_ended(run) && !restarts(pod, c, true, *run)) init_failed = true;
  }
  if (init_failed && !has_initialized(pod, runs)) return "Failed";
  int running = 0, waiting = 0, failed = 0, total = 0;
  for (Value c : pod.path("spec.containers").items()) {
    const ContainerRun* run = find(runs, c);
    ++total;
    if (is_running(run) && run->hooking)
      ++waiting;
    else if (is_running(run))
      ++running;
    else if (has_ended(run) && !restarts(pod, c, false, *run))
      failed += run->current.exit_code != 0;
    else if (run && run->exists)
      ++running;  // between two runs
    else
      ++waiting;
  }
  bool any_app = running > 0 || waiting < total;
  if (init_pending && !any_app) return "Pending";
  if (waiting == total || (waiting > 0 && running == 0)) return "Pending";
  if (running > 0 || waiting > 0) return "Running";
  return failed > 0 ? "Failed" : "Succeeded";
}

// Nothing of it runs again, whatever its policy says.
std::string last_phase(Value pod, const Runs& runs) {
  for (Value c : pod.path("spec.containers").items())
    if (const ContainerRun* run = find(runs, c); !has_ended(run) || run->current.exit_code != 0) return "Failed";
  return "Succeeded";
}

void add_name(std::string& names, Value container) { names += (names.empty() ? "" : " ") + container["name"].str(); }

// Names of the containers that hold a condition back.
struct Incomplete {
  std::string init, ready;
};
Incomplete incomplete(Value pod, const Runs& runs) {
  Incomplete out;
  bool initialized = has_initialized(pod, runs);
  auto serves = [](const ContainerRun* run) { return is_running(run) && run->started && !run->hooking; };
  for (Value c : pod.path("spec.initContainers").items()) {
    const ContainerRun* run = find(runs, c);
    if (is_sidecar(c) && !(serves(run) && run->ready)) add_name(out.ready, c);
    bool done = is_sidecar(c) ? serves(run) : has_ended(run) && run->current.exit_code == 0;
    if (!initialized && !done) add_name(out.init, c);
  }
  for (Value c : pod.path("spec.containers").items())
    if (const ContainerRun* run = find(runs, c); !(serves(run) && run->ready)) add_name(out.ready, c);
  return out;
}

bool gates_are_open(Value pod, std::string& message) {
  std::vector<std::string> closed;
  for (Value gate : pod.path("spec.readinessGates").items()) {
    std::string type = gate["conditionType"].str(), why = "does not exist";
    for (Value c : pod.path("status.conditions").items())
      if (c["type"].equals(type))
        why = c["status"].equals("True") ? "" : "is not \"True\", is \"" + c["status"].str() + "\"";
    if (why == "does not exist")
      closed.push_back("corresponding condition of pod readiness gate " + json::quoted(type) + " does not exist.");
    else if (!why.empty())
      closed.push_back("the status of pod readiness gate " + json::quoted(type) + " " + why);
  }
  message = join(closed, ", ");
  return closed.empty();
}

Node pod_conditions(Value pod, const Runs& runs, const StatusInput& in, const std::string& phase) {
  ConditionsWriter w{pod.path("status.conditions"), in.now, pod.path("metadata.generation").int_or(0)};
  Incomplete missing = incomplete(pod, runs);
  w.add("PodReadyToStartContainers", in.sandbox_ready);
  if (phase == "Succeeded")
    w.add("Initialized", true, "PodCompleted");
  else if (missing.init.empty())
    w.add("Initialized", true);
  else
    w.add("Initialized", false, "ContainersNotInitialized",
          "containers with incomplete status: [" + missing.init + "]");
  std::string why, what, gates;
  if (phase == "Failed")
    why = "PodFailed";
  else if (phase == "Succeeded")
    why = "PodCompleted";
  else if (!missing.ready.empty())
    why = "ContainersNotReady", what = "containers with unready status: [" + missing.ready + "]";
  bool ready = why.empty(), open = gates_are_open(pod, gates);
  if (ready && !open)
    w.add("Ready", false, "ReadinessGatesNotReady", gates);
  else
    w.add("Ready", ready, why, what);
  w.add("ContainersReady", ready, why, what);
  bool scheduled = false;
  for (Value c : w.old.items()) {
    std::string type = c["type"].str();
    scheduled |= type == "PodScheduled";
    bool ours = type == "PodReadyToStartContainers" || type == "Initialized" || type == "Ready" ||
                type == "ContainersReady" || type == "PodResizePending" || type == "PodResizeInProgress" ||
                (type == "DisruptionTarget" && in.disruption);
    if (!ours) w.out.append(c.to_node());
  }
  if (!scheduled) w.add("PodScheduled", true);
  if (!in.resize.reason.empty()) w.add("PodResizePending", true, in.resize.reason, in.resize.message);
  if (in.resizing) w.add("PodResizeInProgress", true, in.resize_error.empty() ? "" : "Error", in.resize_error);
  if (in.disruption) w.add("DisruptionTarget", true, "TerminationByKubelet", in.message);
  return std::move(w.out);
}

}  // namespace

std::string format_pod(Value pod) {
  return pod.path("metadata.name").str() + "_" + pod.path("metadata.namespace").str() + "(" +
         pod.path("metadata.uid").str() + ")";
}

Node pod_status(Value pod, const Runs& runs, const StatusInput& in) {
  Value old = pod["status"];
  Node s = Node::object();
  std::string phase = in.reason.empty() ? phase_of(pod, runs) : "Failed";
  // No pod is over while something of it runs: its sidecars may still be on their way out.
  bool any = false;
  for (const auto& [name, run] : runs) any |= is_running(&run);
  if (any && (phase == "Failed" || phase == "Succeeded")) phase = old["phase"].str("Running");
  const bool over = in.over && !any;
  if (over && in.reason.empty()) phase = last_phase(pod, runs);
  s.set("phase", phase);
  if (int64_t generation = pod.path("metadata.generation").int_or(0)) s.set("observedGeneration", generation);
  if (!in.reason.empty()) s.set("reason", in.reason), s.set("message", in.message);
  s.set("hostIP", in.host_ip);
  s.set("hostIPs", Node::arr({Node::obj({{"ip", in.host_ip}})}));
  if (!in.pod_ip.empty()) s.set("podIP", in.pod_ip), s.set("podIPs", Node::arr({Node::obj({{"ip", in.pod_ip}})}));
  s.set("startTime", old["startTime"].str(rfc3339(in.now)));
  s.set("qosClass", std::string(qos_name(qos_of(pod))));
  s.set("conditions", pod_conditions(pod, runs, in, phase));
  Node statuses = Node::array();
  for (Value c : pod.path("spec.initContainers").items())
    s["initContainerStatuses"].append(container_status(pod, c, true, find(runs, c), in, over));
  for (Value c : pod.path("spec.containers").items()) statuses.append(container_status(pod, c, false, find(runs, c), in, over));
  s.set("containerStatuses", std::move(statuses));
  for (Value c : pod.path("spec.ephemeralContainers").items()) {
    Node status = container_status(pod, c, false, find(runs, c), in, over);
    status.set("ready", false);
    status.erase("started");
    s["ephemeralContainerStatuses"].append(std::move(status));
  }

  return s;
}

}  // namespace k8lite::kubelet
