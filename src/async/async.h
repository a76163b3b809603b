// What coroutines of the house stand on besides Task: starting them, waiting for them from a thread, callbacks as awaitables,
// a pool for blocking work, timers and a notification. The event loop itself (Asio) is hidden in loop.cpp.
#pragma once
#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "async/task.h"
#include "base/clock.h"
#include "base/result.h"

namespace k8lite::async {

// Starts a task detached; it owns itself until it ends.
void spawn(Executor& executor, Task<void> task);

// co_await current_executor()
struct CurrentExecutor {
  Executor* executor = nullptr;
  bool await_ready() noexcept { return false; }
  template <class P>
  K8_AWAIT bool await_suspend(std::coroutine_handle<P> h) noexcept {
    executor = h.promise().executor;
    return false;
  }
  Executor& await_resume() noexcept { return *executor; }
};
inline CurrentExecutor current_executor() { return {}; }

// Turns one callback into an awaitable: T v = co_await from_callback<T>([&](auto done) { start(..., done); });
// `done(T)` is copyable, is called exactly once, from any thread (also inside `start`).
template <class T>
struct CallbackAwaiter {
  struct State {
    std::atomic<int> phase{0};  // 0 starting, 1 suspended, 2 done
    std::optional<T> value;
    std::coroutine_handle<> handle;
    Executor* executor = nullptr;
  };
  std::function<void(std::function<void(T)>)> start;
  std::shared_ptr<State> state = std::make_shared<State>();

  bool await_ready() noexcept { return false; }
  template <class P>
  K8_AWAIT bool await_suspend(std::coroutine_handle<P> h) {
    auto s = state;
    s->handle = h;
    s->executor = h.promise().executor;
    start([s](T v) {
      s->value.emplace(std::move(v));
      int expected = 0;
      if (!s->phase.compare_exchange_strong(expected, 2)) s->executor->post([s] { s->handle.resume(); });
    });
    int expected = 0;
    return s->phase.compare_exchange_strong(expected, 1);  // false: it completed inside start()
  }
  T await_resume() { return std::move(*state->value); }
};
template <class T>
CallbackAwaiter<T> from_callback(std::function<void(std::function<void(T)>)> start) {
  return {std::move(start)};
}

// Threads for work that may block (files, fsync, DNS of the host, crypto of size). Bounded: `threads` at most, started on demand.
class Pool {
 public:
  explicit Pool(unsigned threads) : limit_(threads) {}
  ~Pool() { stop(); }
  Pool(const Pool&) = delete;
  void run(std::function<void()> fn);
  void stop();  // finishes what is queued

 private:
  void work();
  unsigned limit_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
  std::vector<std::thread> threads_;
  unsigned idle_ = 0;
  bool stopping_ = false;
};

// Runs fn on the pool: auto r = co_await offload<Result<Doc>>(pool, [x] { return load(x); });
template <class T>
CallbackAwaiter<T> offload(Pool& pool, std::function<T()> fn) {
  return from_callback<T>([&pool, fn = std::move(fn)](std::function<void(T)> done) {
    pool.run([fn, done = std::move(done)] { done(fn()); });
  });
}

// One event loop on one thread: sockets (src/net), timers, posted functions. Blocks nothing; see offload() for what blocks.
class Loop : public Executor {
 public:
  Loop();
  ~Loop() override;
  Loop(const Loop&) = delete;

  void post(std::function<void()> fn) override;
  void start();          // runs the loop on a thread of its own
  void stop();           // ends the thread; pending tasks are dropped
  bool in_loop() const;  // called on the loop's thread?

  // Calls fn on the loop after the delay; returns an id for cancel_timer(). Thread-safe.
  uint64_t after(Duration delay, std::function<void()> fn);
  void cancel_timer(uint64_t id);

  void* io_context();  // boost::asio::io_context*, for src/net and src/os only

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// co_await sleep_for(loop, milliseconds(5));
CallbackAwaiter<bool> sleep_for(Loop& loop, Duration d);

// Runs a task on the executor and blocks this thread (never the loop's own) until it is done.
template <class T>
T block_on(Executor& executor, Task<T> task) {
  struct Shared {
    std::mutex mutex;
    std::condition_variable cv;
    std::optional<T> value;
  };
  auto shared = std::make_shared<Shared>();
  struct Run {
    static Task<void> go(Task<T> t, std::shared_ptr<Shared> s) {
      T v = co_await std::move(t);
      std::lock_guard lock(s->mutex);
      s->value.emplace(std::move(v));
      s->cv.notify_all();
    }
  };
  spawn(executor, Run::go(std::move(task), shared));
  std::unique_lock lock(shared->mutex);
  shared->cv.wait(lock, [&] { return shared->value.has_value(); });
  return std::move(*shared->value);
}

// A wake-up for one waiting task: notify() from any thread; co_await wait() returns at once when notified since the last wait.
// With a timeout it returns false when the time is over first.
class Notify {
 public:
  void notify();
  Task<bool> wait();
  Task<bool> wait_for(Loop& loop, Duration timeout);

 private:
  void arm(std::function<void(bool)> done);
  std::mutex mutex_;
  bool set_ = false;
  std::function<void(bool)> waiter_;
};

}  // namespace k8lite::async
