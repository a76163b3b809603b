// Streams without a socket: a connected pair in memory, and the copying of one stream into another.
#include <deque>
#include <mutex>

#include "net/stream.h"

namespace k8lite::net {
namespace {

constexpr size_t kPipeBytes = 64 * 1024;  // a writer further ahead than this waits
constexpr size_t kCopyBytes = 32 * 1024;

// One direction of a pipe.
struct Channel {
  std::mutex mutex;
  std::string data;
  bool finished = false, broken = false;
  async::Notify readable, writable;

  void end(bool broke) {
    {
      std::lock_guard lock(mutex);
      finished = true;
      broken |= broke;
    }
    readable.notify();
    writable.notify();
  }
};

class PipeEnd : public Stream {
 public:
  PipeEnd(std::shared_ptr<Channel> in, std::shared_ptr<Channel> out) : in_(std::move(in)), out_(std::move(out)) {}
  ~PipeEnd() override { close(); }

  Task<Result<size_t>> read_some(std::span<char> buffer) override {
    auto in = in_;
    for (;;) {
      {
        std::lock_guard lock(in->mutex);
        if (in->broken) co_return unavailable("read: connection closed");
        if (!in->data.empty()) {
          size_t n = std::min(buffer.size(), in->data.size());
          in->data.copy(buffer.data(), n);
          in->data.erase(0, n);
          in->writable.notify();
          co_return n;
        }
        if (in->finished) co_return size_t{0};
      }
      co_await in->readable.wait();
    }
  }
  Task<Result<>> write_all(std::string_view data) override {
    auto out = out_;
    while (!data.empty()) {
      {
        std::lock_guard lock(out->mutex);
        if (out->finished) co_return unavailable("write: connection closed");
        size_t room = kPipeBytes - std::min(kPipeBytes, out->data.size());
        size_t n = std::min(room, data.size());
        out->data.append(data.substr(0, n));
        data.remove_prefix(n);
        if (n) out->readable.notify();
        if (n) continue;
      }
      co_await out->writable.wait();
    }
    co_return Result<>{};
  }
  void shutdown_write() override { out_->end(false); }
  void close() override {
    if (closed_.exchange(true)) return;
    out_->end(false);
    in_->end(true);
  }
  void set_timeout(Duration) override {}
  const Peer& peer() const override { return peer_; }

 private:
  std::shared_ptr<Channel> in_, out_;
  std::atomic<bool> closed_{false};
  Peer peer_;
};

struct SpliceState {
  StreamPtr a, b;
  int running = 2;
};

Task<void> copy(std::shared_ptr<SpliceState> state, StreamPtr from, StreamPtr to) {
  std::string buffer(kCopyBytes, '\0');
  bool failed = false;
  for (;;) {
    auto n = co_await from->read_some({buffer.data(), buffer.size()});
    if (!n.ok()) failed = true;
    if (!n.ok() || *n == 0) break;
    if (!(co_await to->write_all({buffer.data(), *n})).ok()) {
      failed = true;
      break;
    }
  }
  if (!failed) to->shutdown_write();
  if (failed || --state->running == 0) {
    state->a->close();
    state->b->close();
  }
}

}  // namespace

std::pair<StreamPtr, StreamPtr> stream_pipe() {
  auto one = std::make_shared<Channel>(), two = std::make_shared<Channel>();
  return {std::make_shared<PipeEnd>(one, two), std::make_shared<PipeEnd>(two, one)};
}

Task<void> splice(StreamPtr a, StreamPtr b) {
  auto state = std::make_shared<SpliceState>(SpliceState{a, b});
  async::Executor& executor = co_await async::current_executor();
  async::spawn(executor, copy(state, b, a));
  co_await copy(state, a, b);
}

}  // namespace k8lite::net
