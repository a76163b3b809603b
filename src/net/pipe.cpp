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
    Duration deadline = next_deadline();
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
      if (!co_await in_time(in->readable, deadline)) {
        close();
        co_return timed_out("read: no data in time");
      }
    }
  }
  Task<Result<>> write_all(std::string_view data) override {
    auto out = out_;
    Duration deadline = next_deadline();
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
      if (!co_await in_time(out->writable, deadline)) {
        close();
        co_return timed_out("write: the other end does not read");
      }
    }
    co_return Result<>{};
  }
  void shutdown_write() override { out_->end(false); }
  void close() override {
    if (closed_.exchange(true)) return;
    out_->end(false);
    in_->end(true);
  }
  void set_timeout(Duration idle) override { timeout_ = idle; }
  const Peer& peer() const override { return peer_; }

 private:
  Duration next_deadline() const { return timeout_ > Duration{0} ? system_clock().mono() + timeout_ : Duration{0}; }
  // A pipe has no loop of its own: that of the waiting task keeps the time.
  static Task<bool> in_time(async::Notify& change, Duration deadline) {
    auto* loop = deadline > Duration{0} ? dynamic_cast<async::Loop*>(&co_await async::current_executor()) : nullptr;
    if (!loop) co_return co_await change.wait();
    Duration left = deadline - system_clock().mono();
    co_return left > Duration{0} && co_await change.wait_for(*loop, left);
  }

  std::shared_ptr<Channel> in_, out_;
  Duration timeout_{0};
  std::atomic<bool> closed_{false};
  Peer peer_;
};

struct SpliceState {
  StreamPtr a, b;
  async::Notify other_ended;
  void close() {
    a->close();
    b->close();
  }
};
using SpliceStatePtr = std::shared_ptr<SpliceState>;

// One direction until its end; a failure ends the other one too.
Task<void> copy(SpliceStatePtr state, StreamPtr from, StreamPtr to) {
  std::string buffer(kCopyBytes, '\0');
  for (;;) {
    auto n = co_await from->read_some({buffer.data(), buffer.size()});
    if (!n.ok()) co_return state->close();
    if (*n == 0) break;
    if (!(co_await to->write_all({buffer.data(), *n})).ok()) co_return state->close();
  }
  to->shutdown_write();
}

Task<void> copy_and_tell(SpliceStatePtr state, StreamPtr from, StreamPtr to) {
  co_await copy(state, from, to);
  state->other_ended.notify();
}

}  // namespace

std::pair<StreamPtr, StreamPtr> stream_pipe() {
  auto one = std::make_shared<Channel>(), two = std::make_shared<Channel>();
  return {std::make_shared<PipeEnd>(one, two), std::make_shared<PipeEnd>(two, one)};
}

Task<void> splice(StreamPtr a, StreamPtr b) {
  auto state = std::make_shared<SpliceState>();
  state->a = a;
  state->b = b;
  async::Executor& executor = co_await async::current_executor();
  async::spawn(executor, copy_and_tell(state, b, a));
  co_await copy(state, a, b);
  co_await state->other_ended.wait();
  state->close();
}

}  // namespace k8lite::net
