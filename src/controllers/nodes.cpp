#include "controllers/nodes.h"

#include "base/log.h"
#include "controllers/nodes_plan.h"

namespace k8lite::controllers {

using json::Doc;
using json::Node;
using machinery::Action;

namespace {
constexpr Duration kGoneGrace = seconds(40);  // a node made again in the meantime keeps its pods

bool may_evict(const Doc& node) {
  for (json::Value t : node.path("spec.taints").items())
    if (t["effect"].equals("NoExecute")) return true;
  return false;
}
}  // namespace

NodeController::NodeController(Context& c) : Base(c, "node-controller"), nodes_(c.informer("", "nodes")), leases_(c.informer("coordination.k8s.io", "leases")), pods_(c.informer("", "pods")) {
  nodes_.on_change([this](const Doc& before, const Doc& after) { queue_.add(name_of(after ? after : before)); });
  pods_.on_change([this](const Doc& before, const Doc& after) {
    std::string node = after.path("spec.nodeName").str();
    if (node.empty() || (before && before.path("spec.nodeName").equals(node))) return;
    Doc n = nodes_.get(node);
    if (!n || may_evict(n)) queue_.add(node);
  });
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
  for (const Doc& p : pods_.list()) {
    if (!p.path("spec.nodeName").equals(name_of(node)) || !pod_is_ready(p.root())) continue;
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
    Duration since = gone_.emplace(key, context_.clock.mono()).first->second, left = since + kGoneGrace - context_.clock.mono();
    if (left > Duration{0}) return Action::after(left);
  }
  auto live = context_.client.get({"", "v1", "nodes", "", key, ""});
  if (live.ok() || !live.status().is(Reason::NotFound)) return live.ok() ? Action::wait_for_change() : Result<Action>(live.status());
  for (const Doc& p : pods_.list()) {
    if (!p.path("spec.nodeName").equals(key)) continue;
    machinery::DeleteOptions options;
    options.grace_period_seconds = 0;  // nobody is left to end it
    options.uid = uid_of(p);
    auto r = context_.client.remove({"", "v1", "pods", namespace_of(p), name_of(p), ""}, options);
    if (!r.ok() && !r.status().is(Reason::NotFound)) return r.status();
  }
  std::lock_guard lock(mutex_);
  gone_.erase(key);
  return Action::wait_for_change();
}

Result<Action> NodeController::reconcile(const std::string& key) {
  Doc node = nodes_.get(key);
  if (!node) return clean_up(key);
  {
    std::lock_guard lock(mutex_);
    gone_.erase(key);
  }
  if (node.path("spec.podCIDR").empty()) {
    std::vector<std::string> used;
    // The API's list, not the cache's: two nodes must never get the same network.
    TRY(auto all, context_.client.list({"", "v1", "nodes", "", "", ""}, {}));
    for (const Doc& n : all.items) {
      used.push_back(n.path("spec.podCIDR").str());
      // A cache that lags must not give a node a second network.
      if (name_of(n) == key && !used.back().empty()) return Action::wait_for_change();
    }
    std::string cidr = next_pod_cidr(context_.cluster_cidr, used);
    if (cidr.empty()) return unavailable("no pod network is left for node " + key);
    TRY_OK(context_.client.patch({"", "v1", "nodes", "", key, ""}, machinery::PatchType::Merge, Node::obj({{"spec", Node::obj({{"podCIDR", cidr}, {"podCIDRs", Node::arr({cidr})}})}}).dump(), as_manager()));
    return Action::wait_for_change();
  }
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
  NodePlan plan = plan_node(node, silent, pods_.list(), context_.clock.now());
  if (plan.unknown) TRY_OK(mark_unknown(node));
  if (plan.change_taints)
    TRY_OK(context_.client.patch({"", "v1", "nodes", "", key, ""}, machinery::PatchType::Merge, Node::obj({{"spec", Node::obj({{"taints", plan.taints.size() ? plan.taints : Node()}})}}).dump(), as_manager()));
  for (const auto& pod : plan.evict) {
    auto [ns, name] = machinery::split_key(pod);
    if (Doc p = pods_.get(pod)) context_.events.record(p.root(), "Normal", "TaintManagerEviction", "Marking for deletion Pod " + pod);
    (void)context_.client.remove({"", "v1", "pods", ns, name, ""}, {});
  }
  return Action::after(plan.again);
}

}  // namespace k8lite::controllers
