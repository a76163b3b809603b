#include "scheduler/scheduler.h"

#include <algorithm>

#include "base/log.h"

namespace k8lite::scheduler {
namespace {

using json::Doc;
using json::Value;

constexpr size_t kBeforeNews = 32;  // decisions until news are taken in again

// Whom it may help when this happens.
constexpr uint32_t kOnRoom = bit(kNodePorts) | bit(kNodeResourcesFit) | bit(kVolumeRestrictions) |
                             bit(kPodTopologySpread) | bit(kInterPodAffinity);
constexpr uint32_t kOnCompany = bit(kPodTopologySpread) | bit(kInterPodAffinity);
constexpr uint32_t kOnVolumes = bit(kVolumeBinding) | bit(kVolumeRestrictions);
constexpr uint32_t kAll = ~0u;

bool same(const Doc& a, const Doc& b, std::string_view path) { return a.path(path).raw() == b.path(path).raw(); }
bool is_over(const Doc& pod) {
  return pod.path("status.phase").equals("Succeeded") || pod.path("status.phase").equals("Failed");
}

}  // namespace

Scheduler::Scheduler(machinery::Client& client, const Clock& clock, Random& random, Configuration configuration)
    : client_(client),
      clock_(clock),
      configuration_(std::move(configuration)),
      nodes_(client, {"", "v1", "nodes", "", "", ""}),
      pods_(client, {"", "v1", "pods", "", "", ""}),
      namespaces_(client, {"", "v1", "namespaces", "", "", ""}),
      claims_(client, {"", "v1", "persistentvolumeclaims", "", "", ""}),
      volumes_(client, {"", "v1", "persistentvolumes", "", "", ""}),
      classes_(client, {"storage.k8s.io", "v1", "storageclasses", "", "", ""}),
      budgets_(client, {"policy", "v1", "poddisruptionbudgets", "", "", ""}),
      queue_(configuration_.first_backoff, configuration_.longest_backoff) {
  for (const Profile& p : configuration_.profiles)
    events_.push_back(std::make_unique<machinery::EventRecorder>(client, clock, random, p.name));
  watch(namespaces_, News::kNamespace);
  watch(nodes_, News::kNode);
  watch(classes_, News::kClass);
  watch(volumes_, News::kVolume);
  watch(claims_, News::kClaim);
  watch(budgets_, News::kBudget);
  watch(pods_, News::kPod);
}

void Scheduler::watch(machinery::Informer& informer, News::Kind kind) {
  informers_.push_back(&informer);
  informer.on_change([this, kind](const Doc& before, const Doc& after) {
    std::lock_guard lock(mutex_);
    inbox_.push_back({kind, before, after});
    if (inbox_.size() == 1) wake_.notify_one();
  });
}

Scheduler::~Scheduler() { stop(); }

void Scheduler::start() {
  for (machinery::Informer* i : informers_) i->start();
  writer_ = std::thread([this] { write(); });
  thread_ = std::thread([this] {
    for (machinery::Informer* i : informers_) i->wait_synced(seconds(60));
    run();
  });
}

void Scheduler::stop() {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(stopping_, true)) return;
    wake_.notify_all();
    work_there_.notify_all();
  }
  for (machinery::Informer* i : informers_) i->stop();
  if (thread_.joinable()) thread_.join();
  if (writer_.joinable()) writer_.join();
  for (auto& e : events_) e->stop();
}

machinery::EventRecorder& Scheduler::events_of(const PodInfo& pod) {
  for (size_t i = 0; i < configuration_.profiles.size(); ++i)
    if (pod.pod.path("spec.schedulerName").equals(configuration_.profiles[i].name)) return *events_[i];
  return *events_[0];
}

void Scheduler::run() {
  std::vector<News> news;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    news.clear();
    news.swap(inbox_);
    lock.unlock();
    for (const News& n : news) take_in(n);
    for (size_t i = 0; i < kBeforeNews; ++i) {
      Waiting* w = queue_.take(clock_.mono());
      if (!w) break;
      place(*w);
    }
    Duration now = clock_.mono(), due = queue_.next_due(now);
    lock.lock();
    if (stopping_ || !inbox_.empty() || (due >= Duration{0} && due <= now)) continue;
    if (due < Duration{0})
      wake_.wait(lock);
    else
      wake_.wait_for(lock, due - now);
  }
}

void Scheduler::take_in(const News& n) {
  const Doc& either = n.after ? n.after : n.before;
  std::string name = either.path("metadata.name").str();
  Duration now = clock_.mono();
  switch (n.kind) {
    case News::kNode:
      return node_changed(n.before, n.after);
    case News::kPod:
      return pod_changed(n.before, n.after);
    case News::kClaim:
      return claim_changed(n.before, n.after);
    case News::kNotBound:
      return not_bound(n.after);
    case News::kNamespace:
      if (n.after)
        snapshot_.set_namespace(n.after);
      else
        snapshot_.remove_namespace(name);
      if (!n.before || !n.after || !same(n.before, n.after, "metadata.labels"))
        queue_.wake(bit(kInterPodAffinity), now);
      return;
    case News::kVolume:
      snapshot_.set_volume(name, n.after);
      return queue_.wake(kOnVolumes, now);
    case News::kClass:
      if (n.after)
        snapshot_.classes[name] = n.after;
      else
        snapshot_.classes.erase(name);
      return queue_.wake(kOnVolumes, now);
    case News::kBudget:
      return snapshot_.set_budget(machinery::object_key(either.root()), n.after);
  }
}

void Scheduler::claim_changed(const Doc& before, const Doc& after) {
  Duration now = clock_.mono();
  std::string key = machinery::object_key((after ? after : before).root());
  if (after)
    snapshot_.claims[key] = after;
  else
    snapshot_.claims.erase(key);
  queue_.wake(kOnVolumes, now, [](const Waiting& w) { return !w.awaits_claims; });
  // A pod whose claims were given its node goes there at once.
  std::vector<Waiting*> ready;
  queue_.wake(kOnVolumes, now, [&](const Waiting& w) {
    bool its = w.awaits_claims && std::find(w.pod->claims.begin(), w.pod->claims.end(), key) != w.pod->claims.end();
    if (its) ready.push_back(queue_.find(w.pod->key));
    return its;
  });
  for (Waiting* w : ready) queue_.put(w->pod, w->profile, now);
}

void Scheduler::node_changed(const Doc& before, const Doc& after) {
  Duration now = clock_.mono();
  if (!after) {
    snapshot_.remove_node(before.path("metadata.name").str());
    return queue_.wake(bit(kPodTopologySpread), now);
  }
  snapshot_.set_node(after);
  if (!before) return queue_.wake(kAll, now);
  bool looks = !same(before, after, "metadata.labels") || !same(before, after, "spec.taints") ||
               !same(before, after, "spec.unschedulable");
  if (!looks && same(before, after, "status.allocatable")) return;
  if (looks) queue_.wake(bit(kPodTopologySpread) | bit(kInterPodAffinity), now);
  std::string name = after.path("metadata.name").str();
  queue_.wake(kAll, now, [&](const Waiting& w) {
    return fits(*w.pod, snapshot_, *w.profile, name) || !snapshot_.nominated_node(w.pod->key).empty();
  });
}

void Scheduler::pod_changed(const Doc& before, const Doc& after) {
  std::string key = machinery::object_key((after ? after : before).root());
  if (auto it = assumed_.find(key);
      it != assumed_.end() && (!after || !after.path("metadata.uid").equals(it->second->uid))) {
    assumed_.erase(it);
    snapshot_.remove_pod(key);
  }
  if (!after) {
    queue_.erase(key);
    snapshot_.remove_pod(key);
    return queue_.wake(kOnRoom, clock_.mono());
  }
  if (!after.path("spec.nodeName").empty()) return bound_pod_changed(key, before, after);
  if (!assumed_.count(key)) waiting_pod_changed(key, after);
}

void Scheduler::bound_pod_changed(const std::string& key, const Doc& before, const Doc& after) {
  Duration now = clock_.mono();
  queue_.erase(key);
  bool was_assumed = assumed_.erase(key) > 0, was_bound = before && !before.path("spec.nodeName").empty();
  snapshot_.set_pod(key, after);
  if (is_over(after)) {
    if (!before || !is_over(before)) queue_.wake(kOnRoom, now);
    return;
  }
  if (!was_bound) return queue_.wake(was_assumed ? 0 : kOnCompany, now);
  if (!same(before, after, "metadata.labels") || !same(before, after, "metadata.deletionTimestamp"))
    queue_.wake(kOnCompany, now);
  if (!same(before, after, "spec.containers") || !same(before, after, "status.containerStatuses")) {
    Amounts was = pod_requests(before.root()), is = pod_requests(after.root());
    if (is.cpu < was.cpu || is.memory < was.memory) queue_.wake(bit(kNodeResourcesFit), now);  // resized in place
  }
}

void Scheduler::waiting_pod_changed(const std::string& key, const Doc& after) {
  auto profile = std::find_if(configuration_.profiles.begin(), configuration_.profiles.end(),
                              [&after](const Profile& p) { return after.path("spec.schedulerName").equals(p.name); });
  if (after.path("metadata.deletionTimestamp") || is_over(after) || after.path("spec.schedulingGates").size() ||
      profile == configuration_.profiles.end()) {
    queue_.erase(key);
    snapshot_.remove_pod(key);
    if (after.path("metadata.deletionTimestamp") || profile == configuration_.profiles.end() || !after.path("spec.schedulingGates").size()) return;
    for (Value c : after.path("status.conditions").items())
      if (c["type"].equals("PodScheduled") && c["reason"].equals("SchedulingGated")) return;
    return hand_over({std::make_shared<PodInfo>(after), "", "Scheduling is blocked due to non-empty scheduling gates", {}, {}, false, {}, true});
  }
  auto pod = std::make_shared<PodInfo>(after);
  Waiting* w = queue_.find(key);
  if (!w || w->pod->uid != pod->uid || !same(w->pod->pod, after, "spec") ||
      !same(w->pod->pod, after, "metadata.labels"))
    queue_.put(pod, &*profile, clock_.mono());
  else
    queue_.refresh(pod);
  // After a restart, too, the room that others were ended for is kept; and somebody else may nominate.
  std::string node = after.path("status.nominatedNodeName").str();
  if (!node.empty() && snapshot_.nominated_node(key).empty()) snapshot_.nominate(key, node, after);
}

void Scheduler::not_bound(const Doc& pod) {
  std::string key = machinery::object_key(pod.root());
  Duration now = clock_.mono();
  if (auto it = assumed_.find(key); it != assumed_.end()) {
    if (!pod.path("metadata.uid").equals(it->second->uid)) return;
    assumed_.erase(it);
    snapshot_.remove_pod(key);
    queue_.wake(kOnRoom, now);
  }
  Doc is = pods_.get(key);
  if (!is || !is.path("spec.nodeName").empty()) return;
  waiting_pod_changed(key, is);
  if (Waiting* w = queue_.find(key)) queue_.failed(*w, now);
}

void Scheduler::place(Waiting& w) {
  Decision d = schedule(*w.pod, snapshot_, *w.profile, next_node_);
  next_node_ = d.next;
  if (d.node.empty()) return refused(w, d);
  if (!d.claims.empty()) {
    PodPtr pod = w.pod;
    w.awaits_claims = true;
    queue_.refused(w, bit(kVolumeBinding), clock_.mono());
    return hand_over({pod, d.node, "", d.claims, {}, false, {}, false});
  }
  PodPtr pod = w.pod;
  snapshot_.assume(pod, d.node);  // the next one sees it there
  assumed_[pod->key] = pod;
  queue_.erase(pod->key);
  queue_.wake(kOnCompany, clock_.mono());
  hand_over({pod, d.node, "", {}, {}, false, {}, false});
}

void Scheduler::refused(Waiting& w, const Decision& d) {
  Work work{w.pod, "", d.message, {}, {}, false, preempt(*w.pod, snapshot_, *w.profile, d)};
  Preemption& p = work.preemption;
  const std::string& key = w.pod->key;
  if (!p.message.empty()) work.text += " " + p.message;
  if (!p.node.empty()) {
    for (const auto& displaced : p.displaced) {
      snapshot_.nominate(displaced, "", {});
      work.displaced.push_back(displaced);
    }
    snapshot_.nominate(key, p.node, w.pod->pod);
  } else if (p.message.starts_with("preemption: 0/") && !snapshot_.nominated_node(key).empty()) {
    snapshot_.nominate(key, "", {});  // the room that was kept does not help any more
    work.clear_nomination = true;
  }
  bool news = w.told != work.text || !p.victims.empty() || work.clear_nomination;
  w.told = work.text;
  w.awaits_claims = false;
  queue_.refused(w, d.refused_by, clock_.mono());
  if (news) hand_over(std::move(work));
}

void Scheduler::hand_over(Work work) {
  std::lock_guard lock(mutex_);
  outbox_.push_back(std::move(work));
  if (outbox_.size() == 1) work_there_.notify_one();
}

}  // namespace k8lite::scheduler
