#include "controllers/replicaset.h"

#include "controllers/replicaset_plan.h"

namespace k8lite::controllers {

using json::Doc;
using json::Node;
using machinery::Action;

ReplicaSetController::ReplicaSetController(Context& c, const char* name, const char* group, const char* plural, const char* kind)
    : Base(c, name), group_(group), plural_(plural), kind_(kind), sets_(c.informer(group, plural)), pods_(c.informer("", "pods")), control_(c, pods_) {
  sets_.on_change([this](const Doc& before, const Doc& after) { queue_.add(machinery::object_key((after ? after : before).root())); });
  pods_.on_change([this](const Doc& before, const Doc& after) {
    const Doc& pod = after ? after : before;
    for (const Doc* state : {&before, &after})  // who lost it wants to know as well
      if (json::Value owner = controller_of(state->root()); owner["kind"].equals(kind_)) queue_.add(machinery::object_key(namespace_of(pod), owner["name"].str()));
    if (!after || controller_of(after.root())) return;
    for (const Doc& set : sets_.list(namespace_of(pod))) {  // an orphan: somebody may adopt it
      auto selector = selector_of(set);
      if (selector.ok() && selector->matches(pod["metadata"]["labels"])) queue_.add(machinery::object_key(set.root()));
    }
  });
}

Result<api::LabelSelector> ReplicaSetController::selector_of(const Doc& set) const {
  if (!group_.empty()) return api::LabelSelector::from_object(set.path("spec.selector"));
  json::Value labels = set.path("spec.selector");
  if (labels.empty()) labels = set.path("spec.template.metadata.labels");
  return api::LabelSelector::from_object(Doc::from(Node::obj({{"matchLabels", labels.to_node()}})).root());
}

Result<Action> ReplicaSetController::reconcile(const std::string& key) {
  Doc set = sets_.get(key);
  if (!set) {
    control_.forget(key);
    return Action::wait_for_change();
  }
  if (!control_.settled(key)) return Action::after(kExpectationLimit);
  TRY(auto selector, selector_of(set));
  TRY(auto pods, control_.claim(set, selector));
  ReplicaSetPlan plan = plan_replica_set(set, pods, context_.clock.now());
  PodOrders orders;
  if (!set.path("metadata.deletionTimestamp")) {
    if (plan.create > 0) orders.create.assign(static_cast<size_t>(plan.create), pod_from_template(set, set.path("spec.template")));
    orders.remove = plan.remove;
  }
  Status failure = control_.carry_out(key, set, std::move(orders));
  Node conditions = Node::array();
  for (Node& c : plan.status["conditions"].items())
    if (c.get("type").str() != "ReplicaFailure") conditions.append(std::move(c));
  if (!failure.ok()) {
    std::string since = rfc3339(context_.clock.now());
    for (json::Value c : set.path("status.conditions").items())
      if (c["type"].equals("ReplicaFailure")) since = c["lastTransitionTime"].str();
    conditions.append(Node::obj({{"type", "ReplicaFailure"}, {"status", "True"}, {"lastTransitionTime", since}, {"reason", "FailedCreate"}, {"message", failure.message()}}));
  }
  if (conditions.size()) plan.status.set("conditions", std::move(conditions));
  else plan.status.erase("conditions");
  TRY_OK(write_status(context_.client, {group_, "v1", plural_, "", "", ""}, set, plan.status, as_manager()));
  if (!failure.ok()) return failure;
  int64_t min_ready = set.path("spec.minReadySeconds").int_or(0);
  bool waiting = min_ready > 0 && plan.status.get("readyReplicas").int_or(0) > plan.status.get("availableReplicas").int_or(0);
  return waiting ? Action::after(seconds(min_ready)) : Action::wait_for_change();
}

}  // namespace k8lite::controllers
