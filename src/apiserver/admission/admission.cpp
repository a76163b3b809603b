#include "apiserver/admission/admission.h"

#include <algorithm>

#include "apiserver/authz/authorizer.h"
#include "base/strings.h"

namespace k8lite::apiserver {
namespace {

using json::Node;

struct Context {
  const Admission& admission;
  store::Store& store;
  Random& random;
};

Status forbidden(const AdmissionRequest& r, std::string why) {
  std::string name = r.name.empty() && r.object ? r.object->path("metadata.name").str() : r.name;
  Status s(Reason::Forbidden, r.type->qualified() + " " + json::quoted(name) + " is forbidden: " + std::move(why));
  StatusDetails d;
  d.name = name;
  d.group = r.type->row->group;
  d.kind = r.type->row->plural;
  return s.set_details(std::move(d));
}

bool is_pod(const AdmissionRequest& r) { return r.type->row->group.empty() && r.type->row->plural == "pods" && r.subresource.empty(); }

// ---- ServiceAccount ----

Node token_volume(const std::string& name) {
  return Node::obj({{"name", name},
                    {"projected", Node::obj({{"defaultMode", 420},
                                             {"sources", Node::arr({
                                                             Node::obj({{"serviceAccountToken", Node::obj({{"expirationSeconds", 3607}, {"path", "token"}})}}),
                                                             Node::obj({{"configMap", Node::obj({{"name", "kube-root-ca.crt"}, {"items", Node::arr({Node::obj({{"key", "ca.crt"}, {"path", "ca.crt"}})})}})}}),
                                                             Node::obj({{"downwardAPI", Node::obj({{"items", Node::arr({Node::obj({{"path", "namespace"}, {"fieldRef", Node::obj({{"apiVersion", "v1"}, {"fieldPath", "metadata.namespace"}})}})})}})}}),
                                                         })}})}});
}

constexpr std::string_view kTokenPath = "/var/run/secrets/kubernetes.io/serviceaccount";

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

Result<> service_account(const Context& c, AdmissionRequest& r) {
  if (!is_pod(r) || !r.create) return {};
  Node& spec = (*r.object)["spec"];
  if (r.object->path("metadata.annotations").get("kubernetes.io/config.mirror").exists()) return {};
  std::string name = spec.get("serviceAccountName").str_or("");
  if (name.empty()) name = "default";
  spec.set("serviceAccountName", Node(name));
  spec.set("serviceAccount", Node(name));
  json::Doc account = c.admission.find("", "serviceaccounts", r.ns, name);
  if (!account) return forbidden(r, "error looking up service account " + r.ns + "/" + name + ": serviceaccount " + json::quoted(name) + " not found");
  if (spec.get("imagePullSecrets").size() == 0 && account["imagePullSecrets"].size()) spec.set("imagePullSecrets", account["imagePullSecrets"].to_node());
  bool mount = account["automountServiceAccountToken"].bool_or(true);
  if (spec.get("automountServiceAccountToken").exists()) mount = spec.get("automountServiceAccountToken").bool_or(true);
  if (mount) mount_token(spec, c.random);
  return {};
}

// ---- DefaultTolerationSeconds ----

Result<> default_tolerations(const Context&, AdmissionRequest& r) {
  if (!is_pod(r) || !r.create) return {};
  Node& spec = (*r.object)["spec"];
  for (const char* key : {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}) {
    bool has = false;
    for (const Node& t : spec.get("tolerations").items()) {
      bool effect = t.get("effect").str().empty() || t.get("effect").str() == "NoExecute";
      has |= effect && (t.get("key").str() == key || t.get("key").str().empty());
    }
    if (!has) spec["tolerations"].append(Node::obj({{"key", key}, {"operator", "Exists"}, {"effect", "NoExecute"}, {"tolerationSeconds", 300}}));
  }
  return {};
}

// ---- Priority ----

Result<> priority(const Context& c, AdmissionRequest& r) {
  if (!is_pod(r) || !r.create) return {};
  Node& spec = (*r.object)["spec"];
  std::string name = spec.get("priorityClassName").str();
  int64_t value = 0;
  std::string preemption = "PreemptLowerPriority";
  if (name.empty()) {
    auto classes = c.store.list("/registry/scheduling.k8s.io/priorityclasses/", {});
    if (classes.ok())
      for (const auto& o : classes->items)
        if (o->doc["globalDefault"].bool_or(false)) {
          value = o->doc["value"].int_or(0);
          name = o->doc.path("metadata.name").str();
          preemption = o->doc["preemptionPolicy"].str(preemption);
        }
    if (!name.empty()) spec.set("priorityClassName", Node(name));
  } else {
    json::Doc found = c.admission.find("scheduling.k8s.io", "priorityclasses", "", name);
    if (!found) return forbidden(r, "no PriorityClass with name " + name + " was found");
    value = found["value"].int_or(0);
    preemption = found["preemptionPolicy"].str(preemption);
  }
  if (const Node& p = spec.get("priority"); p.exists() && p.int_or(0) != value)
    return forbidden(r, "the integer value of priority (" + p.dump() + ") must not be provided in pod spec; priority admission controller computed " + std::to_string(value) + " from the given PriorityClass name");
  spec.set("priority", value);
  if (!spec.get("preemptionPolicy").exists()) spec.set("preemptionPolicy", Node(preemption));
  return {};
}

// ---- NodeRestriction ----

Result<> node_restriction(const Context&, AdmissionRequest& r) {
  std::string node = authz::node_name_of(r.user);
  if (node.empty()) return {};
  const std::string& plural = r.type->row->plural;
  if (plural == "nodes" && r.type->row->group.empty()) {
    if (r.object->path("metadata.name").str() != node) return forbidden(r, "node " + json::quoted(node) + " is not allowed to modify node " + json::quoted(r.object->path("metadata.name").str()));
    if (!r.create && r.old && r.subresource.empty() && !(r.object->path("spec.taints") == r.old->path("spec.taints").to_node()) && (r.object->path("spec.taints").exists() || r.old->path("spec.taints")))
      return forbidden(r, "node " + json::quoted(node) + " is not allowed to modify taints");
    for (const auto& [key, value] : r.object->path("metadata.labels").members()) {
      bool restricted = key.starts_with("node-restriction.kubernetes.io/");
      if (restricted && (!r.old || !(*r.old)["metadata"]["labels"][key].equals(value.str()))) return forbidden(r, "is not allowed to modify labels: " + key);
    }
  }
  if (is_pod(r) && r.create) {
    if (!r.object->path("metadata.annotations").get("kubernetes.io/config.mirror").exists()) return forbidden(r, "pod does not have \"kubernetes.io/config.mirror\" annotation, node " + json::quoted(node) + " can only create mirror pods");
    if (r.object->path("spec.nodeName").str() != node) return forbidden(r, "node " + json::quoted(node) + " can only create pods with spec.nodeName set to itself");
  }
  return {};
}

// ---- privilege escalation through roles is refused in rest.cpp, which holds the RBAC snapshot ----

struct Plugin {
  std::string_view name;
  Result<> (*admit)(const Context&, AdmissionRequest&);
};
constexpr Plugin kPlugins[] = {
    {"ServiceAccount", service_account},
    {"NodeRestriction", node_restriction},
    {"Priority", priority},
    {"DefaultTolerationSeconds", default_tolerations},
};

}  // namespace

json::Doc Admission::find(std::string_view group, std::string_view resource, std::string_view ns, std::string_view name) const {
  std::string key = "/registry/" + std::string(group.empty() ? "core" : group) + "/" + std::string(resource) + "/" + (ns.empty() ? "" : std::string(ns) + "/") + std::string(name);
  auto o = store_.get(key);
  return o.ok() ? (*o)->doc : json::Doc();
}

Result<> Admission::check_namespace(const AdmissionRequest& r) const {
  if (!r.create || !r.type->row->namespaced) return {};
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
  Context context{*this, store_, random_};
  for (const Plugin& plugin : kPlugins) TRY_OK(plugin.admit(context, request));
  return {};
}

}  // namespace k8lite::apiserver
