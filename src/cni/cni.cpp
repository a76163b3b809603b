#include "cni/cni.h"

#include <fcntl.h>
#include <net/if.h>

#include <algorithm>
#include <set>

#include "base/json.h"
#include "base/log.h"
#include "base/strings.h"

namespace k8lite::cni {
namespace {

constexpr int kVxlanOverhead = 50;

std::string host_link(const std::string& pod_uid) {
  char name[IFNAMSIZ];
  std::snprintf(name, sizeof name, "veth%08x", fnv1a32(pod_uid));
  return name;
}

// The interface that holds the node's address carries the network; its MTU bounds ours.
std::string link_with_address(Netlink& netlink, const std::string& ip) {
  auto text = os::read_file("/proc/net/route");
  if (!text.ok()) return {};
  auto address = Ipv4::parse(ip);
  std::string fallback;
  for (auto line : split(*text, '\n')) {
    auto f = split(line, '\t');
    if (f.size() < 8 || f[0] == "Iface") continue;
    auto network = static_cast<uint32_t>(std::strtoul(std::string(f[1]).c_str(), nullptr, 16)), mask = static_cast<uint32_t>(std::strtoul(std::string(f[7]).c_str(), nullptr, 16));
    if (network == 0 && fallback.empty()) fallback = f[0];
    uint32_t net_order = address ? __builtin_bswap32(address->value) : 0;
    if (address && mask && (net_order & mask) == network) return std::string(f[0]);
  }
  return fallback;
}

void set_sysctl(const std::string& path, const std::string& value) {
  if (!os::exists("/proc/sys/" + path)) return;
  if (auto r = os::write_kernel_file("/proc/sys/" + path, value); !r.ok()) log_warn("a kernel setting could not be made", {{"setting", path}, {"error", r.status()}});
}

}  // namespace

Result<std::unique_ptr<Network>> Network::open(NetworkOptions options) {
  std::unique_ptr<Network> network(new Network(std::move(options)));
  TRY_OK(network->prepare());
  return network;
}

Result<> Network::prepare() {
  auto cidr = Cidr::parse(options_.pod_cidr), cluster = Cidr::parse(options_.cluster_cidr);
  if (!cidr || cidr->bits > 30) return bad_request("pod network \"" + options_.pod_cidr + "\" is no IPv4 network of at least 4 addresses");
  if (!cluster) return bad_request("cluster-cidr \"" + options_.cluster_cidr + "\" is no IPv4 network");
  cidr_ = *cidr;
  cluster_ = *cluster;
  if (auto text = os::read_file(options_.state_file); text.ok()) {
    auto node = json::Node::parse(*text);
    for (const auto& [uid, address] : node.ok() ? node->get("allocated").members() : std::vector<json::Node::Member>{})
      if (auto a = Ipv4::parse(address.str()); a && cidr_.contains(*a)) allocated_[uid] = a->value;
    if (node.ok()) last_ = static_cast<uint32_t>(node->get("last").int_or(0));
  }
  TRY(auto netlink, Netlink::open());
  std::string uplink = link_with_address(netlink, options_.node_ip);
  if (int m = uplink.empty() ? 0 : netlink.mtu_of(uplink); m >= 576) mtu_ = m;
  if (options_.backend == "vxlan") mtu_ -= kVxlanOverhead;
  set_sysctl("net/ipv4/ip_forward", "1");
  set_sysctl("net/bridge/bridge-nf-call-iptables", "1");
  TRY_OK(netlink.add_bridge(options_.bridge, mtu_));
  TRY_OK(netlink.add_address(options_.bridge, Ipv4{cidr_.base.value + 1}, cidr_.bits));
  if (auto dns = Ipv4::parse(options_.dns_ip)) TRY_OK(netlink.add_address(options_.bridge, *dns, 32));
  TRY_OK(netlink.set_up(options_.bridge));
  set_sysctl("net/ipv4/conf/" + options_.bridge + "/route_localnet", "1");
  if (options_.backend != "vxlan") return {};
  TRY_OK(netlink.add_vxlan(options_.vxlan, {.vni = 1, .port = 8472, .local_ip = options_.node_ip, .parent = uplink}, ""));
  TRY_OK(netlink.add_address(options_.vxlan, cidr_.base, 32));
  TRY_OK(netlink.set_up(options_.vxlan));
  vtep_mac_ = netlink.mac_of(options_.vxlan);
  return {};
}

Result<> Network::save() const {
  json::Node all = json::Node::object();
  for (const auto& [uid, address] : allocated_) all.set(uid, Ipv4{address}.text());
  // Not durable to the disk at every pod: after a power cut no pod of before runs any more.
  return os::write_file(options_.state_file, json::Node::obj({{"allocated", std::move(all)}, {"last", static_cast<int64_t>(last_)}}).dump(), 0600, false);
}

Result<Ipv4> Network::allocate(const std::string& uid) {
  std::lock_guard lock(mutex_);
  if (auto it = allocated_.find(uid); it != allocated_.end()) return Ipv4{it->second};
  std::set<uint32_t> used;
  for (const auto& [other, address] : allocated_) used.insert(address);
  uint32_t size = uint32_t{1} << (32 - cidr_.bits);
  // Round robin: an address is not given again at once, so that nobody talks to the wrong pod through a stale entry.
  for (uint32_t i = 1; i < size; ++i) {
    uint32_t offset = (last_ + i) % size;
    if (offset < 2 || offset == size - 1 || used.count(cidr_.base.value + offset)) continue;
    last_ = offset;
    allocated_[uid] = cidr_.base.value + offset;
    TRY_OK(save());
    return Ipv4{cidr_.base.value + offset};
  }
  return unavailable("no addresses left in the node's pod network " + cidr_.text());
}

Result<std::string> Network::attach(const std::string& uid, int netns_fd) {
  TRY(Ipv4 address, allocate(uid));
  TRY(auto inside, Netlink::open_in(netns_fd));
  if (!inside.index_of("eth0")) {
    TRY(auto host, Netlink::open());
    std::string name = host_link(uid);
    TRY_OK(host.add_veth(name, options_.bridge, "eth0", netns_fd, mtu_));
    TRY_OK(host.set_up(name));
    (void)host.set_hairpin(name);
  }
  TRY_OK(inside.set_up("lo"));
  TRY_OK(inside.add_address("eth0", address, cidr_.bits));
  TRY_OK(inside.set_up("eth0"));
  TRY_OK(inside.add_route(Cidr{}, Ipv4{cidr_.base.value + 1}, "eth0"));
  return address.text();
}

Result<> Network::detach(const std::string& uid) {
  std::string name = host_link(uid);
  {
    std::lock_guard lock(mutex_);
    if (!allocated_.erase(uid)) return {};
    (void)save();
  }
  TRY(auto netlink, Netlink::open());
  return netlink.remove_link(name);
}

void Network::keep_only(const std::vector<std::string>& uids) {
  std::vector<std::string> gone;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [uid, address] : allocated_)
      if (std::find(uids.begin(), uids.end(), uid) == uids.end()) gone.push_back(uid);
  }
  for (const auto& uid : gone) (void)detach(uid);
}

std::string Network::address_of(const std::string& uid) const {
  std::lock_guard lock(mutex_);
  auto it = allocated_.find(uid);
  return it == allocated_.end() ? "" : Ipv4{it->second}.text();
}
std::string Network::gateway() const { return Ipv4{cidr_.base.value + 1}.text(); }

Result<> Network::sync_peers(const std::vector<Peer>& wanted) {
  if (options_.backend == "none") return {};
  TRY(auto netlink, Netlink::open());
  std::lock_guard lock(mutex_);
  std::map<std::string, Peer> next;
  for (const Peer& p : wanted) {
    auto cidr = Cidr::parse(p.pod_cidr);
    auto ip = Ipv4::parse(p.node_ip);
    if (!cidr || !ip || (options_.backend == "vxlan" && p.vtep_mac.empty())) continue;
    next[p.node] = p;
    auto it = peers_.find(p.node);
    if (it != peers_.end() && it->second.node_ip == p.node_ip && it->second.pod_cidr == p.pod_cidr && it->second.vtep_mac == p.vtep_mac) continue;
    if (options_.backend == "host-gw") {
      TRY_OK(netlink.add_route(*cidr, *ip, ""));
      continue;
    }
    // As flannel: the other VTEP's address is the first of its pod network; ARP and FDB entries lead to its node.
    TRY_OK(netlink.add_neighbour(options_.vxlan, cidr->base, p.vtep_mac));
    TRY_OK(netlink.add_forwarding(options_.vxlan, p.vtep_mac, *ip));
    TRY_OK(netlink.add_route(*cidr, cidr->base, options_.vxlan, true));
  }
  for (const auto& [node, p] : peers_) {
    if (next.count(node)) continue;
    auto cidr = Cidr::parse(p.pod_cidr);
    (void)netlink.remove_route(*cidr);
    if (options_.backend == "vxlan") (void)netlink.remove_neighbour(options_.vxlan, cidr->base);
  }
  peers_ = std::move(next);
  return {};
}

std::string Network::masquerade_rules() const {
  std::string pods = cidr_.text(), all = cluster_.text();
  return "*nat\n:K8LITE-POSTRTG - [0:0]\n"
         "-A K8LITE-POSTRTG -s " + pods + " -d " + all + " -m comment --comment \"k8lite pod network\" -j RETURN\n"
         "-A K8LITE-POSTRTG -s " + pods + " ! -d 224.0.0.0/4 -m comment --comment \"k8lite masquerade\" -j MASQUERADE\n"
         "COMMIT\n*filter\n:K8LITE-FWD - [0:0]\n"
         "-A K8LITE-FWD -s " + all + " -m comment --comment \"k8lite pod network\" -j ACCEPT\n"
         "-A K8LITE-FWD -d " + all + " -m comment --comment \"k8lite pod network\" -j ACCEPT\n"
         "COMMIT\n";
}

void remove_links() {
  auto netlink = Netlink::open();
  if (!netlink.ok()) return;
  for (const auto& name : os::list_dir("/sys/class/net"))
    if (name == "cni0" || name == "flannel.1" || (name.starts_with("veth") && name.size() == 12)) (void)netlink->remove_link(name);
}

}  // namespace k8lite::cni
