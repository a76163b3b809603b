// Targets that are servers: bytes of a hostile connection to the HTTP server over a pipe, and hostile requests to a
// whole API server.
#include "fuzz/targets.h"
#include "net/server_state.h"
#include "support/api_world.h"

namespace k8lite::fuzz {
namespace {

using async::Task;

// One for the life of the process: threads are too dear for every input.
struct Bench {
  async::Loop loop;
  std::shared_ptr<net::ServerState> server;
  Bench() {
    loop.start();
    net::HttpServerOptions options;
    server.reset(new net::ServerState{
        loop, options, [](net::Request& q, net::ResponseWriter& r) { return handle(&q, &r); }, {}, false});
  }
  ~Bench() { loop.stop(); }
  static Bench& get() {
    static Bench bench;
    return bench;
  }

  static Task<void> handle(net::Request* request, net::ResponseWriter* response) {
    (void)request->query.get("x");
    auto body = co_await request->read_body(64 * 1024);
    if (!body.ok()) {
      (void)co_await response->send(http_code(body.status().reason()), {}, body.status().message());
    } else if (request->method == "POST") {
      (void)co_await response->start(200, request->headers);
      (void)co_await response->write(*body);
      (void)co_await response->finish();
    } else {
      (void)co_await response->send(200, request->headers, std::move(*body));
    }
  }

  // Everything in, everything out, until the server has ended the connection.
  void talk(std::string_view data, bool http2) {
    (void)async::block_on(loop, exchange(this, std::string(data), http2));
  }
  static Task<bool> exchange(Bench* self, std::string data, bool http2) {
    auto [here, there] = net::stream_pipe();
    async::Notify over;
    async::spawn(self->loop, serve(self, there, http2, &over));
    async::spawn(self->loop, feed(here, std::move(data)));
    char buffer[16 * 1024];
    for (;;) {
      auto n = co_await here->read_some(buffer);
      if (!n.ok() || *n == 0) break;
    }
    here->close();
    co_await over.wait();
    K8_MUST(self->server->open.empty());
    co_return true;
  }
  static Task<void> serve(Bench* self, net::StreamPtr stream, bool http2, async::Notify* over) {
    if (http2)
      co_await net::serve_http2(self->server, std::move(stream));
    else
      co_await net::serve_http1(self->server, std::move(stream));
    over->notify();
  }
  static Task<void> feed(net::StreamPtr stream, std::string data) {
    (void)co_await stream->write_all(data);
    stream->shutdown_write();
  }
};

}  // namespace

void http1(std::string_view data) { Bench::get().talk(data, false); }

void http2(std::string_view data) {
  std::string all = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  all.append(std::string_view("\0\0\0\4\0\0\0\0\0", 9)).append(data);
  Bench::get().talk(all, true);
}

void request(std::string_view data) {
  static testing::ApiWorld world;
  size_t line = data.find('\n');
  std::string head(data.substr(0, line)), body(line == data.npos ? std::string_view() : data.substr(line + 1));
  size_t one = head.find(' '), two = one == head.npos ? one : head.find(' ', one + 1);
  std::string method = head.substr(0, one), target = one == head.npos ? "/" : head.substr(one + 1, two - one - 1),
              type = two == head.npos ? "application/json" : head.substr(two + 1);
  if (target.find("watch") != target.npos) return;  // it would never end
  if (!target.starts_with('/')) target = "/" + target;
  auto a = world.ask(method, target, body, {{"Content-Type", type}, {"Accept", type}});
  K8_MUST(a.status >= 200 && a.status < 600);
  K8_MUST(a.status != 500 || target.starts_with("/readyz"));
}

}  // namespace k8lite::fuzz
