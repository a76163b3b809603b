// ServiceAccount: every pod has one, with its image pull secrets and, unless somebody declines, a projected token that
// ends with the pod. (Kubernetes documentation, "Managing Service Accounts", "ServiceAccount admission controller".)
#include "apiserver/admission/plugins.h"

namespace k8lite::apiserver::admission {
namespace {

constexpr std::string_view kTokenPath = "/var/run/secrets/kubernetes.io/serviceaccount";

Node token_volume(const std::string& name) {
  return Node::obj(
      {{"name", name},
       {"projected",
        Node::obj(
            {{"defaultMode", 420},
             {"sources",
              Node::arr({
                  Node::obj({{"serviceAccountToken", Node::obj({{"expirationSeconds", 3607}, {"path", "token"}})}}),
                  Node::obj({{"configMap", Node::obj({{"name", "kube-root-ca.crt"},
                                                      {"items", Node::arr({Node::obj(
                                                                    {{"key", "ca.crt"}, {"path", "ca.crt"}})})}})}}),
                  Node::obj({{"downwardAPI",
                              Node::obj({{"items",
                                          Node::arr({Node::obj(
                                              {{"path", "namespace"},
                                               {"fieldRef", Node::obj({{"apiVersion", "v1"},
                                                                       {"fieldPath", "metadata.namespace"}})}})})}})}}),
              })}})}});
}

void mount_token(Node& spec, Random& random) {
  std::string volume;
  for (const char* list : {"initContainers", "containers"})
    if (Node* containers = spec.find(list))
      for (Node& c : containers->items()) {
        bool has = false;
        for (const Node& m : c.get("volumeMounts").items()) has |= m.get("mountPath").str() == kTokenPath;
        if (has) continue;
        if (volume.empty()) volume = "kube-api-access-" + random_suffix(random);
        c["volumeMounts"].append(Node::obj({{"name", volume}, {"readOnly", true}, {"mountPath", Node(kTokenPath)}}));
      }
  if (!volume.empty()) spec["volumes"].append(token_volume(volume));
}

// The first reference of the pod to this kind of thing, by the names of the fields that hold one.
bool refers(const Node& spec, const char* env_ref, const char* env_from, const char* volume) {
  for (const char* list : kContainerLists)
    for (const Node& c : spec.get(list).items()) {
      for (const Node& e : c.get("env").items())
        if (e.get("valueFrom").get(env_ref).exists()) return true;
      for (const Node& e : c.get("envFrom").items())
        if (e.get(env_from).exists()) return true;
    }
  for (const Node& v : spec.get("volumes").items()) {
    if (v.get(volume).exists()) return true;
    for (const Node& s : v.path("projected.sources").items())
      if (s.get(volume).exists()) return true;
  }
  return false;
}

}  // namespace

Result<> service_account(const Admission& a, AdmissionRequest& r) {
  if (!creates_pod(r) || is_mirror(*r.object)) return {};
  Node& spec = (*r.object)["spec"];
  std::string name = spec.get("serviceAccountName").str_or("");
  if (name.empty()) name = "default";
  spec.set("serviceAccountName", Node(name));
  spec.set("serviceAccount", Node(name));
  json::Doc account = a.find("", "serviceaccounts", r.ns, name);
  if (!account)
    return forbidden(r, "error looking up service account " + r.ns + "/" + name + ": serviceaccount " +
                            json::quoted(name) + " not found");
  if (spec.get("imagePullSecrets").size() == 0 && account["imagePullSecrets"].size())
    spec.set("imagePullSecrets", account["imagePullSecrets"].to_node());
  bool mount = account["automountServiceAccountToken"].bool_or(true);
  if (spec.get("automountServiceAccountToken").exists()) mount = spec.get("automountServiceAccountToken").bool_or(true);
  if (mount) mount_token(spec, a.random());
  return {};
}

// A mirror pod shows what a node runs from a file; it cannot have got anything from the cluster.
Result<> mirror_references(const Admission&, AdmissionRequest& r) {
  if (!creates_pod(r) || !is_mirror(*r.object)) return {};
  const Node& spec = r.object->get("spec");
  if (!spec.get("serviceAccountName").str().empty())
    return forbidden(r, "a mirror pod may not reference service accounts");
  if (spec.get("imagePullSecrets").size() || refers(spec, "secretKeyRef", "secretRef", "secret"))
    return forbidden(r, "a mirror pod may not reference secrets");
  if (refers(spec, "configMapKeyRef", "configMapRef", "configMap"))
    return forbidden(r, "a mirror pod may not reference configmaps");
  for (const Node& v : spec.get("volumes").items()) {
    if (v.get("persistentVolumeClaim").exists())
      return forbidden(r, "a mirror pod may not reference persistentvolumeclaims");
    for (const Node& s : v.path("projected.sources").items())
      if (s.get("serviceAccountToken").exists())
        return forbidden(r, "a mirror pod may not use ServiceAccountToken volume projections");
  }
  if (spec.get("resourceClaims").size()) return forbidden(r, "a mirror pod may not reference resourceclaims");
  return {};
}

}  // namespace k8lite::apiserver::admission
