// Nobody hands out more than they hold: what is checked when roles and bindings are written. Pure.
// (Kubernetes documentation, "Using RBAC Authorization", "Privilege escalation prevention and bootstrapping".)
#pragma once
#include "apiserver/authz/rbac.h"

namespace k8lite::apiserver::authz {

// The single permissions of `wanted` that no owned rule covers, verbs of the same resource joined again.
std::vector<PolicyRule> uncovered(std::span<const PolicyRule> owned, std::span<const PolicyRule> wanted);
// Why `user` may not grant `wanted`, a line for each missing permission; "" when everything is covered.
std::string escalation(const User& user, std::span<const PolicyRule> owned, std::span<const PolicyRule> wanted);
// An update that only lets the garbage collector go on is nobody's grant.
bool only_ownership_changed(const json::Node& object, const json::Doc& old);
// Does this ClusterRole gather the rules of others? Whoever writes one must hold every permission: no rule bounds what it will gather.
bool aggregates(const json::Node& cluster_role);
std::span<const PolicyRule> full_authority();

}  // namespace k8lite::apiserver::authz
