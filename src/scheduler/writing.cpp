// The scheduler's writing thread: bindings, claims' nodes, the end of victims, and what waiting pods are told, each
// kind in one go.
#include "api/volumes.h"
#include "base/log.h"
#include "scheduler/scheduler.h"

namespace k8lite::scheduler {
namespace {

using json::Doc;
using json::Node;
using machinery::Operation;

constexpr size_t kTogether = 256;  // writes of one go

Operation patch_of(const std::string& key, const char* resource, const char* subresource, const Node& patch) {
  auto [ns, name] = machinery::split_key(key);
  return {Operation::Kind::Patch,
          {"", "v1", resource, ns, name, subresource},
          {},
          machinery::PatchType::Merge,
          patch.dump(),
          {},
          {}};
}

// The list with this condition in it, for a merge patch.
Node with_condition(const Doc& pod, Node condition, const std::string& now) {
  Node list = Node::array();
  std::string since = now;
  for (json::Value c : pod.path("status.conditions").items()) {
    if (!c["type"].equals(condition.get("type").str()))
      list.append(c.to_node());
    else if (c["status"].equals(condition.get("status").str()))
      since = c["lastTransitionTime"].str(since);
  }
  condition.set("lastTransitionTime", since);
  list.append(std::move(condition));
  return list;
}

}  // namespace

void Scheduler::write() {
  std::vector<Work> all, binds, tells;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (outbox_.empty()) {
      work_there_.wait(lock);
      continue;
    }
    size_t n = std::min(outbox_.size(), kTogether);
    all.assign(std::make_move_iterator(outbox_.begin()),
               std::make_move_iterator(outbox_.begin() + static_cast<std::ptrdiff_t>(n)));
    outbox_.erase(outbox_.begin(), outbox_.begin() + static_cast<std::ptrdiff_t>(n));
    lock.unlock();
    binds.clear();
    tells.clear();
    for (Work& w : all) {
      if (!w.claims.empty())
        choose_node(w);
      else
        (w.node.empty() ? tells : binds).push_back(std::move(w));
    }
    bind(binds);
    tell(tells);
    lock.lock();
  }
}

void Scheduler::choose_node(const Work& work) {
  for (const auto& key : work.claims) {
    auto [ns, name] = machinery::split_key(key);
    Node patch = Node::object();
    patch["metadata"]["annotations"].set(api::kSelectedNode, work.node);
    auto r = client_.patch({"", "v1", "persistentvolumeclaims", ns, name, ""}, machinery::PatchType::Merge,
                           patch.dump(), {});
    if (r.ok()) continue;
    log_debug("cannot choose a node for a claim, will try again", {{"claim", key}, {"error", r.status()}});
    failed(work);
  }
}

void Scheduler::bind(const std::vector<Work>& works) {
  if (works.empty()) return;
  std::vector<Operation> operations;
  for (const Work& w : works) {
    auto [ns, name] = machinery::split_key(w.pod->key);
    Node binding = Node::obj({{"apiVersion", "v1"},
                              {"kind", "Binding"},
                              {"metadata", Node::obj({{"name", name}, {"namespace", ns}, {"uid", w.pod->uid}})},
                              {"target", Node::obj({{"apiVersion", "v1"}, {"kind", "Node"}, {"name", w.node}})}});
    operations.push_back(
        {Operation::Kind::Create, {"", "v1", "pods", ns, name, "binding"}, Doc::from(binding), {}, {}, {}, {}});
  }
  auto results = client_.submit(std::move(operations));
  for (size_t i = 0; i < results.size(); ++i) {
    const Work& w = works[i];
    if (results[i].ok()) {
      events_of(*w.pod).record(w.pod->pod.root(), "Normal", "Scheduled",
                               "Successfully assigned " + w.pod->key + " to " + w.node);
      continue;
    }
    log_debug("binding failed, will try again", {{"pod", w.pod->key}, {"error", results[i].status()}});
    failed(w);
  }
}

void Scheduler::failed(const Work& work) {
  std::lock_guard lock(mutex_);
  inbox_.push_back({News::kNotBound, {}, work.pod->pod});
  wake_.notify_one();
}

void Scheduler::end_victims(const Work& work) {
  for (const auto& v : work.preemption.victims) {
    auto [ns, name] = machinery::split_key(v);
    Doc p = pods_.get(v);
    if (!p || p.path("metadata.deletionTimestamp")) continue;
    Node condition = Node::obj({{"type", "DisruptionTarget"},
                                {"status", "True"},
                                {"reason", "PreemptionByScheduler"},
                                {"message", work.pod->pod.path("spec.schedulerName").str() +
                                                ": preempting to accommodate a higher priority pod"}});
    Node patch = Node::obj(
        {{"metadata", Node::obj({{"uid", p.path("metadata.uid").str()}})},
         {"status", Node::obj({{"conditions", with_condition(p, std::move(condition), rfc3339(clock_.now()))}})}});
    (void)client_.submit({patch_of(v, "pods", "status", patch)});
    events_of(*work.pod).record(p.root(), "Normal", "Preempted",
                                "Preempted by pod " + work.pod->uid + " on node " + work.preemption.node);
    machinery::DeleteOptions options;
    options.uid = p.path("metadata.uid").str();
    (void)client_.remove({"", "v1", "pods", ns, name, ""}, options);
  }
}

void Scheduler::tell(const std::vector<Work>& works) {
  if (works.empty()) return;
  std::vector<Operation> operations;
  for (const Work& w : works) {
    const Doc& pod = w.pod->pod;
    end_victims(w);
    if (!w.gated) events_of(*w.pod).record(pod.root(), "Warning", "FailedScheduling", w.text);
    Node condition =
        Node::obj({{"type", "PodScheduled"}, {"status", "False"}, {"reason", w.gated ? "SchedulingGated" : "Unschedulable"}, {"message", w.text}});
    Node status = Node::obj({{"conditions", with_condition(pod, std::move(condition), rfc3339(clock_.now()))}});
    if (!w.preemption.node.empty())
      status.set("nominatedNodeName", w.preemption.node);
    else if (w.clear_nomination)
      status.set("nominatedNodeName", Node());
    operations.push_back(patch_of(w.pod->key, "pods", "status", Node::obj({{"status", std::move(status)}})));
    for (const auto& key : w.displaced)
      operations.push_back(
          patch_of(key, "pods", "status", Node::obj({{"status", Node::obj({{"nominatedNodeName", Node()}})}})));
  }
  (void)client_.submit(std::move(operations));
}

}  // namespace k8lite::scheduler
