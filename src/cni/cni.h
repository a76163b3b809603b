// The pods' network of one node: a bridge with the first address of the node's pod network, a veth pair a pod, addresses kept in a
// small durable file, and the way to other nodes (vxlan as flannel does it, plain routes, or none). Calls block; thread-safe.
#pragma once
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "cni/netlink.h"

namespace k8lite::cni {

struct NetworkOptions {
  std::string pod_cidr;       // of this node: 10.42.0.0/24
  std::string cluster_cidr;   // of all pods
  std::string state_file;     // allocated addresses
  std::string backend = "vxlan";
  std::string node_ip;
  std::string dns_ip;         // put on the bridge, where the node's DNS listens; "" for none
  std::string bridge = "cni0", vxlan = "flannel.1";
};

struct Peer {
  std::string node, node_ip, pod_cidr, vtep_mac;
};

class Network {
 public:
  // Creates bridge, addresses and the vxlan device; any number of times.
  static Result<std::unique_ptr<Network>> open(NetworkOptions options);

  // Gives the pod's namespace eth0 with an address. The same pod keeps its address.
  Result<std::string> attach(const std::string& pod_uid, int netns_fd);
  Result<> detach(const std::string& pod_uid);
  void keep_only(const std::vector<std::string>& pod_uids);  // after a restart: frees the addresses of all others
  std::string address_of(const std::string& pod_uid) const;
  std::string gateway() const;
  std::string vtep_mac() const { return vtep_mac_; }
  Result<> sync_peers(const std::vector<Peer>& peers);
  // The rules that masquerade what leaves the cluster's network, for iptables-restore.
  std::string masquerade_rules() const;

 private:
  explicit Network(NetworkOptions o) : options_(std::move(o)) {}
  Result<> prepare();
  Result<Ipv4> allocate(const std::string& pod_uid);
  Result<> save() const;
  NetworkOptions options_;
  Cidr cidr_, cluster_;
  int mtu_ = 1500;
  std::string vtep_mac_;
  mutable std::mutex mutex_;
  std::map<std::string, uint32_t> allocated_;
  uint32_t last_ = 0;
  std::map<std::string, Peer> peers_;
};

// Removes the links that a node made (k8lite-killall).
void remove_links();

}  // namespace k8lite::cni
