// flowcontrol.apiserver.k8s.io: flow schemas and priority levels.
#include "api/rules/check.h"
#include "base/strings.h"

namespace k8lite::api::rules {
namespace {

constexpr std::string_view kVerbs = "create,delete,deletecollection,get,list,patch,proxy,update,watch";

void check_positive(Check& c, std::string_view child, const Node& n) {
  if (n.int_or(0) <= 0) c.invalid(child, Node(n.int_or(0)), "must be positive");
}

void check_alone(Check& c, const char* field, const Node& list, const char* others) {
  for (const Node& n : list.items())
    if (n.str() == "*" && list.size() > 1)
      return c.invalid(field, list, "if '*' is present, must not specify other " + std::string(others));
}

void check_verbs(Check& c, const Node& verbs) {
  check_alone(c, "verbs", verbs, "verbs");
  for (const Node& v : verbs.items())
    if (v.str() != "*" && !listed(v.str(), kVerbs)) return c.unsupported("verbs", verbs, kVerbs);
}

void check_schema(Check& c, const Node& schema, const Node&) {
  const Node& precedence = schema.path("spec.matchingPrecedence");
  int64_t n = precedence.int_or(0);
  if (n <= 0) c.invalid("spec.matchingPrecedence", Node(n), "must be a positive value");
  if (n > 10000) c.invalid("spec.matchingPrecedence", Node(n), "must not be greater than 10000");
  if (n == 1 && schema.path("metadata.name").str() != "exempt")
    c.invalid("spec.matchingPrecedence", Node(n), "only the schema named 'exempt' may have matchingPrecedence 1");
}

void check_rules(Check& c, const Node& r, const Node&) {
  if (r.get("resourceRules").size() + r.get("nonResourceRules").size() == 0)
    c.required("", "at least one of resourceRules and nonResourceRules has to be non-empty");
}

void check_subject(Check& c, const Node& s, const Node&) {
  static constexpr std::pair<const char*, const char*> kParts[] = {
      {"User", "user"}, {"Group", "group"}, {"ServiceAccount", "serviceAccount"}};
  for (auto [kind, field] : kParts) {
    bool own = s.get("kind").str() == kind;
    if (own && !s.get(field).exists())
      c.required(field, std::string(field) + " is required when subject kind is '" + kind + "'");
    if (!own && s.get(field).exists())
      c.forbidden(field, std::string(field) + " is forbidden when subject kind is not '" + kind + "'");
  }
}

void check_resource_rule(Check& c, const Node& r, const Node&) {
  check_verbs(c, r.get("verbs"));
  check_alone(c, "apiGroups", r.get("apiGroups"), "api groups");
  check_alone(c, "resources", r.get("resources"), "resources");
  const Node& namespaces = r.get("namespaces");
  if (namespaces.size() == 0 && !r.get("clusterScope").bool_or(false))
    c.required("namespaces", "resource rules that are not cluster scoped must supply at least one namespace");
  check_alone(c, "namespaces", namespaces, "namespaces");
  for (size_t i = 0; i < namespaces.items().size(); ++i)
    if (const Node& ns = namespaces.items()[i]; ns.str() != "*")
      for (const auto& why : mistakes(Format::Label, ns.str()))
        c.invalid(item("namespaces", i), ns, "each member of this list must be '*' or a DNS-1123 label; " + why);
}

void check_url_rule(Check& c, const Node& r, const Node&) {
  check_verbs(c, r.get("verbs"));
  const Node& urls = r.get("nonResourceURLs");
  check_alone(c, "nonResourceURLs", urls, "non-resource URLs");
  for (size_t i = 0; i < urls.items().size(); ++i) {
    const Node& url = urls.items()[i];
    const std::string& t = url.str();
    if (t == "*" || t == "/") continue;
    size_t star = t.find('*');
    const char* why = t.empty()                ? "must not be empty"
                      : !t.starts_with("/")    ? "must start with slash"
                      : t.find(' ') != t.npos  ? "must not contain white-space"
                      : t.find("//") != t.npos ? "must not contain double slash"
                      : star != t.npos && (star + 1 != t.size() || !t.ends_with("/*"))
                          ? "wildcard can only do suffix matching"
                          : nullptr;
    if (why) c.invalid(item("nonResourceURLs", i), url, why);
  }
}

void check_level(Check& c, const Node& level, const Node&) {
  const Node& spec = level.get("spec");
  const std::string& type = spec.get("type").str();
  if ((level.path("metadata.name").str() == "exempt") != (type == "Exempt"))
    c.invalid("spec.type", Node(type), "type must be 'Exempt' if and only if name is 'exempt'");
  if (type == "Exempt" && spec.get("limited").exists())
    c.forbidden("spec.limited", "must be nil if the type is not Limited");
  if (type != "Limited") return;
  if (spec.get("exempt").exists()) c.forbidden("spec.exempt", "must be nil if the type is Limited");
  if (!spec.get("limited").exists()) return c.required("spec.limited", "must not be empty when type is Limited");
  const Node &response = spec.path("limited.limitResponse"), &queuing = response.get("queuing");
  Step step(c, "spec.limited.limitResponse");
  if (response.get("type").str() == "Reject" && queuing.exists())
    c.forbidden("queuing", "must be nil if limited.limitResponse.type is not Limited");
  if (response.get("type").str() != "Queue") return;
  if (!queuing.exists()) return c.required("queuing", "must not be empty if limited.limitResponse.type is Limited");
  check_positive(c, "queuing.queueLengthLimit", queuing.get("queueLengthLimit"));
  check_positive(c, "queuing.queues", queuing.get("queues"));
  if (queuing.get("queues").int_or(0) > 10000000)
    c.invalid("queuing.queues", queuing.get("queues"), "must not be greater than 10000000");
  check_positive(c, "queuing.handSize", queuing.get("handSize"));
  if (queuing.get("handSize").int_or(0) > queuing.get("queues").int_or(0))
    c.invalid("queuing.handSize", queuing.get("handSize"),
              "should not be greater than queues (" + std::to_string(queuing.get("queues").int_or(0)) + ")");
}

constexpr TypeHook kHooks[] = {
    {"flowcontrol/v1.FlowSchema", check_schema},
    {"flowcontrol/v1.PolicyRulesWithSubjects", check_rules},
    {"flowcontrol/v1.Subject", check_subject},
    {"flowcontrol/v1.ResourcePolicyRule", check_resource_rule},
    {"flowcontrol/v1.NonResourcePolicyRule", check_url_rule},
    {"flowcontrol/v1.PriorityLevelConfiguration", check_level},
};

}  // namespace

Hooks flow_hooks() { return kHooks; }

}  // namespace k8lite::api::rules
