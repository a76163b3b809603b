// RBAC, autoscaling, disruption budgets, certificate requests, API services.
#include <set>

#include "api/rules/check.h"
#include "base/quantity.h"
#include "base/strings.h"

namespace k8lite::api::rules {
namespace {

constexpr std::string_view kRbac = "rbac.authorization.k8s.io";

// ---- RBAC ----

void check_rule(Check& c, const Node& rule, const Node&) {
  const Node& urls = rule.get("nonResourceURLs");
  if (urls.size()) {
    if (c.kind.namespaced) c.invalid("nonResourceURLs", urls, "namespaced rules cannot apply to non-resource URLs");
    if (rule.get("apiGroups").size() || rule.get("resources").size() || rule.get("resourceNames").size())
      c.invalid("nonResourceURLs", urls, "rules cannot apply to both regular resources and non-resource URLs");
    return;
  }
  if (rule.get("apiGroups").size() == 0) c.required("apiGroups", "resource rules must supply at least one api group");
  if (rule.get("resources").size() == 0) c.required("resources", "resource rules must supply at least one resource");
}

void check_subject(Check& c, const Node& s) {
  const Node& group = s.get("apiGroup");
  const std::string &kind = s.get("kind").str(), &name = s.get("name").str();
  if (kind == "ServiceAccount") {
    if (!name.empty()) c.format("name", s.get("name"), Format::Subdomain);
    if (!group.str().empty()) c.unsupported("apiGroup", group, "");
    if (!c.kind.namespaced && s.get("namespace").str().empty()) c.required("namespace");
  } else if (kind == "User" || kind == "Group") {
    if (group.str() != kRbac) c.unsupported("apiGroup", Node(group.str()), kRbac);
  } else {
    c.unsupported("kind", Node(kind), "ServiceAccount,User,Group");
  }
}

void check_binding(Check& c, const Node& b, const Node& before) {
  const Node &ref = b.get("roleRef"), &group = ref.get("apiGroup");
  if (group.str() != kRbac) c.unsupported("roleRef.apiGroup", Node(group.str()), kRbac);
  std::string_view kinds = c.kind.namespaced ? "Role,ClusterRole" : "ClusterRole";
  if (!listed(ref.get("kind").str(), kinds)) c.unsupported("roleRef.kind", Node(ref.get("kind").str()), kinds);
  for (size_t i = 0; i < b.get("subjects").items().size(); ++i) {
    Step step(c, item("subjects", i));
    check_subject(c, b.get("subjects").items()[i]);
  }
  if (c.old && !(ref == before.get("roleRef"))) c.invalid("roleRef", ref, "cannot change roleRef");
}

// ---- autoscaling ----

bool positive(const Node& n) {
  auto q = Quantity::parse(n.str());
  return q && !q->is_negative() && !q->is_zero();
}

void check_target(Check& c, const Node& t, const Node&) {
  for (const char* f : {"value", "averageValue"})
    if (t.get(f).exists() && !positive(t.get(f))) c.invalid(f, t.get(f), "must be positive");
}

void check_resource_target(Check& c, const Node& source, const Node&) {
  const Node &utilization = source.path("target.averageUtilization"), &value = source.path("target.averageValue");
  if (!utilization.exists() && !value.exists())
    c.required("target.averageUtilization", "must set either a target raw value or a target utilization");
  if (utilization.exists() && value.exists())
    c.forbidden("target.averageValue", "may not set both a target raw value and a target utilization");
}

void check_pods_target(Check& c, const Node& source, const Node&) {
  if (!positive(source.path("target.averageValue")))
    c.required("target.averageValue", "must specify a positive target averageValue");
}

void check_external_target(Check& c, const Node& source, const Node&) {
  const Node &value = source.path("target.value"), &average = source.path("target.averageValue");
  if (!value.exists() && !average.exists())
    c.required("target.averageValue", "must set either a target value for metric or a per-pod target");
  if (value.exists() && average.exists())
    c.forbidden("target.value", "may not set both a target value for metric and a per-pod target");
}

void check_object_target(Check& c, const Node& source, const Node&) {
  if (!source.path("target.value").exists() && !source.path("target.averageValue").exists())
    c.required("target.averageValue", "must set either a target value or averageValue");
}

void check_metric(Check& c, const Node& m, const Node&) {
  std::string type = m.get("type").str();
  if (type.empty()) return;
  std::string wanted = type;
  wanted[0] = static_cast<char>(wanted[0] | 0x20);
  if (!m.get(wanted).exists()) c.required(wanted, "must populate information for the given metric source");
  for (const char* f : {"object", "external", "pods", "resource", "containerResource"})
    if (m.get(f).exists() && f != wanted) c.forbidden(f, "must populate the given metric source only");
}

void check_scaling(Check& c, const Node& r, const Node&) {
  const Node& window = r.get("stabilizationWindowSeconds");
  if (window.int_or(0) < 0) c.invalid("stabilizationWindowSeconds", window, "must be greater than or equal to zero");
  if (window.int_or(0) > 3600) c.invalid("stabilizationWindowSeconds", window, "must be less than or equal to 3600");
  for (size_t i = 0; i < r.get("policies").items().size(); ++i)
    if (const Node& seconds = r.get("policies").items()[i].get("periodSeconds"); seconds.int_or(0) > 1800)
      c.invalid(item("policies", i) + ".periodSeconds", seconds, "must be less than or equal to 1800");
}

void check_autoscaler(Check& c, const Node& spec, const Node&) {
  const Node &min = spec.get("minReplicas"), &max = spec.get("maxReplicas");
  bool from_zero = false;
  for (const Node& m : spec.get("metrics").items()) from_zero |= listed(m.get("type").str(), "Object,External");
  if (min.exists() && min.int_or(1) < (from_zero ? 0 : 1))
    c.invalid("minReplicas", min,
              from_zero ? "must be greater than or equal to 0" : "must be greater than or equal to 1");
  if (min.exists() && max.int_or(0) < min.int_or(0))
    c.invalid("maxReplicas", Node(max.int_or(0)), "must be greater than or equal to `minReplicas`");
}

// ---- the rest ----

void check_budget(Check& c, const Node& spec, const Node&) {
  if (spec.get("minAvailable").exists() && spec.get("maxUnavailable").exists())
    c.invalid("", spec, "minAvailable and maxUnavailable cannot be both set");
  for (const char* f : {"minAvailable", "maxUnavailable"})
    if (const std::string& t = spec.get(f).str();
        t.ends_with('%') && parse_int(std::string_view(t).substr(0, t.size() - 1)).value_or(0) > 100)
      c.invalid(f, spec.get(f), "must not be greater than 100%");
}

constexpr std::string_view kUsages =
    "any,client auth,server auth,cert sign,content commitment,code signing,crl sign,data encipherment,decipher "
    "only,digital signature,email protection,encipher only,ipsec end system,"
    "ipsec tunnel,ipsec user,key agreement,key encipherment,microsoft sgc,netscape sgc,ocsp "
    "signing,s/mime,signing,timestamping";

void check_signer(Check& c, const Node& name) {
  const std::string& t = name.str();
  size_t slash = t.find('/');
  if (t.empty()) return;
  if (slash == t.npos || slash == 0 || slash + 1 == t.size() || t.find('/', slash + 1) != t.npos)
    return c.invalid("signerName", name,
                     "must be a fully qualified domain and path of the form 'example.com/signer-name'");
  std::string domain = t.substr(0, slash), path = t.substr(slash + 1);
  for (const auto& why : mistakes(Format::Subdomain, domain))
    c.invalid("signerName", Node(domain), "validating label \"" + domain + "\": " + why);
  if (domain.find('.') == domain.npos)
    c.invalid("signerName", name, "should be a domain with at least two segments separated by dots");
  for (const auto& why : mistakes(Format::Subdomain, path))
    c.invalid("signerName", Node(path), "validating label \"" + path + "\": " + why);
  if (t.size() > 571) c.too_long("signerName", 571);
}

void check_request(Check& c, const Node& csr, const Node& before) {
  const Node& spec = csr.get("spec");
  if (c.old) {
    if (!(spec == before.get("spec"))) c.invalid("spec", spec, "field is immutable");
    return;
  }
  Step step(c, "spec");
  auto pem = base64_decode(spec.get("request").str());
  if (!pem || pem->find("-----BEGIN CERTIFICATE REQUEST-----") == pem->npos)
    c.invalid("request", Node(spec.get("request").str()), "PEM block type must be CERTIFICATE REQUEST");
  if (const Node& seconds = spec.get("expirationSeconds"); seconds.exists() && seconds.int_or(0) < 600)
    c.invalid("expirationSeconds", seconds, "may not specify a duration less than 600 seconds (10 minutes)");
  const Node& usages = spec.get("usages");
  if (usages.size() == 0) c.required("usages");
  std::set<std::string> seen;
  for (size_t i = 0; i < usages.items().size(); ++i) {
    const Node& u = usages.items()[i];
    if (!listed(u.str(), kUsages))
      c.unsupported(item("usages", i), u, kUsages);
    else if (!seen.insert(u.str()).second)
      c.duplicate(item("usages", i), u);
  }
  if (spec.get("signerName").str() == "kubernetes.io/legacy-unknown")
    c.invalid("signerName", spec.get("signerName"), "the legacy signerName is not allowed via this API version");
  else
    check_signer(c, spec.get("signerName"));
}

void check_api_service(Check& c, const Node& s, const Node&) {
  const Node &spec = s.get("spec"), &name = s.path("metadata.name"), &group = spec.get("group"),
             &version = spec.get("version");
  std::string wanted = version.str() + "." + group.str();
  if (name.str() != wanted)
    c.invalid("metadata.name", name, "must be `spec.version+\".\"+spec.group`: \"" + wanted + "\"");
  Step step(c, "spec");
  if (!version.str().empty() && !fits(Format::Label1035, version.str()))
    c.format("version", version, Format::Label1035);
  if (version.str().empty()) c.required("version");
  if (!group.str().empty()) c.format("group", group, Format::Subdomain);
  const Node &min = spec.get("groupPriorityMinimum"), &priority = spec.get("versionPriority"),
             &service = spec.get("service");
  if (min.int_or(0) <= 0 || min.int_or(0) > 20000)
    c.invalid("groupPriorityMinimum", Node(min.int_or(0)), "must be positive and less than 20000");
  if (priority.int_or(0) <= 0 || priority.int_or(0) > 1000)
    c.invalid("versionPriority", Node(priority.int_or(0)), "must be positive and less than 1000");
  if (service.exists()) {
    if (spec.get("insecureSkipTLSVerify").bool_or(false) && given(spec.get("caBundle")))
      c.invalid("insecureSkipTLSVerify", Node(true), "may not be true if caBundle is present");
    return;
  }
  if (given(spec.get("caBundle")))
    c.invalid("caBundle",
              Node(std::to_string(base64_decode(spec.get("caBundle").str()).value_or("").size()) + " bytes"),
              "local APIServices may not have a caBundle");
  if (spec.get("insecureSkipTLSVerify").bool_or(false))
    c.invalid("insecureSkipTLSVerify", Node(true), "local APIServices may not have insecureSkipTLSVerify");
}

constexpr TypeHook kHooks[] = {
    {"rbac/v1.PolicyRule", check_rule},
    {"rbac/v1.RoleBinding", check_binding},
    {"rbac/v1.ClusterRoleBinding", check_binding},
    {"autoscaling/v2.MetricTarget", check_target},
    {"autoscaling/v2.ResourceMetricSource", check_resource_target},
    {"autoscaling/v2.ContainerResourceMetricSource", check_resource_target},
    {"autoscaling/v2.PodsMetricSource", check_pods_target},
    {"autoscaling/v2.ExternalMetricSource", check_external_target},
    {"autoscaling/v2.ObjectMetricSource", check_object_target},
    {"autoscaling/v2.MetricSpec", check_metric},
    {"autoscaling/v2.HPAScalingRules", check_scaling},
    {"autoscaling/v2.HorizontalPodAutoscalerSpec", check_autoscaler},
    {"autoscaling/v1.HorizontalPodAutoscalerSpec", check_autoscaler},
    {"policy/v1.PodDisruptionBudgetSpec", check_budget},
    {"certificates/v1.CertificateSigningRequest", check_request},
    {"apiregistration/v1.APIService", check_api_service},
};

}  // namespace

Hooks policy_hooks() { return kHooks; }

}  // namespace k8lite::api::rules
