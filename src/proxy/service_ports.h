// What the API objects mean to this node: one ServicePort for each port of each service, with the endpoints that traffic may go to
// already chosen (readiness, termination, traffic policies, node hints). Pure.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"

namespace k8lite::proxy {

struct ServicePort {
  std::string name;      // "ns/name" or "ns/name:port", as in chain hashes and comments
  std::string protocol;  // tcp, udp, sctp
  std::string cluster_ip;
  int port = 0, node_port = 0;
  std::vector<std::string> external_ips, balancer_ips, source_ranges;
  bool external_local = false, internal_local = false;  // traffic policy Local
  int affinity_seconds = 0;                             // 0: none
  std::vector<std::string> cluster_endpoints;           // "ip:port", sorted
  std::vector<std::string> local_endpoints;             // those of this node
  int health_port = 0;                                  // healthCheckNodePort of a balancer with policy Local
  std::vector<std::string> ready_here;                  // addresses of this node's ready endpoints, when there is a health port
  bool any_endpoint = false;                            // somewhere in the cluster, for either policy

  bool reachable_from_outside() const { return node_port != 0 || !external_ips.empty() || !balancer_ips.empty(); }
};

// Sorted by name. Objects that the proxy does not serve (headless, ExternalName, IPv6, another proxy's by label) are skipped.
std::vector<ServicePort> service_ports(const std::vector<json::Doc>& services, const std::vector<json::Doc>& slices, const std::string& node_name);

}  // namespace k8lite::proxy
