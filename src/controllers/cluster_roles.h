// Aggregated ClusterRoles: those with an aggregationRule get the rules of every role their selectors match. A controller rather than
// a step of the write: a role may be labelled long after the one that gathers it was written, and whoever labels it need not be
// allowed to change the other. (Kubernetes documentation, "Using RBAC Authorization", "Aggregated ClusterRoles".)
#pragma once
#include <optional>

#include "controllers/context.h"

namespace k8lite::controllers {

// The rules that `role` must have, when they are not those it has. Roles are taken by name, each rule once.
std::optional<json::Node> plan_aggregation(const json::Doc& role, const std::vector<json::Doc>& all);

class ClusterRoleController : public Base {
 public:
  explicit ClusterRoleController(Context& context);
  Result<machinery::Action> reconcile(const std::string& key) override;

 private:
  machinery::Informer& roles_;
};

}  // namespace k8lite::controllers
