#include "kubelet/pods.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

#include "api/volumes.h"
#include "base/log.h"
#include "base/strings.h"

namespace k8lite::kubelet {

using json::Doc;
using json::Value;
using machinery::Action;

namespace {
constexpr int kLostExitCode = 137;            // of a container whose end nobody saw
const std::string kStaticKey = "static pods";    // in the queue, where pods have "<namespace>/<name>"
const std::string kPressureKey = "node pressure";
constexpr auto kResizeAgain = seconds(10);
constexpr size_t kMaxCommandOutput = 10 * 1024;  // of a probe or hook, for its message
}

PodManager::PodManager(machinery::Client& client, const Clock& clock, machinery::EventRecorder& events, NodeFacts facts, machinery::Informer& pods, machinery::Informer& services,
                       image::ImageStore& images, image::Puller& puller, async::Loop& loop)
    : client_(client), clock_(clock), events_(events), facts_(std::move(facts)), node_ip_(facts_.ip), pods_(pods), services_(services), images_(images), puller_(puller), queue_(clock) {
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

namespace {

// A run as its `terminated` state in the API tells it.
runtime::shim::State ended_run(const std::string& id, Value terminated) {
  runtime::shim::State s;
  s.id = id;
  s.exit_code = terminated["exitCode"].int_or(0);
  s.signal = terminated["signal"].int_or(0);
  s.oom_killed = terminated["reason"].equals("OOMKilled");
  if (auto at = parse_rfc3339(terminated["finishedAt"].str())) s.finished_us = static_cast<uint64_t>(at->us);
  if (auto at = parse_rfc3339(terminated["startedAt"].str())) s.started_us = static_cast<uint64_t>(at->us);
  return s;
}

// After a restart or a reboot the API still knows how often containers were started and how they ended.
void restore(LocalPod& local, const Doc& pod) {
  std::string phase = pod.path("status.phase").str();
  bool all_ended = true;
  for (const char* list : {"containerStatuses", "initContainerStatuses"})
    for (Value s : pod["status"][list].items()) {
      std::string name = s["name"].str();
      int64_t count = s["restartCount"].int_or(0);
      Value t = s["state"]["terminated"];
      all_ended &= t.exists();
      if (s["containerID"].empty()) continue;
      ContainerRun& run = local.runs[name];
      run.restart_count = static_cast<int>(count) + 1;
      run.image = s["image"].str();
      run.image_id = s["imageID"].str();
      if (Value last = s["lastState"]["terminated"]) {
        run.last = ended_run(name + "-" + std::to_string(s["state"]["waiting"] ? count : count - 1), last);
        run.last_termination_message = last["message"].str();
      }
      if (!t) continue;
      // What had ended stays ended: init containers and pods that never restart must not run again.
      run.exists = true;
      run.restart_count = static_cast<int>(count);
      run.current = ended_run(name + "-" + std::to_string(count), t);
      run.termination_message = t["message"].str();
    }
  // One that ran is not started again, whatever became of it: adopt() knows better where it lives.
  for (Value s : pod["status"]["ephemeralContainerStatuses"].items()) {
    if (s["containerID"].empty()) continue;
    ContainerRun& run = local.runs[s["name"].str()];
    run.exists = true;
    run.image = s["image"].str();
    run.image_id = s["imageID"].str();
    run.current = ended_run(s["name"].str() + "-0", s["state"]["terminated"]);
    if (!s["state"]["terminated"]) run.current.exit_code = kLostExitCode;
  }
  local.told = all_ended && (phase == "Succeeded" || phase == "Failed");
}

}  // namespace

PodManager::LocalPtr PodManager::ensure(const Doc& pod) {
  std::string uid = pod.path("metadata.uid").str();
  std::lock_guard lock(mutex_);
  auto& slot = locals_[uid];
  if (!slot) {
    slot = std::make_shared<LocalPod>();
    slot->uid = uid;
    slot->key = machinery::object_key(pod.root());
    restore(*slot, pod);
  }
  take_pod(*slot, pod);
  return slot;
}

// What the shim does not know of a container: from the API, when its start had been reported, else as at a start.
void PodManager::take_known(const LocalPod& local, const runtime::shim::State& s, ContainerRun& run) {
  std::string name = s.id.substr(0, s.id.rfind('-'));
  Value container = find_container(local.pod.root(), name);
  run.started = !container["startupProbe"];
  run.ready = !container["readinessProbe"];
  if (auto it = local.allocated.find(name); it != local.allocated.end()) run.resources = it->second;
  if (auto image = images_.find(container["image"].str())) name_image(*image, container, run.image, run.image_id);
  for (const char* list : {"containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"})
    for (Value c : local.pod["status"][list].items()) {
      if (!c["name"].equals(name) || !c["containerID"].str().ends_with("/" + s.id)) continue;
      run.ready = c["ready"].bool_or(false);
      run.started |= c["started"].bool_or(false);
      run.image = c["image"].str();
      run.image_id = c["imageID"].str();
    }
  if (!s.running) run.ready = run.started = false, run.termination_message = termination_message(local, name, s);
}

void PodManager::adopt() {
  std::vector<std::string> alive;
  if (statics_) statics_->load();
  const std::vector<Doc> wanted_pods = all_wanted();
  for (const auto& uid : runtime_->adopt()) {
    Doc pod;
    for (const Doc& p : wanted_pods)
      if (p.path("metadata.uid").equals(uid)) pod = p;
    auto states = runtime_->list(uid);
    if (!pod || !states.ok()) {
      log_info("a pod that is no more wanted is removed", {{"uid", uid}});
      (void)runtime_->remove_pod(uid);
      continue;
    }
    if (!adopt_network(uid, pod)) {
      (void)runtime_->remove_pod(uid);
      continue;
    }
    alive.push_back(uid);
    auto local = ensure(pod);
    std::lock_guard lock(mutex_);
    local->sandbox = true;
    local->ip = pod.path("spec.hostNetwork").bool_or(false) ? node_ip_ : network_ ? network_->address_of(uid) : "";
    for (const auto& s : *states) {
      size_t dash = s.id.rfind('-');
      ContainerRun& run = local->runs[s.id.substr(0, dash)];
      int attempt = static_cast<int>(parse_int(s.id.substr(dash + 1)).value_or(0));
      if (run.exists && run.current.id != s.id && attempt < run.restart_count) continue;
      run.exists = true;
      run.restart_count = attempt;
      run.current = s;
      take_known(*local, s, run);
      if (attempt > 0) run.backoff = kFirstBackoff;
      if (!s.running) pause(run);
      else prober_->add({uid, local->key, s.id.substr(0, dash), s.id, local->ip, pod});
    }
  }
  if (network_) network_->keep_only(alive);
  if (statics_) statics_->start();
  if (auto r = publish_ports(); !r.ok()) log_warn("host ports could not be mapped", {{"error", r.status()}});
  for (const Doc& p : pods_.list()) queue_.add(machinery::object_key(p.root()));
  for (const Doc& p : wanted_pods) queue_.add(machinery::object_key(p.root()));
  adopted_ = true;
  if (!facts_.eviction.thresholds.empty()) queue_.add(kPressureKey);
  remove_orphans();
}

// What pods left behind that were deleted while this process did not run, or did not survive a reboot: files, cgroups, state.
void PodManager::remove_orphans() {
  std::set<std::string> known;
  for (const Doc& p : all_wanted()) known.insert(p.path("metadata.uid").str());
  std::set<std::string> orphans;
  for (const std::string& dir : {facts_.data_dir + "/pods", facts_.data_dir + "/containers", facts_.run_dir})
    for (const auto& uid : os::list_dir(dir))
      if (!known.count(uid)) orphans.insert(uid);
  for (const auto& uid : orphans) {
    log_info("what a pod left behind is removed", {{"uid", uid}});
    for (Status status : {runtime_->remove_pod(uid).status(), tear_down_volumes(pod_dir(uid)).status(), os::remove_tree(facts_.data_dir + "/containers/" + uid).status()})
      if (!status.ok()) log_warn("what a pod left behind could not be removed", {{"uid", uid}, {"error", status}});
    for (const char* parent : {"kubepods/pod", "kubepods/burstable/pod", "kubepods/besteffort/pod"}) (void)cgroups_.remove(parent + uid);
  }
  // A cgroup is made first: of a start that was cut short there may be nothing else.
  for (const std::string parent : {"kubepods", "kubepods/burstable", "kubepods/besteffort"})
    for (const std::string& file : cgroups_.procs_files(parent))
      for (const auto& name : os::list_dir(file.substr(0, file.rfind('/'))))
        if (name.starts_with("pod") && !known.count(name.substr(3))) (void)cgroups_.remove(parent + "/" + name);
  for (const auto& name : os::list_dir(facts_.data_dir + "/logs"))  // <namespace>_<pod>_<uid>
    if (!known.count(name.substr(name.rfind('_') + 1))) (void)os::remove_tree(facts_.data_dir + "/logs/" + name);
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
  if (refuse(local)) event(local, "Warning", "Evicted", local->message);
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

// The pod's own, and the one of its class, whose weight is what its pods ask for together.
Result<> PodManager::make_cgroup(Value pod) {
  runtime::Resources limits = pod_limits(pod), shared;
  limits.pids_limit = facts_.pod_pids_limit;
  shared.cpu_shares = runtime::shares_of_milli_cpu(0);
  if (Qos qos = qos_of(pod); qos == Qos::Burstable) {
    shared.cpu_shares = limits.cpu_shares;
    std::lock_guard lock(mutex_);
    for (const auto& [uid, other] : locals_)
      if (other->sandbox && qos_of(other->pod.root()) == qos) shared.cpu_shares += pod_limits(other->pod.root()).cpu_shares;
    TRY_OK(cgroups_.create("kubepods/burstable", shared));
  } else if (qos == Qos::BestEffort) {
    TRY_OK(cgroups_.create("kubepods/besteffort", shared));
  }
  return cgroups_.create(pod_cgroup(pod), limits);
}

// What ran in a sandbox that is no more runs again in the new one, the init containers too; what had ended for good stays so.
// Called with the mutex held.
void PodManager::begin_again(const LocalPtr& local) {
  Value pod = local->pod.root();
  if (plan_pod(pod, local->runs, clock_.mono()).finished) return;
  for (auto& [name, run] : local->runs)
    if (run.exists && !run.current.running && (is_init(pod, name) || restarts(pod, find_container(pod, name), false, run))) run.again = !is_ephemeral(pod, name);
}

Result<> PodManager::ensure_sandbox(const LocalPtr& local) {
  {
    std::lock_guard lock(mutex_);
    if (local->sandbox) return {};
  }
  Value pod = local->pod.root();
  runtime::PodConfig config;
  config.uid = local->uid;
  config.host_network = pod.path("spec.hostNetwork").bool_or(false);
  config.host_ipc = pod.path("spec.hostIPC").bool_or(false);
  config.share_processes = pod.path("spec.shareProcessNamespace").bool_or(false);
  config.hostname = pod.path("spec.hostname").str(pod.path("metadata.name").str().substr(0, 63));
  if (config.host_network) config.hostname = "";
  TRY_OK(make_cgroup(pod));
  config.cgroup_procs = cgroups_.procs_files(pod_cgroup(pod));
  TRY_OK(os::make_dirs(facts_.run_dir, 0700));
  TRY_OK(runtime_->start_pod(config));
  std::string ip = node_ip();
  if (!config.host_network) {
    if (!network_) return unavailable("the node's pod network is not ready yet");
    os::Fd netns(::open(("/proc/" + std::to_string(runtime_->shim_pid(local->uid)) + "/ns/net").c_str(), O_RDONLY | O_CLOEXEC));
    if (!netns) return Status::from_errno("open the pod's network", errno);
    TRY(ip, network_->attach(local->uid, netns.get()));
  }
  PodRecord record{local->uid, pod.path("metadata.name").str(), pod.path("metadata.namespace").str(), ip, pod.path("metadata.labels").to_node(), pod.path("metadata.annotations").to_node(), clock_.now().us, config.host_network};
  TRY_OK(write_record(facts_.run_dir, record));
  std::lock_guard lock(mutex_);
  local->ip = ip;
  local->sandbox = true;
  begin_again(local);
  return {};
}

Result<json::Doc> PodManager::volume_of_claim(const LocalPtr& local, const std::string& name) {
  std::string ns = local->pod.path("metadata.namespace").str();
  TRY(json::Doc claim, client_.get({"", "v1", "persistentvolumeclaims", ns, name, ""}));
  std::string bound_to = claim.path("spec.volumeName").str();
  if (!claim.path("status.phase").equals("Bound") || bound_to.empty()) return unavailable("persistentvolumeclaim " + json::quoted(name) + " is not bound");
  for (Value v : local->pod.path("spec.volumes").items())
    if (bool made = false; api::claim_of(local->pod.root(), v, &made) == name && made && !api::claim_is_of(claim.root(), local->pod.root()))
      return bad_request("persistentvolumeclaim " + json::quoted(name) + " was not created for this pod");
  return client_.get({"", "v1", "persistentvolumes", "", bound_to, ""});
}

Result<> PodManager::ensure_volumes(const LocalPtr& local) {
  TRY_OK(os::make_dirs(pod_dir(local->uid)));
  EnvironmentInput env = environment_input(local, {});
  VolumeContext context{pod_dir(local->uid), env, [this, &local](const std::string& audience, int64_t valid) { return token(local, audience, valid); },
                        [this, &local](const std::string& claim) { return volume_of_claim(local, claim); }};
  TRY_OK(set_up_volumes(context));
  return write_etc_files(local);
}

// ---- ends ----

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

Result<> PodManager::clean_up(const LocalPtr& local) {
  bool made = false;
  {
    std::lock_guard lock(mutex_);
    made = local->sandbox || runtime_->has_pod(local->uid);
    local->sandbox = false;
  }
  // Its cgroup is made before all else: a start that failed or was cut short there has left one.
  if (!made) return (void)cgroups_.remove(pod_cgroup(local->pod.root())), Result<>();
  TRY_OK(runtime_->remove_pod(local->uid));
  if (network_ && !local->pod.path("spec.hostNetwork").bool_or(false)) {
    // Before somebody else may get the address.
    if (auto r = local->ports_mapped ? publish_ports() : Result<>(); !r.ok()) log_warn("a pod's host ports could not be closed", {{"pod", local->key}, {"error", r.status()}});
    if (auto r = network_->detach(local->uid); !r.ok()) log_warn("a pod's network could not be taken away", {{"pod", local->key}, {"error", r.status()}});
  }
  (void)cgroups_.remove(pod_cgroup(local->pod.root()));
  (void)os::remove_tree(facts_.data_dir + "/containers/" + local->uid);
  return {};
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
    StatusInput in{node_ip_, local->ip, clock_.now(), local->sandbox, local->reason, local->message, local->disruption, local->resize, local->resizing, local->resize_error, over};
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

// ---- for the server ----

Result<std::string> PodManager::log_path(const std::string& ns, const std::string& pod, const std::string& container, bool previous) const {
  auto local = find_by_name(ns, pod);
  if (!local) return not_found("pod " + ns + "/" + pod + " is not on this node");
  std::lock_guard lock(mutex_);
  auto it = local->runs.find(container);
  if (it == local->runs.end() || (!it->second.exists && it->second.restart_count == 0))
    return bad_request("container " + json::quoted(container) + " in pod " + json::quoted(pod) + " is waiting to start: " + (it != local->runs.end() && !it->second.waiting_reason.empty() ? it->second.waiting_reason : "ContainerCreating"));
  int attempt = it->second.restart_count - (previous ? 1 : 0);
  if (!it->second.exists) attempt = it->second.restart_count - 1;
  if (attempt < 0) return bad_request("previous terminated container " + json::quoted(container) + " in pod " + json::quoted(pod) + " not found");
  return log_dir(*local, container) + "/" + std::to_string(attempt) + ".log";
}

bool PodManager::is_running(const std::string& ns, const std::string& pod, const std::string& container) const {
  auto local = find_by_name(ns, pod);
  if (!local) return false;
  std::lock_guard lock(mutex_);
  auto it = local->runs.find(container);
  return it != local->runs.end() && it->second.exists && it->second.current.running;
}

Result<> PodManager::exec(const std::string& ns, const std::string& pod, const std::string& container, std::vector<std::string> command, bool tty, os::Fd stdio[3], std::function<void(int)> done,
                          runtime::Runtime::EndExec* end) {
  auto local = find_by_name(ns, pod);
  if (!local) return not_found("pod " + ns + "/" + pod + " is not on this node");
  Value c = find_container(local->pod.root(), container);
  std::string id;
  {
    std::lock_guard lock(mutex_);
    const ContainerRun& run = local->runs[container];
    if (!run.exists || !run.current.running) return bad_request("container not found (" + json::quoted(container) + ")");
    id = run.current.id;
  }
  // As the container was started, whatever has become of its image and its config maps since.
  runtime::shim::Process process;
  bool found = false;
  for (const auto& record : container_records(facts_.run_dir, local->uid))
    if (record.id == id) process = record.process, found = true;
  if (!found) {
    auto image = images_.find(c["image"].str());
    if (!image) return not_found("image " + c["image"].str() + " not found");
    TRY(auto spec, container_spec(local, c, *image));
    process = plan_container(spec).process;
  }
  process.args = std::move(command);
  process.tty = tty;
  if (tty && std::none_of(process.env.begin(), process.env.end(), [](const std::string& e) { return e.starts_with("TERM="); })) process.env.push_back("TERM=xterm");
  return runtime_->exec(local->uid, id, process, stdio, std::move(done), end);
}

Result<PodManager::AttachPoint> PodManager::attach(const std::string& ns, const std::string& pod, const std::string& container, bool with_input, os::Fd out, os::Fd err) {
  auto local = find_by_name(ns, pod);
  if (!local) return not_found("pod " + ns + "/" + pod + " is not on this node");
  std::string id;
  {
    std::lock_guard lock(mutex_);
    auto it = local->runs.find(container);
    if (it == local->runs.end() || !it->second.exists || !it->second.current.running) return bad_request("container not found (" + json::quoted(container) + ")");
    id = it->second.current.id;
  }
  AttachPoint point;
  TRY(point.attached, runtime_->attach(local->uid, id, with_input, std::move(out), std::move(err)));
  point.tty = find_container(local->pod.root(), container)["tty"].bool_or(false);
  return point;
}

Result<std::pair<int, std::string>> PodManager::run_command(const LocalPtr& local, const std::string& container, const std::vector<std::string>& command, Duration timeout) {
  int out[2];
  if (pipe2(out, O_CLOEXEC) != 0) return Status::from_errno("pipe", errno);
  os::Fd reader(out[0]);
  os::Fd stdio[3] = {os::Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC)), os::Fd(out[1]), os::Fd(fcntl(out[1], F_DUPFD_CLOEXEC, 3))};
  struct Ended {
    os::Fd event{eventfd(0, EFD_CLOEXEC)};
    std::atomic<int> code{-1};
  };
  auto ended = std::make_shared<Ended>();
  auto [ns, pod] = machinery::split_key(local->key);
  runtime::Runtime::EndExec end;
  TRY_OK(exec(ns, pod, container, command, false, stdio,
              [ended](int code) {
                ended->code = code;
                uint64_t one = 1;
                (void)!::write(ended->event.get(), &one, sizeof one);
              },
              &end));
  fcntl(reader.get(), F_SETFL, O_NONBLOCK);
  std::string text;
  // What it writes is taken off its hands all the time, so that a full pipe does not stop it.
  auto take_output = [&] {
    char buffer[4096];
    ssize_t n;
    while ((n = ::read(reader.get(), buffer, sizeof buffer)) > 0)
      if (text.size() < kMaxCommandOutput) text.append(buffer, static_cast<size_t>(n));
    return n < 0;  // more may come
  };
  bool open = true;
  for (Duration deadline = clock_.mono() + timeout;;) {
    auto left = std::chrono::duration_cast<milliseconds>(deadline - clock_.mono()).count();
    pollfd polls[2] = {{ended->event.get(), POLLIN, 0}, {open ? reader.get() : -1, POLLIN, 0}};
    int n = left > 0 ? ::poll(polls, 2, static_cast<int>(left)) : 0;
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      end();
      return timed_out("command " + json::quoted(join(command, " ")) + " timed out after " + human_duration(timeout));
    }
    if (polls[1].revents) open = take_output();
    if (polls[0].revents) break;
  }
  if (open) take_output();
  return std::pair{ended->code.load(), text};
}

Result<std::string> PodManager::pod_address(const std::string& ns, const std::string& pod) const {
  auto local = find_by_name(ns, pod);
  if (!local || local->removed) return not_found("pod " + ns + "/" + pod + " is not on this node");
  std::lock_guard lock(mutex_);
  return local->ip;
}

int PodManager::sandbox_pid(const std::string& ns, const std::string& pod) const {
  auto local = find_by_name(ns, pod);
  return local ? runtime_->shim_pid(local->uid) : 0;
}

}  // namespace k8lite::kubelet
