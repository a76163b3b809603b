// The composition root of `k8lite agent`: joins a server and runs a node against it.
#include <signal.h>

#include <cstdio>
#include <cstring>

#include "app/environment.h"
#include "app/identity.h"
#include "app/join.h"
#include "app/node.h"
#include "app/server.h"
#include "app/tunnel.h"
#include "base/log.h"
#include "base/strings.h"
#include "machinery/http_client.h"
#include "os/files.h"

namespace k8lite::app {
namespace {

constexpr Duration kLongestPause = seconds(5);  // between attempts to reach the server

class Agent {
 public:
  explicit Agent(config::Config config) : config_(std::move(config)) {}
  ~Agent() {
    node_ = nullptr;
    tunnel_ = nullptr;
    client_ = nullptr;
    loop_.stop();
  }

  // Told to stop while it was waiting for the server.
  bool stopped() const { return stopped_; }

  Result<> start() {
    if (config_.server.empty()) return bad_request("--server is required: the URL of the server to join, such as https://10.0.0.1:6443");
    if (config_.token.empty() && !config_.token_file.empty()) {
      TRY(config_.token, os::read_file(config_.token_file));
      config_.token = trim(config_.token);
    }
    if (config_.token.empty()) return bad_request("--token is required: see /var/lib/k8lite/server/token on the server");
    if (config_.node_name.empty()) config_.node_name = host_name();
    const bool follow = config_.node_ip.empty();
    if (follow) config_.node_ip = default_address(config_.flannel_iface);
    std::string dir = config_.data_dir + "/agent";
    TRY(lock_, lock_data_dir(config_.data_dir));
    TRY_OK(os::make_dirs(dir, 0700));
    TRY(std::string secret, node_secret(config_.data_dir, random_));
    loop_.start();
    TRY(JoinedNode joined, join(secret));
    config_.cluster_cidr = joined.cluster_cidr;
    config_.service_cidr = joined.service_cidr;
    config_.disable = joined.disable;
    config_.cluster_dns = joined.cluster_dns;
    config_.cluster_domain = joined.cluster_domain;
    config_.flannel_backend = joined.flannel_backend;
    machinery::ConnectionConfig connection;
    connection.server = config_.server;
    connection.ca_pem = joined.ca_pem;
    connection.certificate_pem = joined.client.certificate_pem;
    connection.key_pem = joined.client.key_pem;
    connection.user_agent = "k8lite-agent";
    connection.field_manager = "kubelet";
    TRY(client_, machinery::make_http_api_client(loop_, connection));
    Tunnel::Options tunnel{config_.server, nullptr, config_.kubelet_port};
    TRY(tunnel.tls, net::make_tls_client({.ca_pem = joined.ca_pem, .certificate_pem = joined.client.certificate_pem, .key_pem = joined.client.key_pem}));
    tunnel_ = std::make_unique<Tunnel>(loop_, std::move(tunnel));
    NodeSettings settings;
    settings.config = config_;
    settings.serving = joined.serving;
    settings.ca_pem = joined.ca_pem;
    settings.follow_address = follow;
    settings.renew = [this, secret](const std::string& ip) -> Result<pki::KeyPair> {
      config::Config moved = config_;
      moved.node_ip = ip;
      TRY(JoinedNode again, join_cluster(loop_, moved, secret, random_));
      return again.serving;
    };
    node_ = std::make_unique<NodeRoot>(loop_, *client_, clock_, random_, std::move(settings));
    return node_->start();
  }

 private:
  // A server that is not up yet is waited for; one that refuses is not.
  Result<JoinedNode> join(const std::string& secret) {
    for (Duration pause = seconds(1);; pause = std::min<Duration>(pause * 2, kLongestPause)) {
      auto r = join_cluster(loop_, config_, secret, random_);
      if (r.ok() || (!r.status().is(Reason::ServiceUnavailable) && !r.status().is(Reason::Timeout))) return r;
      // A node that has joined before knows all it needs to go on with its pods.
      if (auto before = joined_before(config_); before.ok()) {
        log_warn("the server cannot be reached: the node begins with what it knows", {{"server", config_.server}, {"error", r.status()}});
        return before;
      }
      log_warn("the server cannot be reached yet, will try again", {{"server", config_.server}, {"error", r.status()}});
      if ((stopped_ = stopped_within(pause))) return r;
    }
  }

  config::Config config_;
  bool stopped_ = false;
  os::Fd lock_;
  Clock& clock_ = system_clock();
  Random& random_ = system_random();
  async::Loop loop_;
  std::unique_ptr<machinery::Client> client_;
  std::unique_ptr<Tunnel> tunnel_;
  std::unique_ptr<NodeRoot> node_;
};

}  // namespace

int run_agent(int argc, char** argv) {
  auto config = config::load(config::Face::Agent, {argv + 1, argv + argc}, environment());
  if (!config.ok()) {
    std::fprintf(stderr, "k8lite agent: %s\n", config.status().message().c_str());
    return 1;
  }
  if (config->help) {
    std::fputs(config::help_text(config::Face::Agent).c_str(), stdout);
    return 0;
  }
  prepare_process(*config);
  Agent agent(std::move(config).value());
  if (auto r = agent.start(); !r.ok()) {
    if (agent.stopped()) return 0;
    std::fprintf(stderr, "k8lite agent: %s\n", r.status().message().c_str());
    return 1;
  }
  wait_for_stop();
  return 0;
}

}  // namespace k8lite::app
