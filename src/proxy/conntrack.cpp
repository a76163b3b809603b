#include "proxy/conntrack.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstring>

#include "base/strings.h"
#include "os/files.h"

namespace k8lite::proxy {
namespace {

constexpr int kAnswerLimitS = 5;
constexpr uint16_t kAttributeType = static_cast<uint16_t>(NLA_TYPE_MASK);

// Calls use(type, bytes) for each netlink attribute in `bytes`.
template <class F>
void each_attribute(std::string_view bytes, F use) {
  while (bytes.size() >= sizeof(nlattr)) {
    nlattr a;
    memcpy(&a, bytes.data(), sizeof a);
    if (a.nla_len < sizeof a || a.nla_len > bytes.size()) return;
    use(a.nla_type & kAttributeType, bytes.substr(sizeof a, a.nla_len - sizeof a));
    bytes.remove_prefix(std::min<size_t>(NLA_ALIGN(a.nla_len), bytes.size()));
  }
}

struct Tuple {
  int protocol = 0;
  std::string source, destination;  // "ip:port"
};
Tuple read_tuple(std::string_view bytes) {
  Tuple t;
  std::string ips[2], ports[2];
  each_attribute(bytes, [&t, &ips, &ports](int type, std::string_view value) {
    each_attribute(value, [&t, &ips, &ports, type](int inner, std::string_view v) {
      if (type == CTA_TUPLE_IP && (inner == CTA_IP_V4_SRC || inner == CTA_IP_V4_DST) && v.size() == 4) {
        char text[INET_ADDRSTRLEN];
        ips[inner == CTA_IP_V4_DST] = inet_ntop(AF_INET, v.data(), text, sizeof text);
      }
      if (type != CTA_TUPLE_PROTO || v.empty()) return;
      auto byte = [v](size_t i) { return static_cast<unsigned char>(v[i]); };
      if (inner == CTA_PROTO_NUM) t.protocol = byte(0);
      if ((inner == CTA_PROTO_SRC_PORT || inner == CTA_PROTO_DST_PORT) && v.size() == 2) ports[inner == CTA_PROTO_DST_PORT] = std::to_string(byte(0) << 8 | byte(1));
    });
  });
  t.source = ips[0] + ":" + ports[0];
  t.destination = ips[1] + ":" + ports[1];
  return t;
}

void append_attribute(std::string& out, uint16_t type, std::string_view value) {
  nlattr a{static_cast<uint16_t>(sizeof(nlattr) + value.size()), type};
  out.append(reinterpret_cast<const char*>(&a), sizeof a).append(value);
  out.resize(NLMSG_ALIGN(out.size()), '\0');
}

std::string message(uint8_t type, uint16_t flags, std::string_view attributes) {
  nlmsghdr header{};
  header.nlmsg_len = static_cast<uint32_t>(NLMSG_LENGTH(sizeof(nfgenmsg)) + attributes.size());
  header.nlmsg_type = static_cast<uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | type);
  header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
  nfgenmsg family{};
  family.nfgen_family = AF_INET;
  family.version = NFNETLINK_V0;
  std::string out(reinterpret_cast<const char*>(&header), sizeof header);
  return out.append(reinterpret_cast<const char*>(&family), sizeof family).append(attributes);
}

// Sends a request and gives each answer's attributes to `use` until the kernel says it is done.
template <class F>
Result<> exchange(const os::Fd& socket, const std::string& request, F use) {
  if (::send(socket.get(), request.data(), request.size(), 0) < 0) return Status::from_errno("conntrack request", errno);
  std::string buffer(65536, '\0');
  for (;;) {
    ssize_t n = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Status::from_errno("conntrack answer", errno);
    std::string_view rest(buffer.data(), static_cast<size_t>(n));
    while (rest.size() >= sizeof(nlmsghdr)) {
      nlmsghdr header;
      memcpy(&header, rest.data(), sizeof header);
      if (header.nlmsg_len < sizeof header || header.nlmsg_len > rest.size()) break;
      if (header.nlmsg_type == NLMSG_DONE) return {};
      std::string_view body = rest.substr(sizeof header, header.nlmsg_len - sizeof header);
      if (header.nlmsg_type == NLMSG_ERROR) {
        int error = 0;
        if (body.size() >= sizeof error) memcpy(&error, body.data(), sizeof error);
        if (error) return Status::from_errno("conntrack", -error);
        return {};
      }
      if (body.size() > sizeof(nfgenmsg)) use(body.substr(NLMSG_ALIGN(sizeof(nfgenmsg))));
      rest.remove_prefix(std::min<size_t>(NLMSG_ALIGN(header.nlmsg_len), rest.size()));
    }
  }
}

}  // namespace

UdpTargets udp_targets(const std::vector<ServicePort>& ports) {
  UdpTargets out;
  for (auto& p : ports) {
    if (p.protocol != "udp") continue;
    auto& inside = p.internal_local ? p.local_endpoints : p.cluster_endpoints;
    out.addresses[p.cluster_ip + ":" + std::to_string(p.port)].insert(inside.begin(), inside.end());
    // Pods and the node itself may use every endpoint even where the policy for others is Local.
    std::set<std::string> outside(p.cluster_endpoints.begin(), p.cluster_endpoints.end());
    if (p.external_local) outside.insert(p.local_endpoints.begin(), p.local_endpoints.end());
    for (auto* list : {&p.external_ips, &p.balancer_ips})
      for (auto& ip : *list) out.addresses[ip + ":" + std::to_string(p.port)].insert(outside.begin(), outside.end());
    if (p.node_port) out.node_ports[p.node_port].insert(outside.begin(), outside.end());
  }
  return out;
}

bool is_stale(const UdpFlow& flow, const UdpTargets& targets) {
  bool redirected = flow.sent_to != flow.answered_by;
  if (auto at = targets.addresses.find(flow.sent_to); at != targets.addresses.end()) {
    if (at->second.empty() && !redirected) return false;  // served by this node without endpoints
    return !at->second.contains(flow.answered_by);
  }
  size_t colon = flow.sent_to.rfind(':');
  auto port = parse_int(std::string_view(flow.sent_to).substr(colon == std::string::npos ? 0 : colon + 1));
  auto at = targets.node_ports.find(static_cast<int>(port.value_or(0)));
  return at != targets.node_ports.end() && redirected && !at->second.contains(flow.answered_by);
}

Result<int> forget_stale_flows(const UdpTargets& targets) {
  os::Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  if (!socket) return Status::from_errno("conntrack socket", errno);
  timeval limit{kAnswerLimitS, 0};
  setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  std::vector<std::string> stale;  // attributes that name the flow
  TRY_OK(exchange(socket, message(IPCTNL_MSG_CT_GET, NLM_F_DUMP, {}), [&targets, &stale](std::string_view attributes) {
    Tuple there, back;
    std::string name;
    each_attribute(attributes, [&there, &back, &name](int type, std::string_view value) {
      if (type == CTA_TUPLE_ORIG) there = read_tuple(value), append_attribute(name, NLA_F_NESTED | CTA_TUPLE_ORIG, value);
      if (type == CTA_TUPLE_REPLY) back = read_tuple(value);
      if (type == CTA_ZONE) append_attribute(name, CTA_ZONE, value);
    });
    if (there.protocol == IPPROTO_UDP && is_stale({there.destination, back.source}, targets)) stale.push_back(std::move(name));
  }));
  int gone = 0;
  for (auto& name : stale) {
    auto done = exchange(socket, message(IPCTNL_MSG_CT_DELETE, NLM_F_ACK, name), [](std::string_view) {});
    if (!done.ok() && done.status().sys_errno() != ENOENT) return std::move(done).status();
    gone += done.ok();
  }
  return gone;
}

}  // namespace k8lite::proxy
