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
  o.storage_dir = c.data_dir + "/storage";
  kubelet::read_capacity(o.node, c.data_dir);
  o.cluster_cidr = c.cluster_cidr;
  o.service_cidr = c.service_cidr;
  o.cluster_dns = c.cluster_dns;
  o.serves_dns = !disabled("dns");
  o.cluster_domain = c.cluster_domain;
  o.flannel_backend = c.flannel_backend;
  o.flannel_iface = c.flannel_iface;
  if (!c.resolv_conf.empty()) o.resolv_conf = c.resolv_conf;
  o.registries_file = c.private_registry;
  o.args = c.kubelet_arg;
  o.tls = {settings_.serving.certificate_pem, settings_.serving.key_pem, settings_.ca_pem};
  o.on_network = [this](const cni::Network& network) { start_network_services(network); };
  o.map_ports = [this](const std::vector<kubelet::PortMapping>& ports) { return map_ports(ports); };
  if (settings_.follow_address) o.find_address = [this](const std::string& current) { return cni::find_node_address(settings_.config.flannel_iface, current); };
  o.on_address = [this](const std::string& ip) -> Result<net::TlsServerConfig> {
    if (proxy_) proxy_->set_node_ip(ip);
    pki::KeyPair serving = settings_.serving;
    if (settings_.renew) {
      TRY(serving, settings_.renew(ip));
    }
    return net::TlsServerConfig{serving.certificate_pem, serving.key_pem, settings_.ca_pem};
  };
  kubelet_ = std::make_unique<kubelet::Kubelet>(loop_, client_, clock, random, std::move(o));
}

NodeRoot::~NodeRoot() {
  if (kubelet_) kubelet_->stop();
  services_.stop();
  slices_.stop();
  rule_watch_ = nullptr;
  if (proxy_) proxy_->stop();
  if (dns_) dns_->stop();
}

bool NodeRoot::disabled(std::string_view component) const {
  const auto& list = settings_.config.disable;
  return std::find(list.begin(), list.end(), component) != list.end();
}

Result<> NodeRoot::map_ports(const std::vector<kubelet::PortMapping>& ports) {
  if (!host_ports_) return unavailable("the node's pod network is not ready yet");
  std::vector<proxy::HostPort> out;
  for (const auto& p : ports) out.push_back({p.pod, p.protocol, p.host_ip, p.host_port, p.pod_ip, p.container_port});
  return host_ports_->set(std::move(out));
}

// Proxy and DNS live from the same two informers. A node without iptables still runs its pods: what is missing is said loudly.
void NodeRoot::start_network_services(const cni::Network& network) {
  const config::Config& c = settings_.config;
  const bool serves_dns = !disabled("dns") && !c.cluster_dns.empty();
  std::vector<std::string> own_services;
  if (serves_dns) own_services.push_back(c.cluster_dns);
  host_ports_ = std::make_unique<proxy::HostPorts>(proxy::HostPortOptions{network.pod_cidr(), own_services});
  if (serves_dns) {
    dns::DnsOptions o;
    o.addresses = {c.cluster_dns};
    o.domain = c.cluster_domain;
    o.other_port_if_taken = true;
    if (!c.resolv_conf.empty()) o.resolv_conf = c.resolv_conf;
    dns_ = std::make_unique<dns::DnsServer>(services_, slices_, o);
    if (auto r = dns_->start(); !r.ok()) {
      log_error("the cluster's DNS does not run on this node", {{"error", r.status()}});
      dns_ = nullptr;
    }
  }
  rules_ = network.masquerade_rules() + dns_rules();
  if (auto r = proxy::apply_node_rules(rules_); !r.ok())
    log_error("the rules of the pod network are not there: pods do not reach what is outside of the cluster", {{"error", r.status()}});
  if (!disabled("proxy")) {
    proxy::ProxyOptions o;
    o.node_name = c.node_name;
    o.node_ip = c.node_ip;
    o.cluster_cidr = c.cluster_cidr;
    o.never_reject = own_services;
    o.loop = &loop_;
    proxy_ = std::make_unique<proxy::Proxy>(services_, slices_, o);
    if (auto r = proxy_->start(); !r.ok()) {
      log_error("the service proxy does not run: services are not reachable on this node", {{"error", r.status()}});
      proxy_ = nullptr;
    }
  }
  services_.start();
  slices_.start();
  watch_rules();
}

// Another name server of this machine (a Pi-hole, say) may listen on port 53 of every address: then ours is elsewhere, and the rules
// lead there. The chain is emptied where it is not needed.
std::string NodeRoot::dns_rules() const {
  std::string out = "*nat\n:K8LITE-DNS - [0:0]\n";
  if (int port = dns_ ? dns_->port() : 53; port != 53) {
    const std::string& ip = settings_.config.cluster_dns;
    log_warn("port 53 is taken by another program; the cluster's DNS listens elsewhere and its clients are led there", {{"address", ip}, {"port", port}});
    for (const char* protocol : {"udp", "tcp"})
      out += "-A K8LITE-DNS -d " + ip + "/32 -p " + protocol + " -m " + protocol + " --dport 53 -j DNAT --to-destination " + ip + ":" + std::to_string(port) + "\n";
  }
  return out + "COMMIT\n";
}

// A firewall that is reloaded takes our rules along.
void NodeRoot::watch_rules() {
  std::vector<proxy::Landmark> landmarks = {{"nat", "POSTROUTING", "K8LITE-POSTRTG"}, {"nat", "PREROUTING", "K8LITE-DNS"}, {"filter", "FORWARD", "K8LITE-FWD"}, {"filter", "INPUT", "K8LITE-INPUT"}, {"nat", "PREROUTING", "K8LITE-HOSTPORTS"}};
  if (proxy_)
    for (const auto& j : proxy::service_jumps()) landmarks.push_back({j.table, j.chain, j.target});
  auto watch = proxy::RuleWatch::start(std::move(landmarks), [this] {
    log_warn("another program has removed iptables rules of this node; they are made again", {});
    if (auto r = proxy::apply_node_rules(rules_); !r.ok()) log_error("the rules of the pod network are not there", {{"error", r.status()}});
    if (auto r = host_ports_->again(); !r.ok()) log_error("the rules for host ports are not there", {{"error", r.status()}});
    if (proxy_) proxy_->again();
  });
  if (watch.ok()) rule_watch_ = std::move(watch).value();
  else log_warn("rules that another program removes are not noticed", {{"error", watch.status()}});
}

Result<> NodeRoot::start() { return kubelet_->start(); }

}  // namespace k8lite::app
