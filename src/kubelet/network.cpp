// What the pod manager has to do with the network beyond a pod's own link: host ports, the node's address, pods of an earlier run.
#include <fcntl.h>

#include "base/log.h"
#include "base/strings.h"
#include "kubelet/pods.h"

namespace k8lite::kubelet {

using json::Value;

std::vector<PortMapping> port_mappings(Value pod, const std::string& pod_ip) {
  std::vector<PortMapping> out;
  if (pod.path("spec.hostNetwork").bool_or(false)) return out;  // its ports are the node's already
  for (const char* list : {"initContainers", "containers"})
    for (Value c : pod["spec"][list].items()) {
      // Of the init containers only those that go on running (sidecars) have ports to reach.
      if (std::string_view(list) == "initContainers" && !c["restartPolicy"].equals("Always")) continue;
      for (Value p : c["ports"].items())
        if (int64_t host_port = p["hostPort"].int_or(0); host_port > 0)
          out.push_back({machinery::object_key(pod), lower(p["protocol"].str("TCP")), p["hostIP"].str(), static_cast<int>(host_port), pod_ip, static_cast<int>(p["containerPort"].int_or(0))});
    }
  return out;
}

std::string PodManager::node_ip() const {
  std::lock_guard lock(mutex_);
  return node_ip_;
}

void PodManager::set_node_ip(const std::string& ip) {
  std::lock_guard lock(mutex_);
  if (node_ip_ == ip) return;
  node_ip_ = ip;
  for (auto& [uid, local] : locals_) {
    if (local->sandbox && local->pod.path("spec.hostNetwork").bool_or(false)) local->ip = ip;
    if (!local->removed) queue_.add(local->key);
  }
}

Result<> PodManager::ensure_ports(const LocalPtr& local) {
  {
    std::lock_guard lock(mutex_);
    if (local->ports_mapped || port_mappings(local->pod.root(), local->ip).empty()) return {};
  }
  return publish_ports();
}

Result<> PodManager::publish_ports() {
  std::lock_guard one_at_a_time(ports_mutex_);
  std::vector<PortMapping> all;
  std::vector<LocalPtr> mapped;
  {
    std::lock_guard lock(mutex_);
    for (auto& [uid, local] : locals_) {
      local->ports_mapped &= local->sandbox;
      if (!local->sandbox || local->removed || local->ip.empty()) continue;
      auto some = port_mappings(local->pod.root(), local->ip);
      if (some.empty()) continue;
      all.insert(all.end(), some.begin(), some.end());
      mapped.push_back(local);
    }
  }
  if (!facts_.map_ports) return all.empty() ? Result<>() : unavailable("this node does not serve host ports");
  TRY_OK(facts_.map_ports(all));
  std::lock_guard lock(mutex_);
  for (auto& local : mapped) local->ports_mapped = true;
  return {};
}

// A pod that runs from before gets its link and address put right. False: its network is lost, so it must be made anew.
bool PodManager::adopt_network(const std::string& uid, const json::Doc& pod) {
  if (!network_ || pod.path("spec.hostNetwork").bool_or(false)) return true;
  os::Fd netns(::open(("/proc/" + std::to_string(runtime_->shim_pid(uid)) + "/ns/net").c_str(), O_RDONLY | O_CLOEXEC));
  auto ip = netns ? network_->attach(uid, netns.get()) : Result<std::string>(Status::from_errno("open the pod's network", errno));
  if (!ip.ok()) {
    log_warn("the network of a running pod is lost, the pod is started anew", {{"pod", machinery::object_key(pod.root())}, {"error", ip.status()}});
    return false;
  }
  if (std::string before = pod.path("status.podIP").str(); !before.empty() && before != *ip)
    log_warn("a running pod has another address now", {{"pod", machinery::object_key(pod.root())}, {"before", before}, {"now", *ip}});
  return true;
}

}  // namespace k8lite::kubelet
