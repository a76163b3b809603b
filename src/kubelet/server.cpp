#include "kubelet/server.h"

#include <algorithm>

#include "base/strings.h"
#include "kubelet/log_reader.h"

namespace k8lite::kubelet {

using async::Task;

Result<> KubeletServer::start(const std::string& address, int port, std::shared_ptr<net::TlsServerContext> tls) {
  net::HttpServerOptions options;
  options.listen.address = address;
  options.listen.port = port;
  options.listen.tls = std::move(tls);
  TRY(http_, net::serve_http(loop_, options, [this](net::Request& q, net::ResponseWriter& r) { return handle(q, r); }));
  return {};
}
void KubeletServer::stop() {
  streaming_.stop();
  http_ = nullptr;
}

namespace {
Task<void> refuse(net::ResponseWriter& response, Status status) { (void)co_await response.send(http_code(status.reason()), {{"Content-Type", "text/plain; charset=utf-8"}}, status.message() + "\n"); }
}  // namespace

Task<void> KubeletServer::handle(net::Request& request, net::ResponseWriter& response) {
  const net::Peer& peer = request.peer();
  bool allowed = peer.has_certificate && std::find(peer.organizations.begin(), peer.organizations.end(), "system:masters") != peer.organizations.end();
  if (request.path == "/healthz") {
    (void)co_await response.send(200, {}, "ok");
    co_return;
  }
  if (!allowed) co_return co_await refuse(response, Status(Reason::Unauthorized, "Unauthorized"));
  auto parts = split_strings(request.path.substr(1), '/');
  for (auto& p : parts) p = url_decode(p);
  if (parts.size() == 4 && parts[0] == "containerLogs") co_return co_await logs(request, response, parts[1], parts[2], parts[3]);
  auto streamed = co_await streaming_.handle(request, response, parts);
  if (!streamed.ok() && !response.started()) co_return co_await refuse(response, streamed.status());
  if (!streamed.ok() || *streamed) co_return;
  co_await refuse(response, not_found("this node does not serve " + request.path));
}

Task<void> KubeletServer::logs(net::Request& request, net::ResponseWriter& response, std::string ns, std::string pod, std::string container) {
  const net::Query& q = request.query;
  bool follow = q.get("follow") == "true" || q.get("follow") == "1";
  LogOptions o;
  o.tail = parse_int(q.get("tailLines")).value_or(-1);
  o.limit_bytes = parse_int(q.get("limitBytes")).value_or(-1);
  o.timestamps = q.get("timestamps") == "true" || q.get("timestamps") == "1";
  o.since = q.get("sinceTime");
  if (auto s = parse_int(q.get("sinceSeconds"))) o.since = rfc3339_nano(clock_.now() - seconds(*s));
  auto path = pods_.log_path(ns, pod, container, q.get("previous") == "true" || q.get("previous") == "1");
  if (!path.ok()) co_return co_await refuse(response, path.status());
  auto text = read_log(*path, o);
  if (!text.ok()) co_return co_await refuse(response, text.status());
  (void)co_await response.start(200, {{"Content-Type", "text/plain"}});
  auto gone = std::make_shared<std::atomic<bool>>(false);
  response.on_disconnect([gone] { *gone = true; });
  if (!text->text.empty() && !(co_await response.write(text->text)).ok()) co_return;
  o.tail = -1;
  o.since.clear();
  LogFollower follower(*path, text->offset, o);
  while (follow && !*gone) {
    bool running = pods_.is_running(ns, pod, container);
    std::string more = follower.more();
    if (!more.empty() && !(co_await response.write(more)).ok()) co_return;
    if (!running && more.empty()) break;
    co_await async::sleep_for(loop_, milliseconds(200));
  }
  (void)co_await response.finish();
}

}  // namespace k8lite::kubelet
