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

namespace k8lite::cni {
namespace {

// A netlink message under construction.
class Message {
 public:
  Message(uint16_t type, uint16_t flags) {
    bytes_.resize(NLMSG_HDRLEN);
    header()->nlmsg_type = type;
    header()->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
  }
  template <class T>
  Message& body(const T& t) {
    bytes_.append(reinterpret_cast<const char*>(&t), sizeof t);
    pad();
    return *this;
  }
  Message& attribute(uint16_t type, const void* data, size_t size) {
    rtattr a{static_cast<uint16_t>(RTA_LENGTH(size)), type};
    bytes_.append(reinterpret_cast<const char*>(&a), sizeof a);
    pad();
    bytes_.append(static_cast<const char*>(data), size);
    pad();
    return *this;
  }
  template <class T>
  Message& number(uint16_t type, T v) { return attribute(type, &v, sizeof v); }
  Message& text(uint16_t type, const std::string& v) { return attribute(type, v.c_str(), v.size() + 1); }
  Message& address(uint16_t type, Ipv4 a) { return number<uint32_t>(type, htonl(a.value)); }
  size_t begin(uint16_t type) {
    size_t at = bytes_.size();
    attribute(type, "", 0);
    return at;
  }
  Message& end(size_t at) {
    auto* a = reinterpret_cast<rtattr*>(bytes_.data() + at);
    a->rta_len = static_cast<uint16_t>(bytes_.size() - at);
    return *this;
  }
  std::string take() {
    header()->nlmsg_len = static_cast<uint32_t>(bytes_.size());
    return std::move(bytes_);
  }

 private:
  nlmsghdr* header() { return reinterpret_cast<nlmsghdr*>(bytes_.data()); }
  void pad() { bytes_.resize((bytes_.size() + 3) & ~size_t{3}); }
  std::string bytes_;
};

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

constexpr uint16_t kCreate = NLM_F_CREATE | NLM_F_EXCL;

}  // namespace

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

namespace {
// The attribute of the first link in an answer to RTM_GETLINK.
std::string link_attribute(const std::string& answer, uint16_t wanted) {
  if (answer.size() < NLMSG_HDRLEN + sizeof(ifinfomsg)) return {};
  auto* h = reinterpret_cast<const nlmsghdr*>(answer.data());
  auto* info = reinterpret_cast<const ifinfomsg*>(answer.data() + NLMSG_HDRLEN);
  auto left = static_cast<unsigned>(h->nlmsg_len - NLMSG_LENGTH(sizeof *info));
  for (auto* a = IFLA_RTA(info); RTA_OK(a, left); a = RTA_NEXT(a, left))
    if (a->rta_type == wanted) return std::string(static_cast<const char*>(RTA_DATA(a)), RTA_PAYLOAD(a));
  return {};
}
Message get_link(const std::string& name) {
  Message m(RTM_GETLINK, 0);
  m.body(link_by_index(0)).text(IFLA_IFNAME, name);
  return m;
}
}  // namespace

int Netlink::index_of(const std::string& link) {
  auto r = request(get_link(link).take(), "look up " + link);
  if (!r.ok() || r->size() < NLMSG_HDRLEN + sizeof(ifinfomsg)) return 0;
  return reinterpret_cast<const ifinfomsg*>(r->data() + NLMSG_HDRLEN)->ifi_index;
}
int Netlink::mtu_of(const std::string& link) {
  auto r = request(get_link(link).take(), "look up " + link);
  std::string v = r.ok() ? link_attribute(*r, IFLA_MTU) : "";
  uint32_t mtu = 0;
  if (v.size() == 4) std::memcpy(&mtu, v.data(), 4);
  return static_cast<int>(mtu);
}
std::string Netlink::mac_of(const std::string& link) {
  auto r = request(get_link(link).take(), "look up " + link);
  std::string v = r.ok() ? link_attribute(*r, IFLA_ADDRESS) : "";
  if (v.size() != 6) return {};
  char out[18];
  auto b = [&v](size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(v[i])); };
  std::snprintf(out, sizeof out, "%02x:%02x:%02x:%02x:%02x:%02x", b(0), b(1), b(2), b(3), b(4), b(5));
  return out;
}

Result<> Netlink::add_bridge(const std::string& name, int mtu) {
  if (index_of(name)) return {};
  Message m(RTM_NEWLINK, kCreate);
  m.body(link_by_index(0)).text(IFLA_IFNAME, name).number<uint32_t>(IFLA_MTU, static_cast<uint32_t>(mtu));
  size_t info = m.begin(IFLA_LINKINFO);
  m.text(IFLA_INFO_KIND, "bridge").end(info);
  TRY_OK(request(m.take(), "create bridge " + name, EEXIST));
  return {};
}

Result<> Netlink::add_veth(const std::string& name, const std::string& bridge, const std::string& peer, int peer_netns_fd, int mtu) {
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
  m.end(other).end(data).end(info);
  TRY_OK(request(m.take(), "create veth " + name));
  return {};
}

Result<> Netlink::add_vxlan(const std::string& name, const VxlanOptions& o, const std::string& mac) {
  if (index_of(name)) return {};
  Message m(RTM_NEWLINK, kCreate);
  std::string hw = mac_bytes(mac);
  m.body(link_by_index(0)).text(IFLA_IFNAME, name);
  if (!mac.empty()) m.attribute(IFLA_ADDRESS, hw.data(), hw.size());
  size_t info = m.begin(IFLA_LINKINFO);
  m.text(IFLA_INFO_KIND, "vxlan");
  size_t data = m.begin(IFLA_INFO_DATA);
  m.number<uint32_t>(IFLA_VXLAN_ID, o.vni).number<uint16_t>(IFLA_VXLAN_PORT, htons(o.port)).number<uint8_t>(IFLA_VXLAN_LEARNING, 0);
  if (auto local = Ipv4::parse(o.local_ip)) m.address(IFLA_VXLAN_LOCAL, *local);
  if (int parent = o.parent.empty() ? 0 : index_of(o.parent)) m.number<uint32_t>(IFLA_VXLAN_LINK, static_cast<uint32_t>(parent));
  m.end(data).end(info);
  TRY_OK(request(m.take(), "create vxlan " + name, EEXIST));
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

Result<> Netlink::add_route(Cidr to, Ipv4 gateway, const std::string& link, bool onlink) {
  rtmsg body{};
  body.rtm_family = AF_INET;
  body.rtm_dst_len = static_cast<uint8_t>(to.bits);
  body.rtm_table = RT_TABLE_MAIN;
  body.rtm_protocol = RTPROT_BOOT;
  body.rtm_type = RTN_UNICAST;
  body.rtm_scope = gateway.value ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  if (onlink) body.rtm_flags = RTNH_F_ONLINK;
  Message m(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
  m.body(body);
  if (to.bits) m.address(RTA_DST, to.base);
  if (gateway.value) m.address(RTA_GATEWAY, gateway);
  if (!link.empty()) m.number<uint32_t>(RTA_OIF, static_cast<uint32_t>(index_of(link)));
  TRY_OK(request(m.take(), "add route to " + to.text(), EEXIST));
  return {};
}

Result<> Netlink::remove_route(Cidr to) {
  rtmsg body{};
  body.rtm_family = AF_INET;
  body.rtm_dst_len = static_cast<uint8_t>(to.bits);
  body.rtm_table = RT_TABLE_MAIN;
  Message m(RTM_DELROUTE, 0);
  m.body(body).address(RTA_DST, to.base);
  TRY_OK(request(m.take(), "remove route to " + to.text(), ESRCH));
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

}  // namespace k8lite::cni
