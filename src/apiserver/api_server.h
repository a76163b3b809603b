// The API server as a component: store in, HTTP handler and in-process clients out. It listens on nothing itself; src/app gives its
// handler to net::serve_http.
#pragma once
#include <memory>

#include "apiserver/authn/authn.h"
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
  std::map<std::string, authn::Identity> tokens;
  AdmissionOptions admission;
  std::shared_ptr<net::TlsClientContext> kubelet_tls;  // for logs, exec and port-forward at nodes
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
};

// The in-process Client over Rest (local_client.cpp).
std::unique_ptr<machinery::Client> make_local_client(async::Loop& loop, Rest& rest, authz::Authorizer& authorizer, std::shared_ptr<machinery::Courier> courier, authn::Identity identity, std::string manager);

// Node connections for pods/log, exec, attach and portforward (stream/node_proxy.cpp).
async::Task<void> proxy_to_node(async::Loop& loop, const Rest& rest, std::shared_ptr<net::TlsClientContext> tls, Target target, net::Request& request, net::ResponseWriter& response);

// Sends an error as a metav1.Status.
async::Task<void> send_status(net::ResponseWriter& response, Status status);

}  // namespace k8lite::apiserver
