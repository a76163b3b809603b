// services/proxy, pods/proxy and nodes/proxy: the request goes on to an endpoint of the service, to the pod or to the
// node's kubelet, straight from this host, which reaches pods as nodes do. Upgraded connections are bridged.
#include "apiserver/stream/service_proxy.h"

#include <algorithm>

#include "apiserver/api_server.h"
#include "apiserver/authn/impersonation.h"
#include "base/strings.h"

namespace k8lite::apiserver {
namespace {

using async::Task;

struct Destination {
  std::string address;
  int port = 80;
  std::shared_ptr<net::TlsClientContext> tls;
  NodeTunnels::Dial dial = {};  // of a node's agent
};

// What a pod or a service shows on https is nobody's to verify: upstream does not either.
Result<std::shared_ptr<net::TlsClientContext>> tls_for(const ProxyName& n) {
  if (n.scheme != "https") return std::shared_ptr<net::TlsClientContext>();
  net::TlsClientConfig config;
  config.insecure_skip_verify = true;
  return net::make_tls_client(config);
}

Result<Destination> find_pod(const Rest& rest, const Target& t, const ProxyName& n) {
  TRY(Answer pod, rest.get({t.type, t.ns, n.name, ""}));
  const json::Doc& d = pod.object->doc;
  Destination out;
  out.address = d.path("status.podIP").str();
  if (out.address.empty()) return bad_request("address not allowed");
  auto wanted = parse_int(n.port);
  out.port = wanted ? static_cast<int>(*wanted) : 0;
  for (json::Value c : d.path("spec.containers").items())
    for (json::Value p : c["ports"].items())
      if (!out.port && (n.port.empty() || p["name"].equals(n.port)))
        out.port = static_cast<int>(p["containerPort"].int_or(0));
  if (!out.port) out.port = n.scheme == "https" ? 443 : 80;
  TRY(out.tls, tls_for(n));
  return out;
}

Result<Destination> find_endpoint(const Rest& rest, const Target& t, ProxyName n) {
  TRY(Answer service, rest.get({t.type, t.ns, n.name, ""}));
  if (auto number = parse_int(n.port)) {
    bool found = false;
    for (json::Value p : service.object->doc.path("spec.ports").items())
      if (!found && p["port"].int_or(0) == *number) found = true, n.port = p["name"].str();
    if (!found)
      return unavailable("no service port " + std::to_string(*number) + " found for service " + json::quoted(n.name));
  }
  auto slices = rest.types().find("discovery.k8s.io", "v1", "endpointslices");
  if (!slices) return unavailable("no endpoints available for service " + json::quoted(n.name));
  ListParams of_service;
  of_service.label_selector = "kubernetes.io/service-name=" + n.name;
  TRY(Page page, rest.list({slices, t.ns, "", ""}, of_service));
  for (const auto& slice : page.items)
    for (json::Value p : slice->doc["ports"].items()) {
      if (p["name"].str() != n.port) continue;
      for (json::Value e : slice->doc["endpoints"].items()) {
        if (!e["conditions"]["ready"].bool_or(true) || e["addresses"].size() == 0) continue;
        Destination out{e["addresses"].at(0).str(), static_cast<int>(p["port"].int_or(80)), nullptr};
        TRY(out.tls, tls_for(n));
        return out;
      }
    }
  return unavailable("no endpoints available for service " + json::quoted(n.name));
}

Result<Destination> find_kubelet(const Rest& rest, const Target& t, const ProxyName& n,
                                 std::shared_ptr<net::TlsClientContext> tls) {
  TRY(Answer node, rest.get({t.type, "", n.name, ""}));
  const json::Doc& d = node.object->doc;
  Destination out;
  for (json::Value a : d.path("status.addresses").items())
    if (a["type"].equals("InternalIP") && out.address.empty()) out.address = a["address"].str();
  if (out.address.empty()) return unavailable("node " + n.name + " has no address");
  int own = static_cast<int>(d.path("status.daemonEndpoints.kubeletEndpoint.Port").int_or(10250));
  out.port = static_cast<int>(parse_int(n.port).value_or(own));
  if (out.port == own) {
    out.tls = std::move(tls);
    out.dial = rest.way_to(n.name);
  } else {
    TRY(out.tls, tls_for(n));
  }
  return out;
}

Result<Destination> find(const Rest& rest, const Target& t, std::shared_ptr<net::TlsClientContext> tls) {
  TRY(ProxyName n, split_proxy_name(t.name));
  if (t.type->row->plural == "pods") return find_pod(rest, t, n);
  if (t.type->row->plural == "services") return find_endpoint(rest, t, std::move(n));
  return find_kubelet(rest, t, n, std::move(tls));
}

// A redirect within the target stays behind the proxy.
std::string relocated(std::string_view location, std::string_view prefix) {
  return location.starts_with("/") && !location.starts_with("//") ? std::string(prefix) + std::string(location)
                                                                  : std::string(location);
}

Task<void> stream_answer(net::HttpClient& client, net::ClientRequest request, std::string prefix,
                         net::ResponseWriter& response) {
  auto answer = co_await client.send(std::move(request));
  if (!answer.ok())
    co_return co_await send_status(response,
                                   unavailable("error trying to reach service: " + answer.status().message()));
  net::Headers headers;
  for (const auto& [name, value] : (*answer)->headers.rows()) {
    if (iequals(name, "Content-Length") || iequals(name, "Transfer-Encoding") || iequals(name, "Connection") ||
        iequals(name, "Keep-Alive"))
      continue;
    headers.add(name, iequals(name, "Location") ? relocated(value, prefix) : value);
  }
  net::ClientResponse* source = answer->get();
  (void)co_await response.start((*answer)->status, headers);
  response.on_disconnect([source] { source->cancel(); });
  for (;;) {
    auto piece = co_await source->read_chunk();
    if (!piece.ok() || piece->empty()) break;
    if (!(co_await response.write(*piece)).ok()) co_return;
  }
  (void)co_await response.finish();
}

}  // namespace

Result<ProxyName> split_proxy_name(std::string_view text) {
  auto parts = split(text, ':');
  ProxyName n;
  if (parts.size() == 1)
    n.name = parts[0];
  else if (parts.size() == 2)
    n.name = parts[0], n.port = parts[1];
  else if (parts.size() == 3)
    n.scheme = parts[0], n.name = parts[1], n.port = parts[2];
  bool known = n.scheme.empty() || n.scheme == "http" || n.scheme == "https";
  if (n.name.empty() || !known)
    return bad_request("invalid proxy request " + json::quoted(text) +
                       ": a name, name:port or scheme:name:port is wanted");
  if (auto number = parse_int(n.port); number && (*number < 1 || *number > 65535))
    return bad_request("invalid proxy request " + json::quoted(text) + ": a port is a number from 1 to 65535");
  return n;
}

std::string proxied_target(std::string_view target, int segments) {
  size_t at = 0;
  for (int i = 0; i < segments && at != target.npos; ++i) at = target.find_first_of("/?", at + 1);
  return at == target.npos ? std::string() : std::string(target.substr(at));
}

net::Headers proxied_headers(const net::Headers& headers) {
  static constexpr std::string_view kOwn[] = {
      "Host", "Authorization", "Content-Length", "Transfer-Encoding", "Keep-Alive", "Proxy-Authorization",
      "Te",   "Trailer"};
  bool upgrades = headers.has("Upgrade");
  net::Headers out;
  for (const auto& [name, value] : headers.rows()) {
    bool own = authn::is_impersonation_header(name) || (!upgrades && iequals(name, "Connection"));
    for (auto o : kOwn) own |= iequals(o, name);
    if (!own) out.add(name, value);
  }
  return out;
}

Task<void> proxy_to_target(async::Loop& loop, const Rest& rest, std::shared_ptr<net::TlsClientContext> tls,
                           Target target, net::Request& request, net::ResponseWriter& response) {
  std::string path = proxied_target(request.target, target.ns.empty() ? 5 : 7);
  std::string prefix = request.target.substr(0, request.target.size() - path.size());
  if (!path.starts_with("/")) {
    if (request.method == "GET") {  // so that relative links work
      (void)co_await response.send(301, {{"Location", prefix + "/" + path}}, "");
      co_return;
    }
    path = "/" + path;
  }
  auto destination = find(rest, target, std::move(tls));
  if (!destination.ok()) co_return co_await send_status(response, destination.status());
  auto client = net::make_http_client(loop, {.host = destination->address,
                                             .port = destination->port,
                                             .tls = destination->tls,
                                             .response_timeout = Duration{0},
                                             .dial = destination->dial});
  net::ClientRequest out{request.method, std::move(path), proxied_headers(request.headers), {}};
  out.headers.set("X-Forwarded-Uri", prefix);
  out.headers.set("X-Forwarded-Host", std::string(request.headers.get("Host")));
  out.headers.set("X-Forwarded-Proto", "https");
  if (request.headers.has("Upgrade")) co_return co_await bridge(loop, *client, std::move(out), response);
  auto body = co_await request.read_body(kMaxBody);
  if (!body.ok()) co_return co_await send_status(response, body.status());
  out.body = std::move(body).value();
  co_await stream_answer(*client, std::move(out), std::move(prefix), response);
}

}  // namespace k8lite::apiserver
