#include "kubelet/kubelet.h"

#include "base/log.h"
#include "base/strings.h"

namespace k8lite::kubelet {
namespace {

constexpr unsigned kPodWorkers = 6;  // a worker may wait for an image or a hook
constexpr auto kRetry = milliseconds(300);
constexpr auto kPeerRetry = seconds(10);
constexpr std::string_view kVtepAnnotation = "flannel.alpha.coreos.com/backend-data";

machinery::ListOptions on_this_node(const std::string& node) {
  machinery::ListOptions o;
  o.field_selector = "spec.nodeName=" + node;
  return o;
}

}  // namespace

Kubelet::Kubelet(async::Loop& loop, machinery::Client& client, const Clock& clock, Random& random, KubeletOptions options)
    : loop_(loop), client_(client), clock_(clock), options_(std::move(options)), events_(client, clock, random, "kubelet", options_.node.name),
      pods_(client, {"", "v1", "pods", "", "", ""}, on_this_node(options_.node.name)), services_(client, {"", "v1", "services", "", "", ""}),
      nodes_(client, {"", "v1", "nodes", "", "", ""}), reporter_(client, clock, options_.node) {}

Kubelet::~Kubelet() { stop(); }

Result<> Kubelet::start() {
  TRY_OK(os::make_dirs(options_.data_dir + "/images"));
  TRY(images_, image::ImageStore::open(options_.data_dir + "/store"));
  TRY(auto registries, image::read_registries(options_.registries_file));
  puller_ = std::make_unique<image::Puller>(loop_, *images_, std::move(registries));
  NodeFacts facts;
  facts.name = options_.node.name;
  facts.ip = options_.node.ip;
  facts.cluster_dns = options_.cluster_dns;
  facts.cluster_domain = options_.cluster_domain;
  facts.data_dir = options_.data_dir;
  facts.run_dir = options_.run_dir;
  facts.resolv_conf = options_.resolv_conf;
  facts.cpu_milli = options_.node.cpu_milli;
  facts.memory = options_.node.memory;
  manager_ = std::make_unique<PodManager>(client_, clock_, events_, facts, pods_, services_, *images_, *puller_, loop_);
  pods_.on_change([this](const json::Doc& before, const json::Doc& after) { manager_->queue().add(machinery::object_key((after ? after : before).root())); });
  nodes_.on_change([this](const json::Doc&, const json::Doc&) {
    std::lock_guard lock(mutex_);
    nodes_changed_ = true;
    wake_.notify_all();
  });
  server_ = std::make_unique<KubeletServer>(loop_, *manager_, clock_);
  TRY(auto tls, net::make_tls_server(options_.tls));
  TRY_OK(server_->start(options_.listen_address, options_.node.kubelet_port, tls));
  thread_ = std::thread([this] { run(); });
  return {};
}

void Kubelet::run() {
  auto wait = [this](Duration d) {
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, d, [this] { return stopping_; });
    return stopping_;
  };
  while (true) {
    auto r = reporter_.register_node();
    if (r.ok()) break;
    log_warn("the node could not be registered, will try again", {{"error", r.status()}});
    if (wait(seconds(1))) return;
  }
  reporter_.start_heartbeats();
  nodes_.start();
  services_.start();
  pods_.start();
  std::string cidr;
  while ((cidr = reporter_.pod_cidr()).empty())
    if (wait(milliseconds(30))) return;
  cni::NetworkOptions n;
  n.pod_cidr = cidr;
  n.cluster_cidr = options_.cluster_cidr;
  n.state_file = options_.data_dir + "/addresses.json";
  n.backend = options_.flannel_backend;
  n.node_ip = options_.node.ip;
  n.dns_ip = options_.cluster_dns;
  while (true) {
    auto network = cni::Network::open(n);
    if (network.ok()) {
      std::lock_guard lock(mutex_);
      network_ = std::move(network).value();
      break;
    }
    log_error("the pod network could not be made", {{"error", network.status()}});
    (void)reporter_.report(false, "container runtime network not ready: " + network.status().message());
    if (wait(seconds(5))) return;
  }
  if (!network_->vtep_mac().empty())
    (void)reporter_.set_annotation(std::string(kVtepAnnotation), json::Node::obj({{"VNI", 1}, {"VtepMAC", network_->vtep_mac()}}).dump());
  manager_->set_network(network_.get());
  if (options_.on_network) options_.on_network(network_->masquerade_rules());
  // Without the server's word on what shall run here, everything would look unwanted.
  while (!pods_.wait_synced(seconds(1)) || !services_.wait_synced(seconds(1)))
    if (wait(Duration{0})) return;
  images_->import_folder(options_.data_dir + "/images");
  manager_->adopt();
  runner_ = std::make_unique<machinery::Runner>(std::vector<machinery::Controller*>{manager_.get()}, kPodWorkers);
  runner_->start();
  while (!reporter_.report(true, "").ok())
    if (wait(kRetry)) return;
  log_info("the node is ready", {{"node", options_.node.name}, {"pods", cidr}});
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    nodes_changed_ = false;
    lock.unlock();
    std::vector<cni::Peer> peers;
    for (const json::Doc& node : nodes_.list()) {
      std::string name = node.path("metadata.name").str();
      if (name == options_.node.name) continue;
      cni::Peer p{name, "", node.path("spec.podCIDR").str(), ""};
      for (json::Value a : node.path("status.addresses").items())
        if (a["type"].equals("InternalIP")) p.node_ip = a["address"].str();
      auto data = json::Node::parse(node["metadata"]["annotations"][kVtepAnnotation].str());
      if (data.ok()) p.vtep_mac = data->get("VtepMAC").str();
      peers.push_back(std::move(p));
    }
    auto synced = network_->sync_peers(peers);
    if (!synced.ok()) log_warn("the way to another node could not be made, will try again", {{"error", synced.status()}});
    lock.lock();
    auto news = [this] { return stopping_ || nodes_changed_; };
    if (synced.ok()) wake_.wait(lock, news);
    else wake_.wait_for(lock, kPeerRetry, news);
  }
}

void Kubelet::stop() {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(stopping_, true)) return;
    wake_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
  reporter_.stop();
  pods_.stop();
  services_.stop();
  nodes_.stop();
  if (runner_) runner_->stop();
  if (server_) server_->stop();
  server_ = nullptr;
  runner_ = nullptr;
  manager_ = nullptr;
}

}  // namespace k8lite::kubelet
