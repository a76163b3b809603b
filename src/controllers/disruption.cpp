#include "controllers/disruption.h"

#include "api/selector.h"
#include "base/strings.h"
#include "controllers/disruption_plan.h"

namespace k8lite::controllers {

using json::Doc;
using json::Node;
using machinery::Action;

DisruptionController::DisruptionController(Context& c)
    : Base(c, "disruption-controller"), budgets_(c.informer("policy", "poddisruptionbudgets")), pods_(c.informer("", "pods")), sets_(c.informer("apps", "replicasets")), deployments_(c.informer("apps", "deployments")), stateful_(c.informer("apps", "statefulsets")),
      old_(c.informer("", "replicationcontrollers")) {
  budgets_.on_change([this](const Doc&, const Doc& after) {
    if (after) queue_.add(machinery::object_key(after.root()));
  });
  pods_.on_change([this](const Doc& before, const Doc& after) {
    const Doc& pod = after ? after : before;
    for (const Doc& b : budgets_.list(namespace_of(pod))) {
      auto selector = api::LabelSelector::from_object(b.path("spec.selector"));
      if (!selector.ok()) continue;
      if (selector->matches(pod["metadata"]["labels"]) || (before && selector->matches(before["metadata"]["labels"]))) queue_.add(machinery::object_key(b.root()));
    }
  });
  // A scale changes what is expected before any pod does.
  for (machinery::Informer* i : {&deployments_, &stateful_, &sets_, &old_})
    i->on_change([this](const Doc& before, const Doc& after) {
      if (before && after && before.path("spec.replicas").int_or(1) == after.path("spec.replicas").int_or(1)) return;
      for (const Doc& b : budgets_.list(namespace_of(after ? after : before))) queue_.add(machinery::object_key(b.root()));
    });
}

Result<int64_t> DisruptionController::expected(const std::vector<Doc>& pods, std::vector<std::string>& unmanaged) const {
  std::map<std::string, int64_t> scales;  // by the controller's uid
  for (const Doc& p : pods) {
    json::Value owner = controller_of(p.root());
    if (!owner) {
      unmanaged.push_back(name_of(p));
      continue;
    }
    std::string kind = owner["kind"].str(), key = machinery::object_key(namespace_of(p), owner["name"].str());
    Doc controller = kind == "ReplicaSet" ? sets_.get(key) : kind == "StatefulSet" ? stateful_.get(key) : kind == "ReplicationController" ? old_.get(key) : Doc();
    if (!controller || uid_of(controller) != owner["uid"].str()) return not_found("found no controllers for pod " + json::quoted(name_of(p)));
    if (kind == "ReplicaSet") {
      json::Value above = controller_of(controller.root());
      if (above["kind"].equals("Deployment"))
        if (Doc d = deployments_.get(machinery::object_key(namespace_of(p), above["name"].str()))) controller = d;
    }
    scales[uid_of(controller)] = controller.path("spec.replicas").int_or(1);
  }
  int64_t sum = 0;
  for (const auto& [uid, n] : scales) sum += n;
  return sum;
}

// On this version only: an eviction that was granted meanwhile must not be forgotten.
Result<> DisruptionController::write(const Doc& budget, const Node& status) {
  if (status == budget["status"].to_node()) return {};
  Node next = budget.to_node();
  next.set("status", status);
  auto r = context_.client.update({"policy", "v1", "poddisruptionbudgets", namespace_of(budget), name_of(budget), "status"}, Doc::from(next), as_manager());
  if (!r.ok() && !r.status().is(Reason::Conflict) && !r.status().is(Reason::NotFound)) return r.status();
  return {};
}

Result<Action> DisruptionController::reconcile(const std::string& key) {
  Doc budget = budgets_.get(key);
  if (!budget || budget.path("metadata.deletionTimestamp")) return Action::wait_for_change();
  TRY(auto selector, api::LabelSelector::from_object(budget.path("spec.selector")));
  std::vector<Doc> pods;
  for (const Doc& p : pods_.list(namespace_of(budget)))
    if (selector.matches(p["metadata"]["labels"])) pods.push_back(p);
  bool by_number = !budget.path("spec.maxUnavailable") && !budget.path("spec.minAvailable").is_string();
  std::vector<std::string> unmanaged;
  auto wanted = by_number ? Result<int64_t>(0) : expected(pods, unmanaged);
  if (!wanted.ok()) {
    // What cannot be counted allows nobody to go.
    context_.events.record(budget.root(), "Warning", "CalculateExpectedPodCountFailed", "Failed to calculate the number of expected pods: " + wanted.status().message());
    TRY_OK(write(budget, failed_disruption(budget, wanted.status().message(), context_.clock.now())));
    return wanted.status();
  }
  if (!unmanaged.empty())
    context_.events.record(budget.root(), "Warning", "UnmanagedPods", "Pods selected by this PodDisruptionBudget were found to be unmanaged: " + join(unmanaged, ", ") + ". They cannot be counted as expected, so its status may not be what was meant");
  DisruptionPlan plan = plan_disruption(budget, pods, *wanted, context_.clock.now());
  TRY_OK(write(budget, plan.status));
  return plan.again.count() ? Action::after(plan.again) : Action::wait_for_change();
}

}  // namespace k8lite::controllers
