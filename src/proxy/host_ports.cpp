#include "proxy/host_ports.h"

#include <arpa/inet.h>

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "proxy/conntrack.h"

namespace k8lite::proxy {
namespace {

const Layout& layout() {
  // Behind the service rules, which stand at the head: a node port is never a pod's.
  static const Layout out = {{{"nat", "PREROUTING", "K8LITE-HOSTPORTS", "-m comment --comment \"k8lite host ports\" -m addrtype --dst-type LOCAL -j K8LITE-HOSTPORTS"},
                              {"nat", "OUTPUT", "K8LITE-HOSTPORTS", "-m comment --comment \"k8lite host ports\" -m addrtype --dst-type LOCAL -j K8LITE-HOSTPORTS"},
                              {"nat", "POSTROUTING", "K8LITE-HPMASQ", "-m comment --comment \"k8lite host ports requiring SNAT\" -j K8LITE-HPMASQ"}},
                             {"K8LITE-HP-"},
                             true};
  return out;
}

bool is_ipv4(const std::string& text) {
  in_addr address;
  return inet_pton(AF_INET, text.c_str(), &address) == 1;
}
bool is_any(const std::string& ip) { return ip.empty() || ip == "0.0.0.0" || ip == "::"; }
bool valid(const HostPort& p) {
  return is_ipv4(p.pod_ip) && (is_any(p.host_ip) || is_ipv4(p.host_ip)) && (p.protocol == "tcp" || p.protocol == "udp" || p.protocol == "sctp") && p.host_port > 0 && p.host_port < 65536 &&
         p.container_port > 0 && p.container_port < 65536;
}
std::string endpoint(const HostPort& p) { return p.pod_ip + ":" + std::to_string(p.container_port); }

UdpTargets udp_flows(const std::vector<HostPort>& ports, const std::vector<HostPort>& before) {
  UdpTargets out;
  for (const auto& p : before)  // a port that is nobody's any more has no endpoint to keep a flow for
    if (p.protocol == "udp") out.node_ports[p.host_port];
  for (const auto& p : ports)
    if (p.protocol == "udp") out.node_ports[p.host_port].insert(endpoint(p));
  return out;
}

}  // namespace

Chains render_host_ports(std::vector<HostPort> ports, const HostPortOptions& options) {
  std::sort(ports.begin(), ports.end());
  Chains out;
  out["K8LITE-HPMARK"] = "-A K8LITE-HPMARK -j MARK --or-mark 0x2000\n";
  out["K8LITE-HPMASQ"] = "-A K8LITE-HPMASQ -m mark ! --mark 0x2000/0x2000 -j RETURN\n-A K8LITE-HPMASQ -j MARK --xor-mark 0x2000\n-A K8LITE-HPMASQ -j MASQUERADE\n";
  std::string& entry = out["K8LITE-HOSTPORTS"];
  if (ports.empty()) return out;
  for (const auto& ip : options.not_mapped)
    if (is_ipv4(ip)) entry += "-A K8LITE-HOSTPORTS -d " + ip + "/32 -j RETURN\n";
  // Ports of one address first: a mapping for every address must not take their packets.
  std::stable_partition(ports.begin(), ports.end(), [](const HostPort& p) { return !is_any(p.host_ip); });
  for (const HostPort& p : ports) {
    if (!valid(p)) continue;
    std::string chain = chain_name("K8LITE-HP-", p.pod + " " + p.host_ip + ":" + std::to_string(p.host_port), p.protocol, endpoint(p));
    std::string match = "-m comment --comment \"" + p.pod + " host port\" -p " + p.protocol + " -m " + p.protocol;
    entry += "-A K8LITE-HOSTPORTS " + match + (is_any(p.host_ip) ? "" : " -d " + p.host_ip + "/32") + " --dport " + std::to_string(p.host_port) + " -j " + chain + "\n";
    std::string& rules = out[chain];
    rules = "-A " + chain + " -s " + options.pod_cidr + " -j K8LITE-HPMARK\n" +
            "-A " + chain + " -s 127.0.0.0/8 -j K8LITE-HPMARK\n" +
            "-A " + chain + " " + match + " -j DNAT --to-destination " + endpoint(p) + "\n";
  }
  return out;
}

Result<> HostPorts::again() {
  std::lock_guard lock(mutex_);
  if (!applier_) return {};
  applier_->forget();
  return apply(before_);
}

Result<> HostPorts::set(std::vector<HostPort> ports) {
  std::lock_guard lock(mutex_);
  return apply(std::move(ports));
}

Result<> HostPorts::apply(std::vector<HostPort> ports) {
  if (!applier_) {
    TRY(Applier opened, Applier::open(layout()));
    applier_ = std::make_unique<Applier>(std::move(opened));
  }
  RuleSet rules;
  rules.nat = render_host_ports(ports, options_);
  TRY_OK(applier_->apply(rules).within("host ports"));
  if (auto gone = forget_stale_flows(udp_flows(ports, before_)); !gone.ok()) log_warn("flows to former UDP host ports could not be removed", {{"error", gone.status()}});
  before_ = std::move(ports);
  return {};
}

}  // namespace k8lite::proxy
