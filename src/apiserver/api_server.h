// The API server as a component: store in, HTTP handler and in-process clients out. It listens on nothing itself; src/app gives its
// handler to net::serve_http.
#pragma once
#include <memory>

#include "apiserver/audit/log.h"
#include "apiserver/audit/policy.h"
#include "apiserver/authn/authn.h"
#include "apiserver/http/health.h"
#include "apiserver/metrics/usage_api.h"
#include "apiserver/rest.h"
#include "async/async.h"
#include "machinery/client.h"
#include "net/http.h"

namespace k8lite::apiserver {

struct ApiServerOptions {
  ServiceNetwork services;
  std::string advertise_address = "127.0.0.1";  // of the "kubernetes" Service's endpoint
  int advertise_port = 6443;
  std::string cluster_domain = "cluster.local";
  std::string service_account_key_pem;           // private; signs tokens
  std::vector<std::string> service_account_keys;  // further public keys that may have signed: those of before a rotation
  std::vector<std::string> issuers;               // the first one issues; none: https://kubernetes.default.svc.<cluster domain>
  std::vector<std::string> audiences;             // of this server; none: the issuer
  int64_t longest_token_seconds = 0;              // of a TokenRequest; 0: a year
  bool anonymous = true;
  std::map<std::string, authn::Identity> tokens;
  std::string audit_policy;                       // YAML; "": no audit log
  audit::LogOptions audit_log;
  AdmissionOptions admission;
  std::shared_ptr<net::TlsClientContext> kubelet_tls;  // for logs, exec and port-forward at nodes
  bool serves_usage = true;                       // metrics.k8s.io
  UsageApi::Fetch usage_of_node;                  // unset: asked of the node over HTTPS
};

class ApiServer {
 public:
  static Result<std::unique_ptr<ApiServer>> create(async::Loop& loop, store::Store& store, const Clock& clock, Random& random, ApiServerOptions options);
  virtual ~ApiServer() = default;

  // Writes what every cluster has (namespaces, default roles and bindings, the kubernetes Service); any number of times.
  virtual Result<> bootstrap() = 0;
  virtual net::Handler handler() = 0;
  // In process, as this user: the same authorisation, admission and validation as over HTTP.
  virtual std::unique_ptr<machinery::Client> client(authn::Identity identity, std::string field_manager) = 0;
  virtual Rest& rest() = 0;
  // Handlers beside the API's own ("/v1-k8lite/…"), asked first; false: not theirs.
  using Extra = std::function<async::Task<bool>(net::Request&, net::ResponseWriter&)>;
  virtual void add_handler(Extra extra) = 0;
  virtual void set_ready(bool ready) = 0;
  // A check of /healthz, /livez and /readyz (HealthEndpoint): "" when all is well. Any thread, must not block.
  virtual void add_check(unsigned where, std::string name, std::function<std::string()> check) = 0;
  // Further figures for /metrics, appended in Prometheus' text format; called on the loop, must not block.
  virtual void add_figures(std::function<void(std::string&)> write) = 0;
};

// The in-process Client over Rest (local_client.cpp).
std::unique_ptr<machinery::Client> make_local_client(async::Loop& loop, Rest& rest, authz::Authorizer& authorizer, std::shared_ptr<machinery::Courier> courier, authn::Identity identity, std::string manager);

// Node connections for pods/log, exec, attach and portforward (stream/node_proxy.cpp).
async::Task<void> proxy_to_node(async::Loop& loop, const Rest& rest, std::shared_ptr<net::TlsClientContext> tls, Target target, net::Request& request, net::ResponseWriter& response);

// The proxy subresource of services, pods and nodes (stream/service_proxy.cpp).
async::Task<void> proxy_to_target(async::Loop& loop, const Rest& rest, std::shared_ptr<net::TlsClientContext> tls, Target target, net::Request& request, net::ResponseWriter& response);

// Sends an error as a metav1.Status.
async::Task<void> send_status(net::ResponseWriter& response, Status status);

}  // namespace k8lite::apiserver
