#include "app/node.h"

#include <algorithm>

#include "app/identity.h"
#include "base/log.h"

namespace k8lite::app {

NodeRoot::NodeRoot(async::Loop& loop, machinery::Client& client, const Clock& clock, Random& random, NodeSettings settings)
    : loop_(loop), client_(client), settings_(std::move(settings)), services_(client, {"", "v1", "services", "", "", ""}), slices_(client, {"discovery.k8s.io", "v1", "endpointslices", "", "", ""}) {
  const config::Config& c = settings_.config;
  kubelet::KubeletOptions o;
  o.node.name = c.node_name;
  o.node.hostname = host_name();
  o.node.ip = c.node_ip;
  o.node.version = K8LITE_VERSION;
  o.node.labels = c.node_label;
  o.node.taints = c.node_taint;
  o.node.kubelet_port = c.kubelet_port;
  o.data_dir = c.data_dir + "/agent";
  kubelet::read_capacity(o.node, c.data_dir);
  o.cluster_cidr = c.cluster_cidr;
  o.cluster_dns = c.cluster_dns;
  o.cluster_domain = c.cluster_domain;
  o.flannel_backend = c.flannel_backend;
  if (!c.resolv_conf.empty()) o.resolv_conf = c.resolv_conf;
  o.registries_file = c.private_registry;
  o.tls = {settings_.serving.certificate_pem, settings_.serving.key_pem, settings_.ca_pem};
  o.on_network = [this](const std::string& rules) { start_network_services(rules); };
  kubelet_ = std::make_unique<kubelet::Kubelet>(loop_, client_, clock, random, std::move(o));
}

NodeRoot::~NodeRoot() {
  if (kubelet_) kubelet_->stop();
  services_.stop();
  slices_.stop();
  if (proxy_) proxy_->stop();
  if (dns_) dns_->stop();
}

bool NodeRoot::disabled(std::string_view component) const {
  const auto& list = settings_.config.disable;
  return std::find(list.begin(), list.end(), component) != list.end();
}

// Proxy and DNS live from the same two informers. A node without iptables still runs its pods: what is missing is said loudly.
void NodeRoot::start_network_services(const std::string& rules) {
  const config::Config& c = settings_.config;
  if (!disabled("proxy")) {
    proxy::ProxyOptions o;
    o.node_name = c.node_name;
    o.node_ip = c.node_ip;
    o.cluster_cidr = c.cluster_cidr;
    o.never_reject = {c.cluster_dns};
    o.extra_rules = rules;
    proxy_ = std::make_unique<proxy::Proxy>(services_, slices_, o);
    if (auto r = proxy_->start(); !r.ok()) {
      log_error("the service proxy does not run: services are not reachable on this node", {{"error", r.status()}});
      proxy_ = nullptr;
    }
  }
  if (!disabled("dns") && !c.cluster_dns.empty()) {
    dns::DnsOptions o;
    o.addresses = {c.cluster_dns};
    o.domain = c.cluster_domain;
    if (!c.resolv_conf.empty()) o.resolv_conf = c.resolv_conf;
    dns_ = std::make_unique<dns::DnsServer>(services_, slices_, o);
    if (auto r = dns_->start(); !r.ok()) {
      log_error("the cluster's DNS does not run on this node", {{"error", r.status()}});
      dns_ = nullptr;
    }
  }
  services_.start();
  slices_.start();
}

Result<> NodeRoot::start() { return kubelet_->start(); }

}  // namespace k8lite::app
