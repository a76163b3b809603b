#include "controllers/garbage_plan.h"

#include <algorithm>

namespace k8lite::controllers {

using json::Node;
using json::Value;

bool has_finalizer(Value object, std::string_view name) {
  for (Value f : object.path("metadata.finalizers").items())
    if (f.equals(name)) return true;
  return false;
}

bool blocks_owner(Value object, std::string_view owner_uid) {
  for (Value o : object.path("metadata.ownerReferences").items())
    if (o["uid"].equals(owner_uid)) return o["blockOwnerDeletion"].bool_or(false);
  return false;
}

Node without_owner(Value object, std::string_view owner_uid) {
  Node kept = Node::array();
  for (Value o : object.path("metadata.ownerReferences").items())
    if (!o["uid"].equals(owner_uid)) kept.append(o.to_node());
  return kept.size() ? kept : Node();
}

GarbagePlan plan_garbage(const json::Doc& object, const std::vector<OwnerState>& owners, bool blocking_dependents) {
  GarbagePlan plan;
  if (owners.empty()) return plan;
  auto any = [&owners](OwnerState s) { return std::find(owners.begin(), owners.end(), s) != owners.end(); };
  if (any(OwnerState::Solid)) {
    if (!any(OwnerState::Gone) && !any(OwnerState::Waiting)) return plan;
    plan.owners = Node::array();
    for (size_t i = 0; i < owners.size(); ++i)
      if (owners[i] == OwnerState::Solid) plan.owners->append(object.path("metadata.ownerReferences").at(i).to_node());
    return plan;
  }
  plan.remove = true;
  if (any(OwnerState::Waiting) && blocking_dependents) plan.propagation = "Foreground";
  else if (has_finalizer(object.root(), "orphan")) plan.propagation = "Orphan";
  else if (has_finalizer(object.root(), "foregroundDeletion")) plan.propagation = "Foreground";
  else plan.propagation = "Background";
  return plan;
}

}  // namespace k8lite::controllers
