// The service proxy of a node: Services and EndpointSlices become iptables rules in the kernel, in the chain layout of kube-proxy's
// iptables mode (KEP-3178 and the "Virtual IPs and Service Proxies" reference), so existing tools and eyes read them. IPv4.
// One worker thread sleeps until an informer reports a change; nothing runs, polls or wakes while the cluster is quiet.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "machinery/informer.h"

namespace k8lite::proxy {

struct ProxyOptions {
  std::string node_name;     // endpoints with this nodeName are local
  std::string node_ip;       // accepted as a source by loadBalancerSourceRanges checks of this node's own load balancer address
  std::string cluster_cidr;  // traffic to a cluster IP from elsewhere is masqueraded; "": never
  std::vector<std::string> never_reject;  // cluster IPs served without endpoints (the node's own DNS): no REJECT rules for them
  // iptables-restore text with own chains (K8LITE-POSTRTG in nat, K8LITE-FWD in filter), applied at start; POSTROUTING and FORWARD
  // jump to those two where the text declares them (":K8LITE-FWD - [0:0]").
  std::string extra_rules;
};

class Proxy {
 public:
  // Registers its handlers: before the informers start. The informers must live until stop().
  Proxy(machinery::Informer& services, machinery::Informer& slices, ProxyOptions options);
  ~Proxy();  // stops
  Proxy(const Proxy&) = delete;

  // Applies extra_rules at once (an error says what iptables said), then starts the worker. It works in the calling thread's network
  // namespace and touches service rules only after both informers have synced, so rules of an earlier run keep serving meanwhile.
  Result<> start();
  // Ends the worker; the rules stay in the kernel.
  void stop();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

// Removes every KUBE-* and K8LITE-* chain and all jumps to them from the calling thread's network namespace; failures are logged.
void remove_rules();

}  // namespace k8lite::proxy
