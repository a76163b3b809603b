#include "app/node.h"

#include "app/identity.h"

namespace k8lite::app {

NodeRoot::NodeRoot(async::Loop& loop, machinery::Client& client, const Clock& clock, Random& random, NodeSettings settings) : loop_(loop), client_(client), settings_(std::move(settings)) {
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
  kubelet_ = std::make_unique<kubelet::Kubelet>(loop_, client_, clock, random, std::move(o));
}

NodeRoot::~NodeRoot() {
  if (kubelet_) kubelet_->stop();
}

Result<> NodeRoot::start() { return kubelet_->start(); }

}  // namespace k8lite::app
