// The cluster's zone: which names exist and what they hold, kept as Services and EndpointSlices come and go (Kubernetes DNS-based
// service discovery 1.1.0, with CoreDNS's names for endpoints without a hostname: 10-42-0-7.web.default.svc.cluster.local).
#pragma once
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "dns/wire.h"

namespace k8lite::dns {

constexpr uint32_t kTtl = 5;  // seconds, of every record of the zone

// Thread-safe; each change costs what its object holds, each answer what it says.
class Records {
 public:
  // `own` are the server's addresses, for the zone's NS record.
  Records(std::string_view domain, const std::vector<std::string>& own);

  void service_changed(const json::Doc& before, const json::Doc& after);
  void slice_changed(const json::Doc& before, const json::Doc& after);

  struct Outcome {
    bool ours = false;          // else it is another server's to answer
    Reply reply;
    std::optional<Name> chase;  // the last CNAME leads out of the cluster: add what is found there
  };
  bool in_zone(const Name& name) const { return is_below(name, domain_); }
  // `turn` rotates the order of equal records.
  Outcome answer(const Name& name, uint16_t type, size_t turn) const;

 private:
  struct Port {
    std::string name, protocol;  // small letters
    uint16_t number = 0;
  };
  struct Endpoint {
    std::string address;  // 4 or 16 bytes
    std::string label;    // hostname, or the address with dashes
    bool ready = false;
  };
  struct Slice {
    std::string service;  // "<namespace>/<name>"
    std::vector<Endpoint> endpoints;
    std::vector<Port> ports;
  };
  struct Service {
    bool headless = false, publish_not_ready = false;
    std::string external_name;
    std::vector<std::string> addresses;
    std::vector<Port> ports;
  };
  struct Answering;  // one question being answered, with mutex_ held

  static Service parse_service(json::Value object);
  static Slice parse_slice(json::Value object);
  static Port parse_port(json::Value port);
  std::vector<std::pair<Endpoint, const Slice*>> endpoints_of(const std::string& key, const Service& service) const;

  const Name domain_;
  std::vector<std::string> own_;
  mutable std::mutex mutex_;
  uint32_t serial_ = 1;
  std::unordered_map<std::string, Service> services_;
  std::unordered_map<std::string, Slice> slices_;
  std::unordered_map<std::string, size_t> namespaces_;  // services in each
  std::unordered_map<std::string, std::set<std::string>> slices_of_;            // service -> slices
  std::unordered_map<std::string, std::set<std::string>> services_at_, slices_at_;  // by address
};

// The bytes of an IPv4 or IPv6 address; empty when it is none.
std::string address_bytes(std::string_view text);
// "10-42-0-7" or "fd00--7".
std::string dashed(std::string_view address);
// The address a name below in-addr.arpa or ip6.arpa stands for.
std::optional<std::string> reverse_address(const Name& name);

}  // namespace k8lite::dns
