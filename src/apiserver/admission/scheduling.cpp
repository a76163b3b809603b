// The plugins about where and how urgently pods run: Priority, DefaultTolerationSeconds, ExtendedResourceToleration,
// RuntimeClass and TaintNodesByCondition. (Kubernetes documentation, "Pod Priority and Preemption", "Runtime Class",
// "Taints and Tolerations".)
#include <set>

#include "api/usage.h"
#include "apiserver/admission/plugins.h"

namespace k8lite::apiserver::admission {
namespace {

constexpr int64_t kHighestUserPriority = 1'000'000'000;

// Of several classes marked as the default the lowest counts.
json::Doc default_priority(const Admission& a) {
  json::Doc best;
  for (const auto& o : a.list("scheduling.k8s.io", "priorityclasses"))
    if (o->doc["globalDefault"].bool_or(false) && (!best || o->doc["value"].int_or(0) < best["value"].int_or(0)))
      best = o->doc;
  return best;
}

void tolerate(Node& spec, const char* key) {
  for (const Node& t : spec.get("tolerations").items()) {
    bool effect = t.get("effect").str().empty() || t.get("effect").str() == "NoExecute";
    if (effect && (t.get("key").str() == key || t.get("key").str().empty())) return;
  }
  spec["tolerations"].append(
      Node::obj({{"key", key}, {"operator", "Exists"}, {"effect", "NoExecute"}, {"tolerationSeconds", 300}}));
}

Result<> keep_priority(AdmissionRequest& r) {
  for (const char* field : {"priority", "preemptionPolicy"})
    if (json::Value had = r.old->path("spec")[field]; had && !r.object->path("spec").get(field).exists())
      (*r.object)["spec"].set(field, had.to_node());
  return {};
}

}  // namespace

Result<> pod_priority(const Admission& a, AdmissionRequest& r) {
  if (!is_pod(r)) return {};
  if (!r.create) return keep_priority(r);
  Node& spec = (*r.object)["spec"];
  std::string name = spec.get("priorityClassName").str();
  json::Doc found = name.empty() ? default_priority(a) : a.find("scheduling.k8s.io", "priorityclasses", "", name);
  if (!found && !name.empty()) return forbidden(r, "no PriorityClass with name " + name + " was found");
  if (found && name.empty()) spec.set("priorityClassName", found.path("metadata.name").str());
  int64_t value = found["value"].int_or(0);
  std::string preemption = found["preemptionPolicy"].str("PreemptLowerPriority");
  if (const Node& p = spec.get("priority"); p.exists() && !p.is_null() && p.int_or(0) != value)
    return forbidden(r, "the integer value of priority (" + p.dump() +
                            ") must not be provided in pod spec; priority admission controller computed " +
                            std::to_string(value) + " from the given PriorityClass name");
  if (const Node& p = spec.get("preemptionPolicy"); found && !p.str().empty() && p.str() != preemption)
    return forbidden(r, "the string value of PreemptionPolicy (" + p.str() +
                            ") must not be provided in pod spec; priority admission controller computed " + preemption +
                            " from the given PriorityClass name");
  spec.set("priority", value);
  if (!spec.get("preemptionPolicy").exists()) spec.set("preemptionPolicy", preemption);
  return {};
}

Result<> one_default_priority(const Admission& a, AdmissionRequest& r) {
  if (!r.is("scheduling.k8s.io", "priorityclasses")) return {};
  std::string name = r.object->path("metadata.name").str();
  bool system = name == "system-node-critical" || name == "system-cluster-critical";
  if (name.starts_with("system-") && !system)
    return invalid(
        r, {{"FieldValueForbidden",
             "Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: " + name +
                 " is not a known system priority class",
             "metadata.name"}});
  if (!system && r.object->get("value").int_or(0) > kHighestUserPriority)
    return invalid(
        r, {{"FieldValueForbidden",
             "Forbidden: maximum allowed value of a user defined priority is " + std::to_string(kHighestUserPriority),
             "value"}});
  if (!r.object->get("globalDefault").bool_or(false)) return {};
  json::Doc other = default_priority(a);
  if (other && (r.create || !other.path("metadata.name").equals(name)))
    return forbidden(r, "PriorityClass " + other.path("metadata.name").str() +
                            " is already marked as default. Only one default can exist");
  return {};
}

Result<> default_tolerations(const Admission&, AdmissionRequest& r) {
  if (!creates_pod(r)) return {};
  for (const char* key : {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"})
    tolerate((*r.object)["spec"], key);
  return {};
}

Result<> tolerate_extended_resources(const Admission&, AdmissionRequest& r) {
  if (!is_pod(r)) return {};
  std::set<std::string> wanted;
  for (const char* list : {"containers", "initContainers"})
    for (const Node& c : r.object->path("spec").get(list).items())
      for (const auto& [name, q] : c.path("resources.requests").members())
        if (name.find('/') != name.npos && name.find("kubernetes.io/") == name.npos) wanted.insert(name);
  Node& spec = (*r.object)["spec"];
  for (const auto& key : wanted) {
    bool has = false;
    for (const Node& t : spec.get("tolerations").items())
      has |= t.get("key").str() == key && t.get("operator").str() == "Exists" && t.get("effect").str().empty();
    if (!has) spec["tolerations"].append(Node::obj({{"key", key}, {"operator", "Exists"}}));
  }
  return {};
}

Result<> runtime_class(const Admission& a, AdmissionRequest& r) {
  if (!creates_pod(r)) return {};
  Node& spec = (*r.object)["spec"];
  const std::string name = spec.get("runtimeClassName").str();
  if (name.empty()) return {};
  json::Doc runtime = a.find("node.k8s.io", "runtimeclasses", "", name);
  if (!runtime) return forbidden(r, "pod rejected: RuntimeClass " + json::quoted(name) + " not found");
  if (json::Value overhead = runtime.path("overhead.podFixed")) {
    const Node& own = spec.get("overhead");
    if (own.exists() && !own.empty() && api::read_usage(json::Doc::from(own).root()) != api::read_usage(overhead))
      return forbidden(r, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead");
    spec.set("overhead", overhead.to_node());
  }
  for (auto m : runtime.path("scheduling.nodeSelector").members()) {
    std::string key = m.key(), value = m.value.str();
    const Node& own = spec.get("nodeSelector").get(key);
    if (own.exists() && own.str() != value)
      return forbidden(r, "conflict: runtimeClass.scheduling.nodeSelector[" + key + "] = " + value +
                              "; pod.spec.nodeSelector[" + key + "] = " + own.str());
    spec["nodeSelector"].set(key, value);
  }
  for (json::Value t : runtime.path("scheduling.tolerations").items()) {
    Node toleration = t.to_node();
    bool has = false;
    for (const Node& own : spec.get("tolerations").items()) has |= own == toleration;
    if (!has) spec["tolerations"].append(std::move(toleration));
  }
  return {};
}

Result<> runtime_overhead(const Admission& a, AdmissionRequest& r) {
  if (!creates_pod(r) || r.object->path("spec.overhead").empty()) return {};
  json::Doc runtime = a.find("node.k8s.io", "runtimeclasses", "", r.object->path("spec.runtimeClassName").str());
  if (!runtime.path("overhead.podFixed"))
    return forbidden(r, "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead");
  return {};
}

// No pod should land on a node before it has said that it is ready; the node controller takes the taint away then.
Result<> taint_new_node(const Admission&, AdmissionRequest& r) {
  if (!r.create || !r.is("", "nodes") || !r.subresource.empty()) return {};
  Node& spec = (*r.object)["spec"];
  if (!spec.is_object()) spec = Node::object();
  for (const Node& t : spec.get("taints").items())
    if (t.get("key").str() == "node.kubernetes.io/not-ready" && t.get("effect").str() == "NoSchedule") return {};
  spec["taints"].append(Node::obj({{"key", "node.kubernetes.io/not-ready"}, {"effect", "NoSchedule"}}));
  return {};
}

}  // namespace k8lite::apiserver::admission
