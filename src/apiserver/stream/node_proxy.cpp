// pods/log, exec, attach and portforward: the request goes on to the kubelet of the pod's node. Upgraded connections (WebSocket,
// SPDY) are bridged byte for byte; the kubelet ends them.
#include "apiserver/api_server.h"
#include "apiserver/authn/impersonation.h"
#include "apiserver/stream/log_options.h"
#include "apiserver/stream/service_proxy.h"
#include "base/strings.h"

namespace k8lite::apiserver {
namespace {

using async::Task;

constexpr size_t kMaxRefusal = 64 * 1024;

struct Destination {
  std::string address, container, node;
  int port = 10250;
};

std::string names_of(json::Value containers) {
  std::string names;
  for (json::Value c : containers.items()) names += (names.empty() ? "" : " ") + c["name"].str();
  return names;
}

Result<> choose_container(const json::Doc& pod, const std::string& name, std::string& container) {
  json::Value spec = pod["spec"];
  if (!container.empty()) {
    for (const char* list : {"containers", "initContainers", "ephemeralContainers"})
      for (json::Value c : spec[list].items())
        if (c["name"].equals(container)) return {};
    return bad_request("container " + container + " is not valid for pod " + name);
  }
  container = pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"].str();
  if (!container.empty()) return {};
  if (spec["containers"].size() > 1) {
    std::string init = names_of(spec["initContainers"]);
    return bad_request("a container name must be specified for pod " + name + ", choose one of: [" + names_of(spec["containers"]) + "]" + (init.empty() ? "" : " or one of the init containers: [" + init + "]"));
  }
  container = spec["containers"].at(0)["name"].str();
  return {};
}

Result<Destination> find_node(const Rest& rest, const Target& t, const net::Query& query) {
  Target pods = t;
  pods.subresource.clear();
  TRY(Answer pod, rest.get(pods));
  const json::Doc& d = pod.object->doc;
  std::string node = d.path("spec.nodeName").str();
  if (node.empty()) return bad_request("pod " + t.name + " does not have a host assigned");
  Destination out;
  out.container = query.get("container");
  if (t.subresource != "portforward") TRY_OK(choose_container(d, t.name, out.container));
  out.node = node;
  json::Doc n = rest.admission().find("", "nodes", "", node);
  if (!n) return not_found_object("", "nodes", node);
  for (json::Value a : n.path("status.addresses").items())
    if (a["type"].equals("InternalIP") && out.address.empty()) out.address = a["address"].str();
  if (out.address.empty()) return unavailable("node " + node + " has no address");
  out.port = static_cast<int>(n.path("status.daemonEndpoints.kubeletEndpoint.Port").int_or(10250));
  return out;
}

std::string kubelet_target(const Target& t, const Destination& d, const net::Query& query) {
  std::string verb = t.subresource == "log" ? "containerLogs" : t.subresource == "portforward" ? "portForward" : t.subresource;
  std::string path = "/" + verb + "/" + t.ns + "/" + t.name + (d.container.empty() ? "" : "/" + d.container);
  static constexpr std::pair<std::string_view, std::string_view> kRenamed[] = {{"stdin", "input"}, {"stdout", "output"}, {"stderr", "error"}, {"tty", "tty"}, {"command", "command"}};
  std::string out;
  for (const auto& [key, value] : query.rows()) {
    if (key == "container") continue;
    std::string name = key;
    if (t.subresource == "exec" || t.subresource == "attach")
      for (auto [from, to] : kRenamed)
        if (key == from) name = to;
    out += (out.empty() ? "?" : "&") + url_encode(name) + "=" + url_encode(value);
  }
  return path + out;
}

constexpr std::string_view kHopHeaders[] = {"Host", "Authorization", "Content-Length", "Transfer-Encoding", "Keep-Alive"};

net::Headers forwarded(const net::Headers& headers) {
  net::Headers out;
  for (const auto& [name, value] : headers.rows()) {
    bool hop = authn::is_impersonation_header(name);
    for (auto h : kHopHeaders) hop |= iequals(h, name);
    if (!hop) out.add(name, value);
  }
  return out;
}

// A node that does not answer is nobody's fault but its own: a plain 500, as kubectl shows it for any cluster.
Task<void> send_dial_error(net::ResponseWriter& response, Status status) {
  co_await send_status(response, Status(Reason::Unknown, "error dialing backend: " + status.message()));
}

}  // namespace

Task<void> bridge(async::Loop& loop, net::HttpClient& client, net::ClientRequest request, net::ResponseWriter& response) {
  auto up = co_await client.send(std::move(request));
  if (!up.ok()) co_return co_await send_dial_error(response, up.status());
  net::Headers headers;
  for (const auto& [name, value] : (*up)->headers.rows())
    if (!iequals(name, "Content-Length") && !iequals(name, "Transfer-Encoding")) headers.add(name, value);
  if ((*up)->status != 101) {  // the node's refusal is the client's answer, word for word
    headers.remove("Connection");
    auto body = co_await (*up)->read_body(kMaxRefusal);
    if (!body.ok()) co_return co_await send_dial_error(response, body.status());
    (void)co_await response.send((*up)->status, headers, *body);
    co_return;
  }
  net::StreamPtr backend = (*up)->take_stream();
  auto raw = co_await response.upgrade(headers);
  if (!raw.ok()) {
    backend->close();
    co_return;
  }
  async::spawn(loop, net::splice(*raw, backend));
}

namespace {

Task<void> stream_answer(net::HttpClient& client, net::ClientRequest request, net::ResponseWriter& response) {
  auto answer = co_await client.send(std::move(request));
  if (!answer.ok()) co_return co_await send_dial_error(response, answer.status());
  if ((*answer)->status != 200) {
    auto body = co_await (*answer)->read_body(64 * 1024);
    co_return co_await send_status(response, Status(reason_from_http((*answer)->status), body.ok() ? std::string(trim(*body)) : body.status().message()));
  }
  net::ClientResponse* source = answer->get();
  (void)co_await response.start(200, {{"Content-Type", "text/plain"}});
  response.on_disconnect([source] { source->cancel(); });
  for (;;) {
    auto piece = co_await source->read_chunk();
    if (!piece.ok() || piece->empty()) break;
    if (!(co_await response.write(*piece)).ok()) co_return;
  }
  (void)co_await response.finish();
}

}  // namespace

Task<void> proxy_to_node(async::Loop& loop, const Rest& rest, std::shared_ptr<net::TlsClientContext> tls, Target target, net::Request& request, net::ResponseWriter& response) {
  if (target.subresource == "log")
    if (auto valid = check_log_options(target.name, request.query); !valid.ok()) co_return co_await send_status(response, valid.status());
  auto destination = find_node(rest, target, request.query);
  if (!destination.ok()) co_return co_await send_status(response, destination.status());
  auto client = net::make_http_client(loop, {.host = destination->address, .port = destination->port, .tls = tls, .response_timeout = Duration{0}, .dial = rest.way_to(destination->node)});
  net::ClientRequest out{request.method, kubelet_target(target, *destination, request.query), forwarded(request.headers), {}};
  if (!request.headers.has("Upgrade")) {
    if (target.subresource != "log") co_return co_await send_status(response, bad_request("Upgrade request required"));
    co_return co_await stream_answer(*client, std::move(out), response);
  }
  co_await bridge(loop, *client, std::move(out), response);
}

}  // namespace k8lite::apiserver
