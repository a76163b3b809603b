#include "kubelet/admission.h"

#include <algorithm>

#include "api/placement.h"
#include "kubelet/eviction.h"
#include "kubelet/pod_plan.h"
#include "kubelet/static_pods.h"

namespace k8lite::kubelet {
namespace {

using api::Usage;
using json::Value;

Usage requests_of(Value pod) {
  Usage u = api::pod_usage(pod["spec"], api::PodSide::Requests, true);
  u["pods"] = *Quantity::parse("1");
  return u;
}

int64_t figure(const Usage& usage, const std::string& name) {
  auto it = usage.find(name);
  if (it == usage.end()) return 0;
  return name == "cpu" ? it->second.milli_value() : it->second.value();
}

struct Shortage {
  std::string resource;
  int64_t requested = 0, used = 0, capacity = 0;
};

// A resource that this node does not have at all is nobody's business here, but for the four that every node has.
std::vector<Shortage> shortages(const Usage& wanted, const Usage& used, const Usage& allocatable) {
  std::vector<Shortage> out;
  for (const char* first : {"pods", "cpu", "memory", "ephemeral-storage"}) {
    int64_t more = figure(wanted, first), has = figure(used, first), all = figure(allocatable, first);
    if (more > 0 && allocatable.count(first) && more + has > all) out.push_back({first, more, has, all});
  }
  for (const auto& [name, quantity] : wanted) {
    if (name == "pods" || name == "cpu" || name == "memory" || name == "ephemeral-storage" || !allocatable.count(name)) continue;
    int64_t more = figure(wanted, name), has = figure(used, name), all = figure(allocatable, name);
    if (more > 0 && more + has > all) out.push_back({name, more, has, all});
  }
  return out;
}

struct HostPort {
  int64_t port;
  std::string protocol, ip;
};
std::vector<HostPort> host_ports(Value pod) {
  std::vector<HostPort> out;
  for (const char* list : {"containers", "initContainers"})
    for (Value c : pod["spec"][list].items()) {
      if (std::string_view(list) == "initContainers" && !is_sidecar(c)) continue;
      for (Value p : c["ports"].items())
        if (int64_t port = p["hostPort"].int_or(0); port > 0)
          out.push_back({port, p["protocol"].str("TCP"), p["hostIP"].str("0.0.0.0")});
    }
  return out;
}
bool ports_collide(Value a, Value b) {
  for (const auto& x : host_ports(a))
    for (const auto& y : host_ports(b))
      if (x.port == y.port && x.protocol == y.protocol && (x.ip == y.ip || x.ip == "0.0.0.0" || y.ip == "0.0.0.0"))
        return true;
  return false;
}

Admission predicate(const char* name, const char* why) {
  return {name, std::string("Predicate ") + name + " failed: " + why, {}};
}

// Who goes for a critical pod: the least important first, and among equals those that were promised least; nobody that
// is critical himself.
std::vector<std::string> victims(Value pod, const NodeOffer& offer, const Usage& wanted, Usage used) {
  std::vector<Value> candidates;
  int64_t priority = pod.path("spec.priority").int_or(0);
  for (Value p : offer.pods)
    if (!is_critical(p) && (is_static(pod) || p.path("spec.priority").int_or(0) < priority)) candidates.push_back(p);
  auto goes_before = [](Value a, Value b) {
    int64_t x = a.path("spec.priority").int_or(0), y = b.path("spec.priority").int_or(0);
    return x != y ? x < y : static_cast<int>(qos_of(a)) > static_cast<int>(qos_of(b));
  };
  std::vector<std::string> out;
  while (!candidates.empty()) {
    size_t first = 0;
    for (size_t i = 1; i < candidates.size(); ++i)
      if (goes_before(candidates[i], candidates[first])) first = i;
    Value p = candidates[first];
    candidates.erase(candidates.begin() + static_cast<ptrdiff_t>(first));
    auto missing = shortages(wanted, used, offer.allocatable);
    if (missing.empty()) break;
    Usage his = requests_of(p);
    bool helps = std::any_of(missing.begin(), missing.end(), [&his](const Shortage& s) { return figure(his, s.resource) > 0; });
    if (!helps) continue;
    for (const auto& [name, quantity] : his) used[name] = used[name] - quantity;
    out.push_back(p.path("metadata.uid").str());
  }
  return shortages(wanted, used, offer.allocatable).empty() ? out : std::vector<std::string>();
}

Admission for_lack_of(const Shortage& s) {
  return {"OutOf" + s.resource,
          "Node didn't have enough resource: " + s.resource + ", requested: " + std::to_string(s.requested) +
              ", used: " + std::to_string(s.used) + ", capacity: " + std::to_string(s.capacity),
          {}};
}

}  // namespace

Admission admit(Value pod, const NodeOffer& offer) {
  if (std::string os = pod.path("spec.os.name").str("linux"); os != "linux")
    return {"PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS", {}};
  if (pod["spec"]["nodeSelector"]["kubernetes.io/os"].str("linux") != "linux")
    return {"PodOSSelectorNodeLabelDoesNotMatch",
            "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label", {}};
  Usage wanted = requests_of(pod), used;
  for (Value p : offer.pods) api::add_usage(used, requests_of(p));
  if (auto missing = shortages(wanted, used, offer.allocatable); !missing.empty()) {
    if (!is_critical(pod)) return for_lack_of(missing[0]);
    Admission out;
    out.preempt = victims(pod, offer, wanted, used);
    if (!out.preempt.empty()) return out;
    std::string list;
    for (const auto& s : missing)
      list += "(res: " + s.resource + ", q: " + std::to_string(s.requested + s.used - s.capacity) + "), ";
    return {"UnexpectedAdmissionError",
            "Unexpected error while attempting to recover from admission failure: preemption: error finding a set of "
            "pods to preempt: no set of running pods found to reclaim resources: [" + list + "]",
            {}};
  }
  if (offer.node && !api::node_selected(pod["spec"], offer.node))
    return predicate("NodeAffinity", "node(s) didn't match Pod's node affinity/selector");
  if (offer.node && !is_static(pod) && api::untolerated_taint(pod.path("spec.tolerations"), offer.node, true))
    return predicate("TaintToleration", "node(s) had taints that the pod didn't tolerate");
  for (Value p : offer.pods)
    if (ports_collide(pod, p)) return predicate("NodePorts", "node(s) didn't have free ports for the requested pod ports");
  return {};
}

}  // namespace k8lite::kubelet
