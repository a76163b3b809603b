// Which nodes cannot take a pod, and why.
#include <algorithm>

#include "api/placement.h"
#include "api/selector.h"
#include "scheduler/cycle.h"

namespace k8lite::scheduler {
namespace {

using json::Value;

Refusal no(std::string why) { return {{std::move(why)}, false}; }
Refusal never(std::string why) { return {{std::move(why)}, true}; }  // whoever else goes

// The node as it is tried, where the snapshot has it as it is.
const NodeInfo& seen(const NodeInfo& other, const std::string& name, const NodeInfo& tried, const std::string& tried_name) { return name == tried_name ? tried : other; }

Refusal node_name(const FilterInput& in, const NodeInfo& n) {
  std::string wanted = in.pod.path("spec.nodeName").str();
  return wanted.empty() || wanted == n.name() ? Refusal() : never("node(s) didn't match the requested node name");
}

Refusal unschedulable(const FilterInput& in, const NodeInfo& n) {
  static const json::Doc kCordon = json::Doc::parse(R"({"key":"node.kubernetes.io/unschedulable","effect":"NoSchedule"})").value();
  if (!n.node.path("spec.unschedulable").bool_or(false)) return {};
  for (Value t : in.pod.path("spec.tolerations").items())
    if (api::tolerates(t, kCordon.root())) return {};
  return never("node(s) were unschedulable");
}

bool has_untolerated_taint(Value pod, const NodeInfo& n) { return static_cast<bool>(api::untolerated_taint(pod.path("spec.tolerations"), n.node.root())); }

Refusal taints(const FilterInput& in, const NodeInfo& n) { return has_untolerated_taint(in.pod, n) ? never("node(s) had untolerated taint(s)") : Refusal(); }

bool fits_affinity(Value pod, const NodeInfo& n) { return api::node_selected(pod["spec"], n.node.root()); }

Refusal node_affinity(const FilterInput& in, const NodeInfo& n) { return fits_affinity(in.pod, n) ? Refusal() : never("node(s) didn't match Pod's node affinity/selector"); }

using HostPort = std::tuple<std::string, int64_t, std::string>;
std::vector<HostPort> host_ports(Value pod) {
  std::vector<HostPort> out;
  for (const char* list : {"containers", "initContainers"})
    for (Value c : pod["spec"][list].items()) {
      if (list[0] == 'i' && !c["restartPolicy"].equals("Always")) continue;  // of the init containers only sidecars stay
      for (Value p : c["ports"].items())
        if (int64_t h = p["hostPort"].int_or(0)) out.emplace_back(p["protocol"].str("TCP"), h, p["hostIP"].str());
    }
  return out;
}

Refusal ports(const FilterInput& in, const NodeInfo& n) {
  auto mine = host_ports(in.pod);
  if (mine.empty()) return {};
  auto any = [](const std::string& ip) { return ip.empty() || ip == "0.0.0.0"; };
  for (const auto& [key, other] : n.pods)
    for (const auto& [protocol, port, ip] : host_ports(other.pod.root()))
      for (const auto& [p2, port2, ip2] : mine)
        if (protocol == p2 && port == port2 && (any(ip) || any(ip2) || ip == ip2)) return no("node(s) didn't have free ports for the requested pod ports");
  return {};
}

Refusal resources(const FilterInput& in, const NodeInfo& n) {
  Refusal out;
  auto limit = n.allocatable.find("pods");
  if (limit != n.allocatable.end() && static_cast<int64_t>(n.pods.size()) + 1 > limit->second) out.reasons.push_back("Too many pods");
  for (const auto& [name, wanted] : in.requests) {
    if (wanted == 0) continue;
    auto have = n.allocatable.find(name);
    auto used = n.requested.find(name);
    int64_t all = have == n.allocatable.end() ? 0 : have->second;
    if (wanted <= all - (used == n.requested.end() ? 0 : used->second)) continue;
    out.reasons.push_back("Insufficient " + name);
    out.final |= wanted > all;  // not even an empty node would do
  }
  return out;
}

// Is there a pod that all of these terms select in the node's domain of this term's topology?
bool present_in_domain(const FilterInput& in, const std::vector<Value>& all_of, Value term, const NodeInfo& n, bool* anywhere = nullptr) {
  std::string key = term["topologyKey"].str(), domain = n.node["metadata"]["labels"][key].str(), own = n.name();
  bool found = false;
  for (const auto& [name, node] : in.snapshot.nodes()) {
    const NodeInfo& other = seen(node, name, n, own);
    bool same_domain = !domain.empty() && other.node["metadata"]["labels"][key].equals(domain);
    if (!same_domain && !anywhere) continue;
    for (const auto& [pod_key, p] : other.pods) {
      if (!std::all_of(all_of.begin(), all_of.end(), [&](Value t) { return affinity_term_selects(t, in.pod, p.pod.root(), in.snapshot); })) continue;
      if (anywhere) *anywhere = true;
      found |= same_domain;
    }
  }
  return found;
}

std::vector<Value> terms_of(Value pod, const char* list) {
  std::vector<Value> out;
  for (Value t : pod["spec"]["affinity"][list]["requiredDuringSchedulingIgnoredDuringExecution"].items()) out.push_back(t);
  return out;
}

Refusal pod_affinity(const FilterInput& in, const NodeInfo& n) {
  std::vector<Value> together = terms_of(in.pod, "podAffinity");
  bool anywhere = false, here = true, labelled = true, self = true;
  for (Value term : together) {
    here &= present_in_domain(in, together, term, n, &anywhere);
    labelled &= static_cast<bool>(n.node["metadata"]["labels"][term["topologyKey"].str()]);
    self &= affinity_term_selects(term, in.pod, in.pod, in.snapshot);
  }
  // The first pod of a group that wants to be together starts it.
  if (!here && !(labelled && self && !anywhere)) return never("node(s) didn't match pod affinity rules");
  for (Value term : terms_of(in.pod, "podAntiAffinity"))
    if (present_in_domain(in, {term}, term, n)) return no("node(s) didn't match pod anti-affinity rules");
  std::string own = n.name();
  for (const auto& [name, node] : in.snapshot.nodes()) {
    const NodeInfo& other = seen(node, name, n, own);
    for (const auto& [key, p] : other.pods)
      for (Value term : terms_of(p.pod.root(), "podAntiAffinity")) {
        std::string topology = term["topologyKey"].str(), domain = n.node["metadata"]["labels"][topology].str();
        if (!domain.empty() && other.node["metadata"]["labels"][topology].equals(domain) && affinity_term_selects(term, p.pod.root(), in.pod, in.snapshot)) return no("node(s) didn't satisfy existing pods anti-affinity rules");
      }
  }
  return {};
}

// Does this node's count belong to the constraint's picture?
bool takes_part(const FilterInput& in, Value constraint, const std::vector<Value>& all, const NodeInfo& n) {
  for (Value c : all)
    if (!n.node["metadata"]["labels"][c["topologyKey"].str()]) return false;
  if (!constraint["nodeAffinityPolicy"].equals("Ignore") && !fits_affinity(in.pod, n)) return false;
  return !constraint["nodeTaintsPolicy"].equals("Honor") || !has_untolerated_taint(in.pod, n);
}

Refusal topology_spread(const FilterInput& in, const NodeInfo& n) {
  std::vector<Value> hard;
  for (Value c : in.pod.path("spec.topologySpreadConstraints").items())
    if (!c["whenUnsatisfiable"].equals("ScheduleAnyway")) hard.push_back(c);
  std::string own_name = n.name();
  for (Value c : hard) {
    std::string key = c["topologyKey"].str();
    Value own = n.node["metadata"]["labels"][key];
    if (!own) return never("node(s) didn't match pod topology spread constraints (missing required label)");
    std::map<std::string, int64_t> counts;
    for (const auto& [name, node] : in.snapshot.nodes()) {
      const NodeInfo& other = seen(node, name, n, own_name);
      if (!takes_part(in, c, hard, other)) continue;
      int64_t& count = counts[other.node["metadata"]["labels"][key].str()];
      for (const auto& [pod_key, p] : other.pods) count += !p.pod.path("metadata.deletionTimestamp") && spread_selects(c, in.pod, p.pod.root());
    }
    int64_t least = counts.empty() ? 0 : INT64_MAX;
    for (const auto& [domain, count] : counts) least = std::min(least, count);
    if (static_cast<int64_t>(counts.size()) < c["minDomains"].int_or(0)) least = 0;
    if (counts[own.str()] + spread_selects(c, in.pod, in.pod) - least > c["maxSkew"].int_or(1)) return no("node(s) didn't match pod topology spread constraints");
  }
  return {};
}

}  // namespace

bool affinity_term_selects(Value term, Value owner, Value other, const Snapshot& snapshot) {
  auto selector = api::LabelSelector::from_object(term["labelSelector"]);
  if (!selector.ok() || !selector->matches(other["metadata"]["labels"])) return false;
  std::string ns = other.path("metadata.namespace").str();
  Value spaces = term["namespaceSelector"];
  if (term["namespaces"].size() == 0 && !spaces) return owner.path("metadata.namespace").equals(ns);
  for (Value n : term["namespaces"].items())
    if (n.equals(ns)) return true;
  if (!spaces) return false;
  auto wanted = api::LabelSelector::from_object(spaces);
  return wanted.ok() && wanted->matches(snapshot.namespace_labels(ns));
}

bool spread_selects(Value c, Value owner, Value other) {
  if (!owner.path("metadata.namespace").equals(other.path("metadata.namespace").str())) return false;
  auto selector = api::LabelSelector::from_object(c["labelSelector"]);
  if (!selector.ok() || !selector->matches(other["metadata"]["labels"])) return false;
  for (Value key : c["matchLabelKeys"].items())
    if (Value own = owner["metadata"]["labels"][key.str()]; own && !other["metadata"]["labels"][key.str()].equals(own.str())) return false;
  return true;
}

const Filter kFilters[] = {
    {"NodeUnschedulable", unschedulable}, {"NodeName", node_name}, {"TaintToleration", taints},        {"NodeAffinity", node_affinity},
    {"NodePorts", ports},                 {"NodeResourcesFit", resources}, {"VolumeRestrictions", volume_restrictions}, {"VolumeBinding", volume_binding}, {"PodTopologySpread", topology_spread}, {"InterPodAffinity", pod_affinity},
};
const size_t kFilterCount = std::size(kFilters);

}  // namespace k8lite::scheduler
