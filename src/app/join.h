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

// The secret by which this machine keeps its node name, made at the first call: <data_dir>/agent/node-secret.
Result<std::string> node_secret(const std::string& data_dir, Random& random);
// The server's own node takes its name as joining nodes do, so that none of them can be given it; a secret of its own that was lost is
// replaced. Forbidden when another machine has the name.
Result<> bind_own_name(machinery::Client& client, const std::string& node, const std::string& secret);

// What the server answered when this node joined it last: for starts while it cannot be reached.
Result<JoinedNode> joined_before(const config::Config& config);

// Joins `server`; blocks. Errors say what to do: a wrong token, another cluster's CA, a node name that is taken.
Result<JoinedNode> join_cluster(async::Loop& loop, const config::Config& config, const std::string& node_secret, Random& random);

}  // namespace k8lite::app
