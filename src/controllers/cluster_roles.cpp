#include "controllers/cluster_roles.h"

#include <algorithm>

#include "api/selector.h"

namespace k8lite::controllers {

using json::Doc;
using json::Node;
using machinery::Action;

std::optional<Node> plan_aggregation(const Doc& role, const std::vector<Doc>& all) {
  json::Value selectors = role.path("aggregationRule.clusterRoleSelectors");
  if (selectors.size() == 0) return {};
  std::vector<Doc> sorted = all;
  std::sort(sorted.begin(), sorted.end(), [](const Doc& a, const Doc& b) { return name_of(a) < name_of(b); });
  Node rules = Node::array();
  for (json::Value s : selectors.items()) {
    auto selector = api::LabelSelector::from_object(s);
    if (!selector.ok()) continue;
    for (const Doc& other : sorted) {
      if (name_of(other) == name_of(role) || !selector->matches(other["metadata"]["labels"])) continue;
      for (json::Value rule : other["rules"].items())
        if (Node n = rule.to_node(); std::find(rules.items().begin(), rules.items().end(), n) == rules.items().end()) rules.append(std::move(n));
    }
  }
  if (role["rules"] ? rules == role["rules"].to_node() : rules.empty()) return {};
  return rules;
}

ClusterRoleController::ClusterRoleController(Context& c) : Base(c, "clusterrole-aggregation-controller"), roles_(c.informer("rbac.authorization.k8s.io", "clusterroles")) {
  // Any role may be gathered by any other, and chains are short: all that gather look again.
  roles_.on_change([this](const Doc&, const Doc&) {
    for (const Doc& role : roles_.list())
      if (role.path("aggregationRule.clusterRoleSelectors").size()) queue_.add(name_of(role));
  });
}

Result<Action> ClusterRoleController::reconcile(const std::string& key) {
  Doc role = roles_.get(key);
  if (!role || role.path("metadata.deletionTimestamp")) return Action::wait_for_change();
  auto rules = plan_aggregation(role, roles_.list());
  if (!rules) return Action::wait_for_change();
  Node patch = Node::obj({{"rules", *rules}, {"metadata", Node::obj({{"resourceVersion", role.path("metadata.resourceVersion").str()}})}});
  auto r = context_.client.patch({"rbac.authorization.k8s.io", "v1", "clusterroles", "", key, ""}, machinery::PatchType::Merge, patch.dump(), as_manager());
  if (!r.ok() && !r.status().is(Reason::NotFound)) return r.status();
  return Action::wait_for_change();
}

}  // namespace k8lite::controllers
