// Inside of admission: one function a plugin (two where it both changes and judges), each in a file of its own, and
// what they share.
#pragma once
#include "apiserver/admission/admission.h"
#include "base/quantity.h"
#include "base/strings.h"

namespace k8lite::apiserver::admission {

using json::Node;

// `pods "web" is forbidden: why`, with the details Kubernetes gives.
Status forbidden(const AdmissionRequest& request, std::string why);
Status invalid(const AdmissionRequest& request, std::vector<Cause> causes);
std::string joined_errors(std::vector<std::string> errors);  // one as it is, several as "[a, b]"

inline bool is_pod(const AdmissionRequest& r) { return r.is("", "pods") && r.subresource.empty(); }
inline bool creates_pod(const AdmissionRequest& r) { return r.create && is_pod(r); }
inline bool is_mirror(const Node& pod) {
  return pod.path("metadata.annotations").get("kubernetes.io/config.mirror").exists();
}
// Containers, then init containers, then ephemeral ones, as Kubernetes walks them.
inline constexpr const char* kContainerLists[] = {"initContainers", "containers", "ephemeralContainers"};
// The newest of those marked as default by this annotation; of equally old ones the first by name. Empty when there is
// none.
json::Doc newest_default(const std::vector<store::ObjectPtr>& classes,
                         std::initializer_list<std::string_view> annotations);
// Quantities in a "requests" or "limits" object.
std::optional<Quantity> quantity_of(const Node& list, std::string_view name);

#define K8_PLUGIN(name) Result<> name(const Admission& admission, AdmissionRequest& request)
K8_PLUGIN(limit_defaults);
K8_PLUGIN(limit_bounds);
K8_PLUGIN(service_account);
K8_PLUGIN(mirror_references);
K8_PLUGIN(node_restriction);
K8_PLUGIN(taint_new_node);
K8_PLUGIN(always_pull);
K8_PLUGIN(pod_security);
K8_PLUGIN(pod_priority);
K8_PLUGIN(one_default_priority);
K8_PLUGIN(default_tolerations);
K8_PLUGIN(tolerate_extended_resources);
K8_PLUGIN(default_storage_class);
K8_PLUGIN(protect_storage);
K8_PLUGIN(claim_resize);
K8_PLUGIN(runtime_class);
K8_PLUGIN(runtime_overhead);
K8_PLUGIN(certificate_request);
K8_PLUGIN(certificate_approval);
K8_PLUGIN(certificate_signing);
K8_PLUGIN(certificate_subject);
K8_PLUGIN(default_ingress_class);
K8_PLUGIN(not_enforced_yet);
#undef K8_PLUGIN

Result<std::vector<store::Write>> charge_quotas(const Admission& admission, AdmissionRequest& request);

}  // namespace k8lite::apiserver::admission
