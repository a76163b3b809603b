// admissionregistration.k8s.io: webhooks and policies. CEL expressions are taken as they are.
#include <set>

#include "api/rules/check.h"
#include "base/strings.h"

namespace k8lite::api::rules {
namespace {

bool has_star(const Node& list) {
  for (const Node& n : list.items())
    if (n.str() == "*") return true;
  return false;
}

void check_alone(Check& c, const char* field, const Node& list, const char* others) {
  if (list.size() > 1 && has_star(list))
    c.invalid(field, list, "if '*' is present, must not specify other " + std::string(others));
}

void check_rule_resources(Check& c, const Node& resources) {
  if (resources.size() == 0) c.required("resources");
  std::set<std::string> any_sub, any_resource;
  bool everything = false, star = false, plain = false;
  for (size_t i = 0; i < resources.items().size(); ++i) {
    const Node& r = resources.items()[i];
    const std::string& t = r.str();
    if (t.empty()) {
      c.required(item("resources", i));
      continue;
    }
    everything |= t == "*/*";
    star |= t == "*";
    size_t slash = t.find('/');
    if (slash == t.npos) {
      plain = t != "*";
      continue;
    }
    std::string resource = t.substr(0, slash), sub = t.substr(slash + 1);
    if (any_sub.count(resource))
      c.invalid(item("resources", i), r, "if '" + resource + "/*' is present, must not specify " + t);
    if (any_resource.count(sub))
      c.invalid(item("resources", i), r, "if '*/" + sub + "' is present, must not specify " + t);
    if (sub == "*") any_sub.insert(resource);
    if (resource == "*") any_resource.insert(sub);
  }
  if (resources.size() > 1 && everything)
    c.invalid("resources", resources, "if '*/*' is present, must not specify other resources");
  if (star && plain)
    c.invalid("resources", resources, "if '*' is present, must not specify other resources without subresources");
}

void check_rule(Check& c, const Node& rule, const Node&) {
  check_alone(c, "operations", rule.get("operations"), "operations");
  if (rule.get("apiGroups").size() == 0) c.required("apiGroups");
  check_alone(c, "apiGroups", rule.get("apiGroups"), "API groups");
  const Node& versions = rule.get("apiVersions");
  if (versions.size() == 0) c.required("apiVersions");
  check_alone(c, "apiVersions", versions, "API versions");
  for (size_t i = 0; i < versions.items().size(); ++i)
    if (versions.items()[i].str().empty()) c.required(item("apiVersions", i));
  check_rule_resources(c, rule.get("resources"));
}

void check_url(Check& c, const Node& url) {
  constexpr std::string_view kForm = "; desired format: https://host[/path]";
  const std::string& t = url.str();
  size_t scheme = t.find("://");
  if (scheme == t.npos || t.substr(0, scheme) != "https")
    c.invalid("clientConfig.url", url, "'https' is the only allowed URL scheme" + std::string(kForm));
  std::string rest = scheme == t.npos ? t : t.substr(scheme + 3), host = rest.substr(0, rest.find_first_of("/?#"));
  if (host.empty()) c.invalid("clientConfig.url", url, "host must be specified" + std::string(kForm));
  if (host.find('@') != host.npos) c.invalid("clientConfig.url", url, "user information is not permitted in the URL");
  if (rest.find('#') != rest.npos) c.invalid("clientConfig.url", url, "fragments are not permitted in the URL");
  if (rest.find('?') != rest.npos) c.invalid("clientConfig.url", url, "query parameters are not permitted in the URL");
}

void check_service_path(Check& c, const Node& path) {
  const std::string& t = path.str();
  if (t.empty() || t == "/") return;
  if (t == "//") return c.invalid("clientConfig.service.path", path, "segment[0] may not be empty");
  if (!t.starts_with("/")) c.invalid("clientConfig.service.path", path, "must start with a '/'");
  auto parts = split(std::string_view(t).substr(1), '/');
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].empty() && i + 1 == parts.size()) continue;
    std::string where = "segment[" + std::to_string(i) + "]";
    if (parts[i].empty())
      c.invalid("clientConfig.service.path", path, where + " may not be empty");
    else
      for (const auto& why : mistakes(Format::Subdomain, parts[i]))
        c.invalid("clientConfig.service.path", path, where + ": " + why);
  }
}

void check_webhook(Check& c, const Node& hook, const Node&) {
  const Node &versions = hook.get("admissionReviewVersions"), &timeout = hook.get("timeoutSeconds"),
             &client = hook.get("clientConfig");
  std::set<std::string> seen;
  for (size_t i = 0; i < versions.items().size(); ++i) {
    const Node& v = versions.items()[i];
    if (!seen.insert(v.str()).second)
      c.invalid(item("admissionReviewVersions", i), v, "duplicate version");
    else
      c.format(item("admissionReviewVersions", i), v, Format::Label1035);
  }
  if (versions.size() && !seen.count("v1") && !seen.count("v1beta1"))
    c.invalid("admissionReviewVersions", versions, "must include at least one of v1, v1beta1");
  if (timeout.exists() && (timeout.int_or(0) < 1 || timeout.int_or(0) > 30))
    c.invalid("timeoutSeconds", timeout, "the timeout value must be between 1 and 30 seconds");
  if (client.get("url").exists() == client.get("service").exists())
    c.required("clientConfig", "exactly one of url or service is required");
  else if (client.get("url").exists())
    check_url(c, client.get("url"));
  else
    check_service_path(c, client.path("service.path"));
}

void check_policy(Check& c, const Node& spec, const Node&) {
  if (spec.get("matchConstraints").exists() && spec.path("matchConstraints.resourceRules").size() == 0)
    c.required("matchConstraints.resourceRules");
  if (!spec.get("validations").exists() && c.kind.kind == "MutatingAdmissionPolicy") return;
  if (spec.get("validations").size() + spec.get("auditAnnotations").size() == 0)
    for (const char* f : {"validations", "auditAnnotations"})
      c.required(f, "validations or auditAnnotations must contain at least one item");
}

void check_validation(Check& c, const Node& v, const Node&) {
  for (const char* f : {"message", "messageExpression"})
    if (given(v.get(f)) && trim(v.get(f).str()).empty())
      c.invalid(
          f, v.get(f),
          std::string(f) == "message" ? "message must be non-empty if specified" : "must be non-empty if specified");
  if (trim(v.get("message").str()).find('\n') != std::string_view::npos)
    c.invalid("message", v.get("message"), "message must not contain line breaks");
}

void check_param_kind(Check& c, const Node& p, const Node&) {
  auto parts = split(p.get("apiVersion").str(), '/');
  if (parts.size() > 2)
    c.invalid("apiVersion", p.get("apiVersion"), "unexpected GroupVersion string: " + p.get("apiVersion").str());
  if (given(p.get("kind")))
    for (const auto& why : mistakes(Format::Label1035, lower(p.get("kind").str())))
      c.invalid("kind", p.get("kind"), "may have mixed case, but should otherwise match: " + why);
}

void check_param_ref(Check& c, const Node& p, const Node&) {
  bool name = given(p.get("name")), selector = p.get("selector").exists();
  if (!name && !selector) c.required("", "one of name or selector must be specified");
  if (name && selector) c.forbidden("name", "name and selector are mutually exclusive");
  if (name) c.format("name", p.get("name"), Format::PathSegment);
}

void check_binding(Check& c, const Node& b, const Node&) {
  bool deny = false, warn = false;
  for (const Node& a : b.get("validationActions").items()) deny |= a.str() == "Deny", warn |= a.str() == "Warn";
  if (deny && warn)
    c.invalid("validationActions", b.get("validationActions"),
              "must not contain both Deny and Warn (repeating the same validation failure information in the API "
              "response and headers serves no purpose)");
}

void check_mutation(Check& c, const Node& m, const Node&) {
  const std::string& type = m.get("patchType").str();
  bool json = type == "JSONPatch";
  if (!json && type != "ApplyConfiguration") return;
  const char *wanted = json ? "jsonPatch" : "applyConfiguration", *other = json ? "applyConfiguration" : "jsonPatch";
  if (!m.get(wanted).exists())
    c.required(wanted, "must be specified when patchType is " + type);
  else if (trim(m.get(wanted).get("expression").str()).empty())
    c.required(std::string(wanted) + ".expression", "expression is not specified");
  if (m.get(other).exists())
    c.invalid(other, Node(json ? "applyConfiguration" : "jsonPatch"),
              std::string(other) + " must not be specified when patchType is " + type);
}

constexpr TypeHook kHooks[] = {
    {"admissionregistration/v1.RuleWithOperations", check_rule},
    {"admissionregistration/v1.NamedRuleWithOperations", check_rule},
    {"admissionregistration/v1.ValidatingWebhook", check_webhook},
    {"admissionregistration/v1.MutatingWebhook", check_webhook},
    {"admissionregistration/v1.ValidatingAdmissionPolicySpec", check_policy},
    {"admissionregistration/v1.MutatingAdmissionPolicySpec", check_policy},
    {"admissionregistration/v1.Validation", check_validation},
    {"admissionregistration/v1.ParamKind", check_param_kind},
    {"admissionregistration/v1.ParamRef", check_param_ref},
    {"admissionregistration/v1.ValidatingAdmissionPolicyBindingSpec", check_binding},
    {"admissionregistration/v1.Mutation", check_mutation},
};

}  // namespace

Hooks admission_hooks() { return kHooks; }

}  // namespace k8lite::api::rules
