#include "kubelet/pods.h"

#include <fcntl.h>

#include "base/log.h"
#include "base/strings.h"
#include "kubelet/mounts.h"

namespace k8lite::kubelet {

using json::Doc;
using json::Value;
using machinery::Action;

namespace {
const std::string kStaticKey = "static pods";  // in the queue
constexpr auto kResizeAgain = seconds(10);
}

PodManager::PodManager(machinery::Client& client, const Clock& clock, machinery::EventRecorder& events, NodeFacts facts, machinery::Informer& pods, machinery::Informer& services,
                       image::ImageStore& images, image::Puller& puller, async::Loop& loop)
    : client_(client), loop_(loop), clock_(clock), events_(events), facts_(std::move(facts)), node_ip_(facts_.ip), pods_(pods), services_(services), images_(images), puller_(puller), queue_(clock) {
  runtime_ = std::make_unique<runtime::Runtime>(
      facts_.run_dir, [this](const std::string& uid, const runtime::shim::State& s) { on_exit(uid, s); },
      [this](const std::string& uid) {
        if (auto local = find(uid)) {
          std::lock_guard lock(mutex_);
          local->sandbox = false;
          local->stopping.clear();
          for (auto& [name, run] : local->runs) hooks_->container_ended(uid, run.current.id);
          for (auto& [name, run] : local->runs)
            if (run.current.running) run.current.running = false, run.current.exit_code = 137, run.current.finished_us = static_cast<uint64_t>(clock_.now().us);
          queue_.add(local->key);
        }
      });
  if (!facts_.manifest_dir.empty()) statics_ = std::make_unique<StaticPods>(facts_.manifest_dir, facts_.name, [this] { queue_.add(kStaticKey); });
  pulls_ = std::make_unique<ImagePulls>(
      clock, images_, [this](const image::Reference& reference, const std::vector<image::RegistryAuth>& auth) { return puller_.pull(reference, auth); }, [this](const std::string& uid) { on_pulled(uid); });
  prober_ = std::make_unique<Prober>(
      loop, clock,
      [this](const ProbeTarget& t, const std::vector<std::string>& command, Duration timeout) -> Result<std::pair<int, std::string>> {
        auto local = find(t.pod_uid);
        if (!local) return not_found("the pod is gone");
        return run_command(local, t.container, command, timeout);
      },
      [this](const ProbeTarget& t, ProbeKind kind, bool good) { on_probe(t, kind, good); },
      [this](const ProbeTarget& t, ProbeKind kind, const std::string& message) {
        static constexpr const char* kNames[] = {"Startup", "Liveness", "Readiness"};
        if (auto local = find(t.pod_uid)) event(local, "Warning", "Unhealthy", std::string(kNames[static_cast<int>(kind)]) + " probe failed: " + message, t.container);
      });
  hooks_ = std::make_unique<Hooks>(loop, [this](const HookTarget& t, const std::vector<std::string>& command, std::function<void(int)> done, Hooks::EndExec& end) -> Result<> {
    auto local = find(t.pod_uid);
    if (!local) return not_found("the pod is gone");
    auto [ns, pod] = machinery::split_key(local->key);
    os::Fd stdio[3];
    for (os::Fd& fd : stdio) fd.reset(::open("/dev/null", O_RDWR | O_CLOEXEC));
    return exec(ns, pod, t.container, command, false, stdio, std::move(done), &end);
  });
}

PodManager::~PodManager() {
  statics_ = nullptr;
  hooks_->stop();
  pulls_ = nullptr;
  prober_ = nullptr;
  runtime_ = nullptr;
}

PodManager::LocalPtr PodManager::find(const std::string& uid) const {
  std::lock_guard lock(mutex_);
  auto it = locals_.find(uid);
  return it == locals_.end() ? nullptr : it->second;
}
PodManager::LocalPtr PodManager::find_by_name(const std::string& ns, const std::string& pod) const {
  std::string key = machinery::object_key(ns, pod);
  std::lock_guard lock(mutex_);
  LocalPtr ended;  // its logs stay readable until the pod is deleted
  for (const auto& [uid, local] : locals_) {
    if (local->key != key) continue;
    if (!local->removed) return local;
    ended = local;
  }
  return ended;
}

bool PodManager::is_coming(const std::string& ns, const std::string& pod) const {
  if (!adopted_) return true;
  return !find_by_name(ns, pod) && wanted(machinery::object_key(ns, pod));
}

Result<Action> PodManager::reconcile(const std::string& key) {
  if (key == kStaticKey) {
    load_statics();
    return Action::wait_for_change();
  }
  if (key == kPressureKey) return look_at_pressure();
  auto r = reconcile_pod(key);
  if (!statics_ || (!pods_.get(key) && !statics_->get(key))) return r;
  if (!r.ok() && !statics_->get(key)) return r;
  return tend_mirror(key, r.ok() ? *r : Action::after(seconds(5)));
}

Result<Action> PodManager::reconcile_pod(const std::string& key) {
  Doc pod = wanted(key);
  std::string uid = pod ? pod.path("metadata.uid").str() : "";
  // Pods of that name that are gone from the API, or were replaced.
  std::vector<LocalPtr> stale;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [other, local] : locals_)
      if (local->key == key && other != uid) stale.push_back(local);
  }
  for (const auto& local : stale) {
    TRY(Action action, terminate(local, local->pod.path("metadata.deletionGracePeriodSeconds").int_or(local->pod.path("spec.terminationGracePeriodSeconds").int_or(30))));
    if (action.again > Duration{0} || !local->removed) return action.again > Duration{0} ? action : Action::after(milliseconds(500));
    (void)os::remove_tree(log_dir(*local, ""));
    std::lock_guard lock(mutex_);
    locals_.erase(local->uid);
  }
  if (!pod) return Action::wait_for_change();
  auto local = ensure(pod);
  if (pod.path("metadata.deletionTimestamp")) {
    TRY(Action action, terminate(local, pod.path("metadata.deletionGracePeriodSeconds").int_or(30)));
    if (!local->removed) return action;
    machinery::DeleteOptions options;
    options.grace_period_seconds = 0;
    options.uid = uid;
    auto [ns, name] = machinery::split_key(key);
    auto r = client_.remove({"", "v1", "pods", ns, name, ""}, options);
    if (!r.ok() && !r.status().is(Reason::NotFound) && !r.status().is(Reason::Conflict)) return r.status();
    return Action::wait_for_change();
  }
  std::string phase = pod.path("status.phase").str();
  if (phase == "Succeeded" || phase == "Failed") {
    TRY(Action action, terminate(local, pod.path("spec.terminationGracePeriodSeconds").int_or(30)));
    return action;
  }
  return sync(local);
}

Result<Action> PodManager::sync(const LocalPtr& local) {
  // It has ended and was cleaned up; that this is not seen in the pod yet is only the watch being late.
  if (local->removed) return Action::wait_for_change();
  Value pod = local->pod.root();
  if (int64_t limit = pod.path("spec.activeDeadlineSeconds").int_or(0); limit > 0)
    if (auto start = parse_rfc3339(pod.path("status.startTime").str()); start && clock_.now() - *start > seconds(limit)) {
      std::lock_guard lock(mutex_);
      local->reason = "DeadlineExceeded";
      local->message = "Pod was active on the node longer than the specified deadline";
    }
  (void)refuse(local);
  if (!local->reason.empty()) return terminate(local, local->end_grace >= 0 ? local->end_grace : grace_of(local));
  if (auto r = ensure_sandbox(local); !r.ok()) {
    event(local, "Warning", "FailedCreatePodSandBox", "Failed to create pod sandbox: " + r.status().message());
    (void)send_status(local);
    return Action::after(seconds(5));
  }
  if (auto r = ensure_ports(local); !r.ok()) {
    event(local, "Warning", "FailedCreatePodSandBox", "Failed to map host ports: " + r.status().message());
    (void)send_status(local);
    return Action::after(seconds(5));
  }
  if (auto r = ensure_volumes(local); !r.ok()) {
    event(local, "Warning", "FailedMount", r.status().message());
    (void)send_status(local);
    return Action::after(seconds(5));
  }
  restart_changed(local);
  bool resize = tend_resize(local);
  pod = local->pod.root();
  TRY(bool over_again, start_over(local));
  if (over_again) return Action::after(kill_overdue(local));
  PodActions actions;
  // Several rounds: an init container that ends at once lets the next one start.
  for (int round = 0; round < 32; ++round) {
    Runs runs;
    {
      std::lock_guard lock(mutex_);
      runs = local->runs;
    }
    actions = plan_pod(pod, runs, clock_.mono());
    if (actions.start.empty()) break;
    for (const auto& name : actions.start) start_container(local, name);
  }
  // What still serves containers that have ended goes as at the end of every pod.
  if (actions.finished) return terminate(local, grace_of(local));
  TRY_OK(send_status(local));
  Duration again = actions.wake_after;
  if (resize && (again == Duration{0} || again > kResizeAgain)) again = kResizeAgain;
  if (Duration left = kill_overdue(local); left > Duration{0} && (again == Duration{0} || left < again)) again = left;
  if (has_changing_volumes(pod) && (again == Duration{0} || again > seconds(60))) again = seconds(60);
  if (int64_t limit = pod.path("spec.activeDeadlineSeconds").int_or(0); limit > 0 && (again == Duration{0} || again > seconds(limit))) again = seconds(limit);
  return Action::after(again);
}

// From the end of a container that has just been noted. Called with the mutex held.
void PodManager::pause(ContainerRun& run) {
  Duration pause = pause_after(run);
  if (pause == Duration{0}) run.backoff = pause;
  run.not_before = pause == Duration{0} ? pause : clock_.mono() + pause;
}

// A container has ended in a way that its rules answer with a new start of the whole pod: first all others end. True: they have not yet.
Result<bool> PodManager::start_over(const LocalPtr& local) {
  Value pod = local->pod.root();
  std::vector<std::pair<std::string, std::string>> running;
  {
    std::lock_guard lock(mutex_);
    if (!restarts_all(pod, local->runs)) return false;
    for (auto& [name, run] : local->runs)
      if (kubelet::is_running(&run) && !is_ephemeral(pod, name)) running.emplace_back(name, run.current.id);
    if (running.empty())
      for (auto& [name, run] : local->runs) run.again = run.exists && !is_ephemeral(pod, name);
  }
  for (const auto& [name, id] : running) stop_container(local, name, id, grace_of(local), "Container " + name + " is restarted with its pod");
  if (running.empty()) return false;
  TRY_OK(send_status(local));
  return true;
}

void PodManager::on_exit(const std::string& uid, const runtime::shim::State& state) {
  auto local = find(uid);
  if (!local) return;
  prober_->remove(uid, state.id);
  hooks_->container_ended(uid, state.id);
  std::string waits;
  std::unique_lock lock(mutex_);
  local->stopping.erase(state.id);
  for (auto& [name, run] : local->runs) {
    if (!run.exists || run.current.id != state.id) continue;
    // An exit that start_container() saw first has its back-off already: counted twice, a crash would wait twice as long.
    bool counted = !run.current.running;
    run.current = state;
    run.ready = run.started = run.hooking = false;
    if (!counted) pause(run);
    if (run.owed) run.not_before = Duration{0};
    run.termination_message = termination_message(*local, name, run.current);
    Value pod = local->pod.root();
    if (!local->terminating && run.not_before > clock_.mono() && restarts(pod, find_container(pod, name), is_init(pod, name), run)) waits = name;
  }
  lock.unlock();
  if (auto [ns, pod] = machinery::split_key(local->key); !waits.empty())
    event(local, "Warning", "BackOff", "Back-off restarting failed container " + waits + " in pod " + pod + "_" + ns + "(" + uid + ")", waits);
  queue_.add(local->key);
}

void PodManager::on_probe(const ProbeTarget& t, ProbeKind kind, bool good) {
  auto local = find(t.pod_uid);
  if (!local) return;
  bool kill = false;
  {
    std::lock_guard lock(mutex_);
    ContainerRun& run = local->runs[t.container];
    if (run.current.id != t.container_id) return;
    if (kind == ProbeKind::Readiness) run.ready = good;
    if (kind == ProbeKind::Startup && good) run.started = true;
    kill = !good && kind != ProbeKind::Readiness;
  }
  if (kill) {
    Value probe = find_container(local->pod.root(), t.container)[kind == ProbeKind::Liveness ? "livenessProbe" : "startupProbe"];
    stop_container(local, t.container, t.container_id, probe["terminationGracePeriodSeconds"].int_or(grace_of(local)),
                   "Container " + t.container + " failed " + (kind == ProbeKind::Liveness ? "liveness" : "startup") + " probe" + (local->pod.path("spec.restartPolicy").equals("Never") ? "" : ", will be restarted"));
  }
  queue_.add(local->key);
}

Result<Action> PodManager::terminate(const LocalPtr& local, int64_t grace) {
  if (local->removed) return Action::wait_for_change();
  stop_containers(local, grace);
  Duration left = kill_overdue(local);
  bool running = false;
  {
    std::lock_guard lock(mutex_);
    for (auto& [name, run] : local->runs) running |= run.exists && run.current.running;
  }
  if (running && local->sandbox) {
    TRY_OK(send_status(local));
    return Action::after(left > Duration{0} ? left : milliseconds(500));
  }
  // Its last phase, which those wait for who hold it by a finalizer.
  std::string phase = local->pod.path("status.phase").str();
  bool over = local->pod.path("metadata.deletionTimestamp").exists() && !is_static(local->pod.root()) && phase != "Succeeded" && phase != "Failed";
  TRY_OK(send_status(local, over));
  TRY_OK(clean_up(local));
  (void)tear_down_volumes(pod_dir(local->uid));
  pulls_->forget(local->uid);
  std::lock_guard lock(mutex_);
  local->removed = true;
  return Action::wait_for_change();
}

namespace {
// The node controller says so of every pod of a node it does not hear of; once the node is back its own word counts again.
bool overruled(Value pod) {
  for (Value c : pod.path("status.conditions").items())
    if (c["type"].equals("Ready")) return c["reason"].equals("NodeNotReady");
  return false;
}
}  // namespace

Result<> PodManager::send_status(const LocalPtr& local, bool over) {
  if (local->told) return {};
  json::Node status;
  {
    std::lock_guard lock(mutex_);
    StatusInput in{node_ip_, local->ip, clock_.now(), local->sandbox, local->reason, local->message, local->disruption, local->resize, local->resizing, local->resize_error, has_recursive_read_only(), over};
    status = pod_status(local->pod.root(), local->runs, in);
  }
  std::string text = status.dump();
  if (text == local->sent_status && !overruled(local->pod.root())) return {};
  auto [ns, name] = machinery::split_key(local->key);
  json::Node patch = json::Node::obj({{"metadata", json::Node::obj({{"uid", local->uid}})}, {"status", std::move(status)}});
  if (is_static(local->pod.root())) {
    Doc mirror = pods_.get(local->key);
    if (!mirror || !mirror.path("metadata.annotations")[kMirrorAnnotation].equals(local->uid)) return {};
    patch["metadata"].set("uid", mirror.path("metadata.uid").str());
  }
  auto r = client_.patch({"", "v1", "pods", ns, name, "status"}, machinery::PatchType::Merge, patch.dump(), {});
  if (!r.ok() && (r.status().is(Reason::NotFound) || r.status().is(Reason::Conflict))) return {};
  // A static pod's life does not depend on anybody who hears of it.
  if (!r.ok() && is_static(local->pod.root())) {
    queue_.add_after(local->key, seconds(10));
    return {};
  }
  if (!r.ok()) return std::move(r).status();
  local->sent_status = text;
  return {};
}

}  // namespace k8lite::kubelet
