// The ends and beginnings that take their time: preStop, the stop signal, the grace period and the kill after it; postStart. Hooks run as
// tasks (hooks.h); deadlines are kept with the pod and enforced by its worker, which is woken for them.
#include <signal.h>
#include <string.h>

#include <algorithm>

#include "base/strings.h"
#include "kubelet/pods.h"

namespace k8lite::kubelet {

using json::Value;

namespace {

constexpr auto kLeastGrace = seconds(2);  // after a preStop hook, however long it took
constexpr auto kKillAgain = milliseconds(500);

// "SIGTERM", "TERM", "SIGRTMIN+3", "15"; 0 when it is none.
int signal_number(std::string name) {
  if (auto n = parse_int(name)) return *n > 0 && *n < 65 ? static_cast<int>(*n) : 0;
  if (name.starts_with("SIG")) name = name.substr(3);
  for (int n = 1; n < 32; ++n)
    if (const char* known = sigabbrev_np(n); known && name == known) return n;
  if (name.starts_with("RTMIN")) return 34 + static_cast<int>(parse_int(name.size() > 6 ? name.substr(6) : "0").value_or(0));
  return 0;
}

}  // namespace

bool PodManager::runs(const LocalPtr& local, const std::string& name, const std::string& id) const {
  std::lock_guard lock(mutex_);
  auto it = local->runs.find(name);
  return it != local->runs.end() && it->second.exists && it->second.current.id == id && it->second.current.running;
}

HookTarget PodManager::hook_target(const LocalPtr& local, const std::string& name, const std::string& id) const { return {local->uid, local->ip, name, id, local->pod}; }

void PodManager::signal_stop(const LocalPtr& local, const std::string& name, const std::string& id) {
  Value c = find_container(local->pod.root(), name);
  std::string wanted = c["lifecycle"]["stopSignal"].str();
  std::string image_name = c["image"].str();
  {
    std::lock_guard lock(mutex_);
    if (const ContainerRun& run = local->runs[name]; !run.asked_image.empty()) image_name = run.asked_image;
  }
  if (auto image = images_.find(image_name); wanted.empty() && image) wanted = image->config.path("config.StopSignal").str();
  int number = signal_number(wanted);
  (void)runtime_->signal(local->uid, id, number ? number : SIGTERM);
}

void PodManager::stop_container(const LocalPtr& local, const std::string& name, const std::string& id, int64_t grace, const std::string& why) {
  Value hook = find_container(local->pod.root(), name)["lifecycle"]["preStop"];
  bool hooking = hook && grace > 0;
  {
    std::lock_guard lock(mutex_);
    auto run = local->runs.find(name);
    bool running = run != local->runs.end() && run->second.current.id == id && run->second.current.running;
    if (!running || local->stopping.count(id)) return;
    LocalPod::Stopping s;
    s.since = clock_.mono();
    s.turn_by = s.since + seconds(grace);
    s.hooking = hooking;
    s.container = name;
    s.waiting = local->terminating && grace > 0 && !may_stop(local->pod.root(), local->runs, name);
    s.kill_at = s.turn_by + (hooking || s.waiting ? Duration(kLeastGrace) : Duration{0});
    local->stopping[id] = s;
  }
  event(local, "Normal", "Killing", why, name);
  queue_.add(local->key);  // whose worker keeps the deadline
  if (grace == 0) {
    (void)runtime_->signal(local->uid, id, SIGKILL);
    return;
  }
  if (!hooking) return end_gently(local, name, id);
  HookTarget target;
  {
    std::lock_guard lock(mutex_);
    target = hook_target(local, name, id);
  }
  hooks_->run(target, hook, seconds(grace), [this, local, name, id](Result<> outcome) {
    if (!runs(local, name, id)) return;
    // One that takes too long is no failure: the container just gets its signal.
    if (!outcome.ok() && !outcome.status().is(Reason::Timeout)) event(local, "Warning", "FailedPreStopHook", "PreStopHook failed", name);
    {
      std::lock_guard lock(mutex_);
      local->stopping[id].hooking = false;
    }
    end_gently(local, name, id);
    queue_.add(local->key);
  });
}

// The stop signal, unless the container's hook runs or it has to wait for others.
void PodManager::end_gently(const LocalPtr& local, const std::string& name, const std::string& id) {
  {
    std::lock_guard lock(mutex_);
    auto it = local->stopping.find(id);
    if (it == local->stopping.end() || it->second.hooking || it->second.waiting) return;
    auto& s = it->second;
    s.kill_at = std::min(s.kill_at, std::max<Duration>(s.turn_by, clock_.mono() + kLeastGrace));
  }
  signal_stop(local, name, id);
}

void PodManager::stop_containers(const LocalPtr& local, int64_t grace) {
  std::vector<std::pair<std::string, std::string>> running;  // name, id
  {
    std::lock_guard lock(mutex_);
    if (!local->terminating || grace < local->grace) {  // the first word, or less patience than before
      for (auto& [id, s] : local->stopping) s.kill_at = std::min<Duration>(s.kill_at, clock_.mono() + seconds(grace)), s.turn_by = std::min(s.turn_by, s.kill_at), s.waiting &= grace > 0;
      local->grace = grace;
      local->terminating = true;
    }
    for (auto& [name, run] : local->runs)
      if (run.exists && run.current.running && !local->stopping.count(run.current.id)) running.emplace_back(name, run.current.id);
  }
  for (auto& [name, id] : running) stop_container(local, name, id, grace, "Stopping container " + name);
}

Duration PodManager::kill_overdue(const LocalPtr& local) {
  std::vector<std::string> overdue;
  std::vector<std::pair<std::string, std::string>> turns;  // name, id: whose turn has come
  Duration next{0};
  {
    std::lock_guard lock(mutex_);
    Duration now = clock_.mono();
    for (auto& [id, s] : local->stopping) {
      if (s.waiting && (now >= s.turn_by || may_stop(local->pod.root(), local->runs, s.container))) {
        s.waiting = false;
        // A kill_at that lies before turn_by was made so by somebody without patience.
        if (s.kill_at >= s.turn_by) s.kill_at = std::max<Duration>(s.turn_by, now + kLeastGrace);
        turns.emplace_back(s.container, id);
      }
      Duration left = (s.waiting ? s.turn_by : s.kill_at) - now;
      if (left <= Duration{0}) overdue.push_back(id), left = kKillAgain;
      if (next == Duration{0} || left < next) next = left;
    }
  }
  for (const auto& [name, id] : turns) end_gently(local, name, id);
  for (const auto& id : overdue) (void)runtime_->signal(local->uid, id, SIGKILL);
  return next;
}

// Called with the mutex held, by the worker that has just started the container.
void PodManager::post_start(const LocalPtr& local, const std::string& name, const std::string& id) {
  Value hook = find_container(local->pod.root(), name)["lifecycle"]["postStart"];
  hooks_->run(hook_target(local, name, id), hook, Duration{0}, [this, local, name, id](Result<> outcome) {
    if (!outcome.ok()) {
      if (!runs(local, name, id)) return;
      event(local, "Warning", "FailedPostStartHook", "PostStartHook failed", name);
      stop_container(local, name, id, grace_of(local), "FailedPostStartHook");
      return;
    }
    {
      std::lock_guard lock(mutex_);
      ContainerRun& run = local->runs[name];
      if (run.current.id != id || !run.current.running) return;
      run.hooking = false;
      prober_->add({local->uid, local->key, name, id, local->ip, local->pod});
    }
    queue_.add(local->key);
  });
}

}  // namespace k8lite::kubelet
