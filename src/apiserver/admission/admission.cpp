#include "apiserver/admission/admission.h"

#include <algorithm>

#include "apiserver/admission/plugins.h"

namespace k8lite::apiserver {

namespace admission {

Status forbidden(const AdmissionRequest& r, std::string why) {
  std::string name = r.name.empty() && r.object ? r.object->path("metadata.name").str() : r.name;
  Status s(Reason::Forbidden, r.type->qualified() + " " + json::quoted(name) + " is forbidden: " + std::move(why));
  StatusDetails d;
  d.name = name;
  d.group = r.type->row->group;
  d.kind = r.type->row->plural;
  return s.set_details(std::move(d));
}

Status invalid(const AdmissionRequest& r, std::vector<Cause> causes) {
  std::string name = r.name.empty() && r.object ? r.object->path("metadata.name").str() : r.name;
  std::vector<std::string> errors;
  for (const auto& c : causes) errors.push_back(c.field + ": " + c.message);
  const auto& row = *r.type->row;
  Status s(Reason::Invalid, row.kind + (row.group.empty() ? "" : "." + row.group) + " " + json::quoted(name) + " is invalid: " + joined_errors(errors));
  StatusDetails d;
  d.name = name;
  d.group = row.group;
  d.kind = row.kind;
  d.causes = std::move(causes);
  return s.set_details(std::move(d));
}

std::string joined_errors(std::vector<std::string> errors) {
  std::vector<std::string> unique;
  for (auto& e : errors)
    if (std::find(unique.begin(), unique.end(), e) == unique.end()) unique.push_back(std::move(e));
  return unique.size() == 1 ? unique[0] : "[" + join(unique, ", ") + "]";
}

json::Doc newest_default(const std::vector<store::ObjectPtr>& classes, std::initializer_list<std::string_view> annotations) {
  json::Doc best;
  for (const auto& c : classes) {  // sorted by name
    bool marked = false;
    for (std::string_view a : annotations) marked |= c->doc["metadata"]["annotations"][a].equals("true");
    if (marked && (!best || best.path("metadata.creationTimestamp").str() < c->doc.path("metadata.creationTimestamp").str())) best = c->doc;
  }
  return best;
}

std::optional<Quantity> quantity_of(const Node& list, std::string_view name) {
  const Node& value = list.get(name);
  if (!value.exists() || value.is_null()) return {};
  return Quantity::parse(value.is_string() ? value.str() : value.dump());
}

// Admission by webhooks and policies is not in this build; nobody should believe it were.
Result<> not_enforced_yet(const Admission&, AdmissionRequest& r) {
  if (r.type->row->group == "admissionregistration.k8s.io" && r.subresource.empty())
    r.warn(r.type->row->kind + " " + json::quoted(r.object->path("metadata.name").str()) + " is stored, but this server does not enforce it yet");
  return {};
}

}  // namespace admission

namespace {

using namespace admission;

struct Plugin {
  std::string_view name;
  bool on;  // unless the settings say otherwise
  Result<> (*admit)(const Admission&, AdmissionRequest&);
  Result<> (*validate)(const Admission&, AdmissionRequest&);
};
constexpr Plugin kPlugins[] = {
    // One a line, in Kubernetes' order. NamespaceLifecycle is check_namespace(), ResourceQuota is charge().
    {"NamespaceLifecycle", true, nullptr, nullptr},
    {"LimitRanger", true, limit_defaults, limit_bounds},
    {"ServiceAccount", true, service_account, mirror_references},
    {"NodeRestriction", true, node_restriction, nullptr},
    {"TaintNodesByCondition", true, taint_new_node, nullptr},
    {"AlwaysPullImages", false, always_pull, nullptr},
    {"PodSecurity", true, nullptr, pod_security},
    {"Priority", true, pod_priority, one_default_priority},
    {"DefaultTolerationSeconds", true, default_tolerations, nullptr},
    {"ExtendedResourceToleration", false, tolerate_extended_resources, nullptr},
    {"DefaultStorageClass", true, default_storage_class, nullptr},
    {"StorageObjectInUseProtection", true, protect_storage, nullptr},
    {"PersistentVolumeClaimResize", true, nullptr, claim_resize},
    {"RuntimeClass", true, runtime_class, runtime_overhead},
    {"CertificateApproval", true, certificate_request, certificate_approval},
    {"CertificateSigning", true, nullptr, certificate_signing},
    {"CertificateSubjectRestriction", true, nullptr, certificate_subject},
    {"DefaultIngressClass", true, default_ingress_class, nullptr},
    {"ValidatingAdmissionPolicy", true, nullptr, not_enforced_yet},
    {"ResourceQuota", true, nullptr, nullptr},
};
constexpr size_t kNamespaceLifecycle = 0, kResourceQuota = std::size(kPlugins) - 1;
static_assert(kPlugins[kNamespaceLifecycle].name == "NamespaceLifecycle" && kPlugins[kResourceQuota].name == "ResourceQuota" && std::size(kPlugins) <= 64);

// Known by name, with nothing to do here: off by default in Kubernetes, or part of another plugin of ours.
constexpr std::string_view kOtherPlugins[] = {"AlwaysAdmit", "AlwaysDeny", "ClusterTrustBundleAttest", "DenyServiceExternalIPs", "EventRateLimit", "ImagePolicyWebhook", "LimitPodHardAntiAffinityTopology", "MutatingAdmissionPolicy",
                                              "MutatingAdmissionWebhook", "NamespaceAutoProvision", "NamespaceExists", "OwnerReferencesPermissionEnforcement", "PodNodeSelector", "PodTolerationRestriction", "PodTopologyLabels", "ValidatingAdmissionWebhook"};

}  // namespace

bool is_admission_plugin(std::string_view name) {
  return std::any_of(std::begin(kPlugins), std::end(kPlugins), [name](const Plugin& p) { return p.name == name; }) || std::find(std::begin(kOtherPlugins), std::end(kOtherPlugins), name) != std::end(kOtherPlugins);
}

void AdmissionRequest::warn(const std::string& text) const {
  if (warnings && std::find(warnings->begin(), warnings->end(), text) == warnings->end()) warnings->push_back(text);
}

Admission::Admission(store::Store& store, const Clock& clock, Random& random, authz::Authorizer& authorizer, AdmissionOptions options) : store_(store), clock_(clock), random_(random), authorizer_(authorizer) {
  auto names = [](const std::vector<std::string>& list, std::string_view name) { return std::find(list.begin(), list.end(), name) != list.end(); };
  for (size_t i = 0; i < std::size(kPlugins); ++i)
    if (!names(options.disable, kPlugins[i].name) && (kPlugins[i].on || names(options.enable, kPlugins[i].name))) enabled_ |= uint64_t{1} << i;
}

json::Doc Admission::find(std::string_view group, std::string_view resource, std::string_view ns, std::string_view name) const {
  std::string key = "/registry/" + std::string(group.empty() ? "core" : group) + "/" + std::string(resource) + "/" + (ns.empty() ? "" : std::string(ns) + "/") + std::string(name);
  auto o = store_.get(key);
  return o.ok() ? (*o)->doc : json::Doc();
}

std::vector<store::ObjectPtr> Admission::list(std::string_view group, std::string_view resource, std::string_view ns) const {
  auto l = store_.list("/registry/" + std::string(group.empty() ? "core" : group) + "/" + std::string(resource) + "/" + (ns.empty() ? "" : std::string(ns) + "/"), {});
  return l.ok() ? std::move(l->items) : std::vector<store::ObjectPtr>();
}

Result<> Admission::check_namespace(const AdmissionRequest& r) const {
  if (!r.create || !r.type->row->namespaced || !runs(kNamespaceLifecycle)) return {};
  json::Doc ns = find("", "namespaces", "", r.ns);
  if (!ns) return not_found_object("", "namespaces", r.ns);
  if (!ns.path("metadata.deletionTimestamp")) return {};
  if (r.type->row->plural == "events") return {};
  Status s = forbidden(r, "unable to create new content in namespace " + r.ns + " because it is being terminated");
  StatusDetails d = s.details();
  d.causes.push_back({"NamespaceTerminating", "namespace " + r.ns + " is being terminated", "metadata.namespace"});
  return s.set_details(std::move(d));
}

Result<> Admission::admit(AdmissionRequest& request) const {
  for (size_t i = 0; i < std::size(kPlugins); ++i)
    if (kPlugins[i].admit && runs(i)) TRY_OK(kPlugins[i].admit(*this, request));
  return {};
}

Result<> Admission::validate(AdmissionRequest& request) const {
  for (size_t i = 0; i < std::size(kPlugins); ++i)
    if (kPlugins[i].validate && runs(i)) TRY_OK(kPlugins[i].validate(*this, request));
  return {};
}

Result<std::vector<store::Write>> Admission::charge(AdmissionRequest& request) const {
  if (!runs(kResourceQuota)) return std::vector<store::Write>();
  return charge_quotas(*this, request);
}

}  // namespace k8lite::apiserver
