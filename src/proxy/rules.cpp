#include "proxy/rules.h"

#include <openssl/sha.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include "base/strings.h"

namespace k8lite::proxy {
namespace {

constexpr std::string_view kMasq = "KUBE-MARK-MASQ";

std::string base32(std::string_view bytes, size_t characters) {
  static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  std::string out;
  unsigned buffer = 0;
  int bits = 0;
  for (unsigned char c : bytes) {
    buffer = buffer << 8 | c;
    for (bits += 8; bits >= 5 && out.size() < characters; bits -= 5) out += kAlphabet[buffer >> (bits - 5) & 31];
  }
  return out;
}

std::string protocol_match(const ServicePort& p) { return "-p " + p.protocol + " -m " + p.protocol; }
std::string comment(const std::string& text) { return "-m comment --comment \"" + text + "\""; }

class Renderer {
 public:
  explicit Renderer(const RuleOptions& options) : options_(options) {
    for (auto name : {"KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-MARK-MASQ", "KUBE-POSTROUTING"}) rules_.nat[name];
    for (auto name : {"KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-EXTERNAL-SERVICES", "KUBE-FORWARD", "KUBE-FIREWALL", "KUBE-PROXY-FIREWALL"}) rules_.filter[name];
    nat("KUBE-MARK-MASQ", "-j MARK --or-mark 0x4000");
    nat("KUBE-POSTROUTING", "-m mark ! --mark 0x4000/0x4000 -j RETURN");
    nat("KUBE-POSTROUTING", "-j MARK --xor-mark 0x4000");
    nat("KUBE-POSTROUTING", "-m comment --comment \"kubernetes service traffic requiring SNAT\" -j MASQUERADE --random-fully");
    filter("KUBE-FORWARD", "-m conntrack --ctstate INVALID -j DROP");
    filter("KUBE-FORWARD", "-m comment --comment \"kubernetes forwarding rules\" -m mark --mark 0x4000/0x4000 -j ACCEPT");
    filter("KUBE-FORWARD", "-m comment --comment \"kubernetes forwarding conntrack rule\" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT");
    // Node ports answer on 127.0.0.1 too, which needs route_localnet; this keeps the neighbours out of it (CVE-2020-8558).
    filter("KUBE-FIREWALL", "! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment \"block incoming localnet connections\" "
                            "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP");
  }

  void add(const ServicePort& p) {
    bool inside = !(p.internal_local ? p.local_endpoints : p.cluster_endpoints).empty();
    bool outside = !(p.external_local ? p.local_endpoints : p.cluster_endpoints).empty();
    std::string svc = chain_name("KUBE-SVC-", p.name, p.protocol), svl = chain_name("KUBE-SVL-", p.name, p.protocol);
    bool need_svc = !p.cluster_endpoints.empty() && (!p.internal_local || p.reachable_from_outside());
    bool need_svl = !p.local_endpoints.empty() && (p.internal_local || (p.external_local && p.reachable_from_outside()));
    if (inside) cluster_ip(p, p.internal_local ? svl : svc);
    else refuse_inside(p);
    if (p.reachable_from_outside()) {
      if (!p.cluster_endpoints.empty()) external(p, svc, need_svl ? svl : "");
      if (!outside) refuse_outside(p);
    }
    if (need_svc) balance(p, svc, p.cluster_endpoints);
    if (need_svl) balance(p, svl, p.local_endpoints);
    std::vector<std::string> used = need_svc ? p.cluster_endpoints : std::vector<std::string>();
    if (need_svl) used.insert(used.end(), p.local_endpoints.begin(), p.local_endpoints.end());
    std::sort(used.begin(), used.end());
    used.erase(std::unique(used.begin(), used.end()), used.end());
    for (auto& address : used) endpoint(p, address);
    std::string service = p.name.substr(0, p.name.find(':'));
    if (p.health_port && health_ports_.insert(p.health_port).second)
      filter("KUBE-NODEPORTS", comment(service + " health check node port") + " -p tcp -m tcp --dport " + std::to_string(p.health_port) + " -j ACCEPT");
  }

  RuleSet finish() && {
    nat("KUBE-SERVICES", "-m comment --comment \"kubernetes service nodeports; NOTE: this must be the last rule in this chain\" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS");
    return std::move(rules_);
  }

 private:
  static void append(std::string& chain, std::string_view name, std::string_view rule) {
    chain.append("-A ").append(name).append(" ").append(rule).append("\n");
  }
  void nat(std::string_view chain, std::string_view rule) { append(rules_.nat[std::string(chain)], chain, rule); }
  void filter(std::string_view chain, std::string_view rule) { append(rules_.filter[std::string(chain)], chain, rule); }

  std::string to(const ServicePort& p, const std::string& ip, int port) { return protocol_match(p) + " -d " + ip + " --dport " + std::to_string(port); }

  void cluster_ip(const ServicePort& p, const std::string& chain) {
    nat("KUBE-SERVICES", comment(p.name + " cluster IP") + " " + to(p, p.cluster_ip, p.port) + " -j " + chain);
    if (!options_.cluster_cidr.empty())
      nat(chain, comment(p.name + " cluster IP") + " " + to(p, p.cluster_ip, p.port) + " ! -s " + options_.cluster_cidr + " -j " + std::string(kMasq));
  }

  // The entry for external IPs, load balancer addresses and node ports.
  void external(const ServicePort& p, const std::string& svc, const std::string& svl) {
    std::string ext = chain_name("KUBE-EXT-", p.name, p.protocol), fw = chain_name("KUBE-FW-", p.name, p.protocol);
    for (auto& ip : p.external_ips) nat("KUBE-SERVICES", comment(p.name + " external IP") + " " + to(p, ip, p.port) + " -j " + ext);
    for (auto& ip : p.balancer_ips)
      nat("KUBE-SERVICES", comment(p.name + " loadbalancer IP") + " " + to(p, ip, p.port) + " -j " + (p.source_ranges.empty() ? ext : fw));
    if (p.node_port) nat("KUBE-NODEPORTS", comment(p.name) + " " + protocol_match(p) + " --dport " + std::to_string(p.node_port) + " -j " + ext);
    if (!p.balancer_ips.empty() && !p.source_ranges.empty()) firewall(p, fw, ext);

    if (!p.external_local) {
      nat(ext, comment("masquerade traffic for " + p.name + " external destinations") + " -j " + std::string(kMasq));
      nat(ext, "-j " + svc);
      return;
    }
    // Local policy keeps the client's address; pods and the node itself may still use every endpoint.
    if (!options_.cluster_cidr.empty()) nat(ext, comment("pod traffic for " + p.name + " external destinations") + " -s " + options_.cluster_cidr + " -j " + svc);
    nat(ext, comment("masquerade LOCAL traffic for " + p.name + " external destinations") + " -m addrtype --src-type LOCAL -j " + std::string(kMasq));
    nat(ext, comment("route LOCAL traffic for " + p.name + " external destinations") + " -m addrtype --src-type LOCAL -j " + svc);
    if (!svl.empty()) nat(ext, "-j " + svl);
  }

  // loadBalancerSourceRanges: allowed sources go on to the entry chain; what comes back undirected is dropped in the filter table.
  void firewall(const ServicePort& p, const std::string& fw, const std::string& ext) {
    for (auto& range : p.source_ranges) nat(fw, comment(p.name + " loadbalancer IP") + " -s " + range + " -j " + ext);
    // The node reaching its own balancer address has that address as its source.
    if (std::find(p.source_ranges.begin(), p.source_ranges.end(), options_.node_ip + "/32") != p.source_ranges.end())
      for (auto& ip : p.balancer_ips) nat(fw, comment(p.name + " loadbalancer IP") + " -s " + ip + " -j " + ext);
    nat(fw, comment("other traffic to " + p.name + " will be dropped by KUBE-PROXY-FIREWALL"));
    for (auto& ip : p.balancer_ips)
      filter("KUBE-PROXY-FIREWALL", comment(p.name + " traffic not accepted by " + fw) + " " + to(p, ip, p.port) + " -j DROP");
  }

  void refuse_inside(const ServicePort& p) {
    if (std::find(options_.never_reject.begin(), options_.never_reject.end(), p.cluster_ip) != options_.never_reject.end()) return;
    bool elsewhere = p.any_endpoint;
    filter("KUBE-SERVICES", comment(p.name + (elsewhere ? " has no local endpoints" : " has no endpoints")) + " " + to(p, p.cluster_ip, p.port) + (elsewhere ? " -j DROP" : " -j REJECT"));
  }
  void refuse_outside(const ServicePort& p) {
    bool elsewhere = p.any_endpoint;
    std::string why = comment(p.name + (elsewhere ? " has no local endpoints" : " has no endpoints")), verdict = elsewhere ? " -j DROP" : " -j REJECT";
    for (auto* list : {&p.external_ips, &p.balancer_ips})
      for (auto& ip : *list) filter("KUBE-EXTERNAL-SERVICES", why + " " + to(p, ip, p.port) + verdict);
    if (p.node_port)
      filter("KUBE-EXTERNAL-SERVICES", why + " -m addrtype --dst-type LOCAL " + protocol_match(p) + " --dport " + std::to_string(p.node_port) + verdict);
  }

  void balance(const ServicePort& p, const std::string& chain, const std::vector<std::string>& addresses) {
    if (p.affinity_seconds > 0)
      for (auto& address : addresses) {
        std::string sep = chain_name("KUBE-SEP-", p.name, p.protocol, address);
        nat(chain, comment(p.name + " -> " + address) + " -m recent --name " + sep + " --rcheck --seconds " + std::to_string(p.affinity_seconds) + " --reap -j " + sep);
      }
    for (size_t i = 0; i < addresses.size(); ++i) {
      char chance[64] = "";
      if (i + 1 < addresses.size()) snprintf(chance, sizeof chance, "-m statistic --mode random --probability %.10f ", 1.0 / static_cast<double>(addresses.size() - i));
      nat(chain, comment(p.name + " -> " + addresses[i]) + " " + chance + "-j " + chain_name("KUBE-SEP-", p.name, p.protocol, addresses[i]));
    }
  }

  void endpoint(const ServicePort& p, const std::string& address) {
    std::string sep = chain_name("KUBE-SEP-", p.name, p.protocol, address);
    // A pod that reaches itself through its service must see another source than its own address, or its answer bypasses us.
    nat(sep, comment(p.name) + " -s " + address.substr(0, address.find(':')) + " -j " + std::string(kMasq));
    std::string remember = p.affinity_seconds > 0 ? " -m recent --name " + sep + " --set" : "";
    nat(sep, comment(p.name) + remember + " " + protocol_match(p) + " -j DNAT --to-destination " + address);
  }

  const RuleOptions& options_;
  RuleSet rules_;
  std::set<int> health_ports_;
};

}  // namespace

std::string chain_name(std::string_view prefix, std::string_view port_name, std::string_view protocol, std::string_view endpoint) {
  std::string text = std::string(port_name) + std::string(protocol) + std::string(endpoint);
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  return std::string(prefix) + base32({reinterpret_cast<const char*>(digest), sizeof digest}, 16);
}

RuleSet render_rules(const std::vector<ServicePort>& ports, const RuleOptions& options) {
  Renderer renderer(options);
  for (auto& port : ports) renderer.add(port);
  return std::move(renderer).finish();
}
RuleSet render_rules(const std::vector<json::Doc>& services, const std::vector<json::Doc>& slices, const RuleOptions& options) {
  return render_rules(service_ports(services, slices, options.node_name), options);
}

const std::vector<Jump>& service_jumps() {
  static const std::vector<Jump> jumps = {
      {"nat", "PREROUTING", "KUBE-SERVICES", "-m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES"},
      {"nat", "OUTPUT", "KUBE-SERVICES", "-m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES"},
      {"nat", "POSTROUTING", "KUBE-POSTROUTING", "-m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING"},
      {"filter", "INPUT", "KUBE-FIREWALL", "-j KUBE-FIREWALL"},
      {"filter", "INPUT", "KUBE-PROXY-FIREWALL", "-m conntrack --ctstate NEW -m comment --comment \"kubernetes load balancer firewall\" -j KUBE-PROXY-FIREWALL"},
      {"filter", "INPUT", "KUBE-NODEPORTS", "-m comment --comment \"kubernetes health check service ports\" -j KUBE-NODEPORTS"},
      {"filter", "INPUT", "KUBE-EXTERNAL-SERVICES", "-m conntrack --ctstate NEW -m comment --comment \"kubernetes externally-visible service portals\" -j KUBE-EXTERNAL-SERVICES"},
      {"filter", "FORWARD", "KUBE-PROXY-FIREWALL", "-m conntrack --ctstate NEW -m comment --comment \"kubernetes load balancer firewall\" -j KUBE-PROXY-FIREWALL"},
      {"filter", "FORWARD", "KUBE-FORWARD", "-m comment --comment \"kubernetes forwarding rules\" -j KUBE-FORWARD"},
      {"filter", "FORWARD", "KUBE-SERVICES", "-m conntrack --ctstate NEW -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES"},
      {"filter", "FORWARD", "KUBE-EXTERNAL-SERVICES", "-m conntrack --ctstate NEW -m comment --comment \"kubernetes externally-visible service portals\" -j KUBE-EXTERNAL-SERVICES"},
      {"filter", "OUTPUT", "KUBE-FIREWALL", "-j KUBE-FIREWALL"},
      {"filter", "OUTPUT", "KUBE-PROXY-FIREWALL", "-m conntrack --ctstate NEW -m comment --comment \"kubernetes load balancer firewall\" -j KUBE-PROXY-FIREWALL"},
      {"filter", "OUTPUT", "KUBE-SERVICES", "-m conntrack --ctstate NEW -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES"},
  };
  return jumps;
}

}  // namespace k8lite::proxy
