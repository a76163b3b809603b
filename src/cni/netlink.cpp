#include "cni/netlink.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/strings.h"
#include "cni/netlink_message.h"

namespace k8lite::cni {

std::string mac_bytes(const std::string& text) {
  std::string out;
  for (auto part : split(text, ':')) out += static_cast<char>(std::strtoul(std::string(part).c_str(), nullptr, 16));
  out.resize(6);
  return out;
}

ifinfomsg link_by_index(int index) {
  ifinfomsg m{};
  m.ifi_family = AF_UNSPEC;
  m.ifi_index = index;
  return m;
}

std::string mac_text(std::string_view v) {
  if (v.size() != 6) return {};
  char out[18];
  auto b = [v](size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(v[i])); };
  std::snprintf(out, sizeof out, "%02x:%02x:%02x:%02x:%02x:%02x", b(0), b(1), b(2), b(3), b(4), b(5));
  return out;
}

std::optional<Ipv4> Ipv4::parse(const std::string& text) {
  in_addr a{};
  if (inet_pton(AF_INET, text.c_str(), &a) != 1) return {};
  return Ipv4{ntohl(a.s_addr)};
}
std::string Ipv4::text() const {
  char out[INET_ADDRSTRLEN] = {};
  in_addr a{htonl(value)};
  inet_ntop(AF_INET, &a, out, sizeof out);
  return out;
}
std::optional<Cidr> Cidr::parse(const std::string& text) {
  size_t slash = text.find('/');
  auto base = Ipv4::parse(text.substr(0, slash));
  auto bits = slash == text.npos ? std::nullopt : parse_int(std::string_view(text).substr(slash + 1));
  if (!base || !bits || *bits < 0 || *bits > 32) return {};
  Cidr c{*base, static_cast<int>(*bits)};
  c.base.value &= c.mask();
  return c;
}

Result<Netlink> Netlink::open() {
  os::Fd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!fd) return Status::from_errno("open rtnetlink", errno);
  return Netlink(std::move(fd));
}

Result<Netlink> Netlink::open_in(int netns_fd) {
  // A socket stays in the namespace it was made in; only this thread visits it.
  os::Fd own(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!own || setns(netns_fd, CLONE_NEWNET) != 0) return Status::from_errno("enter the pod's network", errno);
  auto r = open();
  if (setns(own.get(), CLONE_NEWNET) != 0) std::abort();  // this thread must not go on in a pod's network
  return r;
}

Result<std::string> Netlink::request(std::string message, const std::string& what, int ignore_errno) {
  reinterpret_cast<nlmsghdr*>(message.data())->nlmsg_seq = ++sequence_;
  if (::send(fd_.get(), message.data(), message.size(), 0) < 0) return Status::from_errno(what, errno);
  std::string answer;
  char buffer[32768];
  for (;;) {
    ssize_t n = ::recv(fd_.get(), buffer, sizeof buffer, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Status::from_errno(what, errno);
    auto left = static_cast<unsigned>(n);
    for (auto* h = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
      if (h->nlmsg_seq != sequence_) continue;
      if (h->nlmsg_type == NLMSG_ERROR) {
        int err = -static_cast<nlmsgerr*>(NLMSG_DATA(h))->error;
        if (err == 0 || err == ignore_errno) return answer;
        return Status::from_errno(what, err);
      }
      if (h->nlmsg_type == NLMSG_DONE) return answer;
      answer.append(reinterpret_cast<char*>(h), h->nlmsg_len);
    }
  }
}

int Netlink::index_of(const std::string& name) {
  auto found = link(name);
  return found ? found->index : 0;
}

Result<> Netlink::add_bridge(const std::string& name, int mtu, const std::string& mac) {
  Message m(RTM_NEWLINK, kCreate);
  std::string hw = mac_bytes(mac);
  m.body(link_by_index(0)).text(IFLA_IFNAME, name).number<uint32_t>(IFLA_MTU, static_cast<uint32_t>(mtu)).attribute(IFLA_ADDRESS, hw.data(), hw.size());
  size_t info = m.begin(IFLA_LINKINFO);
  m.text(IFLA_INFO_KIND, "bridge").end(info);
  TRY_OK(request(m.take(), "create bridge " + name, EEXIST));
  return {};
}

Result<> Netlink::add_veth(const std::string& name, const std::string& bridge, const std::string& peer, int peer_netns_fd, int mtu, const std::string& peer_mac) {
  int master = index_of(bridge);
  if (!master) return not_found("bridge " + bridge + " not found");
  (void)remove_link(name);  // left over from a pod that is gone
  Message m(RTM_NEWLINK, kCreate);
  m.body(link_by_index(0)).text(IFLA_IFNAME, name).number<uint32_t>(IFLA_MTU, static_cast<uint32_t>(mtu)).number<uint32_t>(IFLA_MASTER, static_cast<uint32_t>(master));
  size_t info = m.begin(IFLA_LINKINFO);
  m.text(IFLA_INFO_KIND, "veth");
  size_t data = m.begin(IFLA_INFO_DATA);
  size_t other = m.begin(VETH_INFO_PEER);
  m.body(link_by_index(0)).text(IFLA_IFNAME, peer).number<uint32_t>(IFLA_MTU, static_cast<uint32_t>(mtu)).number<uint32_t>(IFLA_NET_NS_FD, static_cast<uint32_t>(peer_netns_fd));
  std::string hw = mac_bytes(peer_mac);
  m.attribute(IFLA_ADDRESS, hw.data(), hw.size());
  m.end(other).end(data).end(info);
  TRY_OK(request(m.take(), "create veth " + name));
  return {};
}

Result<> Netlink::add_vxlan(const std::string& name, const VxlanOptions& o, int mtu, const std::string& mac) {
  Message m(RTM_NEWLINK, kCreate);
  std::string hw = mac_bytes(mac);
  m.body(link_by_index(0)).text(IFLA_IFNAME, name).number<uint32_t>(IFLA_MTU, static_cast<uint32_t>(mtu)).attribute(IFLA_ADDRESS, hw.data(), hw.size());
  size_t info = m.begin(IFLA_LINKINFO);
  m.text(IFLA_INFO_KIND, "vxlan");
  size_t data = m.begin(IFLA_INFO_DATA);
  m.number<uint32_t>(IFLA_VXLAN_ID, o.vni).number<uint16_t>(IFLA_VXLAN_PORT, htons(o.port)).number<uint8_t>(IFLA_VXLAN_LEARNING, 0);
  if (o.local.value) m.address(IFLA_VXLAN_LOCAL, o.local);
  if (o.parent) m.number<uint32_t>(IFLA_VXLAN_LINK, static_cast<uint32_t>(o.parent));
  m.end(data).end(info);
  TRY_OK(request(m.take(), "create vxlan device " + name + " (VNI " + std::to_string(o.vni) + ", UDP port " + std::to_string(o.port) + ")"));
  return {};
}

Result<> Netlink::remove_link(const std::string& name) {
  int index = index_of(name);
  if (!index) return {};
  Message m(RTM_DELLINK, 0);
  m.body(link_by_index(index));
  TRY_OK(request(m.take(), "remove link " + name, ENODEV));
  return {};
}

Result<> Netlink::set_up(const std::string& name) {
  ifinfomsg info = link_by_index(index_of(name));
  if (!info.ifi_index) return not_found("link " + name + " not found");
  info.ifi_flags = IFF_UP;
  info.ifi_change = IFF_UP;
  Message m(RTM_NEWLINK, 0);
  m.body(info);
  TRY_OK(request(m.take(), "set " + name + " up"));
  return {};
}
Result<> Netlink::set_mtu(int index, int mtu) {
  Message m(RTM_NEWLINK, 0);
  m.body(link_by_index(index)).number<uint32_t>(IFLA_MTU, static_cast<uint32_t>(mtu));
  TRY_OK(request(m.take(), "set the MTU of link " + std::to_string(index)));
  return {};
}
Result<> Netlink::set_mac(int index, const std::string& mac) {
  Message m(RTM_NEWLINK, 0);
  std::string hw = mac_bytes(mac);
  m.body(link_by_index(index)).attribute(IFLA_ADDRESS, hw.data(), hw.size());
  TRY_OK(request(m.take(), "set the MAC of link " + std::to_string(index)));
  return {};
}
Result<> Netlink::set_master(int index, int master) {
  Message m(RTM_NEWLINK, 0);
  m.body(link_by_index(index)).number<uint32_t>(IFLA_MASTER, static_cast<uint32_t>(master));
  TRY_OK(request(m.take(), "put link " + std::to_string(index) + " on its bridge"));
  return {};
}

Result<> Netlink::set_hairpin(const std::string& port) {
  ifinfomsg info{};
  info.ifi_family = AF_BRIDGE;
  info.ifi_index = index_of(port);
  Message m(RTM_SETLINK, 0);
  m.body(info);
  size_t nest = m.begin(IFLA_PROTINFO | NLA_F_NESTED);
  m.number<uint8_t>(IFLA_BRPORT_MODE, 1).end(nest);
  TRY_OK(request(m.take(), "set hairpin mode of " + port));
  return {};
}

Result<> Netlink::add_address(const std::string& link, Ipv4 address, int bits) {
  ifaddrmsg body{};
  body.ifa_family = AF_INET;
  body.ifa_prefixlen = static_cast<uint8_t>(bits);
  body.ifa_index = static_cast<uint32_t>(index_of(link));
  Message m(RTM_NEWADDR, kCreate);
  m.body(body).address(IFA_LOCAL, address).address(IFA_ADDRESS, address);
  TRY_OK(request(m.take(), "add address " + address.text() + " to " + link, EEXIST));
  return {};
}

Result<> Netlink::remove_address(int link, Ipv4 address, int bits) {
  ifaddrmsg body{};
  body.ifa_family = AF_INET;
  body.ifa_prefixlen = static_cast<uint8_t>(bits);
  body.ifa_index = static_cast<uint32_t>(link);
  Message m(RTM_DELADDR, 0);
  m.body(body).address(IFA_LOCAL, address);
  TRY_OK(request(m.take(), "remove address " + address.text(), EADDRNOTAVAIL));
  return {};
}

Result<> Netlink::add_route(const Route& r) {
  rtmsg body{};
  body.rtm_family = AF_INET;
  body.rtm_dst_len = static_cast<uint8_t>(r.to.bits);
  body.rtm_table = RT_TABLE_MAIN;
  body.rtm_protocol = r.protocol ? r.protocol : RTPROT_BOOT;
  body.rtm_type = RTN_UNICAST;
  body.rtm_scope = r.gateway.value ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  if (r.onlink) body.rtm_flags = RTNH_F_ONLINK;
  Message m(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
  m.body(body);
  if (r.to.bits) m.address(RTA_DST, r.to.base);
  if (r.gateway.value) m.address(RTA_GATEWAY, r.gateway);
  if (r.source.value) m.address(RTA_PREFSRC, r.source);
  if (r.link) m.number<uint32_t>(RTA_OIF, static_cast<uint32_t>(r.link));
  TRY_OK(request(m.take(), "add route to " + r.to.text() + (r.gateway.value ? " via " + r.gateway.text() : ""), EEXIST));
  return {};
}

Result<> Netlink::remove_route(const Route& r) {
  rtmsg body{};
  body.rtm_family = AF_INET;
  body.rtm_dst_len = static_cast<uint8_t>(r.to.bits);
  body.rtm_table = RT_TABLE_MAIN;
  body.rtm_scope = RT_SCOPE_NOWHERE;
  Message m(RTM_DELROUTE, 0);
  m.body(body).address(RTA_DST, r.to.base);
  if (r.gateway.value) m.address(RTA_GATEWAY, r.gateway);
  if (r.link) m.number<uint32_t>(RTA_OIF, static_cast<uint32_t>(r.link));
  TRY_OK(request(m.take(), "remove route to " + r.to.text(), ESRCH));
  return {};
}

Result<> Netlink::add_neighbour(const std::string& link, Ipv4 address, const std::string& mac) {
  ndmsg body{};
  body.ndm_family = AF_INET;
  body.ndm_ifindex = index_of(link);
  body.ndm_state = NUD_PERMANENT;
  std::string hw = mac_bytes(mac);
  Message m(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE);
  m.body(body).address(NDA_DST, address).attribute(NDA_LLADDR, hw.data(), hw.size());
  TRY_OK(request(m.take(), "add neighbour " + address.text()));
  return {};
}

Result<> Netlink::remove_neighbour(const std::string& link, Ipv4 address) {
  ndmsg body{};
  body.ndm_family = AF_INET;
  body.ndm_ifindex = index_of(link);
  Message m(RTM_DELNEIGH, 0);
  m.body(body).address(NDA_DST, address);
  TRY_OK(request(m.take(), "remove neighbour " + address.text(), ENOENT));
  return {};
}

Result<> Netlink::add_forwarding(const std::string& link, const std::string& mac, Ipv4 destination) {
  ndmsg body{};
  body.ndm_family = AF_BRIDGE;
  body.ndm_ifindex = index_of(link);
  body.ndm_state = NUD_PERMANENT;
  body.ndm_flags = NTF_SELF;
  std::string hw = mac_bytes(mac);
  Message m(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE);
  m.body(body).attribute(NDA_LLADDR, hw.data(), hw.size()).address(NDA_DST, destination);
  TRY_OK(request(m.take(), "add forwarding entry for " + mac));
  return {};
}

Result<> Netlink::remove_forwarding(const std::string& link, const std::string& mac, Ipv4 destination) {
  ndmsg body{};
  body.ndm_family = AF_BRIDGE;
  body.ndm_ifindex = index_of(link);
  body.ndm_flags = NTF_SELF;
  std::string hw = mac_bytes(mac);
  Message m(RTM_DELNEIGH, 0);
  m.body(body).attribute(NDA_LLADDR, hw.data(), hw.size()).address(NDA_DST, destination);
  TRY_OK(request(m.take(), "remove forwarding entry for " + mac, ENOENT));
  return {};
}

}  // namespace k8lite::cni
