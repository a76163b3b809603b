#include "controllers/endpoints_plan.h"

#include <algorithm>

namespace k8lite::controllers {
namespace {

using json::Doc;
using json::Node;
using json::Value;

// The port of a pod that a service port leads to; 0 when a named port is not there.
int64_t target_port(Value service_port, Value pod) {
  Value target = service_port["targetPort"];
  if (!target.is_string()) return target.int_or(service_port["port"].int_or(0));
  std::string protocol = service_port["protocol"].str("TCP");
  for (Value c : pod.path("spec.containers").items())
    for (Value p : c["ports"].items())
      if (p["name"].equals(target.str()) && p["protocol"].str("TCP") == protocol) return p["containerPort"].int_or(0);
  return 0;
}

Node ports_of(const Doc& service, const Doc& pod) {
  Node out = Node::array();
  for (Value p : service.path("spec.ports").items()) {
    int64_t port = target_port(p, pod.root());
    if (!port) continue;
    Node n = Node::obj({{"name", p["name"].str()}, {"port", port}, {"protocol", p["protocol"].str("TCP")}});
    if (p["appProtocol"]) n.set("appProtocol", p["appProtocol"].str());
    out.append(std::move(n));
  }
  return out;
}

Node target_ref(const Doc& pod) { return Node::obj({{"kind", "Pod"}, {"namespace", namespace_of(pod)}, {"name", name_of(pod)}, {"uid", uid_of(pod)}}); }

// Its zone, and who should prefer it.
void add_place(const Doc& service, const Doc& pod, const std::map<std::string, std::string>& zones, Node& endpoint) {
  std::string node = pod.path("spec.nodeName").str(), wish = service.path("spec.trafficDistribution").str();
  auto zone = zones.find(node);
  if (zone == zones.end() || zone->second.empty()) zone = zones.end();
  else endpoint.set("zone", zone->second);
  if (!endpoint.path("conditions.ready").bool_or(false)) return;
  bool same_node = wish == "PreferSameNode";
  if (!same_node && wish != "PreferClose" && wish != "PreferSameZone") return;
  if (same_node && !node.empty()) endpoint["hints"]["forNodes"] = Node::arr({Node::obj({{"name", node}})});
  if (zone != zones.end()) endpoint["hints"]["forZones"] = Node::arr({Node::obj({{"name", zone->second}})});
}

Node without_empty_names(Node ports) {
  for (Node& p : ports.items())
    if (p.get("name").str().empty()) p.erase("name");
  return ports;
}

}  // namespace

ServiceEndpoints plan_endpoints(const Doc& service, const std::vector<Doc>& pods, const std::map<std::string, std::string>& zones) {
  bool publish_all = service.path("spec.publishNotReadyAddresses").bool_or(false);
  struct Group {
    Node ports, ready = Node::array(), not_ready = Node::array(), endpoints = Node::array();
  };
  std::map<std::string, Group> groups;  // by their ports
  std::vector<Doc> sorted = pods;
  std::sort(sorted.begin(), sorted.end(), [](const Doc& a, const Doc& b) { return name_of(a) < name_of(b); });
  for (const Doc& pod : sorted) {
    std::string ip = pod.path("status.podIP").str(), phase = pod.path("status.phase").str();
    if (ip.empty() || phase == "Succeeded" || phase == "Failed") continue;
    bool terminating = static_cast<bool>(pod.path("metadata.deletionTimestamp")), serving = pod_is_ready(pod.root());
    Node ports = ports_of(service, pod);
    Group& g = groups[ports.dump()];
    g.ports = ports;
    std::string hostname = pod.path("spec.hostname").str();
    bool named = !hostname.empty() && pod.path("spec.subdomain").equals(name_of(service));
    Node endpoint = Node::obj({{"addresses", Node::arr({ip})}, {"conditions", Node::obj({{"ready", publish_all || (serving && !terminating)}, {"serving", serving}, {"terminating", terminating}})}, {"targetRef", target_ref(pod)}});
    if (!pod.path("spec.nodeName").empty()) endpoint.set("nodeName", pod.path("spec.nodeName").str());
    if (named) endpoint.set("hostname", hostname);
    add_place(service, pod, zones, endpoint);
    g.endpoints.append(std::move(endpoint));
    if (terminating && !publish_all) continue;
    Node address = Node::obj({{"ip", ip}, {"targetRef", target_ref(pod)}});
    if (!pod.path("spec.nodeName").empty()) address.set("nodeName", pod.path("spec.nodeName").str());
    if (named) address.set("hostname", hostname);
    (serving || publish_all ? g.ready : g.not_ready).append(std::move(address));
  }
  ServiceEndpoints out;
  for (auto& [key, g] : groups) {
    if (g.ready.size() || g.not_ready.size()) {
      Node subset = Node::object();
      if (g.ready.size()) subset.set("addresses", g.ready);
      if (g.not_ready.size()) subset.set("notReadyAddresses", g.not_ready);
      if (g.ports.size()) subset.set("ports", without_empty_names(g.ports));
      out.subsets.append(std::move(subset));
    }
    for (size_t i = 0; i < g.endpoints.items().size(); i += kMaxEndpointsPerSlice) {
      Node part = Node::array();
      for (size_t k = i; k < std::min(i + kMaxEndpointsPerSlice, g.endpoints.items().size()); ++k) part.append(g.endpoints.items()[k]);
      out.slices.push_back(Node::obj({{"addressType", "IPv4"}, {"endpoints", std::move(part)}, {"ports", g.ports}}));
    }
  }
  return out;
}

}  // namespace k8lite::controllers
