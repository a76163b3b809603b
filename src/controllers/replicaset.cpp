#include "controllers/replicaset.h"

#include "api/selector.h"
#include "base/log.h"
#include "controllers/replicaset_plan.h"

namespace k8lite::controllers {

using json::Doc;
using json::Node;
using machinery::Action;
using machinery::Operation;

namespace {
constexpr auto kExpectationLimit = seconds(30);  // then the watch has lost something: count again
constexpr int64_t kBurst = 500;

// Condition ReplicaFailure: pods could not be made.
void set_failure(Node& status, const Status& failure, Instant now) {
  Node kept = Node::array();
  std::string since = rfc3339(now);
  for (const Node& c : status.get("conditions").items()) {
    if (c.get("type").str() != "ReplicaFailure") kept.append(c);
    else if (c.get("message").str() == failure.message()) since = c.get("lastTransitionTime").str();
  }
  if (!failure.ok()) kept.append(Node::obj({{"type", "ReplicaFailure"}, {"status", "True"}, {"lastTransitionTime", since}, {"reason", "FailedCreate"}, {"message", failure.message()}}));
  if (kept.empty()) status.erase("conditions");
  else status.set("conditions", std::move(kept));
}
}  // namespace

ReplicaSetController::ReplicaSetController(Context& c) : Base(c, "replicaset-controller"), sets_(c.informer("apps", "replicasets")), pods_(c.informer("", "pods")) {
  sets_.on_change([this](const Doc& before, const Doc& after) { queue_.add(machinery::object_key((after ? after : before).root())); });
  pods_.on_change([this](const Doc& before, const Doc& after) {
    const Doc& pod = after ? after : before;
    for (const Doc* state : {&before, &after})  // who lost it wants to know as well
      if (json::Value owner = controller_of(state->root()); owner["kind"].equals("ReplicaSet")) queue_.add(machinery::object_key(namespace_of(pod), owner["name"].str()));
    if (!after || controller_of(after.root())) return;
    for (const Doc& set : sets_.list(namespace_of(pod))) {  // an orphan: somebody may adopt it
      auto selector = api::LabelSelector::from_object(set.path("spec.selector"));
      if (selector.ok() && selector->matches(pod["metadata"]["labels"])) queue_.add(machinery::object_key(set.root()));
    }
  });
}

bool ReplicaSetController::settled(const std::string& key) {
  std::lock_guard lock(mutex_);
  auto it = expected_.find(key);
  if (it == expected_.end()) return true;
  Expected& e = it->second;
  std::erase_if(e.created, [this](const std::string& pod) { return static_cast<bool>(pods_.get(pod)); });
  std::erase_if(e.deleted, [this](const std::string& pod) {
    Doc d = pods_.get(pod);
    return !d || d.path("metadata.deletionTimestamp");
  });
  if (!e.created.empty() || !e.deleted.empty())
    if (context_.clock.mono() - e.since < kExpectationLimit) return false;
  expected_.erase(it);
  return true;
}

// The pods that count for the set: orphans its selector matches are adopted, pods it no longer matches are let go (somebody changed
// their labels, to look at one in peace).
Result<std::vector<Doc>> ReplicaSetController::claim(const Doc& set, bool deleting) {
  std::string ns = namespace_of(set), uid = uid_of(set);
  std::vector<Doc> own = pods_.owned_by(uid), out;
  if (deleting) return own;
  TRY(auto selector, api::LabelSelector::from_object(set.path("spec.selector")));
  auto set_owners = [&](const Doc& p, Node owners) -> Result<> {
    Node patch = Node::object();
    patch["metadata"].set("uid", uid_of(p));
    patch["metadata"].set("ownerReferences", owners.empty() ? Node() : std::move(owners));
    auto r = context_.client.patch({"", "v1", "pods", ns, name_of(p), ""}, machinery::PatchType::Merge, patch.dump(), as_manager());
    return r.ok() || r.status().is(Reason::NotFound) ? Result<>() : r.status();
  };
  for (const Doc& p : own) {
    if (selector.matches(p["metadata"]["labels"])) {
      out.push_back(p);
      continue;
    }
    Node owners = p.path("metadata.ownerReferences").to_node();
    std::erase_if(owners.items(), [&uid](const Node& o) { return o.get("uid").str() == uid; });
    TRY_OK(set_owners(p, std::move(owners)));
  }
  for (const Doc& p : pods_.list(ns)) {
    if (controller_of(p.root()) || !pod_is_active(p.root()) || !selector.matches(p["metadata"]["labels"])) continue;
    Node owners = p.path("metadata.ownerReferences").exists() ? p.path("metadata.ownerReferences").to_node() : Node::array();
    owners.append(owner_reference(set));
    TRY_OK(set_owners(p, std::move(owners)));
    out.push_back(p);
  }
  return out;
}

Result<Action> ReplicaSetController::reconcile(const std::string& key) {
  Doc set = sets_.get(key);
  if (!set) {
    std::lock_guard lock(mutex_);
    expected_.erase(key);
    return Action::wait_for_change();
  }
  if (!settled(key)) return Action::after(kExpectationLimit);
  std::string ns = namespace_of(set);
  bool deleting = static_cast<bool>(set.path("metadata.deletionTimestamp"));
  TRY(std::vector<Doc> pods, claim(set, deleting));
  ReplicaSetPlan plan = plan_replica_set(set, pods, context_.clock.now());
  std::vector<Operation> operations;
  if (!deleting)
    for (int64_t i = 0; i < std::min(plan.create, kBurst); ++i) {
      Node pod = Node::obj({{"apiVersion", "v1"}, {"kind", "Pod"}, {"metadata", set.path("spec.template.metadata").exists() ? set.path("spec.template.metadata").to_node() : Node::object()}, {"spec", set.path("spec.template.spec").to_node()}});
      pod["metadata"].set("generateName", name_of(set) + "-");
      pod["metadata"].set("namespace", ns);
      pod["metadata"]["ownerReferences"] = Node::arr({owner_reference(set)});
      operations.push_back({Operation::Kind::Create, {"", "v1", "pods", ns, "", ""}, Doc::from(pod), {}, {}, as_manager(), {}});
    }
  size_t creates = operations.size();
  if (!deleting)
    for (const auto& name : plan.remove) operations.push_back({Operation::Kind::Delete, {"", "v1", "pods", ns, name, ""}, {}, {}, {}, {}, {}});
  Status failure;
  if (!operations.empty()) {
    std::vector<std::string> names;
    for (const auto& o : operations) names.push_back(o.path.name);
    auto results = context_.client.submit(std::move(operations));
    Expected e;
    e.since = context_.clock.mono();
    for (size_t i = 0; i < results.size(); ++i) {
      if (i < creates && results[i].ok()) {
        e.created.push_back(machinery::object_key(results[i]->root()));
        context_.events.record(set.root(), "Normal", "SuccessfulCreate", "Created pod: " + name_of(*results[i]));
      } else if (i < creates) {
        failure = results[i].status();
        context_.events.record(set.root(), "Warning", "FailedCreate", "Error creating: " + failure.message());
      } else if (results[i].ok() || results[i].status().is(Reason::NotFound)) {
        e.deleted.push_back(machinery::object_key(ns, names[i]));
        context_.events.record(set.root(), "Normal", "SuccessfulDelete", "Deleted pod: " + names[i]);
      }
    }
    std::lock_guard lock(mutex_);
    expected_[key] = std::move(e);
  }
  set_failure(plan.status, failure, context_.clock.now());
  if (!(plan.status == set["status"].to_node())) {
    auto r = context_.client.patch({"apps", "v1", "replicasets", ns, name_of(set), "status"}, machinery::PatchType::Json,
                                   Node::arr({Node::obj({{"op", "add"}, {"path", "/status"}, {"value", plan.status}})}).dump(), as_manager());
    if (!r.ok() && !r.status().is(Reason::NotFound)) return r.status();
  }
  if (!failure.ok()) return failure;
  int64_t min_ready = set.path("spec.minReadySeconds").int_or(0);
  bool waiting = min_ready > 0 && plan.status.get("readyReplicas").int_or(0) > plan.status.get("availableReplicas").int_or(0);
  return waiting ? Action::after(seconds(min_ready)) : Action::wait_for_change();
}

}  // namespace k8lite::controllers
