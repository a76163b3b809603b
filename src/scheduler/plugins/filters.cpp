// Which nodes cannot take a pod, and why.
#include <algorithm>

#include "api/placement.h"
#include "api/selector.h"
#include "base/strings.h"
#include "scheduler/cycle.h"

namespace k8lite::scheduler {
namespace {

using json::Value;

std::string node_name(const FilterInput& in, const NodeInfo& n) {
  std::string wanted = in.pod.path("spec.nodeName").str();
  return wanted.empty() || wanted == n.name() ? "" : "node(s) didn't match the requested node name";
}

std::string unschedulable(const FilterInput& in, const NodeInfo& n) {
  if (!n.node.path("spec.unschedulable").bool_or(false)) return "";
  for (Value t : in.pod.path("spec.tolerations").items())
    if ((t["key"].empty() || t["key"].equals("node.kubernetes.io/unschedulable")) && t["operator"].equals("Exists")) return "";
  return "node(s) were unschedulable";
}

std::string taints(const FilterInput& in, const NodeInfo& n) {
  Value taint = api::untolerated_taint(in.pod.path("spec.tolerations"), n.node.root());
  return taint ? "node(s) had untolerated taint {" + taint["key"].str() + ": " + taint["value"].str() + "}" : "";
}

std::string node_affinity(const FilterInput& in, const NodeInfo& n) {
  return api::node_selected(in.pod["spec"], n.node.root()) ? "" : "node(s) didn't match Pod's node affinity/selector";
}

std::string ports(const FilterInput& in, const NodeInfo& n) {
  auto wanted = [](Value pod) {
    std::vector<std::tuple<std::string, int64_t, std::string>> out;
    for (Value c : pod.path("spec.containers").items())
      for (Value p : c["ports"].items())
        if (int64_t h = p["hostPort"].int_or(0)) out.emplace_back(p["protocol"].str("TCP"), h, p["hostIP"].str());
    return out;
  };
  auto mine = wanted(in.pod);
  if (mine.empty()) return "";
  auto any = [](const std::string& ip) { return ip.empty() || ip == "0.0.0.0"; };
  for (const auto& [key, other] : n.pods)
    for (const auto& [protocol, port, ip] : wanted(other.pod.root()))
      for (const auto& [p2, port2, ip2] : mine)
        if (protocol == p2 && port == port2 && (any(ip) || any(ip2) || ip == ip2)) return "node(s) didn't have free ports for the requested pod ports";
  return "";
}

std::string resources(const FilterInput& in, const NodeInfo& n) {
  auto limit = n.allocatable.find("pods");
  if (limit != n.allocatable.end() && static_cast<int64_t>(n.pods.size()) + 1 > limit->second) return "Too many pods";
  for (const auto& [name, wanted] : in.requests) {
    if (wanted == 0) continue;
    auto have = n.allocatable.find(name);
    auto used = n.requested.find(name);
    if (wanted > (have == n.allocatable.end() ? 0 : have->second) - (used == n.requested.end() ? 0 : used->second)) return "Insufficient " + name;
  }
  return "";
}

bool in_namespaces(Value term, Value owner, Value other) {
  if (term["namespaces"].size() == 0 && !term["namespaceSelector"]) return other.path("metadata.namespace").str() == owner.path("metadata.namespace").str();
  for (Value ns : term["namespaces"].items())
    if (other.path("metadata.namespace").equals(ns.str())) return true;
  return term["namespaceSelector"] && term["namespaceSelector"].size() == 0;
}

bool term_selects(Value term, Value owner, Value other) {
  auto selector = api::LabelSelector::from_object(term["labelSelector"]);
  return selector.ok() && in_namespaces(term, owner, other) && selector->matches(other["metadata"]["labels"]);
}

// Is there a pod that the term selects in the node's topology domain?
bool present_in_domain(const FilterInput& in, Value term, const NodeInfo& n, bool* anywhere = nullptr) {
  std::string key = term["topologyKey"].str(), domain = n.node["metadata"]["labels"][key].str();
  bool found = false;
  for (const auto& [name, other] : in.snapshot.nodes())
    for (const auto& [pod_key, p] : other.pods) {
      if (!term_selects(term, in.pod, p.pod.root())) continue;
      if (anywhere) *anywhere = true;
      found |= !domain.empty() && other.node["metadata"]["labels"][key].equals(domain);
    }
  return found;
}

std::string pod_affinity(const FilterInput& in, const NodeInfo& n) {
  for (Value term : in.pod.path("spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution").items()) {
    bool anywhere = false;
    if (present_in_domain(in, term, n, &anywhere)) continue;
    // The first pod of a group that wants to be together starts it.
    bool first = !anywhere && term_selects(term, in.pod, in.pod) && n.node["metadata"]["labels"][term["topologyKey"].str()];
    if (!first) return "node(s) didn't match pod affinity rules";
  }
  for (Value term : in.pod.path("spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution").items())
    if (present_in_domain(in, term, n)) return "node(s) didn't match pod anti-affinity rules";
  for (const auto& [name, other] : in.snapshot.nodes())
    for (const auto& [key, p] : other.pods)
      for (Value term : p.pod.path("spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution").items()) {
        std::string topology = term["topologyKey"].str(), domain = n.node["metadata"]["labels"][topology].str();
        if (!domain.empty() && other.node["metadata"]["labels"][topology].equals(domain) && term_selects(term, p.pod.root(), in.pod)) return "node(s) didn't satisfy existing pods anti-affinity rules";
      }
  return "";
}

std::string topology_spread(const FilterInput& in, const NodeInfo& n) {
  for (Value c : in.pod.path("spec.topologySpreadConstraints").items()) {
    if (c["whenUnsatisfiable"].equals("ScheduleAnyway")) continue;
    std::string key = c["topologyKey"].str();
    Value own = n.node["metadata"]["labels"][key];
    if (!own) return "node(s) didn't match pod topology spread constraints (missing required label)";
    auto selector = api::LabelSelector::from_object(c["labelSelector"]);
    if (!selector.ok()) return selector.status().message();
    std::map<std::string, int64_t> counts;
    for (const auto& [name, other] : in.snapshot.nodes()) {
      Value domain = other.node["metadata"]["labels"][key];
      if (!domain || !node_affinity(in, other).empty()) continue;
      int64_t& count = counts[domain.str()];
      for (const auto& [pod_key, p] : other.pods)
        count += !p.pod.path("metadata.deletionTimestamp") && p.pod.path("metadata.namespace").str() == in.pod.path("metadata.namespace").str() && selector->matches(p.pod["metadata"]["labels"]);
    }
    int64_t least = INT64_MAX;
    for (const auto& [domain, count] : counts) least = std::min(least, count);
    if (static_cast<int64_t>(counts.size()) < c["minDomains"].int_or(0)) least = 0;
    bool self = selector->matches(in.pod["metadata"]["labels"]);
    if (counts[own.str()] + self - least > c["maxSkew"].int_or(1)) return "node(s) didn't match pod topology spread constraints";
  }
  return "";
}

}  // namespace

const Filter kFilters[] = {
    {"NodeUnschedulable", unschedulable}, {"NodeName", node_name}, {"TaintToleration", taints},        {"NodeAffinity", node_affinity},
    {"NodePorts", ports},                 {"NodeResourcesFit", resources}, {"PodTopologySpread", topology_spread}, {"InterPodAffinity", pod_affinity},
};
const size_t kFilterCount = std::size(kFilters);

}  // namespace k8lite::scheduler
