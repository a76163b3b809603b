// The small plugins that fill one field or guard one change: AlwaysPullImages, DefaultStorageClass,
// StorageObjectInUseProtection, PersistentVolumeClaimResize and DefaultIngressClass. (Kubernetes documentation,
// "Admission Control".)
#include "apiserver/admission/plugins.h"

namespace k8lite::apiserver::admission {
namespace {

constexpr std::string_view kBetaClass = "volume.beta.kubernetes.io/storage-class";

}  // namespace

Result<> always_pull(const Admission&, AdmissionRequest& r) {
  if (!is_pod(r) && !(r.is("", "pods") && r.subresource == "ephemeralcontainers")) return {};
  for (const char* list : kContainerLists)
    if (Node* containers = (*r.object)["spec"].find(list))
      for (Node& c : containers->items()) c.set("imagePullPolicy", "Always");
  return {};
}

Result<> default_storage_class(const Admission& a, AdmissionRequest& r) {
  if (!r.create || !r.is("", "persistentvolumeclaims") || !r.subresource.empty()) return {};
  const Node& own = r.object->path("spec.storageClassName");
  if ((own.exists() && !own.is_null()) || r.object->path("metadata.annotations").get(kBetaClass).exists()) return {};
  if (json::Doc found = newest_default(
          a.list("storage.k8s.io", "storageclasses"),
          {"storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"}))
    (*r.object)["spec"].set("storageClassName", found.path("metadata.name").str());
  return {};
}

Result<> protect_storage(const Admission&, AdmissionRequest& r) {
  if (!r.create || !r.subresource.empty()) return {};
  const char* finalizer = r.is("", "persistentvolumeclaims")                  ? "kubernetes.io/pvc-protection"
                          : r.is("", "persistentvolumes")                     ? "kubernetes.io/pv-protection"
                          : r.is("storage.k8s.io", "volumeattributesclasses") ? "kubernetes.io/vac-protection"
                                                                              : nullptr;
  if (!finalizer) return {};
  for (const Node& f : r.object->path("metadata.finalizers").items())
    if (f.str() == finalizer) return {};
  (*r.object)["metadata"]["finalizers"].append(finalizer);
  return {};
}

Result<> claim_resize(const Admission& a, AdmissionRequest& r) {
  if (r.create || !r.old || !r.is("", "persistentvolumeclaims") || !r.subresource.empty()) return {};
  auto before = Quantity::parse(r.old->path("spec.resources.requests.storage").str());
  auto after = quantity_of(r.object->path("spec.resources.requests"), "storage");
  if (!before || !after || *after <= *before) return {};
  if (!r.old->path("status.phase").equals("Bound"))
    return forbidden(r, "Only bound persistent volume claims can be expanded");
  std::string name =
      r.object->path("metadata.annotations").get(kBetaClass).str_or(r.object->path("spec.storageClassName").str());
  json::Doc storage = name.empty() ? json::Doc() : a.find("storage.k8s.io", "storageclasses", "", name);
  if (!storage["allowVolumeExpansion"].bool_or(false))
    return forbidden(r,
                     "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc "
                     "must support resize");
  return {};
}

Result<> default_ingress_class(const Admission& a, AdmissionRequest& r) {
  if (!r.create || !r.is("networking.k8s.io", "ingresses") || !r.subresource.empty()) return {};
  const Node& own = r.object->path("spec.ingressClassName");
  if ((own.exists() && !own.is_null()) ||
      r.object->path("metadata.annotations").get("kubernetes.io/ingress.class").exists())
    return {};
  if (json::Doc found = newest_default(a.list("networking.k8s.io", "ingressclasses"),
                                       {"ingressclass.kubernetes.io/is-default-class"}))
    (*r.object)["spec"].set("ingressClassName", found.path("metadata.name").str());
  return {};
}

}  // namespace k8lite::apiserver::admission
