// Cluster IPs and node ports of Services: who has which, kept in memory and filled from the stored Services at start. An address is
// taken before its Service is written and given back when the write fails or the Service goes. Thread-safe. IPv4 only today; addresses
// are lists in the API all the same.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/json.h"
#include "base/random.h"

namespace k8lite::apiserver {

struct ServiceNetwork {
  std::string cidr = "10.43.0.0/16";
  int first_port = 30000, last_port = 32767;
};

class ServiceAddresses {
 public:
  static Result<std::unique_ptr<ServiceAddresses>> create(ServiceNetwork network, Random& random);

  // Fills clusterIP(s), ipFamilies and node ports of a Service about to be written and takes them; `old` is its state before (or
  // null). Invalid when a wanted one is taken or outside of the range. `owner` is namespace/name.
  Result<> allocate(json::Node& service, const json::Doc* old, const std::string& owner);
  // After a write: exactly what this Service (null: gone) uses stays taken by the owner.
  void settle(const std::string& owner, const json::Doc* service);
  std::string first() const;  // the address of the "kubernetes" Service

 private:
  ServiceAddresses(uint32_t base, uint32_t size, ServiceNetwork n, Random& r) : base_(base), size_(size), network_(n), random_(r) {}
  Result<> take_address(json::Node& spec, const std::string& owner);
  Result<> take_ports(json::Node& spec, const std::string& owner);
  const uint32_t base_, size_;
  const ServiceNetwork network_;
  Random& random_;
  std::mutex mutex_;
  std::map<uint32_t, std::string> addresses_;
  std::map<std::string, std::string> ports_;  // "TCP:30080" -> owner
};

}  // namespace k8lite::apiserver
