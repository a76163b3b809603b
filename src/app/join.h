// How a node joins: /v1-k8lite/hello proves to a short token's holder that the server knows it and shows the CA; /v1-k8lite/join gives
// a node its certificates. A node name belongs to whoever brought it first: a per-node secret is kept as a Secret of kube-system.
#pragma once
#include "apiserver/api_server.h"
#include "app/identity.h"
#include "async/async.h"

namespace k8lite::app {

// What a node gets from the server that it joined.
struct JoinedNode {
  std::string ca_pem;
  pki::KeyPair client, serving;
  std::string cluster_cidr, service_cidr, cluster_dns, cluster_domain, flannel_backend;
  std::vector<std::string> disable;  // what the server's --disable says
};

// Serves the two paths; `client` may write Secrets. References must outlive the API server.
apiserver::ApiServer::Extra join_handler(async::Pool& pool, machinery::Client& client, const ClusterIdentity& identity, const config::Config& config, const Clock& clock);

// Joins `server`; blocks. Errors say what to do: a wrong token, another cluster's CA, a node name that is taken.
Result<JoinedNode> join_cluster(async::Loop& loop, const config::Config& config, const std::string& node_secret, Random& random);

}  // namespace k8lite::app
