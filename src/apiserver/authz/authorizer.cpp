#include "apiserver/authz/authorizer.h"

#include <algorithm>

#include "api/volumes.h"

namespace k8lite::apiserver::authz {
namespace {

constexpr std::string_view kPrefix = "/registry/rbac.authorization.k8s.io/";
constexpr std::string_view kNodePrefix = "system:node:";

std::vector<json::Doc> docs_of(const store::Store& store, std::string_view plural) {
  std::vector<json::Doc> out;
  auto list = store.list(std::string(kPrefix) + std::string(plural) + "/", {});
  if (!list.ok()) return out;
  for (const auto& o : list->items) out.push_back(o->doc);
  return out;
}

bool one_of(std::string_view text, std::initializer_list<std::string_view> list) { return std::find(list.begin(), list.end(), text) != list.end(); }

bool names_secret(json::Value pod, std::string_view name) {
  for (json::Value s : pod.path("spec.imagePullSecrets").items())
    if (s["name"].equals(name)) return true;
  return false;
}

bool containers_name(json::Value pod, std::string_view env_ref, std::string_view env_from, std::string_view name) {
  for (std::string_view list : {"containers", "initContainers", "ephemeralContainers"})
    for (json::Value c : pod["spec"][list].items()) {
      for (json::Value e : c["env"].items())
        if (e["valueFrom"][env_ref]["name"].equals(name)) return true;
      for (json::Value e : c["envFrom"].items())
        if (e[env_from]["name"].equals(name)) return true;
    }
  return false;
}

bool volumes_name(json::Value pod, std::string_view source, std::string_view field, std::string_view name) {
  for (json::Value v : pod.path("spec.volumes").items()) {
    if (v[source][field].equals(name)) return true;
    for (json::Value p : v["projected"]["sources"].items())
      if (p[source]["name"].equals(name)) return true;
  }
  return false;
}

}  // namespace

Result<std::unique_ptr<Authorizer>> Authorizer::create(store::Store& store) {
  TRY(auto watch, store.watch(kPrefix, 0));
  return std::unique_ptr<Authorizer>(new Authorizer(store, std::move(watch)));
}

std::shared_ptr<const RbacSnapshot> Authorizer::snapshot() {
  std::lock_guard lock(mutex_);
  auto changed = changes_->poll();
  if (!changed.ok()) {  // too slow: start over
    auto fresh = store_.watch(kPrefix, 0);
    if (fresh.ok()) changes_ = std::move(fresh).value();
    snapshot_ = nullptr;
  } else if (!changed->events.empty()) {
    snapshot_ = nullptr;
  }
  if (!snapshot_)
    snapshot_ = std::make_shared<RbacSnapshot>(docs_of(store_, "roles"), docs_of(store_, "clusterroles"), docs_of(store_, "rolebindings"), docs_of(store_, "clusterrolebindings"));
  return snapshot_;
}

std::string node_name_of(const User& user) {
  bool node = std::find(user.groups.begin(), user.groups.end(), "system:nodes") != user.groups.end();
  return node && user.name.starts_with(kNodePrefix) ? user.name.substr(kNodePrefix.size()) : "";
}

bool pod_refers_to(json::Value pod, std::string_view resource, std::string_view name) {
  if (resource == "secrets") return names_secret(pod, name) || containers_name(pod, "secretKeyRef", "secretRef", name) || volumes_name(pod, "secret", "secretName", name);
  if (resource == "configmaps") return containers_name(pod, "configMapKeyRef", "configMapRef", name) || volumes_name(pod, "configMap", "name", name);
  if (resource == "persistentvolumeclaims") {
    for (json::Value v : pod.path("spec.volumes").items())
      if (api::claim_of(pod, v) == name) return true;
    return false;
  }
  if (resource == "serviceaccounts") return pod.path("spec.serviceAccountName").equals(name);
  return false;
}

bool node_allows(std::string_view node, const RequestInfo& r, const NodeView& view) {
  bool reads = one_of(r.verb, {"get", "list", "watch"});
  if (!r.is_resource) return false;  // what every authenticated user may see, roles say
  bool plain = r.subresource.empty() || r.subresource == "status";  // never through a proxy to others
  if (r.group == "coordination.k8s.io" && r.resource == "leases")
    return r.ns == "kube-node-lease" && (r.name == node || (r.verb == "create" && r.name.empty())) && one_of(r.verb, {"get", "create", "update", "patch", "delete"});
  if (r.group == "certificates.k8s.io" && r.resource == "certificatesigningrequests") return one_of(r.verb, {"create", "get", "list", "watch"}) && r.subresource.empty();
  if (r.group == "discovery.k8s.io" && r.resource == "endpointslices") return reads;
  if (r.group == "storage.k8s.io" || r.group == "node.k8s.io") return reads;
  if (one_of(r.group, {"authentication.k8s.io", "authorization.k8s.io"})) return r.verb == "create";
  if (r.group == "events.k8s.io" || (r.group.empty() && r.resource == "events")) return one_of(r.verb, {"create", "update", "patch"});
  if (!r.group.empty()) return false;
  if (r.resource == "nodes") {
    if (reads && plain) return true;
    if (r.verb == "create" && r.subresource.empty()) return true;  // NodeRestriction looks at the name
    return plain && r.name == node && one_of(r.verb, {"update", "patch", "delete"});
  }
  // The folder of a volume that is to be deleted is the node's to remove.
  if (r.resource == "persistentvolumes" && r.verb == "patch") return r.subresource.empty() && view.deletes_volume(r.name);
  if (one_of(r.resource, {"services", "endpoints", "namespaces", "persistentvolumes"})) return reads && plain;
  if (r.resource == "pods") {
    if (reads && r.subresource.empty()) return true;
    if (r.subresource == "status") return one_of(r.verb, {"update", "patch"}) && view.has_pod(r.ns, r.name);
    if (r.subresource == "eviction") return r.verb == "create" && view.has_pod(r.ns, r.name);
    if (!r.subresource.empty()) return false;
    return r.verb == "create" || (r.verb == "delete" && view.has_pod(r.ns, r.name));
  }
  if (r.resource == "serviceaccounts" && r.subresource == "token") return r.verb == "create" && view.referenced("serviceaccounts", r.ns, r.name);
  if (r.resource == "serviceaccounts") return r.verb == "get" && view.referenced("serviceaccounts", r.ns, r.name);
  if (one_of(r.resource, {"secrets", "configmaps", "persistentvolumeclaims"})) return reads && !r.name.empty() && view.referenced(r.resource, r.ns, r.name);
  return false;
}

bool Authorizer::allows(const User& user, const RequestInfo& request) {
  if (std::find(user.groups.begin(), user.groups.end(), "system:masters") != user.groups.end()) return true;
  if (std::string node = node_name_of(user); !node.empty()) {
    NodeView view;
    view.referenced = [this, &node](std::string_view resource, std::string_view ns, std::string_view name) {
      auto pods = store_.list("/registry/core/pods/" + std::string(ns) + "/", {});
      if (!pods.ok()) return false;
      return std::any_of(pods->items.begin(), pods->items.end(), [&](const store::ObjectPtr& o) {
        return o->doc.path("spec.nodeName").equals(node) && pod_refers_to(o->doc.root(), resource, name);
      });
    };
    view.has_pod = [this, &node](std::string_view ns, std::string_view pod) {
      auto o = store_.get("/registry/core/pods/" + std::string(ns) + "/" + std::string(pod));
      return !o.ok() || (*o)->doc.path("spec.nodeName").equals(node);  // a pod that is gone answers 404 later
    };
    view.deletes_volume = [this, &node](std::string_view name) {
      auto volume = store_.get("/registry/core/persistentvolumes/" + std::string(name));
      auto self = store_.get("/registry/core/nodes/" + node);
      return volume.ok() && self.ok() && (*volume)->doc.path("metadata.deletionTimestamp") && api::is_local_path((*volume)->doc["metadata"]["annotations"][api::kProvisionedBy]) &&
             (*volume)->doc.path("spec.nodeAffinity.required") && api::volume_reaches_node((*volume)->doc.root(), (*self)->doc.root());
    };
    if (node_allows(node, request, view)) return true;
  }
  return snapshot()->allows(user, request);
}

Verdict Authorizer::decide(const User& user, const RequestInfo& request) {
  Verdict v{allows(user, request), ""};
  if (std::string by = v.allowed ? snapshot()->granted_by(user, request) : ""; !by.empty()) v.reason = "RBAC: allowed by " + by;
  return v;
}

}  // namespace k8lite::apiserver::authz
