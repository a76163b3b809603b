#include "machinery/work_queue.h"

#include <algorithm>

namespace k8lite::machinery {

void WorkQueue::add_locked(const Key& key) {
  if (stopped_ || !dirty_.insert(key).second) return;
  if (working_.contains(key)) return;  // done() brings it back
  ready_.push_back(key);
  wake_.notify_one();
}

void WorkQueue::add_after_locked(const Key& key, Duration delay) {
  if (delay <= Duration(0)) return add_locked(key);
  if (stopped_) return;
  Duration at = clock_.mono() + delay;
  auto [it, fresh] = due_.emplace(key, at);
  if (!fresh) {
    if (it->second <= at) return;
    delayed_.erase({it->second, key});
    it->second = at;
  }
  delayed_.emplace(at, key);
  wake_.notify_one();  // a sleeping worker may have to wake earlier now
}

void WorkQueue::release_due_locked() {
  Duration now = clock_.mono();
  while (!delayed_.empty() && delayed_.begin()->first <= now) {
    Key key = delayed_.begin()->second;
    delayed_.erase(delayed_.begin());
    due_.erase(key);
    add_locked(key);
  }
}

std::optional<WorkQueue::Key> WorkQueue::take_locked() {
  release_due_locked();
  if (ready_.empty()) return {};
  Key key = std::move(ready_.front());
  ready_.pop_front();
  dirty_.erase(key);
  working_.insert(key);
  return key;
}

void WorkQueue::add(const Key& key) {
  std::lock_guard lock(mutex_);
  add_locked(key);
}

void WorkQueue::add_after(const Key& key, Duration delay) {
  std::lock_guard lock(mutex_);
  add_after_locked(key, delay);
}

void WorkQueue::add_failed(const Key& key) {
  std::lock_guard lock(mutex_);
  int n = failures_[key]++;
  Duration delay = backoff_.first;
  for (int i = 0; i < n && delay < backoff_.most; ++i) delay *= 2;
  add_after_locked(key, std::min(delay, backoff_.most));
}

void WorkQueue::forget(const Key& key) {
  std::lock_guard lock(mutex_);
  failures_.erase(key);
}

int WorkQueue::failures(const Key& key) const {
  std::lock_guard lock(mutex_);
  auto it = failures_.find(key);
  return it == failures_.end() ? 0 : it->second;
}

std::optional<WorkQueue::Key> WorkQueue::try_take() {
  std::lock_guard lock(mutex_);
  return take_locked();
}

std::optional<WorkQueue::Key> WorkQueue::take() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (stopped_) return {};
    if (auto key = take_locked()) return key;
    if (delayed_.empty()) wake_.wait(lock);
    else wake_.wait_for(lock, delayed_.begin()->first - clock_.mono());
  }
}

void WorkQueue::done(const Key& key) {
  std::lock_guard lock(mutex_);
  working_.erase(key);
  if (!dirty_.contains(key) || stopped_) return;
  ready_.push_back(key);
  wake_.notify_one();
}

void WorkQueue::shut_down() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  wake_.notify_all();
}

size_t WorkQueue::size() const {
  std::lock_guard lock(mutex_);
  return ready_.size() + delayed_.size();
}

std::optional<Duration> WorkQueue::next_due() const {
  std::lock_guard lock(mutex_);
  if (delayed_.empty()) return {};
  return delayed_.begin()->first;
}

}  // namespace k8lite::machinery
