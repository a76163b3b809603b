// A node: its conditions, what it has, and which of that its pods have asked for.
#include <algorithm>

#include "base/quantity.h"
#include "base/strings.h"
#include "kubectl/describe/describe.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

using Amounts = std::map<std::string, Quantity>;

void add(Amounts& sum, const Node& amounts) {
  for (const auto& m : amounts.members()) {
    auto q = Quantity::parse(value_text(m.second));
    if (!q) continue;
    auto [it, fresh] = sum.try_emplace(m.first, *q);
    if (!fresh) it->second = it->second + *q;
  }
}

// What a pod asks for: the sum of its containers and restartable init containers, but at least what each init container needs in its turn.
Amounts asked(const Node& pod, std::string_view which) {
  Amounts sum, restartable, most;
  for (const Node& c : pod.path("spec.containers").items()) add(sum, c["resources"][which]);
  for (const Node& c : pod.path("spec.initContainers").items()) {
    const Node& own = c["resources"][which];
    Amounts turn = restartable;
    add(turn, own);
    if (c["restartPolicy"].str() == "Always") {
      add(sum, own);
      add(restartable, own);
    }
    for (const auto& [name, q] : turn) {
      auto [it, fresh] = most.try_emplace(name, q);
      if (!fresh && it->second < q) it->second = q;
    }
  }
  for (const auto& [name, q] : most) {
    auto [it, fresh] = sum.try_emplace(name, q);
    if (!fresh && it->second < q) it->second = q;
  }
  if (!sum.empty() || which == "requests") add(sum, pod.path("spec.overhead"));
  return sum;
}

std::string share(const Amounts& amounts, const std::string& name, const Node& allocatable) {
  auto it = amounts.find(name);
  Quantity q = it == amounts.end() ? Quantity() : it->second;
  auto all = Quantity::parse(value_text(allocatable[name]));
  double percent = 0;
  if (all && !all->is_zero()) percent = q.as_double() / all->as_double() * 100;
  return q.str() + " (" + std::to_string(static_cast<int64_t>(percent)) + "%)";
}

void put_pods(Page& page, const Subject& s, const Node& allocatable) {
  Amounts requests, limits;
  std::vector<const Node*> pods;
  for (const Node& p : s.all("pods")) {
    const std::string& phase = p.path("status.phase").str();
    if (phase != "Succeeded" && phase != "Failed") pods.push_back(&p);
  }
  page.line(0, "Non-terminated Pods:\t(" + std::to_string(pods.size()) + " in total)");
  page.line(1, "Namespace\tName\t\tCPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge");
  page.line(1, "---------\t----\t\t------------\t----------\t---------------\t-------------\t---");
  for (const Node* p : pods) {
    Amounts r = asked(*p, "requests"), l = asked(*p, "limits");
    page.line(1, p->path("metadata.namespace").str() + "\t" + p->path("metadata.name").str() + "\t\t" + share(r, "cpu", allocatable) + "\t" + share(l, "cpu", allocatable) + "\t" +
                     share(r, "memory", allocatable) + "\t" + share(l, "memory", allocatable) + "\t" + age(p->path("metadata.creationTimestamp"), s.now));
    auto sum = [](Amounts& into, const Amounts& more) {
      for (const auto& [name, q] : more) {
        auto [it, fresh] = into.try_emplace(name, q);
        if (!fresh) it->second = it->second + q;
      }
    };
    sum(requests, r);
    sum(limits, l);
  }
  page.line(0, "Allocated resources:\n  (Total limits may be over 100 percent, i.e., overcommitted.)");
  page.line(1, "Resource\tRequests\tLimits");
  page.line(1, "--------\t--------\t------");
  for (const char* name : {"cpu", "memory", "ephemeral-storage"}) page.line(1, std::string(name) + "\t" + share(requests, name, allocatable) + "\t" + share(limits, name, allocatable));
  for (const std::string& name : sorted_names(allocatable)) {
    if (!name.starts_with("hugepages-")) continue;
    page.line(1, name + "\t" + share(requests, name, allocatable) + "\t" + share(limits, name, allocatable));
  }
  for (const std::string& name : sorted_names(allocatable)) {
    if (name.find('/') == std::string::npos) continue;
    auto text = [&name](const Amounts& a) { return a.count(name) ? a.at(name).str() : std::string("0"); };
    page.line(1, name + "\t" + text(requests) + "\t" + text(limits));
  }
}

void put_roles(Page& page, const Node& labels) {
  std::vector<std::string> roles;
  for (const auto& m : labels.members()) {
    if (m.first.starts_with("node-role.kubernetes.io/") && m.first.size() > 24) roles.push_back(m.first.substr(24));
    if (m.first == "kubernetes.io/role" && !m.second.str().empty()) roles.push_back(m.second.str());
  }
  std::sort(roles.begin(), roles.end());
  page.field(0, "Roles", roles.empty() ? "<none>" : join(roles, ","));
}

void put_taints(Page& page, const Node& taints) {
  std::string lead = "Taints:\t";
  if (taints.empty()) page.line(0, lead + "<none>");
  std::vector<Node> sorted = taints.items();
  std::stable_sort(sorted.begin(), sorted.end(), [](const Node& a, const Node& b) {
    auto key = [](const Node& n) { return n.get("effect").str() + ">" + n.get("key").str(); };
    return key(a) < key(b);
  });
  for (const Node& t : std::as_const(sorted)) {
    std::string text = t["key"].str();
    if (!t["value"].str().empty()) text += "=" + t["value"].str();
    if (!t["effect"].str().empty()) text += ":" + t["effect"].str();
    page.line(0, lead + text);
    lead = "\t";
  }
}

void put_lease(Page& page, const std::vector<Node>& leases) {
  page.line(0, "Lease:");
  if (leases.empty()) {
    page.line(1, "HolderIdentity:\t<unset>");
    page.line(1, "AcquireTime:\t<unset>");
    page.line(1, "RenewTime:\t<unset>");
    return;
  }
  const Node& spec = leases[0]["spec"];
  page.field(1, "HolderIdentity", spec["holderIdentity"].is_string() ? spec["holderIdentity"].str() : "<unset>");
  page.field(1, "AcquireTime", spec["acquireTime"].is_string() ? long_time(spec["acquireTime"]) : "<unset>");
  page.field(1, "RenewTime", spec["renewTime"].is_string() ? long_time(spec["renewTime"]) : "<unset>");
}

void put_conditions(Page& page, const Node& conditions) {
  if (conditions.empty()) return;
  page.line(0, "Conditions:\n  Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage");
  page.line(1, "----\t------\t-----------------\t------------------\t------\t-------");
  for (const Node& c : conditions.items())
    page.line(1, c["type"].str() + " \t" + c["status"].str() + " \t" + long_time(c["lastHeartbeatTime"]) + " \t" + long_time(c["lastTransitionTime"]) + " \t" + c["reason"].str() + " \t" +
                     c["message"].str());
}

void put_amounts(Page& page, std::string_view title, const Node& amounts) {
  if (amounts.empty()) return;
  page.line(0, std::string(title) + ":");
  for (const std::string& name : sorted_names(amounts)) page.field(1, name, value_text(amounts[name]));
}

}  // namespace

void describe_node(Page& page, const Subject& s) {
  const Node &node = s.object, &status = node["status"], &info = status["nodeInfo"];
  page.field(0, "Name", node.path("metadata.name").str());
  put_roles(page, node.path("metadata.labels"));
  put_labels(page, "Labels", node.path("metadata.labels"));
  put_annotations(page, "Annotations", node.path("metadata.annotations"));
  page.field(0, "CreationTimestamp", long_time(node.path("metadata.creationTimestamp")));
  put_taints(page, node.path("spec.taints"));
  page.field(0, "Unschedulable", node.path("spec.unschedulable").bool_or(false) ? "true" : "false");
  put_lease(page, s.all("leases.coordination.k8s.io"));
  put_conditions(page, status["conditions"]);
  page.line(0, "Addresses:");
  for (const Node& a : status["addresses"].items()) page.field(1, a["type"].str(), a["address"].str());
  put_amounts(page, "Capacity", status["capacity"]);
  put_amounts(page, "Allocatable", status["allocatable"]);
  page.line(0, "System Info:");
  static const char* const rows[][2] = {{"Machine ID", "machineID"}, {"System UUID", "systemUUID"}, {"Boot ID", "bootID"}, {"Kernel Version", "kernelVersion"}, {"OS Image", "osImage"},
                                        {"Operating System", "operatingSystem"}, {"Architecture", "architecture"}, {"Container Runtime Version", "containerRuntimeVersion"},
                                        {"Kubelet Version", "kubeletVersion"}, {"Kube-Proxy Version", "kubeProxyVersion"}};
  for (const auto& r : rows) page.field(1, r[0], info[r[1]].str());
  if (!node.path("spec.podCIDR").empty()) page.field(0, "PodCIDR", node.path("spec.podCIDR").str());
  if (!node.path("spec.podCIDRs").empty()) page.field(0, "PodCIDRs", text_list(node.path("spec.podCIDRs")));
  if (!node.path("spec.providerID").empty()) page.field(0, "ProviderID", node.path("spec.providerID").str());
  put_pods(page, s, status["allocatable"].empty() ? status["capacity"] : status["allocatable"]);
}

}  // namespace k8lite::kubectl
