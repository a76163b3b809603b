// The pods' network of one node: a bridge with the first address of the node's pod network, a veth pair a pod, addresses kept in a
// small file, and the way to other nodes (vxlan as flannel does it, plain routes, or none). Links, addresses, MTUs and routes that an
// earlier run left otherwise are put right; the links of running pods stay. Calls block; thread-safe.
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cni/ipam.h"
#include "cni/netlink.h"
#include "cni/peers.h"

namespace k8lite::cni {

struct NetworkOptions {
  std::string pod_cidr;       // of this node: 10.42.0.0/24
  std::string cluster_cidr;   // of all pods
  std::string service_cidr;   // gets a route, so that a node without a default route reaches services too; "" for none
  std::string state_file;     // allocated addresses
  std::string backend = "vxlan";  // vxlan, host-gw, none
  std::string node_ip;        // "" or a loopback address: this node has none yet
  std::string interface;      // carries the network between nodes; "": the one with the node's address
  std::string dns_ip;         // put on the bridge, where the node's DNS listens; "" for none
  std::string bridge = "cni0", vxlan = "flannel.1";
};

class Network {
 public:
  // Creates bridge, addresses and the vxlan device; any number of times. Error: also when a link of the bridge's name is something else.
  static Result<std::unique_ptr<Network>> open(NetworkOptions options);

  // Gives the pod's namespace eth0 with an address. The same pod keeps its address; what is wrong or missing is made right, so it may
  // be called again for a running pod.
  Result<std::string> attach(const std::string& pod_uid, int netns_fd);
  // Removes the pod's link, then frees its address. After an error the address stays taken.
  Result<> detach(const std::string& pod_uid);
  void keep_only(const std::vector<std::string>& pod_uids);  // after a restart: frees the addresses of all others
  std::string address_of(const std::string& pod_uid) const;
  std::string gateway() const;
  std::string pod_cidr() const { return cidr_.text(); }
  std::string vtep_mac() const;  // "" unless the backend is vxlan
  // The node's address has changed, or its links: brings everything that hangs on them up to date. sync_peers() comes after it.
  Result<> set_node_ip(const std::string& ip);
  Result<> sync_peers(const std::vector<Peer>& peers);
  // The rules that masquerade what leaves the cluster's network, let pods' packets through, and keep packets for 127.0.0.0/8 from
  // neighbours out (CVE-2020-8558), for iptables-restore.
  std::string masquerade_rules() const;

 private:
  explicit Network(NetworkOptions o) : options_(std::move(o)) {}
  Result<> prepare();
  Result<> converge();
  Result<> ensure_bridge(Netlink& netlink);
  Result<> ensure_service_route(Netlink& netlink);
  Result<> ensure_vxlan(Netlink& netlink, const Link* uplink);
  Result<> repair_link(Netlink& host, const std::string& name, const Link& inside);
  Ipv4 gateway_ip() const { return {cidr_.base.value + 1}; }

  NetworkOptions options_;
  Cidr cidr_, cluster_;
  mutable std::mutex mutex_;
  std::unique_ptr<Ipam> ipam_;
  int mtu_ = 1500;
  std::string vtep_mac_;
};

// Removes the links and routes that a node made (k8lite-killall): the bridge, what hangs on it, the vxlan device. Other veths stay.
void remove_links(const std::string& bridge = "cni0", const std::string& vxlan = "flannel.1");

// The address of this machine that others reach it by: the source address of the default route, else the first of a link that is up
// and not ours; on `interface` only when one is named. "" when there is none. An address that is `current` is kept as long as it is on a
// link with a carrier, whatever happens to routes: a way out over another network for a while is no reason to move the node.
std::string find_node_address(const std::string& interface = {}, const std::string& current = {});

}  // namespace k8lite::cni
