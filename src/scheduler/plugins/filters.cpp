// Which nodes cannot take a pod, and why: the filters that look at one node alone, and the table of all of them.
#include <algorithm>

#include "api/placement.h"
#include "scheduler/cycle.h"

namespace k8lite::scheduler {
namespace {

using json::Value;

Refusal no(std::string why) { return {{std::move(why)}, false}; }
Refusal never(std::string why) { return {{std::move(why)}, true}; }  // whoever else goes

Refusal node_name(const FilterInput& in, const NodeInfo& n) {
  Value wanted = in.pod.pod["spec"]["nodeName"];
  return wanted.empty() || wanted.equals(n.name()) ? Refusal() : never("node(s) didn't match the requested node name");
}

Refusal unschedulable(const FilterInput& in, const NodeInfo& n) {
  static const json::Doc kCordon =
      json::Doc::parse(R"({"key":"node.kubernetes.io/unschedulable","effect":"NoSchedule"})").value();
  if (!n.unschedulable) return {};
  for (Value t : in.pod.pod.path("spec.tolerations").items())
    if (api::tolerates(t, kCordon.root())) return {};
  return never("node(s) were unschedulable");
}

Refusal taints(const FilterInput& in, const NodeInfo& n) {
  return has_untolerated_taint(in.pod, n) ? never("node(s) had untolerated taint(s)") : Refusal();
}

Refusal node_affinity(const FilterInput& in, const NodeInfo& n) {
  if (in.profile.added_affinity) {
    bool fits = false, asked = false;
    for (Value term :
         in.profile.added_affinity.path("requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms").items()) {
      asked = true;
      fits |= api::node_selector_term_matches(term, n.node.root());
    }
    if (asked && !fits) return never("node(s) didn't match scheduler-enforced node affinity");
  }
  return fits_node_affinity(in.pod, n) ? Refusal() : never("node(s) didn't match Pod's node affinity/selector");
}

Refusal ports(const FilterInput& in, const NodeInfo& n) {
  if (in.pod.ports.empty()) return {};
  for (const auto& [key, other] : n.pods)
    for (const HostPort& a : other->ports)
      for (const HostPort& b : in.pod.ports)
        if (a.protocol == b.protocol && a.port == b.port && (a.ip.empty() || b.ip.empty() || a.ip == b.ip))
          return no("node(s) didn't have free ports for the requested pod ports");
  return {};
}

bool is_ignored(const Profile& profile, const std::string& name) {
  return profile.ignored_resources.count(name) || profile.ignored_groups.count(name.substr(0, name.find('/')));
}

Refusal resources(const FilterInput& in, const NodeInfo& n) {
  Refusal out;
  if (n.room_for_pods >= 0 && static_cast<int64_t>(n.pods.size()) + 1 > n.room_for_pods)
    out.reasons.push_back("Too many pods");
  auto one = [&out](int64_t wanted, int64_t used, int64_t all, std::string_view name) {
    if (wanted <= 0 || wanted <= all - used) return;
    out.reasons.push_back("Insufficient " + std::string(name));
    out.final |= wanted > all;  // not even an empty node would do
  };
  const Amounts &ask = in.pod.requests, &all = n.allocatable, &used = n.requested;
  one(ask.cpu, used.cpu, all.cpu, "cpu");
  one(ask.memory, used.memory, all.memory, "memory");
  one(ask.storage, used.storage, all.storage, "ephemeral-storage");
  for (const auto& [name, wanted] : ask.more)
    if (!is_ignored(in.profile, name)) one(wanted, used.get(name), all.get(name), name);
  return out;
}

}  // namespace

bool fits_node_affinity(const PodInfo& pod, const NodeInfo& n) {
  return !pod.picks_nodes || api::node_selected(pod.pod["spec"], n.node.root());
}

bool has_untolerated_taint(const PodInfo& pod, const NodeInfo& n) {
  return n.taints.size() && api::untolerated_taint(pod.pod.path("spec.tolerations"), n.node.root());
}

const Filter kFilters[] = {
    {kNodeUnschedulable, unschedulable},
    {kNodeName, node_name},
    {kTaintToleration, taints},
    {kNodeAffinity, node_affinity},
    {kNodePorts, ports},
    {kNodeResourcesFit, resources},
    {kVolumeRestrictions, volume_restrictions},
    {kVolumeBinding, volume_binding},
    {kPodTopologySpread, topology_spread},
    {kInterPodAffinity, pod_affinity},
};
const size_t kFilterCount = std::size(kFilters);

}  // namespace k8lite::scheduler
