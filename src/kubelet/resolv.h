// A pod's /etc/resolv.conf: what its dnsPolicy and dnsConfig make of the cluster's DNS and of the node's own file. Pure.
// (Kubernetes documentation: "DNS for Services and Pods", "Pod's DNS Policy" and "Pod's DNS Config".)
#pragma once
#include <string>

#include "base/json.h"

namespace k8lite::kubelet {

struct ResolverFacts {
  std::string cluster_dns;     // address; "" when this cluster has none
  std::string cluster_domain;
  std::string host;            // the text of the node's resolv.conf
};

// At most three name servers and 32 search domains, as resolvers read no more. A pod with a network of its own cannot reach name servers
// on the node's loopback: the cluster's DNS, which forwards to them, takes their place.
std::string pod_resolv_conf(json::Value pod, const ResolverFacts& facts);

}  // namespace k8lite::kubelet
