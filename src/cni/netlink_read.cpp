// The reading half of Netlink: what links, addresses, routes and neighbours the kernel has.
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <net/if.h>
#include <sys/socket.h>

#include <map>

#include "cni/netlink_message.h"

namespace k8lite::cni {
namespace {

constexpr uint16_t kTypeMask = static_cast<uint16_t>(NLA_TYPE_MASK);

using Attributes = std::map<uint16_t, std::string_view>;

Attributes attributes(std::string_view bytes) {
  Attributes out;
  while (bytes.size() >= sizeof(rtattr)) {
    rtattr a;
    std::memcpy(&a, bytes.data(), sizeof a);
    if (a.rta_len < sizeof a || a.rta_len > bytes.size()) break;
    out.emplace(static_cast<uint16_t>(a.rta_type & kTypeMask), bytes.substr(sizeof a, a.rta_len - sizeof a));
    bytes.remove_prefix(std::min<size_t>(RTA_ALIGN(a.rta_len), bytes.size()));
  }
  return out;
}
template <class T>
T number(const Attributes& all, uint16_t type, T fallback = 0) {
  auto it = all.find(type);
  if (it == all.end() || it->second.size() < sizeof(T)) return fallback;
  T out;
  std::memcpy(&out, it->second.data(), sizeof out);
  return out;
}
Ipv4 ipv4(const Attributes& all, uint16_t type) { return {ntohl(number<uint32_t>(all, type))}; }
std::string text(const Attributes& all, uint16_t type) {
  auto it = all.find(type);
  if (it == all.end()) return {};
  return std::string(it->second.substr(0, it->second.find('\0')));
}
std::string_view bytes(const Attributes& all, uint16_t type) {
  auto it = all.find(type);
  return it == all.end() ? std::string_view() : it->second;
}

// Calls use(body, attributes) for each message of the type in an answer.
template <class Body, class F>
void each(std::string_view answer, uint16_t type, F use) {
  while (answer.size() >= sizeof(nlmsghdr)) {
    nlmsghdr h;
    std::memcpy(&h, answer.data(), sizeof h);
    if (h.nlmsg_len < NLMSG_HDRLEN || h.nlmsg_len > answer.size()) return;
    if (h.nlmsg_type == type && h.nlmsg_len >= NLMSG_LENGTH(sizeof(Body))) {
      Body body;
      std::memcpy(&body, answer.data() + NLMSG_HDRLEN, sizeof body);
      size_t start = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(Body));
      use(body, attributes(start < h.nlmsg_len ? answer.substr(start, h.nlmsg_len - start) : std::string_view()));
    }
    answer.remove_prefix(std::min<size_t>(h.nlmsg_len, answer.size()));  // Netlink::request keeps no padding between messages
  }
}

Link read_link(const ifinfomsg& info, const Attributes& a) {
  Link out;
  out.index = info.ifi_index;
  out.up = info.ifi_flags & IFF_UP;
  out.running = out.up && (info.ifi_flags & IFF_RUNNING);
  out.name = text(a, IFLA_IFNAME);
  out.mtu = static_cast<int>(number<uint32_t>(a, IFLA_MTU));
  out.master = static_cast<int>(number<uint32_t>(a, IFLA_MASTER));
  out.peer = static_cast<int>(number<uint32_t>(a, IFLA_LINK));
  out.mac = mac_text(bytes(a, IFLA_ADDRESS));
  Attributes kind = attributes(bytes(a, IFLA_LINKINFO));
  out.kind = text(kind, IFLA_INFO_KIND);
  if (out.kind != "vxlan") return out;
  Attributes v = attributes(bytes(kind, IFLA_INFO_DATA));
  out.vxlan.vni = number<uint32_t>(v, IFLA_VXLAN_ID);
  out.vxlan.port = ntohs(number<uint16_t>(v, IFLA_VXLAN_PORT));
  out.vxlan.local = ipv4(v, IFLA_VXLAN_LOCAL);
  out.vxlan.parent = static_cast<int>(number<uint32_t>(v, IFLA_VXLAN_LINK));
  out.vxlan.learning = number<uint8_t>(v, IFLA_VXLAN_LEARNING) != 0;
  return out;
}

constexpr uint16_t kDump = NLM_F_DUMP;

}  // namespace

std::optional<Link> Netlink::link(const std::string& name) {
  Message m(RTM_GETLINK, 0);
  m.body(link_by_index(0)).text(IFLA_IFNAME, name);
  auto answer = request(m.take(), "look up " + name);
  std::optional<Link> out;
  if (answer.ok()) each<ifinfomsg>(*answer, RTM_NEWLINK, [&out](const ifinfomsg& info, const Attributes& a) { out = read_link(info, a); });
  return out;
}

Result<std::vector<Link>> Netlink::links() {
  Message m(RTM_GETLINK, kDump);
  m.body(link_by_index(0));
  TRY(std::string answer, request(m.take(), "list links"));
  std::vector<Link> out;
  each<ifinfomsg>(answer, RTM_NEWLINK, [&out](const ifinfomsg& info, const Attributes& a) { out.push_back(read_link(info, a)); });
  return out;
}

Result<std::vector<Address>> Netlink::addresses() {
  ifaddrmsg body{};
  body.ifa_family = AF_INET;
  Message m(RTM_GETADDR, kDump);
  m.body(body);
  TRY(std::string answer, request(m.take(), "list addresses"));
  std::vector<Address> out;
  each<ifaddrmsg>(answer, RTM_NEWADDR, [&out](const ifaddrmsg& b, const Attributes& a) {
    out.push_back({static_cast<int>(b.ifa_index), ipv4(a, a.count(IFA_LOCAL) ? IFA_LOCAL : IFA_ADDRESS), b.ifa_prefixlen});
  });
  return out;
}

Result<std::vector<Route>> Netlink::routes() {
  rtmsg body{};
  body.rtm_family = AF_INET;
  Message m(RTM_GETROUTE, kDump);
  m.body(body);
  TRY(std::string answer, request(m.take(), "list routes"));
  std::vector<Route> out;
  each<rtmsg>(answer, RTM_NEWROUTE, [&out](const rtmsg& b, const Attributes& a) {
    if (b.rtm_table != RT_TABLE_MAIN || b.rtm_type != RTN_UNICAST || b.rtm_family != AF_INET) return;
    Route r;
    r.to = {ipv4(a, RTA_DST), b.rtm_dst_len};
    r.gateway = ipv4(a, RTA_GATEWAY);
    r.source = ipv4(a, RTA_PREFSRC);
    r.link = static_cast<int>(number<uint32_t>(a, RTA_OIF));
    r.onlink = b.rtm_flags & RTNH_F_ONLINK;
    r.protocol = b.rtm_protocol;
    out.push_back(r);
  });
  return out;
}

Result<std::vector<Neighbour>> Netlink::neighbours(int link) {
  ndmsg body{};
  body.ndm_family = AF_INET;
  Message m(RTM_GETNEIGH, kDump);
  m.body(body);
  TRY(std::string answer, request(m.take(), "list neighbours"));
  std::vector<Neighbour> out;
  each<ndmsg>(answer, RTM_NEWNEIGH, [&out, link](const ndmsg& b, const Attributes& a) {
    if (b.ndm_ifindex == link && b.ndm_family == AF_INET) out.push_back({ipv4(a, NDA_DST), mac_text(bytes(a, NDA_LLADDR)), (b.ndm_state & NUD_PERMANENT) != 0});
  });
  return out;
}

Result<std::vector<Forwarding>> Netlink::forwardings(int link) {
  // The kernel wants an ifinfomsg here and, unlike elsewhere, takes the family from it.
  ifinfomsg body{};
  body.ifi_family = AF_BRIDGE;
  Message m(RTM_GETNEIGH, kDump);
  m.body(body);
  TRY(std::string answer, request(m.take(), "list forwarding entries"));
  std::vector<Forwarding> out;
  each<ndmsg>(answer, RTM_NEWNEIGH, [&out, link](const ndmsg& b, const Attributes& a) {
    if (b.ndm_ifindex == link && a.count(NDA_DST)) out.push_back({mac_text(bytes(a, NDA_LLADDR)), ipv4(a, NDA_DST)});
  });
  return out;
}

}  // namespace k8lite::cni
