#include "kubelet/pod_plan.h"

#include <algorithm>

#include "base/quantity.h"
#include "base/strings.h"

namespace k8lite::kubelet {
namespace {

using json::Node;
using json::Value;
using runtime::shim::State;

bool is_sidecar(Value container) { return container["restartPolicy"].equals("Always"); }
bool is_running(const ContainerRun* run) { return run && run->exists && run->current.running; }
bool has_ended(const ContainerRun* run) { return run && run->exists && !run->current.running; }

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

struct InitProgress {
  bool done = true, failed = false;
};

InitProgress plan_init(Value pod, const Runs& runs, Duration mono, PodActions& out) {
  InitProgress p;
  for (Value c : pod.path("spec.initContainers").items()) {
    const ContainerRun* run = find(runs, c);
    if (is_sidecar(c)) {
      if (!is_running(run)) start_when_due(out, c, run, mono);
      if (p.done && !(is_running(run) && run->started && !run->hooking)) {  // the next one waits until it has started
        p.done = false;
        return p;
      }
      continue;
    }
    if (has_ended(run) && run->current.exit_code == 0) continue;
    p.done = false;
    if (is_running(run)) return p;
    if (has_ended(run) && !restarts(pod, c, true, *run)) p.failed = true;
    else start_when_due(out, c, run, mono);
    return p;
  }
  return p;
}

}  // namespace

bool is_ephemeral(Value pod, std::string_view name) {
  for (Value c : pod.path("spec.ephemeralContainers").items())
    if (c["name"].equals(name)) return true;
  return false;
}

bool restarts(Value pod, Value container, bool init, const ContainerRun& run) {
  if (is_ephemeral(pod, container["name"].str())) return false;
  if (init && is_sidecar(container)) return true;
  std::string policy = pod.path("spec.restartPolicy").str("Always");
  if (std::string own = container["restartPolicy"].str(); !own.empty()) policy = own;
  if (init) return policy != "Never" && run.current.exit_code != 0;
  return policy == "Always" || (policy == "OnFailure" && run.current.exit_code != 0);
}

Duration next_backoff(const ContainerRun& run) {
  Duration ran(static_cast<int64_t>(run.current.finished_us - std::min(run.current.started_us, run.current.finished_us)));
  if (run.backoff == Duration{0} || ran >= kBackoffReset) return kFirstBackoff;
  return std::min(run.backoff * 2, kLongestBackoff);
}

PodActions plan_pod(Value pod, const Runs& runs, Duration mono) {
  PodActions out;
  // Ephemeral containers come whenever they are asked for, once each, and the pod does not depend on them.
  for (Value c : pod.path("spec.ephemeralContainers").items())
    if (const ContainerRun* run = find(runs, c); !run || !run->exists) start_when_due(out, c, run, mono);
  InitProgress init = plan_init(pod, runs, mono, out);
  if (init.failed) {
    out.finished = true;
    out.start.clear();
    return out;
  }
  if (!init.done) return out;
  bool all_over = true;
  for (Value c : pod.path("spec.containers").items()) {
    const ContainerRun* run = find(runs, c);
    if (is_running(run)) {
      all_over = false;
      if (run->hooking) break;  // the next container starts when its hook has ended
      continue;
    }
    if (has_ended(run) && !restarts(pod, c, false, *run)) continue;
    all_over = false;
    start_when_due(out, c, run, mono);
    bool starts = !out.start.empty() && c["name"].equals(out.start.back());
    if (starts && c["lifecycle"]["postStart"]) break;
  }
  if (all_over) {
    out.finished = true;
    out.start.clear();
    out.wake_after = Duration{0};
  }
  return out;
}

// ---- status ----

namespace {

Node terminated_state(const State& s, const std::string& pod_uid, const std::string& message) {
  std::string reason = s.oom_killed && s.exit_code != 0 ? "OOMKilled" : s.exit_code == 0 ? "Completed" : "Error";
  Node t = Node::obj({{"exitCode", s.exit_code}, {"reason", reason}, {"startedAt", rfc3339({static_cast<int64_t>(s.started_us)})}, {"finishedAt", rfc3339({static_cast<int64_t>(s.finished_us)})},
                      {"containerID", "k8lite://" + pod_uid + "/" + s.id}});
  if (s.signal) t.set("signal", s.signal);
  if (!message.empty()) t.set("message", message);
  return Node::obj({{"terminated", std::move(t)}});
}

Node waiting_state(const ContainerRun* run, bool init_phase) {
  Node w = Node::object();
  bool crash = run && run->exists && run->waiting_reason.empty();
  w.set("reason", run && !run->waiting_reason.empty() ? run->waiting_reason : crash ? "CrashLoopBackOff" : init_phase ? "PodInitializing" : "ContainerCreating");
  if (run && !run->waiting_message.empty()) w.set("message", run->waiting_message);
  else if (crash && run->backoff > Duration{0})
    w.set("message", "back-off " + human_duration(run->backoff) + " restarting failed container=" + run->current.id.substr(0, run->current.id.rfind('-')));
  return Node::obj({{"waiting", std::move(w)}});
}

Node container_status(Value pod, Value container, bool init, const ContainerRun* run, bool init_phase) {
  std::string uid = pod.path("metadata.uid").str();
  Node s = Node::obj({{"name", container["name"].str()}, {"restartCount", run ? run->restart_count : 0}, {"image", run && !run->image.empty() ? run->image : container["image"].str()}, {"imageID", run ? run->image_id : ""}});
  bool ready = false, started = false;
  if (is_running(run) && run->hooking) {
    s["state"]["waiting"].set("reason", pod.path("spec.initContainers").size() ? "PodInitializing" : "ContainerCreating");
  } else if (is_running(run)) {
    s["state"]["running"].set("startedAt", rfc3339({static_cast<int64_t>(run->current.started_us)}));
    started = run->started;
    ready = run->started && run->ready && (!init || is_sidecar(container));
  } else if (has_ended(run) && !restarts(pod, container, init, *run)) {
    s.set("state", terminated_state(run->current, uid, run->termination_message));
    ready = init && run->current.exit_code == 0;
  } else {
    s.set("state", waiting_state(run, init_phase && !init));
  }
  bool waits_again = has_ended(run) && restarts(pod, container, init, *run);
  if (waits_again) s.set("lastState", terminated_state(run->current, uid, run->termination_message));
  else if (run && run->last) s.set("lastState", terminated_state(*run->last, uid, run->last_termination_message));
  else s.set("lastState", Node::object());
  s.set("ready", ready);
  s.set("started", started);
  if (run && run->exists) s.set("containerID", "k8lite://" + uid + "/" + run->current.id);
  return s;
}

void set_condition(Node& conditions, Value old, std::string_view type, bool value, std::string_view reason, const std::string& message, Instant now) {
  Node c = Node::obj({{"type", std::string(type)}, {"status", value ? "True" : "False"}, {"lastProbeTime", Node()}});
  std::string since = rfc3339(now);
  for (Value o : old.items())
    if (o["type"].equals(type) && o["status"].equals(value ? "True" : "False")) since = o["lastTransitionTime"].str(since);
  c.set("lastTransitionTime", since);
  if (!value && !reason.empty()) c.set("reason", std::string(reason));
  if (!value && !message.empty()) c.set("message", message);
  conditions.append(std::move(c));
}

std::string phase_of(Value pod, const Runs& runs) {
  bool init_pending = false, init_failed = false;
  for (Value c : pod.path("spec.initContainers").items()) {
    const ContainerRun* run = find(runs, c);
    if (is_sidecar(c)) {
      init_pending |= !(is_running(run) && run->started && !run->hooking) && !(run && run->exists && run->restart_count > 0);
      continue;
    }
    bool good = has_ended(run) && run->current.exit_code == 0;
    if (good) continue;
    init_pending = true;
    if (has_ended(run) && !restarts(pod, c, true, *run)) init_failed = true;
  }
  if (init_failed) return "Failed";
  int running = 0, waiting = 0, failed = 0, total = 0;
  for (Value c : pod.path("spec.containers").items()) {
    const ContainerRun* run = find(runs, c);
    ++total;
    if (is_running(run) && run->hooking) ++waiting;
    else if (is_running(run)) ++running;
    else if (has_ended(run) && !restarts(pod, c, false, *run)) failed += run->current.exit_code != 0;
    else if (has_ended(run)) ++running;  // between two runs
    else ++waiting;
  }
  bool any_app = running > 0 || waiting < total;
  if (init_pending && !any_app) return "Pending";
  if (waiting == total || (waiting > 0 && running == 0)) return "Pending";
  if (running > 0 || waiting > 0) return "Running";
  return failed > 0 ? "Failed" : "Succeeded";
}

std::string names_not_ready(const Node& statuses) {
  std::string out;
  for (const Node& s : statuses.items())
    if (!s.get("ready").bool_or(false)) out += (out.empty() ? "" : " ") + s.get("name").str();
  return out;
}

}  // namespace

Node pod_status(Value pod, const Runs& runs, const StatusInput& in) {
  Value old = pod["status"];
  Node s = Node::object();
  std::string phase = phase_of(pod, runs);
  if (!in.reason.empty()) phase = "Failed";
  s.set("phase", phase);
  if (!in.reason.empty()) s.set("reason", in.reason), s.set("message", in.message);
  s.set("hostIP", in.host_ip);
  s.set("hostIPs", Node::arr({Node::obj({{"ip", in.host_ip}})}));
  if (!in.pod_ip.empty()) s.set("podIP", in.pod_ip), s.set("podIPs", Node::arr({Node::obj({{"ip", in.pod_ip}})}));
  s.set("startTime", old["startTime"].str(rfc3339(in.now)));
  s.set("qosClass", std::string(qos_name(qos_of(pod))));

  bool init_done = true;
  for (Value c : pod.path("spec.initContainers").items()) {
    const ContainerRun* run = find(runs, c);
    init_done &= is_sidecar(c) ? is_running(run) && run->started && !run->hooking : has_ended(run) && run->current.exit_code == 0;
  }
  Node statuses = Node::array();
  for (Value c : pod.path("spec.initContainers").items()) s["initContainerStatuses"].append(container_status(pod, c, true, find(runs, c), false));
  for (Value c : pod.path("spec.containers").items()) statuses.append(container_status(pod, c, false, find(runs, c), !init_done));

  for (Value c : pod.path("spec.ephemeralContainers").items()) {
    Node status = container_status(pod, c, false, find(runs, c), false);
    status.set("ready", false);
    status.erase("started");
    s["ephemeralContainerStatuses"].append(std::move(status));
  }

  bool over = phase == "Succeeded" || phase == "Failed";
  std::string missing = names_not_ready(statuses);
  for (const Node& i : s.get("initContainerStatuses").items())
    if (json::Value c = find_container(pod, i.get("name").str()); is_sidecar(c) && !i.get("ready").bool_or(false)) missing += (missing.empty() ? "" : " ") + i.get("name").str();
  bool containers_ready = missing.empty() && !over, gates = true;
  for (Value gate : pod.path("spec.readinessGates").items()) {
    bool found = false;
    for (Value c : old["conditions"].items()) found |= c["type"].equals(gate["conditionType"].str()) && c["status"].equals("True");
    gates &= found;
  }
  Node conditions = Node::array();
  std::string why = phase == "Succeeded" ? "PodCompleted" : "ContainersNotReady", what = over ? "" : "containers with unready status: [" + missing + "]";
  set_condition(conditions, old["conditions"], "PodReadyToStartContainers", in.sandbox_ready, "", "", in.now);
  set_condition(conditions, old["conditions"], "Initialized", init_done || phase == "Succeeded", "ContainersNotInitialized", "containers with incomplete status", in.now);
  set_condition(conditions, old["conditions"], "Ready", containers_ready && gates, containers_ready ? "ReadinessGatesNotReady" : why, containers_ready ? "corresponding readiness gates are not true" : what, in.now);
  set_condition(conditions, old["conditions"], "ContainersReady", containers_ready, why, what, in.now);
  bool scheduled = false;
  for (Value c : old["conditions"].items()) {
    std::string type = c["type"].str();
    scheduled |= type == "PodScheduled";
    bool ours = type == "PodReadyToStartContainers" || type == "Initialized" || type == "Ready" || type == "ContainersReady";
    if (!ours) conditions.append(c.to_node());
  }
  if (!scheduled) set_condition(conditions, old["conditions"], "PodScheduled", true, "", "", in.now);
  s.set("conditions", std::move(conditions));
  s.set("containerStatuses", std::move(statuses));
  return s;
}

// ---- resources ----

Qos qos_of(Value pod) {
  bool any = false, guaranteed = true;
  for (std::string_view list : {"containers", "initContainers"})
    for (Value c : pod["spec"][list].items())
      for (std::string_view name : {"cpu", "memory"}) {
        auto limit = Quantity::parse(c["resources"]["limits"][name].str()), request = Quantity::parse(c["resources"]["requests"][name].str());
        bool has_limit = limit && !limit->is_zero(), has_request = request && !request->is_zero();
        any |= has_limit || has_request;
        guaranteed &= has_limit && (!has_request || *request == *limit);
      }
  return !any ? Qos::BestEffort : guaranteed ? Qos::Guaranteed : Qos::Burstable;
}

std::string_view qos_name(Qos q) { return q == Qos::Guaranteed ? "Guaranteed" : q == Qos::Burstable ? "Burstable" : "BestEffort"; }

std::string pod_cgroup(Value pod) {
  std::string uid = pod.path("metadata.uid").str();
  switch (qos_of(pod)) {
    case Qos::Guaranteed: return "kubepods/pod" + uid;
    case Qos::Burstable: return "kubepods/burstable/pod" + uid;
    case Qos::BestEffort: return "kubepods/besteffort/pod" + uid;
  }
  return {};
}

runtime::Resources container_resources(Value c) {
  runtime::Resources r;
  auto quantity = [&c](std::string_view list, std::string_view name) { return Quantity::parse(c["resources"][list][name].str()); };
  if (auto m = quantity("limits", "memory")) r.memory_limit = m->value();
  auto request = quantity("requests", "cpu"), limit = quantity("limits", "cpu");
  r.cpu_shares = runtime::shares_of_milli_cpu(request ? request->milli_value() : 0);
  if (limit && !limit->is_zero()) r.cpu_quota_us = std::max<int64_t>(limit->milli_value() * r.cpu_period_us / 1000, 1000);
  return r;
}

int64_t oom_score_adj(Value pod, Value c, int64_t node_memory) {
  switch (qos_of(pod)) {
    case Qos::Guaranteed: return -997;
    case Qos::BestEffort: return 1000;
    case Qos::Burstable: break;
  }
  auto request = Quantity::parse(c["resources"]["requests"]["memory"].str());
  int64_t memory = request ? request->value() : 0;
  return std::clamp<int64_t>(1000 - (node_memory > 0 ? 1000 * memory / node_memory : 0), 3, 999);
}

bool is_ready(Value pod) {
  for (Value c : pod.path("status.conditions").items())
    if (c["type"].equals("Ready")) return c["status"].equals("True");
  return false;
}

int port_of(Value container, Value port) {
  if (!port.is_string()) return static_cast<int>(port.int_or(0));
  for (Value p : container["ports"].items())
    if (p["name"].equals(port.str())) return static_cast<int>(p["containerPort"].int_or(0));
  return static_cast<int>(parse_int(port.str()).value_or(0));
}

Value find_container(Value pod, std::string_view name) {
  for (std::string_view list : {"containers", "initContainers", "ephemeralContainers"})
    for (Value c : pod["spec"][list].items())
      if (c["name"].equals(name)) return c;
  return {};
}

}  // namespace k8lite::kubelet
