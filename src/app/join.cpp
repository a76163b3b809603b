#include "app/join.h"

#include "base/log.h"
#include "machinery/http_client.h"
#include "base/strings.h"
#include "net/http.h"
#include "os/files.h"

namespace k8lite::app {
namespace {

using async::Task;
using json::Node;

constexpr size_t kMaxBody = 64 * 1024;

std::string proof(const std::string& secret, const std::string& nonce, const std::string& ca_hash) { return to_hex(pki::hmac_sha256(secret, nonce + ":" + ca_hash)); }

constexpr std::string_view kOwnLabel = "k8lite.io/server-node";

// The node's name stays with the one who brought it first. `own`: the server's, which may lose its secret with its agent's folder.
Result<> bind_name(machinery::Client& client, const std::string& node, const std::string& secret, bool own) {
  machinery::Path path{"", "v1", "secrets", "kube-system", node + ".node-password.k8lite", ""};
  std::string hash = to_hex(pki::sha256(secret));
  Node data = Node::obj({{"hash", base64_encode(hash)}});
  auto known = client.get(path);
  if (known.ok()) {
    std::string stored = base64_decode((*known)["data"]["hash"].str()).value_or("");
    if (pki::equal_constant_time(stored, hash)) return {};
    if (own && (*known)["metadata"]["labels"][kOwnLabel]) {
      TRY_OK(client.patch(path, machinery::PatchType::Merge, Node::obj({{"data", data}}).dump(), {}));
      return {};
    }
    return Status(Reason::Forbidden, "the node name " + json::quoted(node) + " belongs to another machine; choose another --node-name, or delete the Secret " + path.name + " in kube-system if that machine is gone");
  }
  if (!known.status().is(Reason::NotFound)) return known.status();
  Node object = Node::obj({{"apiVersion", "v1"}, {"kind", "Secret"}, {"metadata", Node::obj({{"name", path.name}, {"namespace", "kube-system"}})}, {"data", data}});
  if (own) object["metadata"]["labels"].set(kOwnLabel, "true");
  path.name.clear();
  auto r = client.create(path, json::Doc::from(object), {});
  if (!r.ok() && r.status().is(Reason::AlreadyExists)) return bind_name(client, node, secret, own);
  if (!r.ok()) return r.status();
  return {};
}

Result<Node> join(machinery::Client& client, const ClusterIdentity& identity, const config::Config& config, Instant now, const std::string& body, const std::string& remote) {
  TRY(Node request, Node::parse(body));
  std::string node = request.get("nodeName").str(), secret = request.get("nodeSecret").str(), ip = request.get("nodeIP").str();
  if (!is_dns_subdomain(node)) return bad_request("nodeName: " + json::quoted(node) + " is no DNS name of lower case letters, digits, '-' and '.'");
  if (secret.size() < 16) return bad_request("nodeSecret: at least 16 characters");
  TRY_OK(bind_name(client, node, secret, false));
  ServingNames names{{node, "localhost"}, {"127.0.0.1"}};
  for (const auto& a : {ip, remote})
    if (!a.empty()) names.addresses.push_back(a);
  TRY(auto serving, serving_certificate(identity.ca, names, now));
  TRY(auto cert, client_certificate(identity.ca, "system:node:" + node, {"system:nodes"}, now));
  auto pair = [](const pki::KeyPair& k) { return Node::obj({{"certificate", k.certificate_pem}, {"key", k.key_pem}}); };
  log_info("a node joins", {{"node", node}, {"from", remote}});
  Node disable = Node::array();
  for (const auto& component : config.disable) disable.append(component);
  return Node::obj({{"client", pair(cert)}, {"serving", pair(serving)}, {"clusterCIDR", config.cluster_cidr}, {"serviceCIDR", config.service_cidr}, {"disable", std::move(disable)}, {"clusterDNS", config.cluster_dns}, {"clusterDomain", config.cluster_domain}, {"flannelBackend", config.flannel_backend}});
}

struct Joining {
  async::Pool& pool;
  machinery::Client& client;
  const ClusterIdentity& identity;
  const config::Config& config;
  const Clock& clock;
};

Task<bool> serve(std::shared_ptr<Joining> j, net::Request* request, net::ResponseWriter* response) {
  if (!request->path.starts_with("/v1-k8lite/")) co_return false;
  auto hash = pki::ca_hash(j->identity.ca.certificate_pem);
  if (request->path == "/v1-k8lite/hello" && request->method == "GET") {
    std::string nonce(request->query.get("nonce"));
    Node answer = Node::obj({{"ca", j->identity.ca.certificate_pem}});
    // Only a nonce of real length gets a proof: it must not serve to guess the secret from precomputed ones.
    if (nonce.size() >= 32 && nonce.size() <= 128) answer.set("proof", proof(j->identity.agent_secret, nonce, *hash)), answer.set("serverProof", proof(j->identity.token.secret, nonce, *hash));
    (void)co_await response->send(200, {{"Content-Type", "application/json"}}, answer.dump());
    co_return true;
  }
  if (request->path != "/v1-k8lite/join" || request->method != "POST") {
    co_await apiserver::send_status(*response, not_found("the server could not find the requested resource"));
    co_return true;
  }
  std::string header(request->headers.get("Authorization"));
  std::string secret = header.starts_with("Bearer ") ? header.substr(7) : "";
  bool known = pki::equal_constant_time(secret, j->identity.agent_secret) || pki::equal_constant_time(secret, j->identity.token.secret);
  if (!known) {
    co_await apiserver::send_status(*response, Status(Reason::Unauthorized, "the token is not this cluster's"));
    co_return true;
  }
  auto body = co_await request->read_body(kMaxBody);
  if (!body.ok()) {
    co_await apiserver::send_status(*response, body.status());
    co_return true;
  }
  std::string text = *body, remote = request->peer().address;
  auto answer = co_await async::offload<Result<Node>>(j->pool, [j, text, remote] { return join(j->client, j->identity, j->config, j->clock.now(), text, remote); });
  if (!answer.ok()) co_await apiserver::send_status(*response, answer.status());
  else (void)co_await response->send(200, {{"Content-Type", "application/json"}}, answer->dump());
  co_return true;
}

struct Answer {
  int status = 0;
  std::string body;
};
Task<Result<Answer>> fetch(std::shared_ptr<net::HttpClient> client, net::ClientRequest request) {
  CO_TRY(auto response, co_await client->send(std::move(request)));
  CO_TRY(std::string body, co_await response->read_body(1 << 20));
  co_return Answer{response->status, body};
}

Result<Answer> ask(async::Loop& loop, const net::Url& url, const std::string& ca_pem, net::ClientRequest request) {
  net::HttpClientOptions options{.host = url.host, .port = url.port, .tls = nullptr};
  TRY(options.tls, net::make_tls_client({.ca_pem = ca_pem, .insecure_skip_verify = ca_pem.empty()}));
  options.response_timeout = seconds(30);
  return async::block_on(loop, fetch(net::make_http_client(loop, options), std::move(request)));
}

}  // namespace

apiserver::ApiServer::Extra join_handler(async::Pool& pool, machinery::Client& client, const ClusterIdentity& identity, const config::Config& config, const Clock& clock) {
  auto joining = std::shared_ptr<Joining>(new Joining{pool, client, identity, config, clock});
  return [joining](net::Request& q, net::ResponseWriter& r) { return serve(joining, &q, &r); };
}

Result<std::string> node_secret(const std::string& data_dir, Random& random) {
  std::string path = data_dir + "/agent/node-secret";
  auto there = os::read_file(path);
  if (there.ok() || !there.status().is(Reason::NotFound)) return there;
  TRY_OK(os::make_dirs(data_dir + "/agent", 0700));
  std::string secret = random_hex(random, 32);
  TRY_OK(os::write_file(path, secret, 0600));
  return secret;
}

Result<> bind_own_name(machinery::Client& client, const std::string& node, const std::string& secret) { return bind_name(client, node, secret, true); }

namespace {

constexpr const char* kJoinedFile = "/agent/joined.json";

JoinedNode joined_node(const Node& n, std::string ca_pem) {
  JoinedNode out;
  out.ca_pem = std::move(ca_pem);
  out.client = {n.path("client.certificate").str(), n.path("client.key").str()};
  out.serving = {n.path("serving.certificate").str(), n.path("serving.key").str()};
  out.cluster_cidr = n.get("clusterCIDR").str();
  out.service_cidr = n.get("serviceCIDR").str();
  for (const auto& component : n.get("disable").items()) out.disable.push_back(component.str());
  out.cluster_dns = n.get("clusterDNS").str();
  out.cluster_domain = n.get("clusterDomain").str();
  out.flannel_backend = n.get("flannelBackend").str();
  return out;
}

}  // namespace

Result<JoinedNode> join_cluster(async::Loop& loop, const config::Config& config, const std::string& node_secret, Random& random) {
  TRY(net::Url url, net::Url::parse(config.server));
  if (url.scheme != "https") return bad_request("--server must be an https URL such as https://10.0.0.1:6443");
  TRY(pki::ClusterToken token, pki::parse_token(config.token));
  std::string nonce = random_hex(random, 32);
  TRY(Answer hello, ask(loop, url, "", {"GET", "/v1-k8lite/hello?nonce=" + nonce, {}, {}}));
  auto node = Node::parse(hello.body);
  if (hello.status != 200 || !node.ok()) return bad_request(config.server + " is no k8lite server: it answered " + std::to_string(hello.status));
  JoinedNode out;
  out.ca_pem = node->get("ca").str();
  TRY(std::string hash, pki::ca_hash(out.ca_pem));
  if (!token.ca_hash.empty()) {
    if (hash != token.ca_hash) return Status(Reason::Unauthorized, "the server's CA is not the one of the token: this is another cluster, or somebody in between");
  } else if (std::string want = proof(token.secret, nonce, hash); !pki::equal_constant_time(node->get("proof").str(), want) && !pki::equal_constant_time(node->get("serverProof").str(), want)) {
    return Status(Reason::Unauthorized, "the server does not know the token: it is wrong, or this is another cluster");
  }
  Node body = Node::obj({{"nodeName", config.node_name}, {"nodeIP", config.node_ip}, {"nodeSecret", node_secret}});
  TRY(Answer joined, ask(loop, url, out.ca_pem, {"POST", "/v1-k8lite/join", {{"Authorization", "Bearer " + token.secret}, {"Content-Type", "application/json"}}, body.dump()}));
  if (joined.status != 200) return machinery::status_from_response(joined.status, joined.body);
  TRY(Node n, Node::parse(joined.body));
  Node kept = Node::obj({{"server", config.server}, {"node", config.node_name}, {"ca", out.ca_pem}, {"answer", n}});
  if (auto r = os::write_file(config.data_dir + kJoinedFile, kept.dump(), 0600); !r.ok()) log_warn("what the server said could not be kept", {{"error", r.status()}});
  return joined_node(n, std::move(out.ca_pem));
}

Result<JoinedNode> joined_before(const config::Config& config) {
  TRY(std::string text, os::read_file(config.data_dir + kJoinedFile));
  TRY(Node kept, Node::parse(text));
  if (kept.get("server").str() != config.server || kept.get("node").str() != config.node_name) return not_found("this node has joined another server, or under another name");
  return joined_node(kept.get("answer"), kept.get("ca").str());
}

}  // namespace k8lite::app
