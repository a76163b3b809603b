#include "machinery/courier.h"

namespace k8lite::machinery {

void Courier::begin_locked() {
  if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
  wake_.notify_one();
}

void Courier::run(std::function<void()> fn) {
  std::lock_guard lock(mutex_);
  if (stopping_) return;
  queue_.push_back(std::move(fn));
  begin_locked();
}

void Courier::after(Duration delay, std::function<void()> fn) {
  std::lock_guard lock(mutex_);
  if (stopping_) return;
  later_.emplace(system_clock().mono() + delay, std::move(fn));
  begin_locked();
}

void Courier::run_and_wait(std::function<void()> fn) {
  std::unique_lock lock(mutex_);
  if (stopping_ || !thread_.joinable() || thread_.get_id() == std::this_thread::get_id()) {
    lock.unlock();
    return fn();
  }
  std::condition_variable waiting;
  bool done = false;
  queue_.push_back([this, &fn, &waiting, &done] {
    fn();
    std::lock_guard inner(mutex_);
    done = true;
    waiting.notify_all();
  });
  begin_locked();
  waiting.wait(lock, [&done] { return done; });
}

void Courier::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    Duration now = later_.empty() ? Duration{0} : system_clock().mono();
    while (!later_.empty() && later_.begin()->first <= now) queue_.push_back(std::move(later_.extract(later_.begin()).mapped()));
    if (queue_.empty()) {
      if (stopping_) return;
      if (later_.empty()) wake_.wait(lock);
      else wake_.wait_for(lock, later_.begin()->first - now);
      continue;
    }
    auto fn = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    fn();
    fn = nullptr;
    lock.lock();
  }
}

void Courier::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    later_.clear();
    wake_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

}  // namespace k8lite::machinery
