// Cluster DNS in the node's own process: answers the cluster's zone from two informers' objects (Kubernetes DNS specification 1.1.0)
// and forwards everything else to the node's name servers. UDP and TCP, one thread, and no wake-up while nothing is asked.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "machinery/informer.h"

namespace k8lite::dns {

struct DnsOptions {
  std::vector<std::string> addresses;            // to listen on, IPv4 text; they need not exist yet (IP_FREEBIND)
  int port = 53;                                 // 0: any free one, the same for all addresses
  std::string domain = "cluster.local";
  std::string resolv_conf = "/etc/resolv.conf";  // upstream name servers; looked at again when a query needs it, at most once a second
  int upstream_port = 53;
  // Taken when another program has `port` on every address of the machine; whoever starts the server then leads its clients there.
  bool other_port_if_taken = false;
};

// The informers watch services (core/v1) and endpointslices (discovery.k8s.io/v1); the constructor registers handlers, so they are
// started after it, by the caller. They may outlive the server. Until both have synced, names of the zone get SERVFAIL.
class DnsServer {
 public:
  DnsServer(machinery::Informer& services, machinery::Informer& slices, DnsOptions options);
  ~DnsServer();  // stops
  DnsServer(const DnsServer&) = delete;
  // Binds every address on UDP and TCP, then serves on a thread of its own. Fails when an address or the port cannot be had.
  Result<> start();
  void stop();
  int port() const;  // the bound port, after start()

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace k8lite::dns
