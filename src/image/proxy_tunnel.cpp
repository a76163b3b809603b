#include "image/proxy_tunnel.h"

#include <mutex>

#include "net/http.h"

namespace k8lite::image {
namespace {
constexpr size_t kMaxHead = 16 << 10;
constexpr auto kTimeout = seconds(15);
}  // namespace

struct ProxyTunnel::State {
  async::Loop& loop;
  Proxy proxy;
  std::string target;
  std::unique_ptr<net::Listener> listener;
  std::mutex mutex;
  std::string error;

  State(async::Loop& l, Proxy p, std::string t) : loop(l), proxy(std::move(p)), target(std::move(t)) {}
  void failed(const std::string& why) {
    std::lock_guard lock(mutex);
    error = "proxy " + proxy.host + ":" + std::to_string(proxy.port) + ": " + why;
  }

  static async::Task<void> serve(std::shared_ptr<State> s, net::StreamPtr client) {
    auto upstream = co_await connect(s);
    if (!upstream.ok()) {
      s->failed(upstream.status().message());
      client->close();
      co_return;
    }
    co_await net::splice(client, *upstream);
  }

  static async::Task<Result<net::StreamPtr>> connect(std::shared_ptr<State> s) {
    CO_TRY(net::StreamPtr stream, co_await net::dial(s->loop, s->proxy.host, s->proxy.port, nullptr, kTimeout));
    stream->set_timeout(kTimeout);
    std::string head = "CONNECT " + s->target + " HTTP/1.1\r\nHost: " + s->target + "\r\n";
    if (!s->proxy.authorization.empty()) head += "Proxy-Authorization: " + s->proxy.authorization + "\r\n";
    head += "\r\n";
    CO_TRY_OK(co_await stream->write_all(head));
    std::string answer;
    while (answer.find("\r\n\r\n") == answer.npos) {
      char byte[1];  // not a byte more than the head: what follows is the server's
      CO_TRY(size_t n, co_await stream->read_some({byte, 1}));
      if (n == 0 || answer.size() > kMaxHead) co_return unavailable("no answer to CONNECT " + s->target);
      answer += byte[0];
    }
    std::string line = answer.substr(0, answer.find("\r\n"));
    size_t space = line.find(' ');
    if (space == line.npos || line.substr(space + 1, 3) != "200") co_return unavailable("CONNECT " + s->target + ": " + (space == line.npos ? line : line.substr(space + 1)));
    stream->set_timeout(Duration{0});
    co_return stream;
  }
};

ProxyTunnel::ProxyTunnel(std::shared_ptr<State> state) : state_(std::move(state)) {}
ProxyTunnel::~ProxyTunnel() {
  if (state_->listener) state_->listener->close();
}

Result<std::unique_ptr<ProxyTunnel>> ProxyTunnel::open(async::Loop& loop, const Proxy& proxy, const std::string& host, int port) {
  std::string target = (host.find(':') == host.npos ? host : "[" + host + "]") + ":" + std::to_string(port);
  auto state = std::make_shared<State>(loop, proxy, target);
  net::ListenOptions options;
  options.address = "127.0.0.1";
  std::weak_ptr<State> weak = state;
  TRY(state->listener, net::listen(loop, options, [weak](net::StreamPtr client) {
    auto s = weak.lock();
    if (!s) return client->close();
    async::spawn(s->loop, State::serve(s, std::move(client)));
  }));
  return std::unique_ptr<ProxyTunnel>(new ProxyTunnel(std::move(state)));
}

int ProxyTunnel::port() const { return state_->listener->port(); }
std::string ProxyTunnel::error() const {
  std::lock_guard lock(state_->mutex);
  return state_->error;
}

}  // namespace k8lite::image
