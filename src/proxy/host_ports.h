// containerPort.hostPort: what comes to a port of the node goes on to a pod of it. The rules live in chains of their own (K8LITE-HOSTPORTS
// leads to a K8LITE-HP-* chain a port), work from other machines, from pods and from 127.0.0.1, and keep the client's address except
// where the answer would miss us: from the same bridge and from loopback.
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "proxy/iptables.h"

namespace k8lite::proxy {

struct HostPort {
  std::string pod;       // "ns/name", for the comment
  std::string protocol;  // tcp, udp, sctp
  std::string host_ip;   // "" or 0.0.0.0: every address of the node
  int host_port = 0;
  std::string pod_ip;
  int container_port = 0;
  auto operator<=>(const HostPort&) const = default;
};

struct HostPortOptions {
  std::string pod_cidr;                 // of this node: its pods share a bridge
  std::vector<std::string> not_mapped;  // addresses of the node that are a service's: cluster DNS
};

// The nat chains. The order of `ports` does not matter; entries that are no IPv4 mapping are left out.
Chains render_host_ports(std::vector<HostPort> ports, const HostPortOptions& options);

class HostPorts {
 public:
  explicit HostPorts(HostPortOptions options) : options_(std::move(options)) {}
  // Makes the rules be exactly these; what an earlier run left goes. Blocks for some milliseconds; thread-safe. After an error the next
  // call tries everything again.
  Result<> set(std::vector<HostPort> ports);
  // Somebody else has removed rules: makes them again.
  Result<> again();

 private:
  Result<> apply(std::vector<HostPort> ports);
  const HostPortOptions options_;
  std::mutex mutex_;
  std::unique_ptr<Applier> applier_;
  std::vector<HostPort> before_;
};

}  // namespace k8lite::proxy
