// Limit ranges and resource quotas.
#include <set>

#include "api/rules/check.h"
#include "base/quantity.h"
#include "base/strings.h"

namespace k8lite::api::rules {
namespace {

std::optional<Quantity> amount(const Node& item, const char* list, const std::string& name) {
  return Quantity::parse(item.get(list).get(name).str());
}

// One name's figures against each other.
void check_order(Check& c, const Node& limit, const std::string& name) {
  struct Pair {
    const char *small, *big, *path, *shown, *words, *than;
  };
  static constexpr Pair kPairs[] = {
      {"min", "max", "min", "min", "min value ", " is greater than max value "},
      {"min", "defaultRequest", "defaultRequest", "defaultRequest", "min value ",
       " is greater than default request value "},
      {"defaultRequest", "max", "defaultRequest", "defaultRequest", "default request value ",
       " is greater than max value "},
      {"defaultRequest", "default", "defaultRequest", "defaultRequest", "default request value ",
       " is greater than default limit value "},
      {"min", "default", "default", "min", "min value ", " is greater than default value "},
      {"default", "max", "default", "max", "default value ", " is greater than max value "},
  };
  for (const Pair& p : kPairs) {
    auto small = amount(limit, p.small, name), big = amount(limit, p.big, name);
    if (small && big && *small > *big)
      c.invalid(key_of(p.path, name), limit.get(p.shown).get(name), p.words + small->str() + p.than + big->str());
  }
  auto ratio = amount(limit, "maxLimitRequestRatio", name), min = amount(limit, "min", name),
       max = amount(limit, "max", name);
  const Node& shown = limit.get("maxLimitRequestRatio").get(name);
  if (ratio && *ratio < Quantity::of(1))
    c.invalid(key_of("maxLimitRequestRatio", name), shown, "ratio " + ratio->str() + " is less than 1");
  if (ratio && min && max && !min->is_zero() && ratio->as_double() > max->as_double() / min->as_double()) {
    char text[64];
    snprintf(text, sizeof text, "%f", max->as_double() / min->as_double());
    c.invalid(key_of("maxLimitRequestRatio", name), shown,
              "ratio " + ratio->str() + " is greater than max/min = " + text);
  }
  auto preset = amount(limit, "default", name), request = amount(limit, "defaultRequest", name);
  if (!overcommits(name) && preset && request && *preset != *request)
    c.invalid(
        key_of("defaultRequest", name), limit.get("defaultRequest").get(name),
        "default value " + preset->str() + " must equal to defaultRequest value " + request->str() + " in " + name);
}

void check_limit(Check& c, const Node& limit, const Node&) {
  const std::string& type = limit.get("type").str();
  bool pod = type == "Pod";
  if (c.format("type", Node(type), Format::Qualified) && type.find('/') == type.npos &&
      !listed(type, "Pod,Container,PersistentVolumeClaim"))
    c.invalid("type", Node(type), "must be a standard limit type or fully qualified");
  std::set<std::string> names;
  for (const char* list : {"max", "min", "default", "defaultRequest", "maxLimitRequestRatio"}) {
    std::string_view which(list);
    if (pod && which.starts_with("default")) {
      if (given(limit.get(list))) c.forbidden(list, "may not be specified when `type` is 'Pod'");
      continue;
    }
    for (const auto& [name, value] : limit.get(list).members()) {
      check_resource_name(c, key_of(list, name), name,
                          pod || type == "Container" ? ResourceUse::Container : ResourceUse::Any);
      names.insert(name);
    }
  }
  if (type == "PersistentVolumeClaim" && !limit.path("min.storage").exists() && !limit.path("max.storage").exists())
    c.required("limits", "either minimum or maximum storage value is required, but neither was provided");
  for (const auto& name : names) check_order(c, limit, name);
}

void check_limits(Check& c, const Node& spec, const Node&) {
  std::set<std::string> types;
  for (size_t i = 0; i < spec.get("limits").items().size(); ++i)
    if (const Node& type = spec.get("limits").items()[i].get("type"); !types.insert(type.str()).second)
      c.duplicate(item("limits", i) + ".type", type);
}

constexpr std::string_view kScopes =
    "Terminating,NotTerminating,BestEffort,NotBestEffort,PriorityClass,CrossNamespacePodAffinity,VolumeAttributesClass";
constexpr std::string_view kComputeNames = "pods,cpu,memory,requests.cpu,requests.memory,limits.cpu,limits.memory";

bool scope_fits(std::string_view scope, std::string_view resource) {
  if (listed(scope, "Terminating,NotTerminating,NotBestEffort,PriorityClass,CrossNamespacePodAffinity"))
    return listed(resource, kComputeNames);
  if (scope == "BestEffort") return resource == "pods";
  if (scope == "VolumeAttributesClass") return listed(resource, "persistentvolumeclaims,requests.storage");
  return true;
}

void check_scope(Check& c, std::string_view child, const Node& shown, const std::string& scope, const Node& hard) {
  if (!listed(scope, kScopes)) return;
  for (const auto& [name, value] : hard.members())
    if (name.find('/') == name.npos && !scope_fits(scope, name)) {
      c.invalid(child, shown, "unsupported scope applied to resource");
    }
}

void check_conflicts(Check& c, std::string_view child, const Node& shown, const std::set<std::string>& scopes) {
  for (const char* name : {"BestEffort", "Terminating"})
    if (scopes.count(name) && scopes.count("Not" + std::string(name))) c.invalid(child, shown, "conflicting scopes");
}

void check_scope_selector(Check& c, const Node& spec) {
  const auto& terms = spec.path("scopeSelector.matchExpressions").items();
  std::string here = "scopeSelector.matchExpressions";
  std::set<std::string> scopes;
  for (const Node& t : terms) {
    const std::string &scope = t.get("scopeName").str(), &op = t.get("operator").str();
    if (!listed(scope, kScopes)) c.invalid(here + ".scopeName", Node(scope), "unsupported scope");
    if (scopes.insert(scope).second) check_scope(c, here, spec.get("scopeSelector"), scope, spec.get("hard"));
    if (listed(scope, "BestEffort,NotBestEffort,Terminating,NotTerminating,CrossNamespacePodAffinity") &&
        op != "Exists")
      c.invalid(here + ".operator", Node(op),
                "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, "
                "ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or "
                "ResourceQuotaScopeCrossNamespacePodAffinity");
    if (op == "In" || op == "NotIn") {
      if (t.get("values").size() == 0)
        c.required(here + ".values",
                   "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector");
    } else if (op == "Exists" || op == "DoesNotExist") {
      if (t.get("values").size())
        c.invalid(here + ".values", t.get("values"),
                  "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector");
    } else {
      c.invalid(here + ".operator", Node(op), "not a valid selector operator");
    }
  }
  check_conflicts(c, "scopes", spec.get("scopes"), scopes);
}

void check_quota(Check& c, const Node& spec, const Node& before) {
  for (const auto& [name, value] : spec.get("hard").members())
    check_resource(c, key_of("hard", name), name, value, ResourceUse::Quota);
  const Node& scopes = spec.get("scopes");
  std::set<std::string> now, was;
  for (const Node& s : scopes.items()) {
    if (!listed(s.str(), kScopes)) c.invalid("scopes", scopes, "unsupported scope");
    if (now.insert(s.str()).second) check_scope(c, "scopes", scopes, s.str(), spec.get("hard"));
  }
  check_conflicts(c, "scopes", scopes, now);
  check_scope_selector(c, spec);
  if (!c.old) return;
  for (const Node& s : before.get("scopes").items()) was.insert(s.str());
  if (now != was) c.invalid("scopes", scopes.exists() ? scopes : Node::array(), "field is immutable");
}

constexpr TypeHook kHooks[] = {{"core/v1.LimitRangeItem", check_limit},
                               {"core/v1.LimitRangeSpec", check_limits},
                               {"core/v1.ResourceQuotaSpec", check_quota}};

}  // namespace

Hooks quota_hooks() { return kHooks; }

}  // namespace k8lite::api::rules
