// What the garbage collector does with one object, given how its owners stand. Pure. (Kubernetes documentation, "Garbage Collection".)
#pragma once
#include <optional>

#include "controllers/context.h"

namespace k8lite::controllers {

enum class OwnerState {
  Solid,    // exists: keeps what it owns
  Waiting,  // being deleted in the foreground: what it owns goes first
  Gone,
};

struct GarbagePlan {
  bool remove = false;
  std::string propagation;            // then: Background, Foreground or Orphan
  std::optional<json::Node> owners;   // the references to keep, when some are to be dropped
};
// `owners` in the order of metadata.ownerReferences. `blocking_dependents`: does the object itself own something that holds it?
GarbagePlan plan_garbage(const json::Doc& object, const std::vector<OwnerState>& owners, bool blocking_dependents);

bool has_finalizer(json::Value object, std::string_view name);
// Does this object's reference to that owner hold the owner while it is deleted in the foreground?
bool blocks_owner(json::Value object, std::string_view owner_uid);
json::Node without_owner(json::Value object, std::string_view owner_uid);  // its references; null when none is left

}  // namespace k8lite::controllers
