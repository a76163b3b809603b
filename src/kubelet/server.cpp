#include "kubelet/server.h"

#include <algorithm>

#include "base/strings.h"

namespace k8lite::kubelet {

using async::Task;

namespace {

Task<void> refuse(net::ResponseWriter& response, Status status) { (void)co_await response.send(http_code(status.reason()), {{"Content-Type", "text/plain; charset=utf-8"}}, status.message() + "\n"); }

Task<void> handle(StreamingCorePtr core, net::Request& request, net::ResponseWriter& response) {
  const net::Peer& peer = request.peer();
  bool allowed = peer.has_certificate && std::find(peer.organizations.begin(), peer.organizations.end(), "system:masters") != peer.organizations.end();
  if (request.path == "/healthz") {
    (void)co_await response.send(200, {}, "ok");
    co_return;
  }
  if (!allowed) co_return co_await refuse(response, Status(Reason::Unauthorized, "Unauthorized"));
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
  TRY(http_, net::serve_http(loop_, options, [core = streaming_.core()](net::Request& q, net::ResponseWriter& r) { return handle(core, q, r); }));
  return {};
}
void KubeletServer::stop() {
  http_ = nullptr;
  streaming_.stop();
}

}  // namespace k8lite::kubelet
