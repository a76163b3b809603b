// The node agent's part in the network: makes the pod network, then follows the nodes of the cluster (the ways to their pods) and this
// machine's own links and addresses (DHCP, another access point, a cable).
#include "base/log.h"
#include "cni/connections.h"
#include "kubelet/kubelet.h"

namespace k8lite::kubelet {
namespace {

constexpr std::string_view kVtepAnnotation = "flannel.alpha.coreos.com/backend-data";
constexpr auto kRetry = seconds(10);

}  // namespace

bool Kubelet::open_network() {
  std::string cidr;
  while ((cidr = reporter_.pod_cidr()).empty())
    if (wait(milliseconds(30))) return false;
  ip_ = certified_ip_ = options_.node.ip;
  cni::NetworkOptions n;
  n.pod_cidr = cidr;
  n.cluster_cidr = options_.cluster_cidr;
  n.service_cidr = options_.service_cidr;
  n.state_file = options_.data_dir + "/addresses.json";
  n.backend = options_.flannel_backend;
  n.node_ip = ip_;
  n.interface = options_.flannel_iface;
  if (options_.serves_dns) n.dns_ip = options_.cluster_dns;
  while (true) {
    auto network = cni::Network::open(n);
    if (network.ok()) {
      network_ = std::move(network).value();
      break;
    }
    log_error("the pod network could not be made", {{"error", network.status()}});
    (void)reporter_.report(false, "container runtime network not ready: " + network.status().message());
    if (wait(kRetry)) return false;
  }
  if (!network_->vtep_mac().empty())
    (void)reporter_.set_annotation(std::string(kVtepAnnotation), json::Node::obj({{"VNI", 1}, {"VtepMAC", network_->vtep_mac()}}).dump());
  auto links = cni::LinkWatch::start([this] {
    std::lock_guard lock(mutex_);
    links_changed_ = true;
    wake_.notify_all();
  });
  if (links.ok()) links_ = std::move(links).value();
  else log_warn("changes of this machine's addresses are not noticed", {{"error", links.status()}});
  return true;
}

void Kubelet::follow_network() {
  bool synced = false;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    bool links = std::exchange(links_changed_, false), nodes = std::exchange(nodes_changed_, false);
    lock.unlock();
    if (links) follow_address();
    if (links || nodes || !synced) synced = sync_peers();
    lock.lock();
    auto changed = [this] { return stopping_ || links_changed_ || nodes_changed_; };
    if (certified_ip_ == ip_ && synced) wake_.wait(lock, changed);
    else if (!wake_.wait_for(lock, kRetry, changed)) links_changed_ = true;
  }
}

void Kubelet::follow_address() {
  std::string now = options_.find_address ? options_.find_address(ip_) : ip_;
  // Without any address the old one is kept: it usually comes back, and nobody can be told another one anyway.
  if (!now.empty() && now != ip_) {
    log_info("the node's address has changed", {{"before", ip_}, {"now", now}});
    cni::end_connections(ip_);
    ip_ = now;
    reporter_.set_ip(now);
    manager_->set_node_ip(now);
  }
  // Also when only links have changed: a vxlan device goes with the link that carries it, and MTUs follow.
  if (auto r = network_->set_node_ip(ip_); !r.ok()) log_warn("the pod network could not follow this machine's links", {{"error", r.status()}});
  if (certified_ip_ == ip_) return;
  if (auto r = reporter_.report(true, ""); !r.ok()) {
    log_warn("the node's new address could not be reported yet", {{"error", r.status()}});
    return;
  }
  if (!options_.on_address) {
    certified_ip_ = ip_;
    return;
  }
  auto config = options_.on_address(ip_);
  auto tls = config.ok() ? net::make_tls_server(*config) : Result<std::shared_ptr<net::TlsServerContext>>(config.status());
  if (!tls.ok() && (tls.status().is(Reason::Unauthorized) || tls.status().is(Reason::Forbidden))) {
    log_error("the server refuses a certificate for the node's new address: logs and exec do not work on it", {{"error", tls.status()}});
    certified_ip_ = ip_;
    return;
  }
  if (!tls.ok()) {
    log_warn("there is no certificate for the node's new address yet: logs and exec do not work on it", {{"error", tls.status()}});
    return;
  }
  server_->stop();
  make_server();
  if (auto r = server_->start(options_.listen_address, options_.node.kubelet_port, *tls); !r.ok()) {
    log_error("the node agent's server could not be started again", {{"error", r.status()}});
    return;
  }
  certified_ip_ = ip_;
}

bool Kubelet::sync_peers() {
  std::vector<cni::Peer> peers;
  for (const json::Doc& node : nodes_.list()) {
    std::string name = node.path("metadata.name").str();
    if (name == options_.node.name) {
      // The object was deleted and made anew, and somebody else has the old network now.
      if (std::string cidr = node.path("spec.podCIDR").str(); !cidr.empty() && cidr != network_->pod_cidr() && cidr != told_cidr_)
        log_error("this node has been given another pod network; restart k8lite here to move to it", {{"now", network_->pod_cidr()}, {"given", told_cidr_ = cidr}});
      continue;
    }
    cni::Peer p{name, "", node.path("spec.podCIDR").str(), ""};
    for (json::Value a : node.path("status.addresses").items())
      if (a["type"].equals("InternalIP") && p.node_ip.empty()) p.node_ip = a["address"].str();
    auto data = json::Node::parse(node["metadata"]["annotations"][kVtepAnnotation].str());
    if (data.ok()) p.vtep_mac = data->get("VtepMAC").str();
    peers.push_back(std::move(p));
  }
  auto synced = network_->sync_peers(peers);
  if (!synced.ok()) log_warn("the way to another node could not be made, will try again", {{"error", synced.status()}});
  return synced.ok();
}

}  // namespace k8lite::kubelet
