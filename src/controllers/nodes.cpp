#include "controllers/nodes.h"

#include <algorithm>

#include "base/log.h"

namespace k8lite::controllers {

using json::Doc;
using json::Node;
using machinery::Action;

namespace {
constexpr Duration kCountAgain = seconds(1);
constexpr Duration kGoneGrace = seconds(40);  // a node made again in the meantime keeps its pods
constexpr size_t kFinishedKept = 12'500;      // pods that are over, as upstream's terminated-pod-gc-threshold
constexpr std::string_view kOutOfService = "node.kubernetes.io/out-of-service";

bool has_taint(const Doc& node, std::string_view key, std::string_view effect) {
  for (json::Value t : node.path("spec.taints").items())
    if ((key.empty() || t["key"].equals(key)) && (effect.empty() || t["effect"].equals(effect))) return true;
  return false;
}
// A word from the node itself: its readiness is told anew. (Of a silent one this controller says Unknown.)
bool has_spoken(const Doc& before, const Doc& after) {
  auto ready = [](const Doc& node) {
    for (json::Value c : node.path("status.conditions").items())
      if (c["type"].equals("Ready")) return c;
    return json::Value();
  };
  json::Value was = ready(before), is = ready(after);
  if (!is || is["status"].equals("Unknown")) return false;
  return is["status"].str() != was["status"].str() || is["lastHeartbeatTime"].str() != was["lastHeartbeatTime"].str();
}
bool is_over(const Doc& pod) { return pod.path("status.phase").equals("Succeeded") || pod.path("status.phase").equals("Failed"); }
}  // namespace

NodeController::NodeController(Context& c)
    : Base(c, "node-controller"), nodes_(c.informer("", "nodes")), leases_(c.informer("coordination.k8s.io", "leases")), pods_(c.informer("", "pods")), networks_(c.cluster_cidr) {
  nodes_.on_change([this](const Doc& before, const Doc& after) {
    std::string was = before.path("spec.podCIDR").str(), is = after.path("spec.podCIDR").str();
    if (was != is || !after) {
      std::lock_guard lock(mutex_);
      if (!is.empty()) networks_.hold(is);
      if (!was.empty()) networks_.release(was);
      // What was held for a node is its own now, or free again.
      auto it = given_.find(uid_of(after ? after : before));
      if (it != given_.end() && (!after || !is.empty())) {
        networks_.release(it->second);
        given_.erase(it);
      }
    }
    // Its lease may be known only later, and a node that is back must not be called silent meanwhile.
    if (after && has_spoken(before, after)) {
      std::lock_guard lock(mutex_);
      seen_[name_of(after)] = context_.clock.mono();
    }
    queue_.add(name_of(after ? after : before));
  });
  pods_.on_change([this](const Doc& before, const Doc& after) { pod_changed(before, after); });
  leases_.on_change([this](const Doc&, const Doc& after) {
    if (!after || namespace_of(after) != "kube-node-lease") return;
    bool returned = false;
    {
      std::lock_guard lock(mutex_);
      Duration now = context_.clock.mono();
      auto [it, fresh] = seen_.emplace(name_of(after), now);
      returned = fresh || now - it->second >= kNodeGrace;
      it->second = now;
    }
    if (returned) queue_.add(name_of(after));
  });
}

void NodeController::pod_changed(const Doc& before, const Doc& after) {
  std::string was = before.path("spec.nodeName").str(), node = after.path("spec.nodeName").str(), key = machinery::object_key((after ? after : before).root());
  bool too_many = false;
  {
    std::lock_guard lock(mutex_);
    if (was != node && !was.empty()) {
      auto it = on_node_.find(was);
      if (it != on_node_.end() && it->second.erase(key) && it->second.empty()) on_node_.erase(it);
    }
    if (was != node && !node.empty()) on_node_[node].insert(key);
    if (after && is_over(after)) too_many = finished_.insert(key).second && finished_.size() > kFinishedKept;
    else finished_.erase(key);
  }
  if (too_many) queue_.add("");
  if (node.empty()) return;
  bool ends = after.path("metadata.deletionTimestamp") && !before.path("metadata.deletionTimestamp");
  if (was == node && !ends) return;
  Doc n = nodes_.get(node);
  if (!n || has_taint(n, "", "NoExecute")) queue_.add(node);
}

std::vector<Doc> NodeController::pods_on(const std::string& node) {
  std::set<std::string> keys;
  {
    std::lock_guard lock(mutex_);
    if (auto it = on_node_.find(node); it != on_node_.end()) keys = it->second;
  }
  std::vector<Doc> out;
  for (const auto& key : keys)
    if (Doc p = pods_.get(key); p && p.path("spec.nodeName").equals(node)) out.push_back(p);
  return out;
}

// Says in its status why the pod goes, for Jobs and budgets want to know, and lets it go.
Result<> NodeController::end_pod(const Doc& pod, const char* reason, const std::string& message, bool at_once) {
  Node condition = Node::obj({{"type", "DisruptionTarget"}, {"status", "True"}, {"lastTransitionTime", rfc3339(context_.clock.now())}, {"reason", reason}, {"message", message}});
  Node status = Node::obj({{"conditions", Node::arr({std::move(condition)})}});
  if (at_once && !is_over(pod)) status.set("phase", "Failed");
  Node patch = Node::obj({{"metadata", Node::obj({{"uid", uid_of(pod)}})}, {"status", std::move(status)}});
  auto told = context_.client.patch({"", "v1", "pods", namespace_of(pod), name_of(pod), "status"}, machinery::PatchType::StrategicMerge, patch.dump(), as_manager());
  if (!told.ok()) return told.status().is(Reason::NotFound) || told.status().is(Reason::Conflict) ? Result<>() : told.status();
  machinery::DeleteOptions options;
  if (at_once) options.grace_period_seconds = 0;  // nobody is left to end it
  options.uid = uid_of(pod);
  auto r = context_.client.remove({"", "v1", "pods", namespace_of(pod), name_of(pod), ""}, options);
  if (!r.ok() && !r.status().is(Reason::NotFound) && !r.status().is(Reason::Conflict)) return r.status();
  return {};
}

// The oldest of too many pods that are over.
Result<Action> NodeController::remove_finished() {
  std::set<std::string> keys;
  {
    std::lock_guard lock(mutex_);
    keys = finished_;
  }
  std::vector<Doc> over;
  for (const auto& key : keys)
    if (Doc p = pods_.get(key); p && is_over(p) && !p.path("metadata.deletionTimestamp")) over.push_back(p);
  if (over.size() <= kFinishedKept) return Action::wait_for_change();
  std::sort(over.begin(), over.end(), [](const Doc& a, const Doc& b) { return a.path("metadata.creationTimestamp").str() < b.path("metadata.creationTimestamp").str(); });
  over.resize(over.size() - kFinishedKept);
  for (const Doc& p : over) {
    machinery::DeleteOptions options;
    options.grace_period_seconds = 0;
    options.uid = uid_of(p);
    auto r = context_.client.remove({"", "v1", "pods", namespace_of(p), name_of(p), ""}, options);
    if (!r.ok() && !r.status().is(Reason::NotFound) && !r.status().is(Reason::Conflict)) return r.status();
  }
  return Action::wait_for_change();
}

// In this process alone networks are given, so what it remembers is true, however late the cache is.
Result<bool> NodeController::give_network(const Doc& node) {
  if (!node.path("spec.podCIDR").empty()) return false;
  std::string cidr;
  {
    std::lock_guard lock(mutex_);
    auto [it, fresh] = given_.try_emplace(uid_of(node));
    if (fresh) it->second = networks_.take();
    cidr = it->second;
    if (cidr.empty()) given_.erase(it);
  }
  if (cidr.empty()) return unavailable("no pod network is left for node " + name_of(node));
  Node patch = Node::obj({{"metadata", Node::obj({{"uid", uid_of(node)}})}, {"spec", Node::obj({{"podCIDR", cidr}, {"podCIDRs", Node::arr({cidr})}})}});
  auto r = context_.client.patch({"", "v1", "nodes", "", name_of(node), ""}, machinery::PatchType::Merge, patch.dump(), as_manager());
  if (r.ok()) return true;
  if (!r.status().is(Reason::NotFound) && !r.status().is(Reason::Conflict)) return r.status();
  std::lock_guard lock(mutex_);  // that node is gone
  networks_.release(cidr);
  given_.erase(uid_of(node));
  return true;
}

Eviction NodeController::may_evict(const Doc& node, Duration& again) {
  std::lock_guard lock(mutex_);
  if (granted_.count(name_of(node))) return Eviction::Now;
  Duration now = context_.clock.mono();
  if (counted_ < Duration{0} || now - counted_ >= kCountAgain) {
    counted_ = now;
    zones_.clear();
    for (const Doc& n : nodes_.list()) {
      auto it = seen_.find(name_of(n));
      EvictionPace::Zone& z = zones_[zone_of(n.root())];
      ++(node_is_well(n, it == seen_.end() ? Duration{0} : now - it->second) ? z.well : z.ill);
    }
  }
  Eviction answer = pace_.ask(zone_of(node.root()), zones_, now, again);
  if (answer == Eviction::Now) granted_.insert(name_of(node));
  return answer;
}

Result<> NodeController::mark_unknown(const Doc& node) {
  Node conditions = node.path("status.conditions").to_node();
  std::string now = rfc3339(context_.clock.now());
  for (Node& c : conditions.items()) {
    if (c.get("status").str() == "Unknown") continue;
    c.set("status", "Unknown");
    c.set("reason", "NodeStatusUnknown");
    c.set("message", "Kubelet stopped posting node status.");
    c.set("lastTransitionTime", now);
  }
  TRY_OK(context_.client.patch({"", "v1", "nodes", "", name_of(node), "status"}, machinery::PatchType::Merge, Node::obj({{"status", Node::obj({{"conditions", std::move(conditions)}})}}).dump(), as_manager()));
  context_.events.record(node.root(), "Normal", "NodeNotReady", "Node " + name_of(node) + " status is now: NodeNotReady");
  for (const Doc& p : pods_on(name_of(node))) {
    if (!pod_is_ready(p.root())) continue;
    Node list = p.path("status.conditions").to_node();
    for (Node& c : list.items())
      if (c.get("type").str() == "Ready") c.set("status", "False"), c.set("reason", "NodeNotReady"), c.set("lastTransitionTime", now);
    (void)context_.client.patch({"", "v1", "pods", namespace_of(p), name_of(p), "status"}, machinery::PatchType::Merge, Node::obj({{"status", Node::obj({{"conditions", std::move(list)}})}}).dump(), as_manager());
  }
  return {};
}

Result<Action> NodeController::clean_up(const std::string& key) {
  {
    std::lock_guard lock(mutex_);
    seen_.erase(key);
    granted_.erase(key);
    Duration since = gone_.emplace(key, context_.clock.mono()).first->second, left = since + kGoneGrace - context_.clock.mono();
    if (left > Duration{0}) return Action::after(left);
  }
  auto live = context_.client.get({"", "v1", "nodes", "", key, ""});
  if (live.ok() || !live.status().is(Reason::NotFound)) return live.ok() ? Action::wait_for_change() : Result<Action>(live.status());
  for (const Doc& p : pods_on(key)) TRY_OK(end_pod(p, "DeletionByPodGC", "PodGC: node no longer exists", true));
  std::lock_guard lock(mutex_);
  gone_.erase(key);
  return Action::wait_for_change();
}

Result<Action> NodeController::reconcile(const std::string& key) {
  if (key.empty()) return remove_finished();
  Doc node = nodes_.get(key);
  if (!node) return clean_up(key);
  {
    std::lock_guard lock(mutex_);
    gone_.erase(key);
  }
  auto given = give_network(node);
  if (given.ok() && *given) return Action::wait_for_change();
  constexpr std::string_view kRole = "node-role.kubernetes.io/control-plane";  // a node may not give itself a role
  if (key == context_.own_node && !node["metadata"]["labels"][kRole])
    TRY_OK(context_.client.patch({"", "v1", "nodes", "", key, ""}, machinery::PatchType::Merge, Node::obj({{"metadata", Node::obj({{"labels", Node::obj({{kRole, "true"}})}})}}).dump(), as_manager()));
  Duration silent;
  {
    std::lock_guard lock(mutex_);
    // A node not heard of by this process yet has its grace from now on.
    auto it = seen_.emplace(key, context_.clock.mono()).first;
    silent = context_.clock.mono() - it->second;
  }
  bool well = node_is_well(node, silent);
  Duration later{0};
  Eviction eviction = Eviction::Now;
  if (!well && !has_taint(node, "node.kubernetes.io/unreachable", "NoExecute") && !has_taint(node, "node.kubernetes.io/not-ready", "NoExecute")) eviction = may_evict(node, later);
  if (well) {
    std::lock_guard lock(mutex_);
    granted_.erase(key);
  }
  std::vector<Doc> pods = has_taint(node, "", "NoExecute") || !well ? pods_on(key) : std::vector<Doc>();
  NodePlan plan = plan_node(node, silent, pods, context_.clock.now(), eviction);
  if (eviction != Eviction::Now && (plan.again == Duration{0} || later < plan.again)) plan.again = later;
  if (plan.unknown) TRY_OK(mark_unknown(node));
  if (plan.change_taints)
    TRY_OK(context_.client.patch({"", "v1", "nodes", "", key, ""}, machinery::PatchType::Merge, Node::obj({{"spec", Node::obj({{"taints", plan.taints.size() ? plan.taints : Node()}})}}).dump(), as_manager()));
  for (const auto& pod : plan.evict) {
    Doc p = pods_.get(pod);
    if (!p) continue;
    context_.events.record(p.root(), "Normal", "TaintManagerEviction", "Marking for deletion Pod " + pod);
    TRY_OK(end_pod(p, "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint", false));
  }
  // An administrator says that the node does not run: what waits there for its end is over.
  if (!well && has_taint(node, kOutOfService, ""))
    for (const Doc& p : pods)
      if (p.path("metadata.deletionTimestamp")) TRY_OK(end_pod(p, "DeletionByPodGC", "PodGC: node is out of service", true));
  if (!given.ok()) return given.status();
  return Action::after(plan.again);
}

}  // namespace k8lite::controllers
