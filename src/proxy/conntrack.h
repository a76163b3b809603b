// UDP has no end of a connection: the kernel would send a client's packets to an endpoint that is gone for as long as the client
// keeps talking. After a change of endpoints those flows are forgotten, so that the next packet is balanced anew.
#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "proxy/service_ports.h"

namespace k8lite::proxy {

// Where UDP traffic may go: "ip:port" of a service, or a node port, -> its endpoints ("ip:port").
struct UdpTargets {
  std::map<std::string, std::set<std::string>> addresses;
  std::map<int, std::set<std::string>> node_ports;
  std::set<std::string> node_addresses;  // where a flow to a node port may have gone before there was one
  bool operator==(const UdpTargets&) const = default;
};
UdpTargets udp_targets(const std::vector<ServicePort>& ports);

// A flow as the kernel's connection tracking sees it: where the client sent to, and who answers. "ip:port" each.
struct UdpFlow {
  std::string sent_to, answered_by;
};
bool is_stale(const UdpFlow& flow, const UdpTargets& targets);

std::set<std::string> node_addresses();

// Removes the stale flows of the calling thread's network namespace; says how many.
Result<int> forget_stale_flows(UdpTargets targets);  // finds the node's addresses itself

}  // namespace k8lite::proxy
