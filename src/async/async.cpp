#include "async/async.h"

namespace k8lite::async {
namespace {

// A coroutine without an owner: destroys itself at its end.
struct Detached {
  struct promise_type {
    Executor* executor = nullptr;
    Detached get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
  std::coroutine_handle<promise_type> handle;
};

Detached run_detached(Task<void> task) { co_await std::move(task); }

}  // namespace

void spawn(Executor& executor, Task<void> task) {
  Detached d = run_detached(std::move(task));
  d.handle.promise().executor = &executor;
  executor.post([h = d.handle] { h.resume(); });
}

void Pool::run(std::function<void()> fn) {
  std::lock_guard lock(mutex_);
  queue_.push_back(std::move(fn));
  if (idle_ >= queue_.size() || threads_.size() >= limit_) wake_.notify_one();
  else threads_.emplace_back([this] { work(); });
}

void Pool::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    while (queue_.empty() && !stopping_) {
      ++idle_;
      wake_.wait(lock);
      --idle_;
    }
    if (queue_.empty()) return;
    auto fn = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    fn();
    fn = nullptr;
    lock.lock();
  }
}

void Pool::stop() {
  std::vector<std::thread> threads;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    threads.swap(threads_);
    wake_.notify_all();
  }
  for (auto& t : threads) t.join();
}

CallbackAwaiter<bool> sleep_for(Loop& loop, Duration d) {
  return from_callback<bool>([&loop, d](std::function<void(bool)> done) { loop.after(d, [done] { done(true); }); });
}

void Notify::notify() {
  std::function<void(bool)> waiter;
  {
    std::lock_guard lock(mutex_);
    waiter = std::exchange(waiter_, nullptr);
    if (!waiter) set_ = true;
  }
  if (waiter) waiter(true);
}

void Notify::arm(std::function<void(bool)> done) {
  {
    std::lock_guard lock(mutex_);
    if (!set_) {
      waiter_ = std::move(done);
      return;
    }
    set_ = false;
  }
  done(true);
}

Task<bool> Notify::wait() {
  co_return co_await from_callback<bool>([this](std::function<void(bool)> done) { arm(std::move(done)); });
}

Task<bool> Notify::wait_for(Loop& loop, Duration timeout) {
  // The timer takes the waiter away only if it is still this wait's: whoever comes second finds `fired` set.
  auto fired = std::make_shared<std::atomic<bool>>(false);
  uint64_t timer = 0;
  bool r = co_await from_callback<bool>([this, &loop, timeout, fired, &timer](std::function<void(bool)> done) {
    timer = loop.after(timeout, [this, fired] {
      if (*fired) return;
      std::function<void(bool)> waiter;
      {
        std::lock_guard lock(mutex_);
        waiter = std::exchange(waiter_, nullptr);
      }
      if (waiter) waiter(false);
    });
    arm([fired, done](bool v) {
      *fired = true;
      done(v);
    });
  });
  loop.cancel_timer(timer);
  co_return r;
}

}  // namespace k8lite::async
