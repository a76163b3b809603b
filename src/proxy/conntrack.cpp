#include "proxy/conntrack.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "base/strings.h"
#include "proxy/nfnetlink.h"

namespace k8lite::proxy {
namespace {

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
  if (at == targets.node_ports.end()) return false;
  if (redirected) return !at->second.contains(flow.answered_by);
  // The client spoke before the port was anybody's, and goes on: the kernel would not translate its packets now.
  return !at->second.empty() && targets.node_addresses.contains(flow.sent_to.substr(0, colon));
}

std::set<std::string> node_addresses() {
  std::set<std::string> out;
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return out;
  for (ifaddrs* i = all; i; i = i->ifa_next) {
    char text[INET_ADDRSTRLEN];
    if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET) out.insert(inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in*>(i->ifa_addr)->sin_addr, text, sizeof text));
  }
  freeifaddrs(all);
  return out;
}

Result<int> forget_stale_flows(UdpTargets targets) {
  if (!targets.node_ports.empty()) targets.node_addresses = node_addresses();
  TRY(os::Fd socket, netfilter_socket());
  std::vector<std::string> stale;  // attributes that name the flow
  TRY_OK(netfilter_exchange(socket, netfilter_message(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET, NLM_F_DUMP, {}), [&targets, &stale](std::string_view attributes) {
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
    auto done = netfilter_exchange(socket, netfilter_message(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, name), [](std::string_view) {});
    if (!done.ok() && done.status().sys_errno() != ENOENT) return std::move(done).status();
    gone += done.ok();
  }
  return gone;
}

}  // namespace k8lite::proxy
