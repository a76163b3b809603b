// What a balancer in front of the cluster asks a node: does it have endpoints of this service? One HTTP port a service of type
// LoadBalancer with externalTrafficPolicy Local (spec.healthCheckNodePort); 200 with endpoints, 503 without.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "async/async.h"
#include "proxy/service_ports.h"

namespace k8lite::proxy {

struct HealthCheck {
  std::string ns, name;
  int port = 0;
  int endpoints = 0;  // ready ones of this node
  bool operator==(const HealthCheck&) const = default;
};
std::vector<HealthCheck> health_checks(const std::vector<ServicePort>& ports);

// One thread at a time; the answers are given on the loop, which outlives this.
class HealthServers {
 public:
  explicit HealthServers(async::Loop& loop);
  ~HealthServers();
  // Listens for exactly these. A port that cannot be had is logged and tried again at the next call.
  void set(const std::vector<HealthCheck>& checks);

 private:
  struct Served;
  async::Loop& loop_;
  std::map<int, std::unique_ptr<Served>> served_;  // by port
};

}  // namespace k8lite::proxy
