#include "controllers/statefulset.h"

#include <algorithm>
#include <set>

#include "controllers/history.h"
#include "controllers/statefulset_plan.h"

namespace k8lite::controllers {

using json::Doc;
using json::Node;
using machinery::Action;

StatefulSetController::StatefulSetController(Context& c)
    : Base(c, "statefulset-controller"), sets_(c.informer("apps", "statefulsets")), pods_(c.informer("", "pods")), revisions_(c.informer("apps", "controllerrevisions")), claims_(c.informer("", "persistentvolumeclaims")), control_(c, pods_) {
  sets_.on_change([this](const Doc& before, const Doc& after) { queue_.add(machinery::object_key((after ? after : before).root())); });
  pods_.on_change([this](const Doc& before, const Doc& after) {
    const Doc& pod = after ? after : before;
    json::Value owner = controller_of(pod.root());
    if (owner && owner["kind"].equals("StatefulSet")) queue_.add(machinery::object_key(namespace_of(pod), owner["name"].str()));
  });
}

Result<> StatefulSetController::make_claims(const Doc& set, const std::string& pod) {
  for (const Node& claim : claims_of(set, pod)) {
    std::string ns = namespace_of(set), name = claim.path("metadata.name").str();
    if (claims_.get(machinery::object_key(ns, name))) continue;
    auto r = context_.client.create({"", "v1", "persistentvolumeclaims", ns, "", ""}, Doc::from(claim), as_manager());
    if (r.ok()) {
      context_.events.record(set.root(), "Normal", "SuccessfulCreate", "create Claim " + name + " Pod " + pod + " in StatefulSet " + name_of(set) + " success");
    } else if (!r.status().is(Reason::AlreadyExists)) {
      context_.events.record(set.root(), "Warning", "FailedCreate", "create Claim " + name + " for Pod " + pod + " in StatefulSet " + name_of(set) + " failed error: " + r.status().message());
      return r.status();
    }
  }
  return {};
}

// whenScaled: Delete: the claims of a pod that is too many belong to the pod and go with it.
Result<> StatefulSetController::hand_over_claims(const Doc& set, const std::vector<std::string>& condemned, const std::vector<Doc>& pods) {
  if (!set.path("spec.persistentVolumeClaimRetentionPolicy.whenScaled").equals("Delete")) return {};
  for (const Doc& pod : pods) {
    if (std::find(condemned.begin(), condemned.end(), name_of(pod)) == condemned.end()) continue;
    for (const Node& claim : claims_of(set, name_of(pod))) {
      Doc have = claims_.get(machinery::object_key(namespace_of(set), claim.path("metadata.name").str()));
      if (!have) continue;
      bool owned = false;
      for (json::Value o : have.path("metadata.ownerReferences").items()) owned |= o["uid"].equals(uid_of(pod));
      if (owned) continue;
      Node reference = owner_reference(pod), patch = Node::object();
      reference.erase("controller");
      reference.erase("blockOwnerDeletion");
      reference.set("apiVersion", "v1");
      reference.set("kind", "Pod");
      patch["metadata"].set("ownerReferences", Node::arr({std::move(reference)}));
      TRY_OK(context_.client.patch({"", "v1", "persistentvolumeclaims", namespace_of(set), name_of(have), ""}, machinery::PatchType::Merge, patch.dump(), as_manager()));
    }
  }
  return {};
}

Result<Action> StatefulSetController::reconcile(const std::string& key) {
  Doc set = sets_.get(key);
  if (!set) {
    control_.forget(key);
    ledger_.forget(key);
    return Action::wait_for_change();
  }
  if (ledger_.is_behind(key, set)) return Action::wait_for_change();
  if (!control_.settled(key)) return Action::after(kExpectationLimit);
  TRY(auto selector, api::LabelSelector::from_object(set.path("spec.selector")));
  if (selector.empty()) return Action::wait_for_change();
  TRY(auto pods, control_.claim(set, selector));
  std::set<std::string> live = {set.path("status.currentRevision").str()};
  for (const Doc& p : pods) live.insert(p["metadata"]["labels"]["controller-revision-hash"].str());
  std::vector<Doc> revisions = revisions_.owned_by(uid_of(set));
  HistoryPlan history = plan_history(set, revisions, live);
  TRY_OK(write_history(context_.client, set, history, as_manager()));

  std::string current = set.path("status.currentRevision").str();
  const Doc* old_revision = nullptr;
  for (const Doc& r : revisions)
    if (name_of(r) == current) old_revision = &r;
  StatefulSetPlan plan = plan_stateful_set(set, pods, current, history.update, context_.clock.now());
  TRY_OK(hand_over_claims(set, plan.condemned, pods));
  PodOrders orders;
  orders.remove = plan.remove;
  for (const auto& c : plan.create) {
    TRY_OK(make_claims(set, name_of(set) + "-" + std::to_string(c.ordinal)));
    bool from_old = c.current && old_revision;
    json::Value pod_template = from_old ? old_revision->path("data.spec.template") : set.path("spec.template");
    orders.create.push_back(stateful_pod(set, pod_from_template(set, pod_template), c.ordinal, from_old ? current : history.update));
  }
  // A claim that went before its pod was started is missed by that pod only now.
  for (const Doc& p : pods)
    if (p.path("status.phase").equals("Pending") && !p.path("metadata.deletionTimestamp") && ordinal_of(name_of(set), name_of(p)) >= 0) TRY_OK(make_claims(set, name_of(p)));
  Status failure = control_.carry_out(key, set, std::move(orders));
  Doc written;
  TRY_OK(write_status(context_.client, {"apps", "v1", "statefulsets", "", "", ""}, set, plan.status, as_manager(), &written));
  if (written) ledger_.wrote(key, written);
  // A name still taken by somebody else's pod, or by an own one that the cache has forgotten already.
  if (!failure.ok()) return failure;
  return plan.waiting ? Action::after(seconds(set.path("spec.minReadySeconds").int_or(0))) : Action::wait_for_change();
}

}  // namespace k8lite::controllers
