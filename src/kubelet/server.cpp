#include "kubelet/server.h"

#include "base/strings.h"

namespace k8lite::kubelet {

using async::Task;

namespace {

Task<void> refuse(net::ResponseWriter& response, Status status) { (void)co_await response.send(http_code(status.reason()), {{"Content-Type", "text/plain; charset=utf-8"}}, status.message() + "\n"); }

Task<Result<>> may(StreamingCorePtr core, std::shared_ptr<DelegatedAuth> auth, const net::Peer& peer, std::string authorization, std::string method, std::string path) {
  if (DelegatedAuth::is_server(peer)) co_return Result<>{};
  if (!peer.has_certificate && authorization.empty()) co_return Status(Reason::Unauthorized, "Unauthorized");
  std::function<Result<>()> ask = [core, auth, who = net::Peer(peer), authorization, method, path]() -> Result<> {
    if (core->stopping) return unavailable("the node agent is stopping");
    return auth->check(who, authorization, method, path);
  };
  co_return co_await async::offload<Result<>>(core->pool, ask);
}

Task<void> handle(StatsCorePtr stats, std::shared_ptr<DelegatedAuth> auth, net::Request& request, net::ResponseWriter& response) {
  StreamingCorePtr core = stats->base;
  if (request.path == "/healthz") {
    (void)co_await response.send(200, {}, "ok");
    co_return;
  }
  auto allowed = co_await may(core, auth, request.peer(), std::string(request.headers.get("Authorization")), request.method, request.path);
  if (!allowed.ok()) co_return co_await refuse(response, allowed.status());
  if (co_await serve_stats(stats, request, response)) co_return;
  auto parts = split_strings(request.path.substr(1), '/');
  for (auto& p : parts) p = url_decode(p);
  // Right after a start not every pod of the process before is known again: who asks for one waits, at most ten seconds.
  for (int i = 0; i < 200 && parts.size() >= 3 && !core->stopping && core->pods.is_coming(parts[1], parts[2]); ++i) (void)co_await async::sleep_for(core->loop, milliseconds(50));
  auto streamed = co_await serve_stream(core, request, response, parts);
  if (!streamed.ok() && !response.started()) co_return co_await refuse(response, streamed.status());
  if (!streamed.ok() || *streamed) co_return;
  co_await refuse(response, not_found("this node does not serve " + request.path));
}

}  // namespace

Result<> KubeletServer::start(const std::string& address, int port, std::shared_ptr<net::TlsServerContext> tls) {
  net::HttpServerOptions options;
  options.listen.address = address;
  options.listen.port = port;
  options.listen.tls = std::move(tls);
  TRY(http_, net::serve_http(loop_, options, [stats = stats_, auth = auth_](net::Request& q, net::ResponseWriter& r) { return handle(stats, auth, q, r); }));
  return {};
}
void KubeletServer::stop() {
  http_ = nullptr;
  streaming_.stop();
}

}  // namespace k8lite::kubelet
