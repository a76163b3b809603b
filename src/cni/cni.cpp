#include "cni/cni.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"

namespace k8lite::cni {
namespace {

constexpr int kVxlanOverhead = 50, kUsualMtu = 1500, kSmallestMtu = 576;

std::string host_link(const std::string& pod_uid) {
  char name[IFNAMSIZ];
  std::snprintf(name, sizeof name, "veth%011llx", static_cast<unsigned long long>(fnv1a64(pod_uid) & 0xfffffffffffULL));
  return name;
}

// Locally administered and made of an address, as other CNI plugins do: the same at every start, and none twice in a network.
std::string mac_for(Ipv4 a) {
  char out[18];
  std::snprintf(out, sizeof out, "0a:58:%02x:%02x:%02x:%02x", a.value >> 24, a.value >> 16 & 255, a.value >> 8 & 255, a.value & 255);
  return out;
}

bool is_loopback(Ipv4 a) { return a.value >> 24 == 127; }

// The interface that carries the network between nodes: the one named, or the one that holds the node's address.
std::optional<Link> find_uplink(Netlink& netlink, const std::string& interface, const std::string& ip) {
  if (!interface.empty()) return netlink.link(interface);
  auto wanted = Ipv4::parse(ip);
  auto addresses = netlink.addresses();
  auto links = netlink.links();
  if (!wanted || is_loopback(*wanted) || !addresses.ok() || !links.ok()) return {};
  for (const Address& a : *addresses)
    if (a.ip == *wanted)
      for (const Link& l : *links)
        if (l.index == a.link) return l;
  return {};
}

void set_sysctl(const std::string& path, const std::string& value) {
  if (!os::exists("/proc/sys/" + path)) return;
  if (auto now = os::read_file("/proc/sys/" + path); now.ok() && trim(*now) == value) return;
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
  if (!options_.service_cidr.empty() && !Cidr::parse(options_.service_cidr)) return bad_request("service-cidr \"" + options_.service_cidr + "\" is no IPv4 network");
  cidr_ = *cidr;
  cluster_ = *cluster;
  ipam_ = std::make_unique<Ipam>(cidr_, options_.state_file);
  set_sysctl("net/ipv4/ip_forward", "1");
  std::lock_guard lock(mutex_);
  return converge();
}

Result<> Network::converge() {
  TRY(auto netlink, Netlink::open());
  auto uplink = find_uplink(netlink, options_.interface, options_.node_ip);
  if (!options_.interface.empty() && !uplink) return not_found("flannel-iface: there is no interface " + options_.interface);
  // A node that has lost its uplink keeps its pods' MTU until there is another one.
  const int overhead = options_.backend == "vxlan" ? kVxlanOverhead : 0;
  auto old_bridge = netlink.link(options_.bridge);
  if (uplink && uplink->mtu >= kSmallestMtu) mtu_ = uplink->mtu - overhead;
  else if (old_bridge && old_bridge->mtu >= kSmallestMtu) mtu_ = old_bridge->mtu;
  else mtu_ = kUsualMtu - overhead;
  TRY_OK(ensure_bridge(netlink));
  TRY_OK(ensure_service_route(netlink));
  if (options_.backend == "vxlan") return ensure_vxlan(netlink, uplink ? &*uplink : nullptr);
  vtep_mac_.clear();
  if (auto old = netlink.link(options_.vxlan); old && old->kind == "vxlan") TRY_OK(netlink.remove_link(options_.vxlan));
  return {};
}

Result<> Network::ensure_bridge(Netlink& netlink) {
  const std::string mac = mac_for(gateway_ip());
  auto bridge = netlink.link(options_.bridge);
  if (!bridge) {
    TRY_OK(netlink.add_bridge(options_.bridge, mtu_, mac));
    bridge = netlink.link(options_.bridge);
  }
  if (!bridge || bridge->kind != "bridge") return bad_request("link " + options_.bridge + " is there and no bridge: remove it (ip link delete " + options_.bridge + ")");
  // A bridge without a MAC of its own takes its ports': it would change with every pod, and neighbours' ARP entries be wrong.
  if (bridge->mac != mac) TRY_OK(netlink.set_mac(bridge->index, mac));
  TRY(auto links, netlink.links());
  for (const Link& l : links)
    if (l.master == bridge->index && l.mtu != mtu_) (void)netlink.set_mtu(l.index, mtu_);
  if (bridge->mtu != mtu_) TRY_OK(netlink.set_mtu(bridge->index, mtu_));
  auto dns = Ipv4::parse(options_.dns_ip);
  TRY(auto addresses, netlink.addresses());
  for (const Address& a : addresses)
    if (a.link == bridge->index && !(a.ip == gateway_ip() && a.bits == cidr_.bits) && !(dns && a.ip == *dns && a.bits == 32)) TRY_OK(netlink.remove_address(a.link, a.ip, a.bits));
  TRY_OK(netlink.add_address(options_.bridge, gateway_ip(), cidr_.bits));
  if (dns) TRY_OK(netlink.add_address(options_.bridge, *dns, 32));
  if (!bridge->up) TRY_OK(netlink.set_up(options_.bridge));
  return {};
}

// The kernel looks for a route before it translates the address: without one to the services, a node without a default route could
// not reach them. The packet never gets to the bridge.
Result<> Network::ensure_service_route(Netlink& netlink) {
  int bridge = netlink.index_of(options_.bridge);
  auto services = Cidr::parse(options_.service_cidr);
  TRY(auto routes, netlink.routes());
  bool there = false;
  for (const Route& r : routes) {
    if (r.protocol != kRouteProtocol || r.gateway.value) continue;
    if (services && r.to == *services && r.link == bridge && r.source == gateway_ip()) there = true;
    else TRY_OK(netlink.remove_route(r));
  }
  if (!services || there) return {};
  return netlink.add_route({.to = *services, .gateway = {}, .source = gateway_ip(), .link = bridge, .protocol = kRouteProtocol});
}

Result<> Network::ensure_vxlan(Netlink& netlink, const Link* uplink) {
  const std::string mac = mac_for(cidr_.base);
  VxlanOptions wanted;
  auto ip = Ipv4::parse(options_.node_ip);
  if (ip && !is_loopback(*ip)) wanted.local = *ip;
  if (uplink) wanted.parent = uplink->index;
  auto old = netlink.link(options_.vxlan);
  if (old && old->kind != "vxlan") return bad_request("link " + options_.vxlan + " is there and no vxlan device: remove it (ip link delete " + options_.vxlan + ")");
  if (old && old->vxlan != wanted) {
    TRY_OK(netlink.remove_link(options_.vxlan));
    old.reset();
  }
  if (!old) {
    TRY_OK(netlink.add_vxlan(options_.vxlan, wanted, mtu_, mac));
    old = netlink.link(options_.vxlan);
    if (!old) return not_found("link " + options_.vxlan + " has gone");
  }
  if (old->mac != mac) TRY_OK(netlink.set_mac(old->index, mac));
  if (old->mtu != mtu_) TRY_OK(netlink.set_mtu(old->index, mtu_));
  TRY(auto addresses, netlink.addresses());
  for (const Address& a : addresses)
    if (a.link == old->index && !(a.ip == cidr_.base && a.bits == 32)) TRY_OK(netlink.remove_address(a.link, a.ip, a.bits));
  TRY_OK(netlink.add_address(options_.vxlan, cidr_.base, 32));
  if (!old->up) TRY_OK(netlink.set_up(options_.vxlan));
  vtep_mac_ = mac;
  return {};
}

Result<> Network::set_node_ip(const std::string& ip) {
  std::lock_guard lock(mutex_);
  options_.node_ip = ip;
  return converge();
}

// The host's end of a pod that has eth0 already: on our bridge, up, with the network's MTU.
Result<> Network::repair_link(Netlink& host, const std::string& name, const Link& inside) {
  TRY(auto links, host.links());
  int bridge = host.index_of(options_.bridge);
  for (const Link& l : links) {
    if (l.kind != "veth" || (l.name != name && l.index != inside.peer)) continue;
    if (l.master != bridge) TRY_OK(host.set_master(l.index, bridge));
    if (l.mtu != mtu_) TRY_OK(host.set_mtu(l.index, mtu_));
    TRY_OK(host.set_up(l.name));
    (void)host.set_hairpin(l.name);
    return {};
  }
  return not_found("the pod's link has no end on this host");
}

namespace {
// Made of the address itself: a pod's next sandbox, and the next pod with its address, are reached by all who remember the former one,
// whose memory would be wrong for half a minute otherwise.
std::string mac_of(Ipv4 address) {
  char text[18];
  snprintf(text, sizeof text, "0a:58:%02x:%02x:%02x:%02x", address.value >> 24, address.value >> 16 & 255, address.value >> 8 & 255, address.value & 255);
  return text;
}
}  // namespace

Result<std::string> Network::attach(const std::string& uid, int netns_fd) {
  TRY(auto inside, Netlink::open_in(netns_fd));
  TRY(auto host, Netlink::open());
  std::unique_lock lock(mutex_);
  const int mtu = mtu_;
  auto eth0 = inside.link("eth0");
  std::vector<Address> have;
  if (eth0) {
    TRY(have, inside.addresses());
    std::erase_if(have, [&eth0](const Address& a) { return a.link != eth0->index; });
    // What the pod has in fact goes before what the file has lost.
    for (const Address& a : have)
      if (!ipam_->address_of(uid)) (void)ipam_->claim(uid, a.ip);
  }
  TRY(Ipv4 address, ipam_->allocate(uid));
  const std::string name = host_link(uid);
  if (eth0) TRY_OK(repair_link(host, name, *eth0));
  lock.unlock();
  if (!eth0) {
    TRY_OK(host.add_veth(name, options_.bridge, "eth0", netns_fd, mtu, mac_of(address)));
    TRY_OK(host.set_up(name));
    (void)host.set_hairpin(name);
  } else if (eth0->mtu != mtu) {
    TRY_OK(inside.set_mtu(eth0->index, mtu));
  }
  for (const Address& a : have)
    if (a.ip != address || a.bits != cidr_.bits) TRY_OK(inside.remove_address(a.link, a.ip, a.bits));
  TRY_OK(inside.set_up("lo"));
  TRY_OK(inside.add_address("eth0", address, cidr_.bits));
  TRY_OK(inside.set_up("eth0"));
  TRY_OK(inside.add_route({.to = {}, .gateway = gateway_ip(), .source = {}, .link = inside.index_of("eth0")}));
  return address.text();
}

Result<> Network::detach(const std::string& uid) {
  TRY(auto netlink, Netlink::open());
  TRY_OK(netlink.remove_link(host_link(uid)));
  std::lock_guard lock(mutex_);
  ipam_->release(uid);
  return {};
}

void Network::keep_only(const std::vector<std::string>& uids) {
  std::vector<std::string> gone;
  {
    std::lock_guard lock(mutex_);
    gone = ipam_->pods();
  }
  std::erase_if(gone, [&uids](const std::string& uid) { return std::find(uids.begin(), uids.end(), uid) != uids.end(); });
  for (const auto& uid : gone)
    if (auto r = detach(uid); !r.ok()) log_warn("the address of a pod that is gone could not be freed", {{"pod", uid}, {"error", r.status()}});
}

std::string Network::address_of(const std::string& uid) const {
  std::lock_guard lock(mutex_);
  auto address = ipam_->address_of(uid);
  return address ? address->text() : "";
}
std::string Network::gateway() const { return gateway_ip().text(); }
std::string Network::vtep_mac() const {
  std::lock_guard lock(mutex_);
  return vtep_mac_;
}

Result<> Network::sync_peers(const std::vector<Peer>& peers) {
  TRY(auto netlink, Netlink::open());
  std::lock_guard lock(mutex_);
  bool vxlan = options_.backend == "vxlan";
  int device = vxlan ? netlink.index_of(options_.vxlan) : 0;
  if (vxlan && !device) return not_found("link " + options_.vxlan + " has gone");
  Ways ways;
  if (options_.backend != "none") ways = plan_ways(peers, cidr_, device);
  return make_ways(netlink, ways, vxlan ? options_.vxlan : "");
}

std::string Network::masquerade_rules() const {
  std::string pods = cidr_.text(), all = cluster_.text(), dns;
  // A node's firewall that lets nobody in would keep its pods from their name server.
  if (Ipv4::parse(options_.dns_ip))
    for (const char* protocol : {"udp", "tcp"})
      dns += "-A K8LITE-INPUT -s " + pods + " -d " + options_.dns_ip + "/32 -i " + options_.bridge + " -p " + protocol + " -m comment --comment \"k8lite cluster dns\" -m conntrack --ctorigdstport 53 -j ACCEPT\n";
  return "*nat\n:K8LITE-POSTRTG - [0:0]\n"
         "-A K8LITE-POSTRTG -s " + pods + " -d " + all + " -m comment --comment \"k8lite pod network\" -j RETURN\n"
         "-A K8LITE-POSTRTG -s " + pods + " ! -d 224.0.0.0/4 -m comment --comment \"k8lite masquerade\" -j MASQUERADE\n"
         "COMMIT\n*filter\n:K8LITE-FWD - [0:0]\n:K8LITE-INPUT - [0:0]\n"
         "-A K8LITE-FWD -s " + all + " -m comment --comment \"k8lite pod network\" -j ACCEPT\n"
         "-A K8LITE-FWD -d " + all + " -m comment --comment \"k8lite pod network\" -j ACCEPT\n"
         "-A K8LITE-INPUT ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment \"block incoming localnet connections\" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP\n" +
         dns + "COMMIT\n";
}

void remove_links(const std::string& bridge_name, const std::string& vxlan_name) {
  auto netlink = Netlink::open();
  auto links = netlink.ok() ? netlink->links() : Result<std::vector<Link>>(netlink.status());
  if (!links.ok()) {
    log_warn("the links of the pod network could not be removed", {{"error", links.status()}});
    return;
  }
  int bridge = 0;
  for (const Link& l : *links)
    if (l.name == bridge_name && l.kind == "bridge") bridge = l.index;
  auto remove = [&netlink](const std::string& name) {
    if (auto r = netlink->remove_link(name); !r.ok()) log_warn("a link could not be removed", {{"link", name}, {"error", r.status()}});
  };
  for (const Link& l : *links)
    if (bridge && l.master == bridge && l.kind == "veth") remove(l.name);
  if (bridge) remove(bridge_name);
  for (const Link& l : *links)
    if (l.name == vxlan_name && l.kind == "vxlan") remove(l.name);
  if (auto routes = netlink->routes(); routes.ok())
    for (const Route& r : *routes)
      if (r.protocol == kRouteProtocol) (void)netlink->remove_route(r);
}

std::string find_node_address(const std::string& interface, const std::string& current) {
  auto netlink = Netlink::open();
  if (!netlink.ok()) return {};
  auto links = netlink->links();
  auto addresses = netlink->addresses();
  auto routes = netlink->routes();
  if (!links.ok() || !addresses.ok() || !routes.ok()) return {};
  // Addresses that machines give themselves (169.254.0.0/16) are better than none only.
  auto first_of = [&](auto&& fits) -> std::string {
    for (bool link_local : {false, true})
      for (const Link& l : *links)
        for (const Address& a : *addresses)
          if (a.link == l.index && fits(l, a) && !is_loopback(a.ip) && (a.ip.value >> 16 == 0xa9fe) == link_local) return a.ip.text();
    return {};
  };
  auto named = [&interface](const Link& l) { return interface.empty() || l.name == interface; };
  std::string kept = first_of([&](const Link& l, const Address& a) { return l.running && named(l) && a.ip.text() == current; });
  if (!kept.empty()) return kept;
  if (!interface.empty()) return first_of([&named](const Link& l, const Address&) { return named(l); });
  // Connecting a datagram socket sends nothing: the kernel only picks the source address of the route.
  if (std::any_of(routes->begin(), routes->end(), [](const Route& r) { return r.to.bits == 0; })) {
    os::Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in to{}, from{};
    to.sin_family = AF_INET;
    to.sin_port = htons(53);
    to.sin_addr.s_addr = htonl(0xc0000201);  // 192.0.2.1, TEST-NET-1
    socklen_t size = sizeof from;
    if (fd && ::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) == 0 && ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&from), &size) == 0)
      if (Ipv4 found{ntohl(from.sin_addr.s_addr)}; !is_loopback(found) && found.value) return found.text();
  }
  // Bridges and tunnels carry containers.
  std::string found = first_of([](const Link& l, const Address&) { return l.up && l.kind != "bridge" && l.kind != "vxlan" && l.master == 0; });
  if (!found.empty()) return found;
  // A machine whose uplink is a port of a bridge; those that programs make for containers and virtual machines have no such port.
  return first_of([&links](const Link& l, const Address&) {
    return l.up && l.kind == "bridge" && std::any_of(links->begin(), links->end(), [&l](const Link& port) { return port.master == l.index && port.kind != "veth" && port.kind != "tun"; });
  });
}

}  // namespace k8lite::cni
