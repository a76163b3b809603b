#include "proxy/service_ports.h"

#include <arpa/inet.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "base/strings.h"

namespace k8lite::proxy {
namespace {

struct Endpoint {
  bool ready = false, serving = false, terminating = false, local = false;
  std::vector<std::string> for_nodes;
};
// "ip:port" -> endpoint, of one service port.
using Endpoints = std::map<std::string, Endpoint>;
// {"ns/name", port name, protocol in small letters}
using PortKey = std::tuple<std::string, std::string, std::string>;

// One malformed address would make iptables refuse the whole batch, so only what it can read passes: "a.b.c.d", or with "/n".
bool is_ipv4_text(const std::string& text) {
  size_t slash = text.find('/');
  in_addr address;
  if (inet_pton(AF_INET, text.substr(0, slash).c_str(), &address) != 1) return false;
  if (slash == std::string::npos) return true;
  auto bits = parse_int(text.substr(slash + 1));
  return bits && *bits >= 0 && *bits <= 32;
}
std::vector<std::string> ipv4_list(json::Value list) {
  std::vector<std::string> out;
  for (json::Value v : list.items())
    if (auto text = std::string(trim(v.str())); is_ipv4_text(text)) out.push_back(text);
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}
bool known_protocol(const std::string& p) { return p == "tcp" || p == "udp" || p == "sctp"; }
bool valid_port(int64_t port) { return port > 0 && port < 65536; }

Endpoint read_endpoint(json::Value e, const std::string& node_name) {
  json::Value conditions = e["conditions"];
  Endpoint out;
  out.ready = conditions["ready"].bool_or(true);
  out.serving = conditions["serving"].bool_or(out.ready);
  out.terminating = conditions["terminating"].bool_or(false);
  out.local = !node_name.empty() && e["nodeName"].equals(node_name);
  for (json::Value n : e.path("hints.forNodes").items()) out.for_nodes.push_back(n["name"].str());
  return out;
}

void read_slice(const json::Doc& slice, const std::string& node_name, std::map<PortKey, Endpoints>& out) {
  json::Value labels = slice.path("metadata.labels");
  std::string service = labels["kubernetes.io/service-name"].str();
  if (service.empty() || !slice["addressType"].equals("IPv4")) return;
  service = slice.path("metadata.namespace").str() + "/" + service;
  for (json::Value port : slice["ports"].items()) {
    std::string protocol = lower(port["protocol"].str("TCP"));
    int64_t number = port["port"].int_or(0);
    if (!valid_port(number) || !known_protocol(protocol)) continue;
    Endpoints& endpoints = out[{service, port["name"].str(), protocol}];
    for (json::Value e : slice["endpoints"].items()) {
      std::string ip = e["addresses"].at(0).str();
      if (!is_ipv4_text(ip)) continue;
      Endpoint endpoint = read_endpoint(e, node_name);
      // While a pod moves between slices it may be in two of them; the ready one counts.
      auto [at, fresh] = endpoints.try_emplace(ip + ":" + std::to_string(number), endpoint);
      if (!fresh && !at->second.ready) at->second = endpoint;
    }
  }
}

std::vector<std::string> pick(const Endpoints& endpoints, bool only_local) {
  std::vector<std::string> ready, fallback;
  for (auto& [address, e] : endpoints) {
    if (only_local && !e.local) continue;
    if (e.ready) ready.push_back(address);
    if (e.serving && e.terminating) fallback.push_back(address);
  }
  return ready.empty() ? fallback : ready;  // KEP-1669: terminating endpoints serve when nothing else does
}

// KEP-3015: when every ready endpoint carries node hints and some name this node, only those are used.
std::vector<std::string> follow_hints(const Endpoints& endpoints, std::vector<std::string> chosen, const std::string& node_name) {
  std::vector<std::string> mine;
  for (auto& address : chosen) {
    const Endpoint& e = endpoints.at(address);
    if (e.for_nodes.empty()) return chosen;
    if (std::find(e.for_nodes.begin(), e.for_nodes.end(), node_name) != e.for_nodes.end()) mine.push_back(address);
  }
  return mine.empty() ? chosen : mine;
}

// The fields all ports of a service share; false when this proxy does not serve it.
bool read_service(const json::Doc& service, ServicePort& out) {
  json::Value spec = service["spec"];
  if (spec["type"].equals("ExternalName") || service.path("metadata.labels")["service.kubernetes.io/service-proxy-name"].exists()) return false;
  auto ips = ipv4_list(spec["clusterIPs"]);
  if (ips.empty() && is_ipv4_text(spec["clusterIP"].str())) ips.push_back(spec["clusterIP"].str());
  if (ips.empty()) return false;
  out.cluster_ip = ips[0];
  out.external_ips = ipv4_list(spec["externalIPs"]);
  if (spec["type"].equals("LoadBalancer")) {
    out.source_ranges = ipv4_list(spec["loadBalancerSourceRanges"]);
    for (json::Value in : service.path("status.loadBalancer.ingress").items())
      if (is_ipv4_text(in["ip"].str()) && !in["ipMode"].equals("Proxy")) out.balancer_ips.push_back(in["ip"].str());
  }
  out.external_local = spec["externalTrafficPolicy"].equals("Local");
  if (out.external_local && spec["type"].equals("LoadBalancer")) out.health_port = static_cast<int>(spec["healthCheckNodePort"].int_or(0));
  out.internal_local = spec["internalTrafficPolicy"].equals("Local");
  if (spec["sessionAffinity"].equals("ClientIP"))
    out.affinity_seconds = static_cast<int>(spec.path("sessionAffinityConfig.clientIP.timeoutSeconds").int_or(10800));
  return true;
}

}  // namespace

std::vector<ServicePort> service_ports(const std::vector<json::Doc>& services, const std::vector<json::Doc>& slices, const std::string& node_name) {
  std::map<PortKey, Endpoints> endpoints;
  for (auto& slice : slices) read_slice(slice, node_name, endpoints);
  std::vector<ServicePort> out;
  static const Endpoints none;
  for (auto& service : services) {
    ServicePort common;
    if (!read_service(service, common)) continue;
    std::string key = service.path("metadata.namespace").str() + "/" + service.path("metadata.name").str();
    for (json::Value port : service.path("spec.ports").items()) {
      ServicePort p = common;
      std::string port_name = port["name"].str();
      p.name = port_name.empty() ? key : key + ":" + port_name;
      p.protocol = lower(port["protocol"].str("TCP"));
      p.port = static_cast<int>(port["port"].int_or(0));
      p.node_port = static_cast<int>(port["nodePort"].int_or(0));
      if (!valid_port(p.port) || !known_protocol(p.protocol)) continue;
      auto found = endpoints.find({key, port_name, p.protocol});
      const Endpoints& all = found == endpoints.end() ? none : found->second;
      auto everywhere = pick(all, false);
      p.any_endpoint = !everywhere.empty();
      p.cluster_endpoints = follow_hints(all, std::move(everywhere), node_name);
      if (p.internal_local || p.external_local) p.local_endpoints = pick(all, true);
      if (p.health_port)
        for (auto& [address, e] : all)
          if (e.local && e.ready) p.ready_here.push_back(address.substr(0, address.find(':')));
      out.push_back(std::move(p));
    }
  }
  std::sort(out.begin(), out.end(), [](const ServicePort& a, const ServicePort& b) { return std::tie(a.name, a.protocol) < std::tie(b.name, b.protocol); });
  return out;
}

}  // namespace k8lite::proxy
