// RBAC: may this user do this? Pure: rules and bindings in, a decision out (rbac.authorization.k8s.io/v1, Kubernetes' RBAC
// documentation). There is no deny rule; what no rule grants is refused.
#pragma once
#include <span>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "apiserver/request_info.h"
#include "base/json.h"

namespace k8lite::apiserver::authz {

struct User {
  std::string name;
  std::vector<std::string> groups;
};

// One PolicyRule. "*" in verbs, groups, resources and URLs means all; "*/scale" any resource's subresource; URLs may end in "*".
struct PolicyRule {
  std::vector<std::string> verbs, api_groups, resources, resource_names, non_resource_urls;
};
std::vector<PolicyRule> read_rules(json::Value rules);  // of a Role's or ClusterRole's "rules"

bool rule_allows(const PolicyRule& rule, const RequestInfo& request);

// Does a binding's "subjects" name this user? `binding_ns` stands in for a ServiceAccount subject without a namespace.
bool subjects_match(json::Value subjects, const User& user, std::string_view binding_ns);

// A snapshot of the four kinds, indexed for decisions; rebuilt when one of them changes.
class RbacSnapshot {
 public:
  RbacSnapshot(std::vector<json::Doc> roles, std::vector<json::Doc> cluster_roles, std::vector<json::Doc> role_bindings,
               std::vector<json::Doc> cluster_role_bindings);
  bool allows(const User& user, const RequestInfo& request) const;
  // The binding that allows it: `ClusterRoleBinding "ops" of ClusterRole "view" to Group "dev"`; "" when none does.
  std::string granted_by(const User& user, const RequestInfo& request) const;
  // Every rule the user has in the namespace ("" : cluster-wide ones only), for rules review and escalation checks.
  std::vector<PolicyRule> rules_of(const User& user, std::string_view ns) const;

 private:
  struct NamedRules {
    std::string ns, name;  // ns "" for a ClusterRole
    std::vector<PolicyRule> rules;
  };
  struct Binding {
    std::string ns;  // "" for a ClusterRoleBinding
    json::Doc doc;
    const NamedRules* role;  // null: the role does not exist (yet)
  };
  const NamedRules* find_role(std::string_view ns, std::string_view name) const;
  std::shared_ptr<const std::vector<const Binding*>> bindings_of(const User& user) const;
  template <class Fn>
  void each_rule(const User& user, std::string_view ns, Fn fn) const;

  std::vector<NamedRules> roles_;  // sorted by (ns, name)
  std::vector<Binding> bindings_;
  // What names a user is looked up once: reading every binding for each request would cost more than the request.
  mutable std::mutex mutex_;
  mutable std::map<std::string, std::shared_ptr<const std::vector<const Binding*>>> by_user_;
};

}  // namespace k8lite::apiserver::authz
