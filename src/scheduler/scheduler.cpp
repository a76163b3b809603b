#include "scheduler/scheduler.h"

#include <algorithm>

#include "api/volumes.h"
#include "base/log.h"

namespace k8lite::scheduler {
namespace {

using json::Doc;
using json::Node;

constexpr Duration kFirstBackoff = seconds(1), kLongestBackoff = seconds(10), kUnschedulableRetry = seconds(300);
constexpr size_t kBatch = 64;  // bindings that are written together

}  // namespace

Scheduler::Scheduler(machinery::Client& client, const Clock& clock, Random& random, std::string name)
    : client_(client), clock_(clock), name_(std::move(name)), events_(client, clock, random, name_), nodes_(client, {"", "v1", "nodes", "", "", ""}), pods_(client, {"", "v1", "pods", "", "", ""}), namespaces_(client, {"", "v1", "namespaces", "", "", ""}),
      claims_(client, {"", "v1", "persistentvolumeclaims", "", "", ""}), volumes_(client, {"", "v1", "persistentvolumes", "", "", ""}), classes_(client, {"storage.k8s.io", "v1", "storageclasses", "", "", ""}) {
  watch_volumes();
  namespaces_.on_change([this](const Doc& before, const Doc& after) {
    std::lock_guard lock(mutex_);
    if (after) snapshot_.set_namespace(after);
    else snapshot_.remove_namespace(before.path("metadata.name").str());
  });
  nodes_.on_change([this](const Doc& before, const Doc& after) {
    std::lock_guard lock(mutex_);
    if (after) snapshot_.set_node(after);
    else snapshot_.remove_node(before.path("metadata.name").str());
    something_changed();
  });
  pods_.on_change([this](const Doc& before, const Doc& after) {
    std::string key = machinery::object_key((after ? after : before).root());
    std::lock_guard lock(mutex_);
    if (!after || after.path("metadata.deletionTimestamp") || !after.path("spec.nodeName").empty()) queue_.erase(key);
    if (after && !after.path("spec.nodeName").empty()) {
      snapshot_.set_pod(key, after);
      std::string phase = after.path("status.phase").str();
      if (phase == "Succeeded" || phase == "Failed") something_changed();
      return;
    }
    if (!after || after.path("metadata.deletionTimestamp")) snapshot_.remove_pod(key);
    if (!after) return something_changed();
    if (after.path("metadata.deletionTimestamp") || after.path("spec.schedulingGates").size() || !after.path("spec.schedulerName").equals(name_)) return;
    Waiting& w = queue_[key];
    bool spec_changed = !w.pod || !(w.pod["spec"].raw() == after["spec"].raw());
    w.pod = after;
    if (spec_changed) w.unschedulable = false, w.not_before = Duration{0};
    // After a restart, the room that others were ended for is still kept.
    if (std::string node = after.path("status.nominatedNodeName").str(); !node.empty()) snapshot_.nominate(key, node, after);
    wake_.notify_all();
  });
}

void Scheduler::watch_volumes() {
  claims_.on_change([this](const Doc& before, const Doc& after) {
    std::lock_guard lock(mutex_);
    if (after) snapshot_.claims[machinery::object_key(after.root())] = after;
    else snapshot_.claims.erase(machinery::object_key(before.root()));
    something_changed(true);
  });
  volumes_.on_change([this](const Doc& before, const Doc& after) {
    std::lock_guard lock(mutex_);
    snapshot_.set_volume((after ? after : before).path("metadata.name").str(), after);
    something_changed();
  });
  classes_.on_change([this](const Doc& before, const Doc& after) {
    std::lock_guard lock(mutex_);
    if (after) snapshot_.classes[after.path("metadata.name").str()] = after;
    else snapshot_.classes.erase(before.path("metadata.name").str());
    something_changed();
  });
}

Scheduler::~Scheduler() { stop(); }

void Scheduler::start() {
  for (machinery::Informer* i : {&namespaces_, &nodes_, &classes_, &volumes_, &claims_, &pods_}) i->start();
  thread_ = std::thread([this] {
    for (machinery::Informer* i : {&namespaces_, &nodes_, &classes_, &volumes_, &claims_, &pods_}) i->wait_synced(seconds(60));
    run();
  });
}

void Scheduler::stop() {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(stopping_, true)) return;
    wake_.notify_all();
  }
  for (machinery::Informer* i : {&namespaces_, &nodes_, &classes_, &volumes_, &claims_, &pods_}) i->stop();
  if (thread_.joinable()) thread_.join();
}

// A node or a pod came or went: what did not fit may fit now, after its back-off. Called with the mutex held.
void Scheduler::something_changed(bool claims) {
  for (auto& [key, w] : queue_) {
    w.unschedulable = false;
    if (claims && w.awaits_claims) w.not_before = Duration{0};
  }
  wake_.notify_all();
}

void Scheduler::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    Duration now = clock_.mono(), next{0};
    std::vector<std::pair<std::string, Doc>> batch;
    for (auto& [key, w] : queue_) {
      Duration due = w.unschedulable ? std::max(w.not_before, Duration{0}) + kUnschedulableRetry : w.not_before;
      if (due <= now) batch.emplace_back(key, w.pod);
      else if (next == Duration{0} || due < next) next = due;
    }
    if (batch.empty()) {
      if (next == Duration{0}) wake_.wait(lock);
      else wake_.wait_for(lock, next - now);
      continue;
    }
    std::stable_sort(batch.begin(), batch.end(), [](const auto& a, const auto& b) {
      int64_t pa = a.second.path("spec.priority").int_or(0), pb = b.second.path("spec.priority").int_or(0);
      if (pa != pb) return pa > pb;
      return a.second.path("metadata.creationTimestamp").str() < b.second.path("metadata.creationTimestamp").str();
    });
    if (batch.size() > kBatch) batch.resize(kBatch);
    lock.unlock();
    place(std::move(batch));
    lock.lock();
  }
}

void Scheduler::place(std::vector<std::pair<std::string, Doc>> batch) {
  std::vector<std::pair<std::string, Doc>> assumed;
  std::vector<std::tuple<std::string, Doc, Decision>> refused;
  std::vector<Decision> chosen;  // for claims that are bound before their pod is
  {
    std::lock_guard lock(mutex_);
    for (auto& [key, pod] : batch) {
      if (!queue_.count(key)) continue;
      Decision d = schedule(pod.root(), snapshot_);
      if (d.node.empty()) {
        Waiting& w = queue_[key];
        w.unschedulable = true;
        w.backoff = w.backoff == Duration{0} ? kFirstBackoff : std::min(w.backoff * 2, kLongestBackoff);
        w.not_before = clock_.mono() + w.backoff;
        refused.emplace_back(key, pod, std::move(d));
        continue;
      }
      if (!d.claims.empty()) {
        Waiting& w = queue_[key];
        w.unschedulable = w.awaits_claims = true;
        w.not_before = clock_.mono() + kFirstBackoff;
        chosen.push_back(std::move(d));
        continue;
      }
      Node placed = pod.to_node();
      placed["spec"].set("nodeName", d.node);
      Doc doc = Doc::from(placed);
      snapshot_.set_pod(key, doc);  // assumed: the next one sees it there
      queue_.erase(key);
      assumed.emplace_back(key, doc);
    }
  }
  bound(assumed);
  for (const Decision& d : chosen) choose_node_for(d.claims, d.node);
  for (auto& [key, pod, decision] : refused) failed(key, pod, decision);
}

void Scheduler::choose_node_for(const std::vector<std::string>& claims, const std::string& node) {
  for (const auto& key : claims) {
    auto [ns, name] = machinery::split_key(key);
    Node patch = Node::object();
    patch["metadata"]["annotations"].set(api::kSelectedNode, node);
    auto r = client_.patch({"", "v1", "persistentvolumeclaims", ns, name, ""}, machinery::PatchType::Merge, patch.dump(), {});
    if (!r.ok()) log_debug("cannot choose a node for a claim, will try again", {{"claim", key}, {"error", r.status()}});
  }
}

void Scheduler::bound(const std::vector<std::pair<std::string, Doc>>& assumed) {
  std::vector<machinery::Operation> operations;
  for (const auto& [key, pod] : assumed) {
    auto [ns, name] = machinery::split_key(key);
    Node binding = Node::obj({{"apiVersion", "v1"}, {"kind", "Binding"}, {"metadata", Node::obj({{"name", name}, {"namespace", ns}, {"uid", pod.path("metadata.uid").str()}})},
                              {"target", Node::obj({{"apiVersion", "v1"}, {"kind", "Node"}, {"name", pod.path("spec.nodeName").str()}})}});
    operations.push_back({machinery::Operation::Kind::Create, {"", "v1", "pods", ns, name, "binding"}, Doc::from(binding), {}, {}, {}, {}});
  }
  if (operations.empty()) return;
  auto results = client_.submit(std::move(operations));
  for (size_t i = 0; i < results.size(); ++i) {
    const auto& [key, pod] = assumed[i];
    if (results[i].ok()) {
      events_.record(pod.root(), "Normal", "Scheduled", "Successfully assigned " + key + " to " + pod.path("spec.nodeName").str());
      continue;
    }
    std::lock_guard lock(mutex_);
    snapshot_.remove_pod(key);
    Doc now = pods_.get(key);
    if (!now || !now.path("spec.nodeName").empty() || now.path("metadata.deletionTimestamp")) continue;
    log_debug("binding failed, will try again", {{"pod", key}, {"error", results[i].status()}});
    queue_[key].pod = now;
    queue_[key].not_before = clock_.mono() + kFirstBackoff;
  }
}

void Scheduler::end_victims(const Doc& pod, const Preemption& preemption) {
  for (const auto& v : preemption.victims) {
    auto [ns, name] = machinery::split_key(v);
    Doc p = pods_.get(v);
    if (!p || p.path("metadata.deletionTimestamp")) continue;
    events_.record(p.root(), "Normal", "Preempted", "Preempted by pod " + pod.path("metadata.uid").str() + " on node " + preemption.node);
    machinery::DeleteOptions options;
    options.uid = p.path("metadata.uid").str();
    (void)client_.remove({"", "v1", "pods", ns, name, ""}, options);
  }
}

void Scheduler::failed(const std::string& key, const Doc& pod, const Decision& decision) {
  auto [ns, name] = machinery::split_key(key);
  Preemption preemption;
  std::string text;
  {
    std::lock_guard lock(mutex_);
    auto it = queue_.find(key);
    if (it == queue_.end()) return;
    preemption = preempt(pod.root(), snapshot_, decision);
    if (!preemption.node.empty()) snapshot_.nominate(key, preemption.node, pod);
    text = decision.message + (preemption.message.empty() ? "" : " " + preemption.message);
    if (it->second.told == text && preemption.victims.empty()) return;
    it->second.told = text;
  }
  end_victims(pod, preemption);
  const std::string& nominated = preemption.node;
  events_.record(pod.root(), "Warning", "FailedScheduling", text);
  Node conditions = Node::array();
  std::string since = rfc3339(clock_.now());
  for (json::Value c : pod.path("status.conditions").items()) {
    if (!c["type"].equals("PodScheduled")) conditions.append(c.to_node());
    else if (c["status"].equals("False")) since = c["lastTransitionTime"].str(since);
  }
  conditions.append(Node::obj({{"type", "PodScheduled"}, {"status", "False"}, {"lastTransitionTime", since}, {"reason", "Unschedulable"}, {"message", text}}));
  Node status = Node::obj({{"conditions", std::move(conditions)}});
  if (!nominated.empty()) status.set("nominatedNodeName", nominated);
  (void)client_.patch({"", "v1", "pods", ns, name, "status"}, machinery::PatchType::Merge, Node::obj({{"status", std::move(status)}}).dump(), {});
}

}  // namespace k8lite::scheduler
