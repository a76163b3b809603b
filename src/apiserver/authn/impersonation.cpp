#include "apiserver/authn/impersonation.h"

#include <algorithm>

#include "base/strings.h"

namespace k8lite::apiserver::authn {
namespace {

constexpr std::string_view kPrefix = "impersonate-", kExtra = "impersonate-extra-", kGroup = "authentication.k8s.io";

struct Part {
  std::string group, resource, subresource, ns, name;
};

std::vector<Part> parts_of(const Identity& wanted, const std::vector<std::string>& groups, const std::vector<std::string>& account) {
  std::vector<Part> out;
  if (account.empty()) out.push_back({"", "users", "", "", wanted.user.name});
  else out.push_back({"", "serviceaccounts", "", account[2], account[3]});
  for (const auto& g : groups) out.push_back({"", "groups", "", "", g});
  for (const auto& [key, values] : wanted.extra)
    for (const auto& v : values) out.push_back({kGroup.data(), "userextras", key, "", v});
  if (!wanted.uid.empty()) out.push_back({kGroup.data(), "uids", "", "", wanted.uid});
  return out;
}

Status forbidden(const Part& p, const authz::User& caller) {
  std::string resource = p.resource + (p.subresource.empty() ? "" : "/" + p.subresource);
  return Status(Reason::Forbidden, resource + (p.group.empty() ? "" : "." + p.group) + " " + json::quoted(p.name) + " is forbidden: User " + json::quoted(caller.name) + " cannot impersonate resource " +
                                       json::quoted(resource) + " in API group " + json::quoted(p.group) + (p.ns.empty() ? " at the cluster scope" : " in the namespace " + json::quoted(p.ns)));
}

void add_default_groups(Identity& id, const std::vector<std::string>& account) {
  auto& groups = id.user.groups;
  if (!account.empty() && groups.empty()) groups = {"system:serviceaccounts", "system:serviceaccounts:" + account[2]};
  for (const auto& g : groups)
    if (g == "system:authenticated" || g == "system:unauthenticated") return;
  groups.push_back(id.user.name == "system:anonymous" ? "system:unauthenticated" : "system:authenticated");
}

}  // namespace

bool is_impersonation_header(std::string_view name) { return lower(name).starts_with(kPrefix); }

Result<std::optional<Identity>> impersonate(const Identity& caller, const net::Headers& headers, const MayFunction& may) {
  Identity out;
  bool asked = false;
  for (const auto& [header, value] : headers.rows()) {
    std::string name = lower(header);
    asked |= name.starts_with(kPrefix);
    if (name.starts_with(kExtra)) out.extra[lower(url_decode(name.substr(kExtra.size())))].push_back(value);
  }
  if (!asked) return std::optional<Identity>{};
  out.user.name = headers.get("Impersonate-User");
  out.uid = headers.get("Impersonate-Uid");
  if (out.user.name.empty()) return bad_request("requested groups, uid or extra without impersonating a user");
  std::vector<std::string> groups, account = split_strings(out.user.name, ':');
  if (account.size() != 4 || account[0] != "system" || account[1] != "serviceaccount") account.clear();
  for (auto g : headers.all("Impersonate-Group")) groups.emplace_back(g);
  for (const Part& p : parts_of(out, groups, account)) {
    RequestInfo info{.is_resource = true, .path = {}, .verb = "impersonate", .group = p.group, .version = "v1", .resource = p.resource, .subresource = p.subresource, .ns = p.ns, .name = p.name};
    if (!may(caller.user, info)) return forbidden(p, caller.user);
  }
  out.user.groups = groups;
  add_default_groups(out, account);
  return std::optional<Identity>(std::move(out));
}

}  // namespace k8lite::apiserver::authn
