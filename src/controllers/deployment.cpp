#include "controllers/deployment.h"

#include "api/selector.h"
#include "controllers/adoption.h"
#include "controllers/deployment_plan.h"

namespace k8lite::controllers {

using json::Doc;
using json::Node;
using machinery::Action;

DeploymentController::DeploymentController(Context& c) : Base(c, "deployment-controller"), deployments_(c.informer("apps", "deployments")), sets_(c.informer("apps", "replicasets")) {
  deployments_.on_change([this](const Doc& before, const Doc& after) { queue_.add(machinery::object_key((after ? after : before).root())); });
  sets_.on_change([this](const Doc& before, const Doc& after) {
    for (const Doc* state : {&before, &after})  // who lost it wants to know as well
      if (json::Value owner = controller_of(state->root()); owner["kind"].equals("Deployment")) queue_.add(machinery::object_key(namespace_of(*state), owner["name"].str()));
    if (!after || controller_of(after.root())) return;
    for (const Doc& d : deployments_.list(namespace_of(after))) {  // an orphan: somebody may adopt it
      auto selector = api::LabelSelector::from_object(d.path("spec.selector"));
      if (selector.ok() && selector->matches(after["metadata"]["labels"])) queue_.add(machinery::object_key(d.root()));
    }
  });
}

Result<> DeploymentController::create_set(const Doc& d, int64_t replicas, int64_t revision) {
  std::string hash = template_hash(d), ns = namespace_of(d), name = name_of(d) + "-" + hash;
  Node set = Node::obj({{"apiVersion", "apps/v1"}, {"kind", "ReplicaSet"}});
  Node pod_template = d.path("spec.template").to_node();
  pod_template["metadata"]["labels"].set("pod-template-hash", hash);
  set["metadata"] = Node::obj({{"name", name}, {"namespace", ns}, {"labels", pod_template.path("metadata.labels")}, {"ownerReferences", Node::arr({owner_reference(d)})}});
  for (auto m : d["metadata"]["annotations"].members())
    if (m.key() != "kubectl.kubernetes.io/last-applied-configuration" && !m.key().starts_with("deployment.kubernetes.io/")) set["metadata"]["annotations"].set(m.key(), m.value.str());
  set["metadata"]["annotations"].set("deployment.kubernetes.io/revision", std::to_string(revision));
  auto [desired, most] = size_annotations(d);
  set["metadata"]["annotations"].set("deployment.kubernetes.io/desired-replicas", desired);
  set["metadata"]["annotations"].set("deployment.kubernetes.io/max-replicas", most);
  set["spec"] = Node::obj({{"replicas", replicas}, {"selector", d.path("spec.selector").to_node()}, {"template", std::move(pod_template)}});
  set["spec"]["selector"]["matchLabels"].set("pod-template-hash", hash);
  if (d.path("spec.minReadySeconds")) set["spec"].set("minReadySeconds", d.path("spec.minReadySeconds").int_or(0));
  auto r = context_.client.create({"apps", "v1", "replicasets", ns, "", ""}, Doc::from(set), as_manager());
  if (!r.ok() && r.status().is(Reason::AlreadyExists)) return taken_name(d, name);
  if (!r.ok()) {
    context_.events.record(d.root(), "Warning", "ReplicaSetCreateError", "Failed to create new replica set " + json::quoted(name) + ": " + r.status().message());
    return r.status();
  }
  if (replicas > 0) context_.events.record(d.root(), "Normal", "ScalingReplicaSet", "Scaled up replica set " + name + " from 0 to " + std::to_string(replicas));
  return {};
}

// Its own set that the cache does not show yet, or somebody else's with the same hash: then the hash must become another one.
Result<> DeploymentController::taken_name(const Doc& d, const std::string& name) {
  TRY(Doc there, context_.client.get({"apps", "v1", "replicasets", namespace_of(d), name, ""}));
  if (controller_of(there.root())["uid"].equals(uid_of(d)) && find_new_set(d, {there})) return {};
  Node patch = Node::obj({{"status", Node::obj({{"collisionCount", d.path("status.collisionCount").int_or(0) + 1}})}});
  TRY_OK(context_.client.patch({"apps", "v1", "deployments", namespace_of(d), name_of(d), "status"}, machinery::PatchType::Merge, patch.dump(), as_manager()));
  return conflict_object("apps", "replicasets", name, "a replica set of this name belongs to somebody else");
}

Result<std::vector<Doc>> DeploymentController::sets_of(const Doc& d) {
  std::vector<Doc> out = sets_.owned_by(uid_of(d));
  TRY(auto selector, api::LabelSelector::from_object(d.path("spec.selector")));
  for (const Doc& rs : sets_.list(namespace_of(d))) {
    if (controller_of(rs.root()) || rs.path("metadata.deletionTimestamp") || !selector.matches(rs["metadata"]["labels"])) continue;
    TRY(bool alive, may_adopt(context_.client, d));
    if (!alive) break;
    Node patch = Node::object();
    patch["metadata"].set("uid", uid_of(rs));
    patch["metadata"]["ownerReferences"] = rs.path("metadata.ownerReferences").exists() ? rs.path("metadata.ownerReferences").to_node() : Node::array();
    patch["metadata"]["ownerReferences"].append(owner_reference(d));
    TRY(Doc adopted, context_.client.patch({"apps", "v1", "replicasets", namespace_of(rs), name_of(rs), ""}, machinery::PatchType::Merge, patch.dump(), as_manager()));
    out.push_back(std::move(adopted));
  }
  return out;
}

Result<Action> DeploymentController::reconcile(const std::string& key) {
  Doc d = deployments_.get(key);
  if (!d || d.path("metadata.deletionTimestamp")) return Action::wait_for_change();
  std::string ns = namespace_of(d);
  TRY(std::vector<Doc> sets, sets_of(d));
  DeploymentPlan plan = plan_deployment(d, sets, context_.clock.now());
  machinery::Path path{"apps", "v1", "replicasets", ns, "", ""};
  if (plan.create_new) TRY_OK(create_set(d, plan.new_replicas, plan.revision));
  auto [desired, most] = size_annotations(d);
  for (const Doc& rs : sets) {
    int64_t now = rs.path("spec.replicas").int_or(1), then = now;
    for (const auto& [name, replicas] : plan.scale)
      if (name == name_of(rs)) then = replicas;
    Node patch = Node::object();
    if (then != now) patch["spec"].set("replicas", then);
    for (auto [key, value] : {std::pair{"deployment.kubernetes.io/desired-replicas", &desired}, {"deployment.kubernetes.io/max-replicas", &most}})
      if (!rs["metadata"]["annotations"][key].equals(*value) && (now > 0 || then > 0)) patch["metadata"]["annotations"].set(key, *value);
    if (plan.revise == name_of(rs)) patch["metadata"]["annotations"].set("deployment.kubernetes.io/revision", std::to_string(plan.revision));
    if (patch.size() == 0) continue;
    path.name = name_of(rs);
    if (then != now) patch["metadata"].set("resourceVersion", rs.path("metadata.resourceVersion").str());
    TRY_OK(context_.client.patch(path, machinery::PatchType::Merge, patch.dump(), as_manager()));
    if (then != now)
      context_.events.record(d.root(), "Normal", "ScalingReplicaSet", "Scaled " + std::string(then > now ? "up" : "down") + " replica set " + path.name + " from " + std::to_string(now) + " to " + std::to_string(then));
  }
  for (const auto& name : plan.remove) {
    path.name = name;
    (void)context_.client.remove(path, {});
  }
  if (!d["metadata"]["annotations"]["deployment.kubernetes.io/revision"].equals(std::to_string(plan.revision))) {
    Node patch = Node::object();
    patch["metadata"]["annotations"].set("deployment.kubernetes.io/revision", std::to_string(plan.revision));
    TRY_OK(context_.client.patch({"apps", "v1", "deployments", ns, name_of(d), ""}, machinery::PatchType::Merge, patch.dump(), as_manager()));
  }
  if (!(plan.status == d["status"].to_node())) {
    auto r = context_.client.patch({"apps", "v1", "deployments", ns, name_of(d), "status"}, machinery::PatchType::Json,
                                   Node::arr({Node::obj({{"op", "add"}, {"path", "/status"}, {"value", plan.status}})}).dump(), as_manager());
    if (!r.ok() && !r.status().is(Reason::NotFound)) return r.status();
  }
  bool unfinished = plan.status.get("updatedReplicas").int_or(0) < d.path("spec.replicas").int_or(1) || plan.status.get("availableReplicas").int_or(0) < d.path("spec.replicas").int_or(1);
  return unfinished ? Action::after(seconds(d.path("spec.progressDeadlineSeconds").int_or(600) + 1)) : Action::wait_for_change();
}

}  // namespace k8lite::controllers
