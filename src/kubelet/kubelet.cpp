#include "kubelet/kubelet.h"

#include <algorithm>

#include "api/volumes.h"
#include "base/log.h"
#include "base/strings.h"

namespace k8lite::kubelet {
namespace {

constexpr unsigned kPodWorkers = 6;  // a worker may wait for an image or a hook
constexpr auto kRetry = milliseconds(300);

machinery::ListOptions on_this_node(const std::string& node) {
  machinery::ListOptions o;
  o.field_selector = "spec.nodeName=" + node;
  return o;
}

}  // namespace

Kubelet::Kubelet(async::Loop& loop, machinery::Client& client, const Clock& clock, Random& random, KubeletOptions options)
    : loop_(loop), client_(client), clock_(clock), options_(std::move(options)), events_(client, clock, random, "kubelet", options_.node.name),
      pods_(client, {"", "v1", "pods", "", "", ""}, on_this_node(options_.node.name)), services_(client, {"", "v1", "services", "", "", ""}),
      nodes_(client, {"", "v1", "nodes", "", "", ""}), args_(parse_kubelet_args(options_.args)), reporter_(client, clock, node_config()) {}

// What pods may have of the machine: less what is kept for others, and what the node evicts for.
NodeConfig Kubelet::node_config() const {
  NodeConfig c = options_.node;
  if (!args_.ok()) return c;
  c.max_pods = args_->max_pods;
  c.reserved_cpu_milli = args_->reserved_cpu_milli;
  c.reserved_memory = args_->reserved_memory;
  c.reserved_storage = args_->reserved_storage;
  for (const auto& t : args_->eviction.thresholds) {
    if (t.soft) continue;
    if (t.signal == Signal::MemoryAvailable) c.reserved_memory += t.amount.of(c.memory);
    if (t.signal == Signal::NodefsAvailable) c.reserved_storage += t.amount.of(c.ephemeral_storage);
  }
  c.reserved_memory = std::min(c.reserved_memory, c.memory);
  c.reserved_storage = std::min(c.reserved_storage, c.ephemeral_storage);
  c.reserved_cpu_milli = std::min(c.reserved_cpu_milli, c.cpu_milli);
  return c;
}

Kubelet::~Kubelet() { stop(); }

void Kubelet::node_event(const std::string& reason, const std::string& message) {
  events_.record(json::Doc::from(json::Node::obj({{"apiVersion", "v1"}, {"kind", "Node"}, {"metadata", json::Node::obj({{"name", options_.node.name}, {"uid", options_.node.name}})}})).root(), "Warning", reason, message);
}

Result<> Kubelet::start() {
  if (!args_.ok()) return args_.status();
  if (!args_->unknown.empty()) log_warn("settings of the node agent that are not known here are left out", {{"kubelet-arg", join(args_->unknown, ", ")}});
  TRY_OK(os::make_dirs(options_.data_dir + "/images"));
  std::string run_dir = options_.run_dir;
  image::StoreOptions store;
  store.layers_in_use = [run_dir] { return layers_in_use(run_dir); };
  store.confined = true;
  TRY(images_, image::ImageStore::open(options_.data_dir + "/store", std::move(store)));
  puller_ = std::make_unique<image::Puller>(loop_, *images_, options_.registries_file, image::process_environment());
  ImageKeeperOptions keep;
  keep.folder = options_.data_dir + "/images";
  keep.images_in_use = [run_dir] { return images_in_use(run_dir); };
  TRY(keep.policy, image_gc_policy(options_.args));
  keep.pull = [this](const std::string& name) -> Result<> {
    TRY(auto reference, image::parse_reference(name));
    auto pulled = puller_->pull(reference, {});
    return pulled.ok() ? Result<>() : Result<>(pulled.status());
  };
  keep.warn = [this](const std::string& reason, const std::string& message) { node_event(reason, message); };
  keeper_ = std::make_unique<ImageKeeper>(*images_, clock_, std::move(keep));
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
  facts.map_ports = options_.map_ports;
  NodeConfig node = node_config();
  facts.allocatable_cpu_milli = node.cpu_milli - node.reserved_cpu_milli;
  facts.allocatable_memory = node.memory - node.reserved_memory;
  facts.allocatable["cpu"] = Quantity::milli(facts.allocatable_cpu_milli);
  facts.allocatable["memory"] = Quantity::of(facts.allocatable_memory);
  facts.allocatable["ephemeral-storage"] = Quantity::of(node.ephemeral_storage - node.reserved_storage);
  facts.allocatable["pods"] = Quantity::of(node.max_pods);
  facts.node = [this] { return nodes_.get(options_.node.name); };
  facts.eviction = args_->eviction;
  facts.pod_pids_limit = args_->pod_pids_limit;
  facts.log_bytes = args_->log_bytes;
  facts.log_files = args_->log_files;
  facts.on_pressure = [this](const Pressure& pressure) { return reporter_.report_pressure(pressure); };
  facts.collect_images = [this] { keeper_->collect(true); };
  facts.node_event = [this](const std::string& reason, const std::string& message) { node_event(reason, message); };
  facts.manifest_dir = args_->pod_manifest_path.empty() ? options_.data_dir + "/pod-manifests" : args_->pod_manifest_path;
  manager_ = std::make_unique<PodManager>(client_, clock_, events_, facts, pods_, services_, *images_, *puller_, loop_);
  pods_.on_change([this](const json::Doc& before, const json::Doc& after) { manager_->queue().add(machinery::object_key((after ? after : before).root())); });
  nodes_.on_change([this](const json::Doc&, const json::Doc&) {
    std::lock_guard lock(mutex_);
    nodes_changed_ = true;
    wake_.notify_all();
  });
  local_volumes_ = std::make_unique<LocalVolumes>(client_, clock_, options_.node.name, options_.node.hostname, options_.storage_dir);
  make_server();
  TRY(auto tls, net::make_tls_server(options_.tls));
  TRY_OK(server_->start(options_.listen_address, options_.node.kubelet_port, tls));
  thread_ = std::thread([this] { run(); });
  return {};
}

void Kubelet::make_server() {
  StatsOptions stats;
  stats.node = options_.node.name;
  stats.data_dir = options_.data_dir;
  stats.v2 = runtime::Cgroups().v2();
  server_ = std::make_unique<KubeletServer>(loop_, client_, *manager_, clock_, std::move(stats));
}

bool Kubelet::wait(Duration d) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, d, [this] { return stopping_; });
  return stopping_;
}

// A kernel without a controller runs pods, but keeps no limits of that kind: that must not go unnoticed.
void Kubelet::tell_missing_cgroups() {
  auto missing = runtime::Cgroups().missing();
  if (missing.empty()) return;
  std::string message = "the kernel gives no " + join(missing, ", ") + " cgroup: limits of pods are not kept";
  if (std::find(missing.begin(), missing.end(), "memory") != missing.end()) message += " (on a Raspberry Pi add cgroup_memory=1 cgroup_enable=memory to the kernel's command line)";
  log_warn(message, {{"node", options_.node.name}});
  if (auto node = client_.get({"", "v1", "nodes", "", options_.node.name, ""}); node.ok()) events_.record(node->root(), "Warning", "MissingCgroups", message);
}

void Kubelet::run_controllers() {
  runner_ = std::make_unique<machinery::Runner>(std::vector<machinery::Controller*>{manager_.get(), local_volumes_.get()}, kPodWorkers);
  runner_->start();
}

void Kubelet::run() {
  while (true) {
    auto r = reporter_.register_node();
    if (r.ok()) break;
    log_warn("the node could not be registered, will try again", {{"error", r.status()}});
    // Static pods are there for times like this. Those with an address of the pod network wait for it.
    if (!runner_ && manager_->begin_statics()) run_controllers();
    if (wait(seconds(1))) return;
  }
  tell_missing_cgroups();
  if (!options_.find_address) reporter_.on_address_lost = [this](const std::string& message) {
    if (auto node = client_.get({"", "v1", "nodes", "", options_.node.name, ""}); node.ok()) events_.record(node->root(), "Warning", "NodeAddressLost", message);
  };
  reporter_.start_heartbeats();
  while (!options_.storage_dir.empty() && !reporter_.set_annotation(std::string(api::kStoragePathAnnotation), options_.storage_dir).ok())
    if (wait(kRetry)) return;
  local_volumes_->start();
  nodes_.start();
  services_.start();
  pods_.start();
  if (!open_network()) return;
  manager_->set_network(network_.get());
  if (options_.on_network) options_.on_network(*network_);
  // Without the server's word on what shall run here, everything would look unwanted.
  while (!pods_.wait_synced(seconds(1)) || !services_.wait_synced(seconds(1)))
    if (wait(Duration{0})) return;
  images_->import_folder(options_.data_dir + "/images");  // before pods ask for them
  keeper_->start();
  manager_->adopt();
  if (!runner_) run_controllers();
  while (!reporter_.report(true, "").ok())
    if (wait(kRetry)) return;
  follow_shutdown();
  log_info("the node is ready", {{"node", options_.node.name}, {"pods", network_->pod_cidr()}});
  follow_network();
}

void Kubelet::follow_shutdown() {
  if (args_->shutdown_grace == Duration{0}) return;
  ShutdownSettings settings;
  settings.grace = args_->shutdown_grace;
  settings.critical_grace = args_->shutdown_grace_critical;
  settings.bus = options_.system_bus;
  shutdown_ = std::make_unique<ShutdownWatch>(
      std::move(settings),
      [this] {
        (void)reporter_.report(false, "node is shutting down");
        manager_->shut_down(args_->shutdown_grace, args_->shutdown_grace_critical);
      },
      [this] {
        manager_->stay_up();
        (void)reporter_.report(true, "");
      });
  shutdown_->start();
}

void Kubelet::stop() {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(stopping_, true)) return;
    wake_.notify_all();
  }
  if (puller_) puller_->stop();
  if (thread_.joinable()) thread_.join();
  if (manager_) manager_->close();
  shutdown_ = nullptr;
  if (keeper_) keeper_->stop();
  links_ = nullptr;
  reporter_.stop();
  if (local_volumes_) local_volumes_->stop();
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
