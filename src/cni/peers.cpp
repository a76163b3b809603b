#include "cni/peers.h"

#include <linux/rtnetlink.h>

#include <algorithm>
#include <map>

#include "base/log.h"

namespace k8lite::cni {

Ways plan_ways(const std::vector<Peer>& peers, const Cidr& own, int vxlan) {
  std::map<Cidr, std::pair<Peer, Ipv4>> by_network;
  for (const Peer& p : peers) {
    auto cidr = Cidr::parse(p.pod_cidr);
    auto ip = Ipv4::parse(p.node_ip);
    if (!cidr || !ip || (vxlan && p.vtep_mac.empty())) continue;
    if (cidr->overlaps(own)) {
      log_warn("another node claims this node's pod network", {{"node", p.node}, {"network", p.pod_cidr}});
      continue;
    }
    by_network[*cidr] = {p, *ip};
  }
  Ways out;
  for (const auto& [cidr, way] : by_network) {
    const auto& [p, ip] = way;
    if (!vxlan) {
      out.routes.push_back({.to = cidr, .gateway = ip, .source = {}, .protocol = kRouteProtocol});
      continue;
    }
    // As flannel: the other VTEP's address is the first of its pod network; ARP and FDB entries lead to its node.
    out.neighbours.push_back({cidr.base, p.vtep_mac, true});
    out.forwardings.push_back({p.vtep_mac, ip});
    out.routes.push_back({.to = cidr, .gateway = cidr.base, .source = {}, .link = vxlan, .onlink = true, .protocol = kRouteProtocol});
  }
  return out;
}

namespace {

bool same_way(const Route& a, const Route& b) { return a.to == b.to && a.gateway == b.gateway && (!a.link || !b.link || a.link == b.link); }

// Runs the steps, remembers the first that failed.
class Steps {
 public:
  void did(Result<> r) {
    if (first_.ok() && !r.ok()) first_ = std::move(r);
  }
  Result<> result() { return std::move(first_); }

 private:
  Result<> first_;
};

}  // namespace

Result<> make_ways(Netlink& netlink, const Ways& wanted, const std::string& vxlan_name) {
  Steps steps;
  int vxlan = vxlan_name.empty() ? 0 : netlink.index_of(vxlan_name);
  auto wants = [&wanted](const Route& r) { return std::any_of(wanted.routes.begin(), wanted.routes.end(), [&r](const Route& w) { return same_way(w, r); }); };
  TRY(auto routes, netlink.routes());
  if (vxlan) {
    TRY(auto neighbours, netlink.neighbours(vxlan));
    for (const Neighbour& n : neighbours)
      if (std::none_of(wanted.neighbours.begin(), wanted.neighbours.end(), [&n](const Neighbour& w) { return w.address == n.address; })) steps.did(netlink.remove_neighbour(vxlan_name, n.address));
    for (const Neighbour& w : wanted.neighbours)
      if (std::none_of(neighbours.begin(), neighbours.end(), [&w](const Neighbour& n) { return n.address == w.address && n.mac == w.mac && n.permanent; })) steps.did(netlink.add_neighbour(vxlan_name, w.address, w.mac));
    TRY(auto forwardings, netlink.forwardings(vxlan));
    for (const Forwarding& f : forwardings)
      if (std::find(wanted.forwardings.begin(), wanted.forwardings.end(), f) == wanted.forwardings.end()) steps.did(netlink.remove_forwarding(vxlan_name, f.mac, f.destination));
    for (const Forwarding& w : wanted.forwardings)
      if (std::find(forwardings.begin(), forwardings.end(), w) == forwardings.end()) steps.did(netlink.add_forwarding(vxlan_name, w.mac, w.destination));
  }
  for (const Route& r : routes)
    if (r.gateway.value && (r.protocol == kRouteProtocol || (vxlan && r.link == vxlan)) && !wants(r)) steps.did(netlink.remove_route(r));
  for (const Route& w : wanted.routes)
    if (std::none_of(routes.begin(), routes.end(), [&w](const Route& r) { return same_way(r, w); })) steps.did(netlink.add_route(w));
  return steps.result();
}

}  // namespace k8lite::cni
