// What runs on every node, whether the server's own or an agent's: the node agent, the service proxy, the cluster DNS.
#pragma once
#include <memory>

#include "base/random.h"
#include "config/settings.h"
#include "dns/dns.h"
#include "kubelet/kubelet.h"
#include "pki/pki.h"
#include "proxy/proxy.h"

namespace k8lite::app {

struct NodeSettings {
  config::Config config;
  pki::KeyPair serving;
  std::string ca_pem;
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
  void start_network_services(const std::string& rules);
  bool disabled(std::string_view component) const;
  machinery::Informer services_, slices_;
  std::unique_ptr<proxy::Proxy> proxy_;
  std::unique_ptr<dns::DnsServer> dns_;
  std::unique_ptr<kubelet::Kubelet> kubelet_;
};

}  // namespace k8lite::app
