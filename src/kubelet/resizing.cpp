// What the pod manager does for a pod whose resources are changed in place: asks whether the node has room, gives, and
// brings each running container's cgroup (or the container anew) to what it was given. What to do is decided in
// resize.cpp.
#include "base/log.h"
#include "kubelet/pods.h"

namespace k8lite::kubelet {

using json::Doc;
using json::Node;
using json::Value;

namespace {

runtime::Resources larger(runtime::Resources a, const runtime::Resources& b) {
  auto most = [](int64_t x, int64_t y) { return x == 0 || y == 0 ? 0 : std::max(x, y); };  // 0: no limit
  a.memory_limit = most(a.memory_limit, b.memory_limit);
  a.cpu_quota_us = most(a.cpu_quota_us, b.cpu_quota_us);
  a.cpu_shares = std::max(a.cpu_shares, b.cpu_shares);
  return a;
}

runtime::Resources limits_of(Value container, const Node& resources) {
  Node c = container.to_node();
  c.set("resources", resources);
  return container_resources(Doc::from(c).root());
}

}  // namespace

// Called with the mutex held: the pod as it was allocated, beside the one that is wanted.
void PodManager::take_pod(LocalPod& local, const Doc& pod) {
  if (!local.wanted) local.allocated = is_static(pod.root()) ? resources_of(pod.root()) : told_allocation(pod.root());
  local.wanted = pod;
  local.pod = with_resources(pod, local.allocated);
}

NodeRoom PodManager::room_beside(const LocalPtr& local) const {
  NodeRoom room;
  room.cpu_milli = facts_.allocatable_cpu_milli;
  room.memory = facts_.allocatable_memory;
  for (const auto& [uid, other] : locals_)
    if (other != local && !other->removed) add_requests(other->pod.root(), room.used_cpu_milli, room.used_memory);
  return room;
}

// True: the node has to look again: for room that others leave, or for what could not be done yet.
bool PodManager::tend_resize(const LocalPtr& local) {
  std::vector<std::pair<std::string, ResizeStep>> steps;
  runtime::Resources before, after;
  {
    std::lock_guard lock(mutex_);
    if (!local->sandbox || local->terminating) return false;
    before = pod_limits(local->pod.root());
    bool same = local->pod == local->wanted;
    local->resize = same ? ResizeVerdict() : judge_resize(local->wanted.root(), room_beside(local));
    if (!same && local->resize.reason.empty()) {
      local->allocated = resources_of(local->wanted.root());
      local->pod = local->wanted;
    }
    after = pod_limits(local->pod.root());
    local->resize_error.clear();
    local->resizing = false;
    for (const auto& [name, given] : local->allocated) {
      auto it = local->runs.find(name);
      if (it == local->runs.end() || !kubelet::is_running(&it->second)) continue;
      ResizeStep step = resize_step(find_container(local->pod.root(), name), it->second.resources, given);
      if (step != ResizeStep::Nothing) steps.emplace_back(name, step);
    }
    local->resizing = !steps.empty();
    if (steps.empty()) return local->resize.reason == "Deferred";
  }
  std::string path = pod_cgroup(local->pod.root());
  // Around what grows room is made first, and taken away last around what shrinks.
  if (auto r = cgroups_.create(path, larger(before, after)); !r.ok())
    log_warn("a pod's cgroup could not be resized", {{"pod", local->key}, {"error", r.status()}});
  for (const auto& [name, step] : steps) {
    if (step == ResizeStep::Restart)
      restart_with(local, name, "Container " + name + " resize requires restart");
    else
      apply_resize(local, name);
  }
  (void)cgroups_.create(path, after);
  std::lock_guard lock(mutex_);
  bool left = false;
  for (const auto& [name, step] : steps) {
    const ContainerRun& run = local->runs[name];
    left |= kubelet::is_running(&run) && resize_step(find_container(local->pod.root(), name), run.resources,
                                                     local->allocated[name]) != ResizeStep::Nothing;
  }
  local->resizing = left;
  return left || local->resize.reason == "Deferred";
}

void PodManager::apply_resize(const LocalPtr& local, const std::string& name) {
  Node given, has;
  {
    std::lock_guard lock(mutex_);
    given = local->allocated[name];
    has = local->runs[name].resources;
  }
  std::string path = pod_cgroup(local->pod.root()) + "/" + name;
  Value c = find_container(local->pod.root(), name);
  runtime::Resources to = limits_of(c, given), from = limits_of(c, has);
  std::string error;
  if (to.memory_limit > 0 && (from.memory_limit == 0 || to.memory_limit < from.memory_limit))
    if (int64_t used = cgroups_.usage(path).working_set_bytes; used >= to.memory_limit)
      error = "attempting to set container \"" + name + "\" memory limit (" + std::to_string(to.memory_limit) +
              ") below current usage (" + std::to_string(used) + ")";
  if (error.empty())
    if (auto r = cgroups_.create(path, to); !r.ok()) error = r.status().message();
  std::lock_guard lock(mutex_);
  if (error.empty())
    local->runs[name].resources = given;
  else
    local->resize_error = error;
}

void PodManager::restart_with(const LocalPtr& local, const std::string& name, const std::string& why) {
  std::string id;
  {
    std::lock_guard lock(mutex_);
    ContainerRun& run = local->runs[name];
    run.owed = true;
    id = run.current.id;
  }
  stop_container(local, name, id, grace_of(local), why);
}

// One that runs is ended for it whatever the restart policy; one that waits out its failures need not do so with another
// image, to which they do not belong.
void PodManager::restart_changed(const LocalPtr& local) {
  std::vector<std::string> changed;
  {
    std::lock_guard lock(mutex_);
    for (auto& [name, run] : local->runs) {
      if (!has_other_image(local->pod.root(), name, run)) continue;
      if (kubelet::is_running(&run)) {
        changed.push_back(name);
        continue;
      }
      run.asked_image.clear();
      run.not_before = run.backoff = Duration{0};
    }
  }
  for (const auto& name : changed)
    restart_with(local, name, "Container " + name + " definition changed, will be restarted");
}

}  // namespace k8lite::kubelet
