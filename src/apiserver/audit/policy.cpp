#include "apiserver/audit/policy.h"

#include <algorithm>

#include "base/strings.h"
#include "base/yaml.h"

namespace k8lite::apiserver::audit {
namespace {

using json::Node;

constexpr std::string_view kLevels[] = {"None", "Metadata", "Request", "RequestResponse"};
constexpr std::string_view kStages[] = {"RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"};

bool has(const std::vector<std::string>& list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

Result<> only_fields(const Node& object, std::initializer_list<std::string_view> known) {
  if (!object.is_object()) return bad_request("a mapping is wanted");
  for (const auto& [name, value] : object.members())
    if (std::find(known.begin(), known.end(), name) == known.end())
      return bad_request("unknown field " + json::quoted(name));
  return {};
}

Result<std::vector<std::string>> texts(const Node& object, const char* field) {
  std::vector<std::string> out;
  const Node& list = object.get(field);
  if (list.exists() && !list.is_null() && !list.is_array())
    return bad_request(std::string(field) + ": a list is wanted");
  for (const Node& n : list.items()) {
    if (!n.is_string()) return bad_request(std::string(field) + ": a list of texts is wanted");
    out.push_back(n.str());
  }
  return out;
}

Result<unsigned> stages(const Node& object) {
  unsigned out = 0;
  TRY(auto names, texts(object, "omitStages"));
  for (const auto& name : names) {
    const auto* found = std::find(std::begin(kStages), std::end(kStages), name);
    if (found == std::end(kStages))
      return bad_request("omitStages: " + json::quoted(name) +
                         " is none of RequestReceived, ResponseStarted, ResponseComplete, Panic");
    out |= 1u << (found - std::begin(kStages));
  }
  return out;
}

}  // namespace

std::string_view level_name(Level level) { return kLevels[static_cast<int>(level)]; }
std::string_view stage_name(Stage stage) {
  int i = 0;
  while (!(stage & (1u << i))) ++i;
  return kStages[i];
}

Result<Policy::Rule> Policy::parse_rule(const Node& n, bool omit_managed_fields) {
  TRY_OK(only_fields(n, {"level", "users", "userGroups", "verbs", "resources", "namespaces", "nonResourceURLs",
                         "omitStages", "omitManagedFields"}));
  Rule r;
  const auto* level = std::find(std::begin(kLevels), std::end(kLevels), n.get("level").str());
  if (level == std::end(kLevels))
    return bad_request("level: " + json::quoted(n.get("level").str()) +
                       " is none of None, Metadata, Request, RequestResponse");
  r.decision.level = static_cast<Level>(level - std::begin(kLevels));
  TRY(r.decision.omitted, stages(n));
  r.decision.omit_managed_fields = n.get("omitManagedFields").bool_or(omit_managed_fields);
  TRY(r.users, texts(n, "users"));
  TRY(r.groups, texts(n, "userGroups"));
  TRY(r.verbs, texts(n, "verbs"));
  TRY(r.namespaces, texts(n, "namespaces"));
  TRY(r.urls, texts(n, "nonResourceURLs"));
  for (const Node& g : n.get("resources").items()) {
    auto known = only_fields(g, {"group", "resources", "resourceNames"});
    if (!known.ok()) return known.status().within("resources");
    Resources one;
    one.group = g.get("group").str();
    TRY(one.resources, texts(g, "resources"));
    TRY(one.names, texts(g, "resourceNames"));
    if (!one.names.empty() && one.resources.empty()) return bad_request("resources: resourceNames need resources");
    r.resources.push_back(std::move(one));
  }
  if (!r.urls.empty() && (!r.resources.empty() || !r.namespaces.empty()))
    return bad_request("nonResourceURLs: a rule is for resources or for other URLs, not for both");
  for (const auto& url : r.urls)
    if (url != "*" && (url.empty() || url[0] != '/' || (url.find('*') != url.npos && url.find('*') + 1 != url.size())))
      return bad_request("nonResourceURLs: " + json::quoted(url) +
                         " must begin with \"/\" and may have a \"*\" at its end only");
  return r;
}

Result<Policy> Policy::parse(std::string_view text, const std::string& where) {
  auto documents = parse_yaml(text, where);
  if (!documents.ok()) return documents.status();
  if (documents->size() != 1)
    return bad_request(where + ": one document is wanted, there are " + std::to_string(documents->size()));
  const Node& n = documents->front().value;
  auto known = only_fields(n, {"apiVersion", "kind", "metadata", "rules", "omitStages", "omitManagedFields"});
  if (!known.ok()) return known.status().within(where);
  if (n.get("apiVersion").str() != "audit.k8s.io/v1" || n.get("kind").str() != "Policy")
    return bad_request(where + ": apiVersion audit.k8s.io/v1 and kind Policy are wanted");
  auto everywhere = stages(n);
  if (!everywhere.ok()) return everywhere.status().within(where);
  Policy out;
  for (const Node& rule : n.get("rules").items()) {
    auto r = parse_rule(rule, n.get("omitManagedFields").bool_or(false));
    if (!r.ok()) return r.status().within(where + ": rules[" + std::to_string(out.rules_.size()) + "]");
    r->decision.omitted |= *everywhere;
    out.rules_.push_back(std::move(r).value());
  }
  if (out.rules_.empty()) return bad_request(where + ": there are no rules");
  return out;
}

bool Policy::fits_resource(const Rule& rule, const RequestInfo& q) {
  if (!q.is_resource || (!rule.namespaces.empty() && !has(rule.namespaces, q.ns))) return false;
  if (rule.resources.empty()) return true;
  std::string whole = q.resource + (q.subresource.empty() ? "" : "/" + q.subresource);
  for (const Resources& g : rule.resources) {
    if (g.group != q.group) continue;
    if (g.resources.empty()) return true;
    if (!g.names.empty() && !has(g.names, q.name)) continue;
    for (const auto& r : g.resources)
      if (r == "*" || r == whole || r == q.resource + "/*" || (!q.subresource.empty() && r == "*/" + q.subresource))
        return true;
  }
  return false;
}

bool Policy::fits(const Rule& rule, const authz::User& user, const RequestInfo& q) {
  if (!rule.users.empty() && !has(rule.users, user.name)) return false;
  if (!rule.groups.empty() &&
      std::none_of(user.groups.begin(), user.groups.end(), [&rule](const auto& g) { return has(rule.groups, g); }))
    return false;
  if (!rule.verbs.empty() && !has(rule.verbs, q.verb)) return false;
  if (!rule.namespaces.empty() || !rule.resources.empty()) return fits_resource(rule, q);
  if (rule.urls.empty()) return true;
  return !q.is_resource && std::any_of(rule.urls.begin(), rule.urls.end(), [&q](std::string_view url) {
    return url == q.path || (url.ends_with('*') && q.path.starts_with(url.substr(0, url.size() - 1)));
  });
}

Decision Policy::decide(const authz::User& user, const RequestInfo& request) const {
  for (const Rule& rule : rules_)
    if (fits(rule, user, request)) return rule.decision;
  return {};
}

}  // namespace k8lite::apiserver::audit
