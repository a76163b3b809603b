// The service proxy of a node: Services and EndpointSlices become iptables rules in the kernel, in the chain layout of kube-proxy's
// iptables mode (KEP-3178 and the "Virtual IPs and Service Proxies" reference), so existing tools and eyes read them. IPv4.
// One worker thread sleeps until an informer reports a change; nothing runs, polls or wakes while the cluster is quiet.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "async/async.h"
#include "base/result.h"
#include "machinery/informer.h"

namespace k8lite::proxy {

struct ProxyOptions {
  std::string node_name;     // endpoints with this nodeName are local
  std::string node_ip;       // accepted as a source by loadBalancerSourceRanges checks of this node's own load balancer address
  std::string cluster_cidr;  // traffic to a cluster IP from elsewhere is masqueraded; "": never
  std::vector<std::string> never_reject;  // cluster IPs served without endpoints (the node's own DNS): no REJECT rules for them
  async::Loop* loop = nullptr;  // serves the health checks of load balancers (healthCheckNodePort); null: nobody does
};

class Proxy {
 public:
  // Registers its handlers: before the informers start. The informers must live until stop().
  Proxy(machinery::Informer& services, machinery::Informer& slices, ProxyOptions options);
  ~Proxy();  // stops
  Proxy(const Proxy&) = delete;

  // Starts the worker; an error when there is no iptables. It works in the calling thread's network namespace and touches service
  // rules only after both informers have synced, so rules of an earlier run keep serving meanwhile.
  Result<> start();
  // The node's address has changed.
  void set_node_ip(const std::string& ip);
  // Somebody else has removed rules: makes them again.
  void again();
  // Ends the worker; the rules stay in the kernel.
  void stop();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

// The rules that a node has whether it serves services or not, as iptables-restore text with chains of its own (K8LITE-POSTRTG and
// K8LITE-DNS in nat, K8LITE-FWD and K8LITE-INPUT in filter; the built-in chains jump to them where the text declares them). Rules that an earlier
// run made with the other kind of iptables (nf_tables, legacy) are removed. With K8LITE-INPUT guarding it, 127.0.0.0/8 becomes routable,
// which node ports and host ports on 127.0.0.1 need.
Result<> apply_node_rules(const std::string& restore_text);

// Removes every KUBE-* and K8LITE-* chain and all jumps to them from the calling thread's network namespace, made with either kind of
// iptables; failures are logged.
void remove_rules();

}  // namespace k8lite::proxy
