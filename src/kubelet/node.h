// This node's object: registration, conditions, capacity, addresses, heartbeats by a Lease. (Kubernetes documentation: "Nodes",
// "Node Heartbeats".)
#pragma once
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "kubelet/eviction.h"
#include "machinery/client.h"

namespace k8lite::kubelet {

struct NodeConfig {
  std::string name, ip, hostname, version;
  std::vector<std::string> labels, taints;  // key=value, key=value:Effect
  int kubelet_port = 10250;
  int64_t cpu_milli = 0, memory = 0, ephemeral_storage = 0;
  int max_pods = 110;
  int64_t reserved_cpu_milli = 0, reserved_memory = 0, reserved_storage = 0;  // what pods do not get of it
};

// What this machine has: CPUs and memory from the kernel.
void read_capacity(NodeConfig& config, const std::string& data_dir);

class NodeReporter {
 public:
  NodeReporter(machinery::Client& client, const Clock& clock, NodeConfig config) : client_(client), clock_(clock), config_(std::move(config)) {}
  ~NodeReporter() { stop(); }

  // Creates the node (or takes over the one of that name), not ready yet. Tried again until `stop()`.
  Result<> register_node();
  Result<> set_annotation(const std::string& key, const std::string& value);
  void set_ip(const std::string& ip);  // reported with the next report()
  std::string pod_cidr();        // "" until the server has given one
  Result<> report(bool ready, const std::string& why);
  Result<> report_pressure(const Pressure& pressure);  // the conditions of it, from now on
  void start_heartbeats();       // a lease every 10 s, the status every 5 minutes
  // Told once when the node's address is no more on this machine; set before start_heartbeats().
  std::function<void(const std::string& message)> on_address_lost;
  void stop();

 private:
  Result<> report();
  json::Node node_status(bool ready, const std::string& why, json::Value old) const;
  Result<> renew_lease();
  void check_address();
  machinery::Client& client_;
  const Clock& clock_;
  NodeConfig config_;          // .ip guarded by the mutex, the rest never changes
  mutable std::mutex mutex_;
  std::mutex reporting_;       // one report after the other, so that the last one to be written has the last word
  std::condition_variable wake_;
  bool stopping_ = false, ready_ = false, address_lost_ = false;
  std::string why_;
  Pressure pressure_;
  std::thread thread_;
};

}  // namespace k8lite::kubelet
