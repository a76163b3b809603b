// The ways to the pod networks of other nodes: planned from the list of nodes, then made so that the kernel has these and no others.
// The kernel is asked what it has, so what an earlier run of this process left is found too.
#pragma once
#include <string>
#include <vector>

#include "cni/netlink.h"

namespace k8lite::cni {

struct Peer {
  std::string node, node_ip, pod_cidr, vtep_mac;
};

// Marks our routes in the kernel ("proto 75"), so that a later run knows them from the administrator's.
constexpr uint8_t kRouteProtocol = 75;

struct Ways {
  std::vector<Route> routes;
  std::vector<Neighbour> neighbours;
  std::vector<Forwarding> forwardings;
};

// `vxlan` is the index of the vxlan device, 0 for plain routes through the nodes' own network (host-gw). Nodes that are not complete
// yet, or claim this node's pods, are left out; of two with the same pod network the later one counts.
Ways plan_ways(const std::vector<Peer>& peers, const Cidr& own, int vxlan);

// Makes what is missing and removes what is ours and not wanted. One way that cannot be made does not keep the others from it; the
// first error is returned. `vxlan_name` "" when there is no such device.
Result<> make_ways(Netlink& netlink, const Ways& wanted, const std::string& vxlan_name);

}  // namespace k8lite::cni
