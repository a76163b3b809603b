#include "apiserver/authz/escalation.h"

#include <algorithm>
#include <set>

namespace k8lite::apiserver::authz {
namespace {

// Rules taken apart until each names one verb and one resource or URL.
std::vector<PolicyRule> single_permissions(std::span<const PolicyRule> rules) {
  std::vector<PolicyRule> out;
  for (const auto& r : rules)
    for (const auto& verb : r.verbs) {
      for (const auto& group : r.api_groups)
        for (const auto& resource : r.resources) {
          if (r.resource_names.empty()) out.push_back({{verb}, {group}, {resource}, {}, {}});
          for (const auto& name : r.resource_names) out.push_back({{verb}, {group}, {resource}, {name}, {}});
        }
      for (const auto& url : r.non_resource_urls) out.push_back({{verb}, {}, {}, {}, {url}});
    }
  return out;
}

// A permission is covered by what would allow the request it stands for: a "*" in it is allowed by a "*" alone.
bool covers(const PolicyRule& owned, const PolicyRule& one) {
  RequestInfo request;
  request.verb = one.verbs[0];
  if (!one.non_resource_urls.empty()) {
    request.path = one.non_resource_urls[0];
    return rule_allows(owned, request);
  }
  request.is_resource = true;
  request.group = one.api_groups[0];
  request.resource = one.resources[0];
  if (std::find(owned.resources.begin(), owned.resources.end(), request.resource) == owned.resources.end())
    if (size_t slash = request.resource.find('/'); slash != request.resource.npos) {
      request.subresource = request.resource.substr(slash + 1);
      request.resource.resize(slash);
    }
  if (!one.resource_names.empty()) request.name = one.resource_names[0];
  return rule_allows(owned, request);
}

std::string list_text(const char* name, const std::vector<std::string>& values) {
  std::string out = std::string(name) + ":[";
  for (size_t i = 0; i < values.size(); ++i) out += (i ? " " : "") + json::quoted(values[i]);
  return out + "]";
}

std::string worded(const PolicyRule& r) {
  std::string out;
  for (const auto& [name, values] : {std::pair{"APIGroups", &r.api_groups}, {"Resources", &r.resources}, {"NonResourceURLs", &r.non_resource_urls}, {"ResourceNames", &r.resource_names}, {"Verbs", &r.verbs}})
    if (!values->empty()) out += (out.empty() ? "{" : ", ") + list_text(name, *values);
  return out + "}";
}

json::Node without_ownership(json::Node object) {
  for (const char* f : {"apiVersion", "kind"}) object.erase(f);
  if (json::Node* meta = object.find("metadata"))
    for (const char* f : {"ownerReferences", "finalizers", "managedFields", "resourceVersion", "generation"}) meta->erase(f);
  return object;
}

}  // namespace

std::vector<PolicyRule> uncovered(std::span<const PolicyRule> owned, std::span<const PolicyRule> wanted) {
  std::vector<PolicyRule> out;
  for (const auto& one : single_permissions(wanted)) {
    if (std::any_of(owned.begin(), owned.end(), [&one](const PolicyRule& o) { return covers(o, one); })) continue;
    auto same = std::find_if(out.begin(), out.end(), [&one](const PolicyRule& r) {
      return std::tie(r.api_groups, r.resources, r.resource_names, r.non_resource_urls) == std::tie(one.api_groups, one.resources, one.resource_names, one.non_resource_urls);
    });
    if (same == out.end()) out.push_back(one);
    else if (std::find(same->verbs.begin(), same->verbs.end(), one.verbs[0]) == same->verbs.end()) same->verbs.push_back(one.verbs[0]);
  }
  return out;
}

std::string escalation(const User& user, std::span<const PolicyRule> owned, std::span<const PolicyRule> wanted) {
  std::set<std::string> lines;
  for (const auto& r : uncovered(owned, wanted)) lines.insert(worded(r));
  if (lines.empty()) return "";
  std::string out = "user " + json::quoted(user.name) + " (groups=" + list_text("", user.groups).substr(1) + ") is attempting to grant RBAC permissions not currently held:";
  for (const auto& l : lines) out += "\n" + l;
  return out;
}

bool only_ownership_changed(const json::Node& object, const json::Doc& old) { return without_ownership(object) == without_ownership(old.to_node()); }

bool aggregates(const json::Node& role) { return !role.path("aggregationRule.clusterRoleSelectors").empty(); }

std::span<const PolicyRule> full_authority() {
  static const PolicyRule kAll[] = {{{"*"}, {"*"}, {"*"}, {}, {}}, {{"*"}, {}, {}, {}, {"*"}}};
  return kAll;
}

}  // namespace k8lite::apiserver::authz
