// NodeRestriction: of what the node authoriser lets a node write, it may write only its own share: its Node object
// without labels and taints that steer others' pods to it, mirror pods of itself, and requests for certificates of its
// own name. What it may not even reach (other nodes' leases, pods, tokens) the authoriser has refused. (Kubernetes
// documentation, "Admission Control", "NodeRestriction".)
#include <algorithm>

#include "apiserver/admission/plugins.h"
#include "pki/csr.h"

namespace k8lite::apiserver::admission {
namespace {

// Labels of Kubernetes' own domains that a node sets for itself.
constexpr std::string_view kOwnLabels[] = {"kubernetes.io/hostname",
                                           "kubernetes.io/os",
                                           "kubernetes.io/arch",
                                           "beta.kubernetes.io/os",
                                           "beta.kubernetes.io/arch",
                                           "beta.kubernetes.io/instance-type",
                                           "node.kubernetes.io/instance-type",
                                           "topology.kubernetes.io/zone",
                                           "topology.kubernetes.io/region",
                                           "failure-domain.beta.kubernetes.io/zone",
                                           "failure-domain.beta.kubernetes.io/region"};

bool within(std::string_view domain, std::string_view parent) {
  return domain == parent || (domain.size() > parent.size() && domain.ends_with(parent) &&
                              domain[domain.size() - parent.size() - 1] == '.');
}

bool is_reserved_label(const std::string& key) {
  size_t slash = key.find('/');
  if (slash == key.npos) return false;
  std::string_view domain = std::string_view(key).substr(0, slash);
  if (within(domain, "node-restriction.kubernetes.io")) return true;
  if (!within(domain, "kubernetes.io") && !within(domain, "k8s.io")) return false;
  return std::find(std::begin(kOwnLabels), std::end(kOwnLabels), key) == std::end(kOwnLabels) &&
         !within(domain, "kubelet.kubernetes.io") && !within(domain, "node.kubernetes.io");
}

// Reserved labels that the write adds, changes or takes away, sorted.
std::string touched_labels(const AdmissionRequest& r) {
  std::vector<std::string> keys;
  json::Value before = r.old ? r.old->path("metadata.labels") : json::Value();
  const Node& now = r.object->path("metadata.labels");
  for (const auto& [key, value] : now.members())
    if (is_reserved_label(key) && !before[key].equals(value.str())) keys.push_back(key);
  for (auto m : before.members())
    if (is_reserved_label(m.key()) && !now.get(m.key()).exists()) keys.push_back(m.key());
  std::sort(keys.begin(), keys.end());
  return join(keys, ", ");
}

Result<> own_node(AdmissionRequest& r, const std::string& node) {
  std::string name = r.object->path("metadata.name").str(), who = "node " + json::quoted(node);
  if (name != node) return forbidden(r, who + " is not allowed to modify node " + json::quoted(name));
  auto changed = [&r](const char* field) {
    const Node& now = r.object->path(field);
    json::Value before = r.old->path(field);
    return !(now.empty() && before.empty()) && !(now == before.to_node());
  };
  if (!r.create && r.old && changed("spec.taints")) return forbidden(r, who + " is not allowed to modify taints");
  if (r.create ? !r.object->path("metadata.ownerReferences").empty() : r.old && changed("metadata.ownerReferences"))
    return forbidden(r, who + " is not allowed to modify ownerReferences");
  std::string labels = touched_labels(r);
  if (labels.empty()) return {};
  return forbidden(r, "is not allowed to " + std::string(r.create ? "set" : "modify") +
                          (r.create ? " the following labels: " : " labels: ") + labels);
}

Result<> own_pod(const Admission& a, AdmissionRequest& r, const std::string& node) {
  const Node& pod = *r.object;
  std::string who = "node " + json::quoted(node);
  if (!is_mirror(pod))
    return forbidden(
        r, "pod does not have \"kubernetes.io/config.mirror\" annotation, " + who + " can only create mirror pods");
  if (pod.path("spec.nodeName").str() != node)
    return forbidden(r, who + " can only create pods with spec.nodeName set to itself");
  const auto& owners = pod.path("metadata.ownerReferences").items();
  if (owners.size() > 1) return forbidden(r, who + " can only create pods with a single owner reference set to itself");
  if (owners.empty() || owners[0].get("apiVersion").str() != "v1" || owners[0].get("kind").str() != "Node" ||
      owners[0].get("name").str() != node)
    return forbidden(r, who + " can only create pods with an owner reference set to itself");
  if (!owners[0].get("controller").bool_or(false))
    return forbidden(r, who + " can only create pods with a controller owner reference set to itself");
  if (owners[0].get("blockOwnerDeletion").bool_or(false))
    return forbidden(r, who + " must not set blockOwnerDeletion on an owner reference");
  std::string uid = a.find("", "nodes", "", node).path("metadata.uid").str();
  if (owners[0].get("uid").str() != uid)
    return forbidden(r, "node " + node + " UID mismatch: expected " + owners[0].get("uid").str() + " got " + uid);
  return {};
}

}  // namespace

Result<> node_restriction(const Admission& a, AdmissionRequest& r) {
  std::string node = authz::node_name_of(r.user);
  if (node.empty()) return {};
  if (r.is("", "nodes")) return own_node(r, node);
  if (r.is("", "pods")) {
    if (creates_pod(r)) return own_pod(a, r, node);
    if (r.subresource != "status" || !r.old) return {};
    if (!r.old->path("spec.nodeName").equals(node))
      return forbidden(
          r, "node " + json::quoted(node) + " can only update pod status for pods with spec.nodeName set to itself");
    const Node &now = r.object->path("metadata.labels"), before = r.old->path("metadata.labels").to_node();
    if (!(now.empty() && before.empty()) && !(now == before))
      return forbidden(r, "node " + json::quoted(node) + " cannot update labels through pod status");
  }
  if (r.create && r.is("certificates.k8s.io", "certificatesigningrequests")) {
    const std::string& signer = r.object->path("spec.signerName").str();
    if (signer != "kubernetes.io/kubelet-serving" && signer != "kubernetes.io/kube-apiserver-client-kubelet") return {};
    auto parsed = pki::parse_request(base64_decode(r.object->path("spec.request").str()).value_or(""));
    if (!parsed.ok()) return forbidden(r, "unable to parse csr: " + parsed.status().message());
    if (parsed->common_name != r.user.name) return forbidden(r, "can only create a node CSR with CN=" + r.user.name);
  }
  return {};
}

}  // namespace k8lite::apiserver::admission
