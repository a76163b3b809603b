// What the pod manager knows at its start: from the API, how often containers were started and how they ended; from the
// shims, what runs still. What nobody wants any more is removed.
#include "base/log.h"
#include "base/strings.h"
#include "kubelet/pods.h"

namespace k8lite::kubelet {

using json::Doc;
using json::Value;

namespace {

constexpr int kLostExitCode = 137;  // of a container whose end nobody saw

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
  for (const auto& record : container_records(facts_.run_dir, local.uid))
    if (record.id == s.id) run.asked_image = record.image;
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

bool PodManager::adopt_one(const std::string& uid, const Doc& pod) {
  auto states = runtime_->list(uid);
  if (!pod || !states.ok()) {
    log_info("a pod that is no more wanted is removed", {{"uid", uid}});
    (void)runtime_->remove_pod(uid);
    return false;
  }
  if (!adopt_network(uid, pod)) {
    (void)runtime_->remove_pod(uid);
    return false;
  }
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
    if (!s.running)
      pause(run);
    else
      prober_->add({uid, local->key, s.id.substr(0, dash), s.id, local->ip, pod});
  }
  return true;
}

bool PodManager::begin_statics() {
  if (!statics_) return false;
  statics_->load();
  std::map<std::string, Doc> early;  // by uid
  for (const Doc& p : statics_->list())
    if (p.path("spec.hostNetwork").bool_or(false)) early[p.path("metadata.uid").str()] = p;
  if (early.empty()) return false;
  log_warn("the server does not answer: static pods begin without it", {{"pods", early.size()}});
  if (!std::exchange(looked_, true)) found_ = runtime_->adopt();
  for (const auto& uid : found_)
    if (auto it = early.find(uid); it != early.end()) (void)adopt_one(uid, it->second);
  for (const auto& [uid, pod] : early) {
    taken_early_.insert(uid);
    queue_.add(machinery::object_key(pod.root()));
  }
  return true;
}

void PodManager::adopt() {
  std::vector<std::string> alive;
  if (statics_) statics_->load();
  const std::vector<Doc> wanted_pods = all_wanted();
  if (!std::exchange(looked_, true)) found_ = runtime_->adopt();
  for (const auto& uid : found_) {
    Doc pod;
    for (const Doc& p : wanted_pods)
      if (p.path("metadata.uid").equals(uid)) pod = p;
    if (taken_early_.count(uid) || adopt_one(uid, pod)) alive.push_back(uid);
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

// What pods left behind that were deleted while this process did not run, or did not survive a reboot: files, cgroups,
// state.
void PodManager::remove_orphans() {
  std::set<std::string> known;
  for (const Doc& p : all_wanted()) known.insert(p.path("metadata.uid").str());
  std::set<std::string> orphans;
  for (const std::string& dir : {facts_.data_dir + "/pods", facts_.data_dir + "/containers", facts_.run_dir})
    for (const auto& uid : os::list_dir(dir))
      if (!known.count(uid)) orphans.insert(uid);
  for (const auto& uid : orphans) {
    log_info("what a pod left behind is removed", {{"uid", uid}});
    for (Status status : {runtime_->remove_pod(uid).status(), tear_down_volumes(pod_dir(uid)).status(),
                          os::remove_tree(facts_.data_dir + "/containers/" + uid).status()})
      if (!status.ok()) log_warn("what a pod left behind could not be removed", {{"uid", uid}, {"error", status}});
    for (const char* parent : {"kubepods/pod", "kubepods/burstable/pod", "kubepods/besteffort/pod"})
      (void)cgroups_.remove(parent + uid);
  }
  // A cgroup is made first: of a start that was cut short there may be nothing else.
  for (const std::string parent : {"kubepods", "kubepods/burstable", "kubepods/besteffort"})
    for (const std::string& file : cgroups_.procs_files(parent))
      for (const auto& name : os::list_dir(file.substr(0, file.rfind('/'))))
        if (name.starts_with("pod") && !known.count(name.substr(3))) (void)cgroups_.remove(parent + "/" + name);
  for (const auto& name : os::list_dir(facts_.data_dir + "/logs"))  // <namespace>_<pod>_<uid>
    if (!known.count(name.substr(name.rfind('_') + 1))) (void)os::remove_tree(facts_.data_dir + "/logs/" + name);
}

}  // namespace k8lite::kubelet
