#include "api/usage.h"

#include <algorithm>

namespace k8lite::api {
namespace {

using json::Value;

constexpr std::string_view kClassMark = ".storageclass.storage.k8s.io/";
constexpr std::string_view kPodNames[] = {"cpu",          "memory",          "ephemeral-storage",
                                          "requests.cpu", "requests.memory", "requests.ephemeral-storage",
                                          "limits.cpu",   "limits.memory",   "limits.ephemeral-storage",
                                          "pods"};
constexpr std::string_view kServiceNames[] = {"services", "services.nodeports", "services.loadbalancers"};
constexpr std::string_view kClaimNames[] = {"persistentvolumeclaims", "requests.storage"};
// Counted under their plain plural too, as they were before "count/…" came.
constexpr std::string_view kPlainCounts[] = {"configmaps", "resourcequotas", "replicationcontrollers", "secrets"};

template <size_t n>
bool one_of(std::string_view text, const std::string_view (&list)[n]) {
  return std::find(std::begin(list), std::end(list), text) != std::end(list);
}

void take_most(Usage& most, const Usage& other) {
  for (const auto& [name, q] : other) {
    auto [it, added] = most.emplace(name, q);
    if (!added && it->second < q) it->second = q;
  }
}

bool is_extended(std::string_view name) {
  return name.find('/') != name.npos && name.find("kubernetes.io/") == name.npos && !name.starts_with("requests.");
}

// Pods that are over, or should be gone by now, use nothing any more; they still are objects.
bool uses_resources(Value pod, Instant now) {
  Value phase = pod.path("status.phase"), meta = pod["metadata"];
  if (phase.equals("Succeeded") || phase.equals("Failed")) return false;
  if (!meta["deletionTimestamp"] || !meta["deletionGracePeriodSeconds"]) return true;
  auto since = parse_rfc3339(meta["deletionTimestamp"].str());
  return !since || now <= *since + seconds(meta["deletionGracePeriodSeconds"].int_or(0));
}

void count_pod(Usage& out, Value pod) {
  Usage requests = pod_usage(pod["spec"], PodSide::Requests, true),
        limits = pod_usage(pod["spec"], PodSide::Limits, true);
  out["pods"] = Quantity::of(1);
  for (const auto& [name, q] : requests) {
    bool base = name == "cpu" || name == "memory" || name == "ephemeral-storage" || name.starts_with("hugepages-");
    if (base) out[name] = q;
    if (base || is_extended(name)) out["requests." + name] = q;
  }
  for (const char* name : {"cpu", "memory", "ephemeral-storage"})
    if (auto it = limits.find(name); it != limits.end()) out["limits." + it->first] = it->second;
}

void count_service(Usage& out, Value service) {
  Value spec = service["spec"];
  int64_t ports = static_cast<int64_t>(spec["ports"].size()), explicit_ports = 0;
  for (Value p : spec["ports"].items()) explicit_ports += p["nodePort"].int_or(0) != 0;
  bool balanced = spec["type"].equals("LoadBalancer"), allocates = spec["allocateLoadBalancerNodePorts"].bool_or(true);
  out["services"] = Quantity::of(1);
  out["services.loadbalancers"] = Quantity::of(balanced ? 1 : 0);
  out["services.nodeports"] = Quantity::of(spec["type"].equals("NodePort") ? ports
                                           : balanced                      ? (allocates ? ports : explicit_ports)
                                                                           : 0);
}

void count_claim(Usage& out, Value claim) {
  std::string storage_class = claim.path("metadata.annotations")["volume.beta.kubernetes.io/storage-class"].str(
      claim.path("spec.storageClassName").str());
  out["persistentvolumeclaims"] = Quantity::of(1);
  auto wanted = Quantity::parse(claim.path("spec.resources.requests.storage").str());
  if (auto allocated = Quantity::parse(claim.path("status.allocatedResources.storage").str());
      wanted && allocated && *allocated > *wanted)
    wanted = allocated;
  if (wanted) out["requests.storage"] = *wanted;
  if (storage_class.empty()) return;
  out[storage_class + std::string(kClassMark) + "persistentvolumeclaims"] = Quantity::of(1);
  if (wanted) out[storage_class + std::string(kClassMark) + "requests.storage"] = *wanted;
}

bool has_foreign_affinity(Value spec) {
  auto crosses = [](Value term) { return term["namespaceSelector"].exists() || term["namespaces"].size() > 0; };
  for (const char* kind : {"podAffinity", "podAntiAffinity"}) {
    Value affinity = spec["affinity"][kind];
    for (Value t : affinity["requiredDuringSchedulingIgnoredDuringExecution"].items())
      if (crosses(t)) return true;
    for (Value t : affinity["preferredDuringSchedulingIgnoredDuringExecution"].items())
      if (crosses(t["podAffinityTerm"])) return true;
  }
  return false;
}

// A scope that compares a name: In, NotIn, Exists, DoesNotExist.
bool name_matches(const std::string& name, std::string_view op, Value values) {
  if (op == "Exists") return !name.empty();
  if (op == "DoesNotExist") return name.empty();
  bool listed = false;
  for (Value v : values.items()) listed |= !name.empty() && v.equals(name);
  return op == "In" ? listed : !listed;
}

bool scope_holds(std::string_view scope, std::string_view op, Value values, const Counted& resource, Value object) {
  Value spec = object["spec"];
  if (resource.group.empty() && resource.plural == "persistentvolumeclaims")
    return scope == "VolumeAttributesClass" && name_matches(spec["volumeAttributesClassName"].str(), op, values);
  if (!resource.group.empty() || resource.plural != "pods") return false;
  bool ends = spec["activeDeadlineSeconds"].int_or(-1) >= 0;
  if (scope == "Terminating") return ends;
  if (scope == "NotTerminating") return !ends;
  if (scope == "BestEffort") return is_best_effort(spec);
  if (scope == "NotBestEffort") return !is_best_effort(spec);
  if (scope == "PriorityClass") return name_matches(spec["priorityClassName"].str(), op, values);
  if (scope == "CrossNamespacePodAffinity") return has_foreign_affinity(spec);
  return false;
}

}  // namespace

Usage read_usage(Value list) {
  Usage out;
  for (auto m : list.members())
    if (auto q = Quantity::parse(m.value.is_string() ? m.value.str() : std::string(m.value.raw()))) out[m.key()] = *q;
  return out;
}

json::Node usage_node(const Usage& usage) {
  json::Node out = json::Node::object();
  for (const auto& [name, q] : usage) out.set(name, q.str());
  return out;
}

void add_usage(Usage& sum, const Usage& more) {
  for (const auto& [name, q] : more) {
    auto [it, added] = sum.emplace(name, q);
    if (!added) it->second = it->second + q;
  }
}

Usage pod_usage(Value spec, PodSide side, bool with_overhead) {
  const char* field = side == PodSide::Requests ? "requests" : "limits";
  Usage sum, peak, sidecars;
  for (Value c : spec["containers"].items()) add_usage(sum, read_usage(c["resources"][field]));
  for (Value c : spec["initContainers"].items()) {
    Usage own = read_usage(c["resources"][field]);
    if (c["restartPolicy"].equals("Always")) {
      add_usage(sum, own);
      add_usage(sidecars, own);
      own = sidecars;
    } else {
      add_usage(own, sidecars);
    }
    take_most(peak, own);
  }
  take_most(sum, peak);
  for (auto& [name, q] : read_usage(spec["resources"][field])) sum[name] = q;
  if (!with_overhead) return sum;
  for (const auto& [name, q] : read_usage(spec["overhead"]))
    if (side == PodSide::Requests || sum.count(name)) add_usage(sum, {{name, q}});
  return sum;
}

std::string count_name(const Counted& r) { return "count/" + r.plural + (r.group.empty() ? "" : "." + r.group); }

Usage usage_of(const Counted& r, Value object, Instant now) {
  Usage out;
  out[count_name(r)] = Quantity::of(1);
  if (!r.group.empty()) return out;
  if (r.plural == "pods" && uses_resources(object, now)) count_pod(out, object);
  if (r.plural == "services") count_service(out, object);
  if (r.plural == "persistentvolumeclaims") count_claim(out, object);
  if (one_of(r.plural, kPlainCounts)) out[r.plural] = Quantity::of(1);
  return out;
}

std::vector<std::string> counted_names(const Counted& r, const std::vector<std::string>& names) {
  std::vector<std::string> out;
  std::string own = count_name(r);
  for (const auto& name : names) {
    bool counts = name == own;
    if (r.group.empty()) {
      std::string_view v = name;
      if (r.plural == "pods")
        counts |= one_of(v, kPodNames) || v.starts_with("hugepages-") || v.starts_with("requests.hugepages-") ||
                  (v.starts_with("requests.") && is_extended(v.substr(9)));
      if (r.plural == "services") counts |= one_of(v, kServiceNames);
      if (r.plural == "persistentvolumeclaims") counts |= one_of(v, kClaimNames) || v.find(kClassMark) != v.npos;
      if (one_of(r.plural, kPlainCounts)) counts |= v == r.plural;
    }
    if (counts) out.push_back(name);
  }
  return out;
}

std::set<Counted> resources_of(const std::vector<std::string>& names) {
  std::set<Counted> out;
  for (const auto& name : names) {
    if (name.starts_with("count/")) {
      size_t dot = name.find('.');
      out.insert(dot == name.npos ? Counted{"", name.substr(6)}
                                  : Counted{name.substr(dot + 1), name.substr(6, dot - 6)});
      continue;
    }
    for (const char* plural : {"pods", "services", "persistentvolumeclaims", "configmaps", "resourcequotas",
                               "replicationcontrollers", "secrets"})
      if (Counted r{"", plural}; !counted_names(r, {name}).empty()) out.insert(r);
  }
  return out;
}

std::vector<std::string> hard_names(Value hard) {
  std::vector<std::string> out;
  for (auto m : hard.members()) out.push_back(m.key());
  std::sort(out.begin(), out.end());
  return out;
}

bool in_scope(Value spec, const Counted& resource, Value object) {
  for (Value s : spec["scopes"].items())
    if (!scope_holds(s.str(), "Exists", {}, resource, object)) return false;
  for (Value e : spec["scopeSelector"]["matchExpressions"].items())
    if (!scope_holds(e["scopeName"].str(), e["operator"].str(), e["values"], resource, object)) return false;
  return true;
}

void count_objects(Usage& used, Value spec, const Counted& resource, const std::vector<json::Doc>& objects,
                   Instant now) {
  auto names = counted_names(resource, hard_names(spec["hard"]));
  for (const auto& name : names) used.emplace(name, Quantity());
  for (const auto& o : objects) {
    if (!in_scope(spec, resource, o.root())) continue;
    Usage own = usage_of(resource, o.root(), now);
    for (const auto& name : names)
      if (auto it = own.find(name); it != own.end()) used[name] = used[name] + it->second;
  }
}

bool is_best_effort(Value spec) {
  auto none = [](Value resources) {
    for (const char* side : {"requests", "limits"})
      for (auto m : resources[side].members())
        if (m.raw_key == "cpu" || m.raw_key == "memory")
          if (auto q = Quantity::parse(m.value.is_string() ? m.value.str() : std::string(m.value.raw()));
              q && !q->is_zero())
            return false;
    return true;
  };
  if (!none(spec["resources"])) return false;
  for (const char* list : {"containers", "initContainers"})
    for (Value c : spec[list].items())
      if (!none(c["resources"])) return false;
  return true;
}

}  // namespace k8lite::api
