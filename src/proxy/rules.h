// The pure half of the service proxy: Services and EndpointSlices in, iptables chains out. The layout and the names are those of
// kube-proxy's iptables mode: KUBE-SERVICES picks the service port, KUBE-EXT-* is the entry from outside, KUBE-SVC-* balances over
// all usable endpoints, KUBE-SVL-* over those of this node, KUBE-SEP-* is one endpoint.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "proxy/service_ports.h"

namespace k8lite::proxy {

// Chain name -> its rules as iptables-restore lines ("-A KUBE-SERVICES ...\n"), in order. An empty text is an empty chain.
using Chains = std::map<std::string, std::string>;

struct RuleSet {
  Chains nat, filter;
};

struct RuleOptions {
  std::string node_name, node_ip, cluster_cidr;
  std::vector<std::string> never_reject;
};

// The order of the arguments' elements does not matter.
RuleSet render_rules(const std::vector<ServicePort>& ports, const RuleOptions& options);
RuleSet render_rules(const std::vector<json::Doc>& services, const std::vector<json::Doc>& slices, const RuleOptions& options);

// A jump from a built-in chain; `rule` is the text after "-A <chain> ".
struct Jump {
  std::string table, chain, target, rule;
};
const std::vector<Jump>& service_jumps();

// "KUBE-SVC-" + 16 base32 characters of sha256(port_name + protocol [+ endpoint]); port_name is "ns/name" or "ns/name:port".
std::string chain_name(std::string_view prefix, std::string_view port_name, std::string_view protocol, std::string_view endpoint = {});

}  // namespace k8lite::proxy
