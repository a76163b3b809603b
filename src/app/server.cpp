// The composition root of `k8lite server`, in order of life: settings, keys, store, API server, its front door, what every cluster has,
// controllers, scheduler, node. Stopping runs the same list backwards and leaves pods running.
#include "app/server.h"

#include <sys/stat.h>

#include <cstdio>
#include <map>
#include <mutex>

#include "apiserver/api_server.h"
#include "apiserver/arguments.h"
#include "app/environment.h"
#include "app/identity.h"
#include "app/join.h"
#include "base/log.h"
#include "base/strings.h"
#include "cni/netlink.h"
#include "app/node.h"
#include "config/kubeconfig.h"
#include "config/settings.h"
#include "controllers/controllers.h"
#include "os/descriptors.h"
#include "os/files.h"
#include "scheduler/scheduler.h"

namespace k8lite::app {
namespace {

// Components that --disable may name, K3s's names among them.
void normalise_disabled(std::vector<std::string>& components) {
  static const std::map<std::string, std::string> kNames = {{"dns", "dns"}, {"coredns", "dns"}, {"proxy", "proxy"}, {"kube-proxy", "proxy"}, {"servicelb", "servicelb"}, {"traefik", "ingress"}, {"ingress", "ingress"},
                                                            {"local-storage", "local-storage"}, {"metrics-server", "metrics-server"}};
  for (auto& component : components) {
    auto known = kNames.find(component);
    if (known == kNames.end()) log_warn("--disable names something that k8lite does not have", {{"component", component}, {"known", "dns, proxy, servicelb, ingress, local-storage, metrics-server"}});
    else component = known->second;
  }
}

// Who moves the services' network need not move the DNS address too: like the default one it is the tenth.
void place_cluster_dns(config::Config& config) {
  auto services = cni::Cidr::parse(config.service_cidr);
  auto usual = cni::Cidr::parse("10.43.0.0/16"), dns = cni::Cidr::parse(config.cluster_dns + "/32");
  if (!services || !dns || services->contains(dns->base) || config.cluster_dns != cni::Ipv4{usual->base.value + 10}.text()) return;
  config.cluster_dns = cni::Ipv4{services->base.value + 10}.text();
}

// The Service "kubernetes" leads to the API server's new address.
Result<> advertise(machinery::Client& client, const std::string& ip) {
  using json::Node;
  for (const machinery::Path& path : {machinery::Path{"discovery.k8s.io", "v1", "endpointslices", "default", "kubernetes", ""}, machinery::Path{"", "v1", "endpoints", "default", "kubernetes", ""}}) {
    TRY(json::Doc now, client.get(path));
    Node wanted = now.to_node();
    if (wanted[path.resource == "endpoints" ? "subsets" : "endpoints"].items().empty()) return not_found(path.url() + " has no endpoint");
    if (path.resource == "endpoints") wanted["subsets"].items()[0].set("addresses", Node::arr({Node::obj({{"ip", ip}})}));
    else wanted["endpoints"].items()[0].set("addresses", Node::arr({ip}));
    TRY_OK(client.update(path, json::Doc::from(wanted), {}));
  }
  log_info("the API server is reached at another address", {{"address", ip}});
  return {};
}

class Server {
 public:
  explicit Server(config::Config config) : config_(std::move(config)) {}
  ~Server() { stop(); }

  Result<> start() {
    Instant now = clock_.now();
    std::string dir = config_.data_dir + "/server";
    TRY(lock_, lock_data_dir(config_.data_dir));
    TRY_OK(os::make_dirs(dir + "/db", 0700));
    TRY(identity_, load_or_create_identity(config_, dir, random_, now));
    if (config_.node_name.empty()) config_.node_name = host_name();
    normalise_disabled(config_.disable);
    place_cluster_dns(config_);
    follow_address_ = config_.node_ip.empty();
    follow_advertised_ = follow_address_ && config_.advertise_address.empty();
    if (follow_address_) config_.node_ip = default_address(config_.flannel_iface);
    if (config_.advertise_address.empty()) config_.advertise_address = config_.node_ip;

    TRY(auto backend, store::sqlite_backend(dir + "/db/state.db"));
    TRY(store_, store::open_store(std::move(backend), clock_));
    loop_.start();
    TRY_OK(start_api(now));
    TRY_OK(api_->bootstrap());
    TRY_OK(write_admin_kubeconfig(now));
    join_client_ = api_->client({{"system:k8lite:join", {"system:masters", "system:authenticated"}}, {}, {}}, "kube-apiserver");
    api_->add_handler(join_handler(pool_, *join_client_, identity_, config_, clock_));
    start_control_plane();
    api_->set_ready(true);
    if (!config_.disable_agent) TRY_OK(start_node(now));
    log_info("the API server is ready", {{"address", config_.advertise_address}, {"port", config_.https_listen_port}});
    return {};
  }

  void stop() {
    node_ = nullptr;
    if (scheduler_) scheduler_->stop();
    if (controllers_) controllers_->stop();
    if (http_) http_->stop();
    // Whoever waits for an answer has it before the store and the loop that give it are gone.
    pool_.stop();
    if (store_) store_->stop();
    loop_.stop();
    http_ = nullptr;
  }

 private:
  // Every part writes as who it is upstream, with the rights of the default roles and no more.
  void start_control_plane() {
    auto user = [](const std::string& name) { return apiserver::authn::Identity{{name, {"system:authenticated"}}, {}, {}}; };
    controllers_client_ = api_->client(user("system:kube-controller-manager"), "kube-controller-manager");
    scheduler_client_ = api_->client(user("system:kube-scheduler"), "kube-scheduler");
    bool storage = std::find(config_.disable.begin(), config_.disable.end(), "local-storage") == config_.disable.end();
    controllers::ControllersOptions options{config_.cluster_cidr, identity_.ca.certificate_pem, storage ? config_.data_dir + "/storage" : "", config_.disable_agent ? "" : config_.node_name, identity_.ca.key_pem, identity_.service_account_key_pem, nullptr};
    options.client_of = [this](const std::string& account) -> machinery::Client& {
      if (account == controllers::kServerItself) return *join_client_;
      apiserver::authn::Identity id{{"system:serviceaccount:kube-system:" + account, {"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"}}, {}, {}};
      return *controller_clients_.emplace_back(api_->client(std::move(id), "kube-controller-manager"));
    };
    controllers_ = std::make_unique<controllers::Controllers>(*controllers_client_, clock_, random_, std::move(options));
    scheduler_ = std::make_unique<scheduler::Scheduler>(*scheduler_client_, clock_, random_, scheduler_configuration_);
    scheduler_->start();
    controllers_->start();
    api_->add_check(apiserver::kReadyz, "informer-sync", [this] { return std::string(controllers_->synced() ? "" : "informers are not synced yet"); });
    api_->add_figures([this](std::string& out) {
      controllers_->write_figures(out);
      struct stat st {};
      if (stat((config_.data_dir + "/server/db/state.db").c_str(), &st) == 0)
        metrics::write_sample(out, "apiserver_storage_size_bytes", metrics::Type::Gauge, "Size of the store's file.", "storage_cluster_id=\"sqlite\"", static_cast<double>(st.st_size));
    });
  }

  // The server's own node talks to the API in process, with a node's rights and no more.
  Result<> start_node(Instant now) {
    TRY(std::string secret, node_secret(config_.data_dir, random_));
    TRY_OK(bind_own_name(*join_client_, config_.node_name, secret));
    node_client_ = api_->client({{"system:node:" + config_.node_name, {"system:nodes", "system:authenticated"}}, {}, {}}, "kubelet");
    NodeSettings settings;
    settings.config = config_;
    TRY(settings.serving, serving_certificate(identity_.ca, {{config_.node_name, "localhost"}, {config_.node_ip, "127.0.0.1"}}, now));
    settings.ca_pem = identity_.ca.certificate_pem;
    settings.follow_address = follow_address_;
    settings.renew = [this](const std::string& ip) { return address_changed(ip); };
    node_ = std::make_unique<NodeRoot>(loop_, *node_client_, clock_, random_, std::move(settings));
    return node_->start();
  }

  // On the node agent's thread.
  Result<pki::KeyPair> address_changed(const std::string& ip) {
    // The front door opens anew with a certificate for the address; connections of the old one lead nowhere anyway.
    if (config_.bind_address.empty() && front_ip_ != ip) {
      if (http_) http_->stop();
      TRY_OK(open_front(ip, clock_.now()));
    }
    if (follow_advertised_) TRY_OK(advertise(*join_client_, ip));
    return serving_certificate(identity_.ca, {{config_.node_name, "localhost"}, {ip, "127.0.0.1"}}, clock_.now());
  }

  Result<> start_api(Instant now) {
    apiserver::ApiServerOptions options;
    options.services.cidr = config_.service_cidr;
    auto range = split(config_.service_node_port_range, '-');
    auto first = parse_int(range[0]), last = parse_int(range.back());
    if (range.size() != 2 || !first || !last) return bad_request("service-node-port-range: \"" + config_.service_node_port_range + "\" is no range such as 30000-32767");
    options.services.first_port = static_cast<int>(*first);
    options.services.last_port = static_cast<int>(*last);
    options.advertise_address = config_.advertise_address;
    options.advertise_port = config_.https_listen_port;
    options.cluster_domain = config_.cluster_domain;
    options.service_account_key_pem = identity_.service_account_key_pem;
    TRY_OK(apiserver::apply_arguments(config_.kube_apiserver_arg, options));
    TRY(scheduler_configuration_, scheduler::configuration_of(config_.kube_scheduler_arg, [](const std::string& path) -> Result<std::string> { return os::read_file(path); }));
    TRY(auto kubelet_client, client_certificate(identity_.ca, "system:kube-apiserver", {"system:masters"}, now));
    options.serves_usage = std::find(config_.disable.begin(), config_.disable.end(), "metrics-server") == config_.disable.end();
    TRY(options.kubelet_tls, net::make_tls_client({.ca_pem = identity_.ca.certificate_pem, .certificate_pem = kubelet_client.certificate_pem, .key_pem = kubelet_client.key_pem, .server_name = {}}));
    TRY(api_, apiserver::ApiServer::create(loop_, *store_, clock_, random_, options));
    TRY_OK(open_front(config_.node_ip, now));
    keep_certificate_young();
    return {};
  }

  ServingNames serving_names(const std::string& node_ip) const {
    ServingNames names;
    names.dns = {"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + config_.cluster_domain, "localhost", config_.node_name};
    names.addresses = {"127.0.0.1", "::1", config_.advertise_address, node_ip};
    if (auto services = cni::Cidr::parse(config_.service_cidr)) names.addresses.push_back(cni::Ipv4{services->base.value + 1}.text());
    for (const auto& san : config_.tls_san) (san.find_first_not_of("0123456789.") == san.npos || san.find(':') != san.npos ? names.addresses : names.dns).push_back(san);
    return names;
  }

  Result<net::TlsServerConfig> new_certificate(const std::string& node_ip, Instant now) const {
    TRY(auto serving, serving_certificate(identity_.ca, serving_names(node_ip), now));
    return net::TlsServerConfig{serving.certificate_pem, serving.key_pem, identity_.ca.certificate_pem, true};
  }

  Result<> open_front(const std::string& node_ip, Instant now) {
    TRY(auto certificate, new_certificate(node_ip, now));
    net::HttpServerOptions http;
    if (!config_.bind_address.empty()) http.listen.address = config_.bind_address;
    http.listen.port = config_.https_listen_port;
    http.listen.max_connections = std::min<size_t>(4096, os::raise_descriptor_limit() / 2);  // the other half is for the store, the pods and their logs
    TRY(http.listen.tls, net::make_tls_server(certificate));
    TRY(http_, net::serve_http(loop_, http, api_->handler()));
    std::lock_guard lock(front_mutex_);
    front_ip_ = node_ip;
    tls_ = http.listen.tls;
    certificate_since_ = now;
    return {};
  }

  // A certificate holds a year, and a server may run for longer: looked at once a day, it is made anew for connections to come when less
  // than a third of its life is left. On the loop.
  void keep_certificate_young() {
    static constexpr Duration kLook = seconds(24 * 3600), kOld = seconds(240LL * 24 * 3600);
    loop_.after(kLook, [this] {
      std::lock_guard lock(front_mutex_);
      if (Instant now = clock_.now(); now - certificate_since_ > kOld) {
        auto certificate = new_certificate(front_ip_, now);
        Result<> r = certificate.ok() ? net::replace_certificates(*tls_, *certificate) : Result<>(certificate.status());
        if (r.ok()) certificate_since_ = now, log_info("the server's certificate was made anew");
        else log_warn("the server's certificate was not made anew", {{"error", r.status().message()}});
      }
      keep_certificate_young();
    });
  }

  Result<> write_admin_kubeconfig(Instant now) {
    TRY(auto admin, client_certificate(identity_.ca, "system:admin", {"system:masters"}, now));
    config::Access access;
    std::string host = config_.bind_address.empty() || config_.bind_address == "0.0.0.0" || config_.bind_address == "::" ? "127.0.0.1" : config_.bind_address;
    access.server = "https://" + host + ":" + std::to_string(http_->port());
    access.ca_pem = identity_.ca.certificate_pem;
    access.certificate_pem = admin.certificate_pem;
    access.key_pem = admin.key_pem;
    std::string path = config_.write_kubeconfig;
    if (size_t slash = path.rfind('/'); slash != path.npos && slash > 0) TRY_OK(os::make_dirs(path.substr(0, slash)));
    mode_t mode = static_cast<mode_t>(std::strtoul(config_.write_kubeconfig_mode.c_str(), nullptr, 8));
    return os::write_file(path, config::write_kubeconfig(access), mode ? mode : 0600, false);
  }

  config::Config config_;
  bool follow_address_ = false, follow_advertised_ = false;  // found, not configured
  std::mutex front_mutex_;  // of the next three
  std::string front_ip_;    // the node's address that the API server's certificate names
  std::shared_ptr<net::TlsServerContext> tls_;
  Instant certificate_since_{0};
  os::Fd lock_;
  Clock& clock_ = system_clock();
  Random& random_ = system_random();
  ClusterIdentity identity_;
  async::Loop loop_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<apiserver::ApiServer> api_;
  std::unique_ptr<net::HttpServer> http_;
  async::Pool pool_{4};
  std::vector<std::unique_ptr<machinery::Client>> controller_clients_;
  std::unique_ptr<machinery::Client> join_client_, controllers_client_, scheduler_client_, node_client_;
  std::unique_ptr<controllers::Controllers> controllers_;
  scheduler::Configuration scheduler_configuration_;
  std::unique_ptr<scheduler::Scheduler> scheduler_;
  std::unique_ptr<NodeRoot> node_;
};

}  // namespace

int run_server(int argc, char** argv) {
  auto config = config::load(config::Face::Server, {argv + 1, argv + argc}, environment());
  if (!config.ok()) {
    std::fprintf(stderr, "k8lite server: %s\n", config.status().message().c_str());
    return 1;
  }
  if (config->help) {
    std::fputs(config::help_text(config::Face::Server).c_str(), stdout);
    return 0;
  }
  prepare_process(*config);
  Server server(std::move(config).value());
  if (auto r = server.start(); !r.ok()) {
    std::fprintf(stderr, "k8lite server: %s\n", r.status().message().c_str());
    return 1;
  }
  wait_for_stop();
  return 0;
}

}  // namespace k8lite::app
