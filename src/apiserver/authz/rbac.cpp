#include "apiserver/authz/rbac.h"

#include <algorithm>

namespace k8lite::apiserver::authz {
namespace {

std::vector<std::string> texts(json::Value list) {
  std::vector<std::string> out;
  for (json::Value v : list.items()) out.push_back(v.str());
  return out;
}

bool has(const std::vector<std::string>& list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}
bool has_or_star(const std::vector<std::string>& list, std::string_view text) { return has(list, "*") || has(list, text); }

bool resource_matches(const std::vector<std::string>& list, const std::string& resource, const std::string& subresource) {
  if (has(list, "*")) return true;
  if (subresource.empty()) return has(list, resource);
  return has(list, resource + "/" + subresource) || has(list, "*/" + subresource);
}

bool url_matches(const std::vector<std::string>& urls, std::string_view path) {
  for (std::string_view url : urls) {
    if (url == "*" || url == path) return true;
    if (url.ends_with('*') && path.starts_with(url.substr(0, url.size() - 1))) return true;
  }
  return false;
}

// How a binding names the user, as reasons of decisions show it; "" when it does not.
std::string naming_subject(json::Value subjects, const User& user, std::string_view binding_ns) {
  for (json::Value s : subjects.items()) {
    std::string kind = s["kind"].str(), name = s["name"].str();
    if (kind == "User" && name == user.name && !name.empty()) return "User " + json::quoted(name);
    if (kind == "Group" && has(user.groups, name)) return "Group " + json::quoted(name);
    if (kind != "ServiceAccount") continue;
    std::string ns = s["namespace"].str(binding_ns);
    if (!ns.empty() && user.name == "system:serviceaccount:" + ns + ":" + name) return "ServiceAccount " + json::quoted(name + "/" + ns);
  }
  return "";
}

}  // namespace

std::vector<PolicyRule> read_rules(json::Value rules) {
  std::vector<PolicyRule> out;
  for (json::Value r : rules.items())
    out.push_back({texts(r["verbs"]), texts(r["apiGroups"]), texts(r["resources"]), texts(r["resourceNames"]), texts(r["nonResourceURLs"])});
  return out;
}

bool rule_allows(const PolicyRule& rule, const RequestInfo& request) {
  if (!has_or_star(rule.verbs, request.verb)) return false;
  if (!request.is_resource) return url_matches(rule.non_resource_urls, request.path);
  return has_or_star(rule.api_groups, request.group) && resource_matches(rule.resources, request.resource, request.subresource) &&
         (rule.resource_names.empty() || (!request.name.empty() && has(rule.resource_names, request.name)));
}

bool subjects_match(json::Value subjects, const User& user, std::string_view binding_ns) {
  for (json::Value s : subjects.items()) {
    json::Value name = s["name"];
    if (s["kind"].equals("User") && name.equals(user.name) && !user.name.empty()) return true;
    if (s["kind"].equals("Group") && has(user.groups, name.str())) return true;
    if (!s["kind"].equals("ServiceAccount")) continue;
    std::string ns = s["namespace"].str(binding_ns);
    if (!ns.empty() && user.name == "system:serviceaccount:" + ns + ":" + name.str()) return true;
  }
  return false;
}

RbacSnapshot::RbacSnapshot(std::vector<json::Doc> roles, std::vector<json::Doc> cluster_roles, std::vector<json::Doc> role_bindings,
                           std::vector<json::Doc> cluster_role_bindings) {
  for (const auto& d : roles) roles_.push_back({d.path("metadata.namespace").str(), d.path("metadata.name").str(), read_rules(d["rules"])});
  for (const auto& d : cluster_roles) roles_.push_back({"", d.path("metadata.name").str(), read_rules(d["rules"])});
  std::sort(roles_.begin(), roles_.end(), [](const auto& a, const auto& b) { return std::tie(a.ns, a.name) < std::tie(b.ns, b.name); });
  auto bind = [this](std::string ns, const json::Doc& d) {
    bool cluster_role = d.path("roleRef.kind").equals("ClusterRole");
    const NamedRules* role = cluster_role || !ns.empty() ? find_role(cluster_role ? "" : ns, d.path("roleRef.name").str()) : nullptr;
    bindings_.push_back({std::move(ns), d, role});
  };
  for (const auto& d : role_bindings) bind(d.path("metadata.namespace").str(), d);
  for (const auto& d : cluster_role_bindings) bind("", d);
}

const RbacSnapshot::NamedRules* RbacSnapshot::find_role(std::string_view ns, std::string_view name) const {
  auto key = [](const NamedRules& r) { return std::pair<std::string_view, std::string_view>(r.ns, r.name); };
  auto it = std::lower_bound(roles_.begin(), roles_.end(), std::pair(ns, name), [&key](const NamedRules& r, const auto& k) { return key(r) < k; });
  return it != roles_.end() && key(*it) == std::pair(ns, name) ? &*it : nullptr;
}

std::shared_ptr<const std::vector<const RbacSnapshot::Binding*>> RbacSnapshot::bindings_of(const User& user) const {
  constexpr size_t kUsers = 1000;  // remembered; then all are forgotten
  std::string key = user.name;
  for (const auto& g : user.groups) key.append(1, '\0').append(g);
  {
    std::lock_guard lock(mutex_);
    if (auto it = by_user_.find(key); it != by_user_.end()) return it->second;
  }
  auto found = std::make_shared<std::vector<const Binding*>>();
  for (const auto& b : bindings_)
    if (b.role && subjects_match(b.doc["subjects"], user, b.ns)) found->push_back(&b);
  std::lock_guard lock(mutex_);
  if (by_user_.size() >= kUsers) by_user_.clear();
  by_user_[key] = found;
  return found;
}

// fn(rule) for each rule that a binding gives the user in this namespace, until it returns true.
template <class Fn>
void RbacSnapshot::each_rule(const User& user, std::string_view ns, Fn fn) const {
  auto mine = bindings_of(user);
  for (const Binding* b : *mine) {
    if (!b->ns.empty() && b->ns != ns) continue;
    for (const auto& rule : b->role->rules)
      if (fn(rule, *b)) return;
  }
}

bool RbacSnapshot::allows(const User& user, const RequestInfo& request) const {
  if (has(user.groups, "system:masters")) return true;
  bool allowed = false;
  each_rule(user, request.ns, [&](const PolicyRule& rule, const Binding& b) {
    // A RoleBinding grants resources of its namespace only, never URLs.
    return allowed = (request.is_resource || b.ns.empty()) && rule_allows(rule, request);
  });
  return allowed;
}

std::string RbacSnapshot::granted_by(const User& user, const RequestInfo& request) const {
  std::string out;
  each_rule(user, request.ns, [&](const PolicyRule& rule, const Binding& b) {
    if ((!request.is_resource && !b.ns.empty()) || !rule_allows(rule, request)) return false;
    std::string name = b.doc.path("metadata.name").str();
    out = (b.ns.empty() ? "ClusterRoleBinding " + json::quoted(name) : "RoleBinding " + json::quoted(name + "/" + b.ns)) + " of " + b.doc.path("roleRef.kind").str() + " " +
          json::quoted(b.doc.path("roleRef.name").str()) + " to " + naming_subject(b.doc["subjects"], user, b.ns);
    return true;
  });
  return out;
}

std::vector<PolicyRule> RbacSnapshot::rules_of(const User& user, std::string_view ns) const {
  std::vector<PolicyRule> out;
  if (has(user.groups, "system:masters")) out = {{{"*"}, {"*"}, {"*"}, {}, {}}, {{"*"}, {}, {}, {}, {"*"}}};
  each_rule(user, ns, [&out](const PolicyRule& rule, const Binding&) {
    out.push_back(rule);
    return false;
  });
  return out;
}

}  // namespace k8lite::apiserver::authz
