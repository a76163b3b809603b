// What runs on every node, whether the server's own or an agent's: the node agent, the service proxy, the cluster DNS.
#pragma once
#include <memory>

#include "base/random.h"
#include "config/settings.h"
#include "dns/dns.h"
#include "kubelet/kubelet.h"
#include "pki/pki.h"
#include "proxy/host_ports.h"
#include "proxy/proxy.h"
#include "proxy/rule_watch.h"

namespace k8lite::app {

struct NodeSettings {
  config::Config config;
  pki::KeyPair serving;
  std::string ca_pem;
  // The address was found, not configured: it is followed when it changes. `renew` gives a serving certificate for the new one; it may
  // tell others of the address too, and is called again until it succeeds.
  bool follow_address = false;
  std::function<Result<pki::KeyPair>(const std::string& ip)> renew;
};

class NodeRoot {
 public:
  NodeRoot(async::Loop& loop, machinery::Client& client, const Clock& clock, Random& random, NodeSettings settings);
  ~NodeRoot();
  Result<> start();

 private:
  async::Loop& loop_;
  machinery::Client& client_;
  NodeSettings settings_;
  void start_network_services(const cni::Network& network);
  void watch_rules();
  std::string dns_rules() const;
  Result<> map_ports(const std::vector<kubelet::PortMapping>& ports);
  bool disabled(std::string_view component) const;
  machinery::Informer services_, slices_;
  std::unique_ptr<proxy::Proxy> proxy_;
  std::unique_ptr<proxy::HostPorts> host_ports_;
  std::unique_ptr<proxy::RuleWatch> rule_watch_;  // its thread uses the two above
  std::string rules_;                             // of the pod network
  std::unique_ptr<dns::DnsServer> dns_;
  std::unique_ptr<kubelet::Kubelet> kubelet_;
};

}  // namespace k8lite::app
