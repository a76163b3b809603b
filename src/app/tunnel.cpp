#include "app/tunnel.h"

#include <mutex>
#include <set>

#include "apiserver/stream/tunnels.h"
#include "base/log.h"

namespace k8lite::app {

using async::Task;

namespace {
constexpr int kWaiting = 2;  // at once: the next is there before the first was asked for again
constexpr Duration kFirstPause = seconds(1), kLongestPause = seconds(30), kDialTimeout = seconds(5);
}  // namespace

struct Tunnel::State {
  async::Loop& loop;
  Options options;
  net::Url url;
  std::mutex mutex;
  bool stopping = false;
  std::set<net::StreamPtr> waiting;
  async::Notify stop[kWaiting];
  int keepers = 0;
};

Tunnel::Tunnel(async::Loop& loop, Options options) : state_(new State{loop, std::move(options), {}, {}, false, {}, {}, 0}) {
  auto url = net::Url::parse(state_->options.server);
  if (!url.ok()) return;
  state_->url = *url;
  for (int i = 0; i < kWaiting; ++i) async::spawn(loop, keep(state_));
}

Tunnel::~Tunnel() {
  std::lock_guard lock(state_->mutex);
  state_->stopping = true;
  for (const auto& s : state_->waiting) s->close();
  for (auto& s : state_->stop) s.notify();
}

// One connection after the other. The loop's thread.
Task<void> Tunnel::keep(std::shared_ptr<State> state) {
  async::Notify& stop = state->stop[state->keepers++];
  bool told = false;
  for (Duration pause{0};;) {
    if (pause > Duration{0} && co_await stop.wait_for(state->loop, pause)) co_return;
    {
      std::lock_guard lock(state->mutex);
      if (state->stopping) co_return;
    }
    auto client = net::make_http_client(state->loop, {.host = state->url.host, .port = state->url.port, .tls = state->options.tls});
    net::ClientRequest request{"GET", std::string(apiserver::kTunnelPath), {{"Upgrade", std::string(apiserver::kTunnelProtocol)}}, {}};
    auto up = co_await client->upgrade(std::move(request));
    if (!up.ok()) {
      if (!std::exchange(told, true)) log_warn("the server has no way to this node but to dial it", {{"error", up.status()}});
      pause = pause == Duration{0} ? kFirstPause : std::min<Duration>(pause * 2, kLongestPause);
      continue;
    }
    told = false;
    pause = Duration{0};
    auto stream = up->stream;
    stream->set_timeout(Duration{0});
    {
      std::lock_guard lock(state->mutex);
      if (state->stopping) stream->close();
      state->waiting.insert(stream);
    }
    char byte = 0;
    auto n = co_await stream->read_some({&byte, 1});
    {
      std::lock_guard lock(state->mutex);
      state->waiting.erase(stream);
    }
    if (n.ok() && *n == 1) {
      async::spawn(state->loop, lead(state, stream));
    } else {
      stream->close();
      pause = kFirstPause;
    }
  }
}

Task<void> Tunnel::lead(std::shared_ptr<State> state, net::StreamPtr stream) {
  auto agent = co_await net::dial(state->loop, "127.0.0.1", state->options.port, nullptr, kDialTimeout);
  if (!agent.ok()) {
    stream->close();
    co_return;
  }
  if (!(co_await stream->write_all("!")).ok()) {
    stream->close();
    (*agent)->close();
    co_return;
  }
  co_await net::splice(stream, *agent);
}

}  // namespace k8lite::app
