// Who may begin on this node, and how its pods end when the machine goes down: those that are not critical first, each
// with as much of its own grace as the node has left for its kind (KEP-2000).
#include <algorithm>

#include "base/log.h"
#include "kubelet/admission.h"
#include "kubelet/pods.h"

namespace k8lite::kubelet {

using json::Doc;
using json::Value;

namespace {
constexpr auto kLook = milliseconds(100);
constexpr int64_t kPreemptionGrace = 1;  // seconds: who makes room for a critical pod is not asked how long he needs
constexpr const char* kEnded = "Pod was terminated in response to imminent node shutdown.";
constexpr const char* kRefused = "Pod was rejected as the node is shutting down.";

bool is_over(Value pod) { return pod.path("status.phase").equals("Succeeded") || pod.path("status.phase").equals("Failed"); }
}  // namespace

// A pod that has not begun here yet may not, when the node has no room for it. True: it was refused.
bool PodManager::refuse(const LocalPtr& local) {
  Value pod = local->pod.root();
  NodeOffer offer;
  offer.allocatable = facts_.allocatable;
  Doc node = facts_.node ? facts_.node() : Doc();
  offer.node = node.root();
  for (auto m : node.path("status.allocatable").members())  // what others have made known of it
    if (auto q = Quantity::parse(m.value.str()); q && !offer.allocatable.count(std::string(m.key()))) offer.allocatable[std::string(m.key())] = *q;
  std::vector<Doc> others;  // whose texts `offer` points into
  std::vector<LocalPtr> preempted;
  Admission verdict;
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(local->admitted, true) || local->sandbox || pod.path("status.startTime")) return false;
    for (const auto& [uid, other] : locals_) {
      bool in = other->admitted || other->sandbox || other->pod.path("status.startTime");
      if (in && other != local && !other->removed && other->reason.empty() && !is_over(other->pod.root())) others.push_back(other->pod);
    }
    for (const Doc& p : others) offer.pods.push_back(p.root());
    if (std::string why = refused_under(pressure_, pod); !why.empty())
      verdict = {"Evicted", why, {}};
    else if (shutting_down_)
      verdict = {"NodeShutdown", kRefused, {}};
    else
      verdict = admit(pod, offer);
    for (const auto& uid : verdict.preempt)
      if (auto it = locals_.find(uid); it != locals_.end()) preempted.push_back(it->second);
    if (!verdict.reason.empty()) {
      local->reason = verdict.reason;
      local->message = "Pod was rejected: " + verdict.message;
    }
  }
  for (const auto& other : preempted) end_pod(other, "Preempting", "Preempted in order to admit critical pod", kPreemptionGrace);
  if (verdict.reason.empty()) return false;
  event(local, "Warning", verdict.reason, verdict.message);
  return true;
}

void PodManager::shut_down(Duration grace, Duration critical_grace) {
  shutting_down_ = true;
  for (bool critical : {false, true}) {
    const Duration left = critical ? critical_grace : std::max<Duration>(grace - critical_grace, Duration{0});
    std::vector<LocalPtr> group;
    {
      std::lock_guard lock(mutex_);
      for (const auto& [uid, local] : locals_)
        if (is_critical(local->pod.root()) == critical && !local->removed && !is_over(local->pod.root())) group.push_back(local);
    }
    const int64_t most = std::chrono::duration_cast<seconds>(left).count();
    for (const auto& local : group) end_pod(local, "Terminated", kEnded, std::min(grace_of(local), most));
    std::unique_lock lock(mutex_);
    const Duration deadline = clock_.mono() + left;
    while (!closing_ && clock_.mono() < deadline && std::any_of(group.begin(), group.end(), [](const LocalPtr& l) { return !l->removed; }))
      closed_.wait_for(lock, kLook);
  }
}

void PodManager::close() {
  std::lock_guard lock(mutex_);
  closing_ = true;
  closed_.notify_all();
}

void PodManager::stay_up() { shutting_down_ = false; }

}  // namespace k8lite::kubelet
