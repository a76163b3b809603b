// Cluster IPs and node ports of Services: who has which, kept in memory and filled from the stored Services at start. An address is
// reserved before its Service is written and given back when the write fails or the Service goes. Thread-safe. IPv4 only today; addresses
// are lists in the API all the same.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

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

  // What one attempt to write a Service holds; given back when the last copy goes, except what settle() found in use by then.
  using Reservation = std::shared_ptr<void>;

  // Fills clusterIP(s), ipFamilies and node ports of a Service about to be written and takes them; `old` is its state before (or
  // null). Invalid when a wanted one is taken or outside of the range. `owner` is namespace/name. This object outlives reservations.
  Result<Reservation> allocate(json::Node& service, const json::Doc* old, const std::string& owner);
  // The stored Service (null: gone) uses this, and nothing else any more. Also how what is stored is read in at start: addresses that
  // two Services have (they should not) stay taken until both are gone.
  void settle(const std::string& owner, const json::Doc* service);
  bool taken(const std::string& address_or_port) const;  // "10.43.0.1", "TCP:30080"
  std::string first() const;  // the address of the "kubernetes" Service

 private:
  ServiceAddresses(uint32_t base, uint32_t size, ServiceNetwork n, Random& r) : base_(base), size_(size), network_(n), random_(r) {}
  struct Attempt {
    std::string owner;
    std::vector<std::string> keys;
  };
  Result<> take_address(json::Node& spec, Attempt& attempt);
  Result<> take_ports(json::Node& spec, Attempt& attempt);
  bool take(const std::string& key, Attempt& attempt);  // false: somebody else has it
  void release(const std::string& key, const std::string& owner);
  void release_all(const Attempt& attempt);

  const uint32_t base_, size_;
  const ServiceNetwork network_;
  Random& random_;
  mutable std::mutex mutex_;
  std::map<std::string, std::map<std::string, int>> holders_;   // address or port -> owner -> how often it holds it (stored, attempts)
  std::map<std::string, std::vector<std::string>> stored_;      // owner -> what its stored Service uses
};

}  // namespace k8lite::apiserver
