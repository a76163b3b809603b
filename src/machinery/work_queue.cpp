#include "machinery/work_queue.h"

#include <algorithm>

#include "base/json.h"

namespace k8lite::machinery {
namespace {
constexpr double kSeconds[] = {1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10, 100, 1000};  // client-go's
double in_seconds(Duration d) { return static_cast<double>(d.count()) / 1e6; }
}  // namespace

WorkQueue::WorkQueue(const Clock& clock, BackoffOptions backoff) : clock_(clock), backoff_(backoff), waited_("", kSeconds), worked_("", kSeconds) {}

void WorkQueue::add_locked(const Key& key) {
  if (stopped_ || !dirty_.insert(key).second) return;
  ++added_;
  if (working_.contains(key)) return;  // done() brings it back
  ready_.emplace_back(key, clock_.mono());
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
  auto [key, since] = std::move(ready_.front());
  ready_.pop_front();
  dirty_.erase(key);
  Duration now = clock_.mono();
  waited_.observe(in_seconds(now - since));
  working_.emplace(key, now);
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
  ++retried_;
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
  if (auto it = working_.find(key); it != working_.end()) {
    worked_.observe(in_seconds(clock_.mono() - it->second));
    working_.erase(it);
  }
  if (!dirty_.contains(key) || stopped_) return;
  ready_.emplace_back(key, clock_.mono());
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

WorkQueue::Figures WorkQueue::figures() const {
  std::lock_guard lock(mutex_);
  Figures f{added_, retried_, ready_.size(), 0, 0};
  for (const auto& [key, since] : working_) {
    double took = in_seconds(clock_.mono() - since);
    f.unfinished += took;
    f.longest = std::max(f.longest, took);
  }
  return f;
}

void write_queue_figures(std::string& out, const std::vector<std::pair<std::string, WorkQueue*>>& queues) {
  using metrics::Type;
  struct Family {
    const char *name, *help;
    Type type;
    double (*value)(const WorkQueue::Figures&);
  };
  static constexpr Family kFamilies[] = {
      {"workqueue_adds_total", "Keys added to a queue.", Type::Counter, [](const WorkQueue::Figures& f) { return static_cast<double>(f.added); }},
      {"workqueue_depth", "Keys that wait in a queue.", Type::Gauge, [](const WorkQueue::Figures& f) { return static_cast<double>(f.depth); }},
      {"workqueue_longest_running_processor_seconds", "How long the oldest key in work has taken so far.", Type::Gauge, [](const WorkQueue::Figures& f) { return f.longest; }},
      {"workqueue_retries_total", "Keys that failed and came back.", Type::Counter, [](const WorkQueue::Figures& f) { return static_cast<double>(f.retried); }},
      {"workqueue_unfinished_work_seconds", "How long all keys in work have taken so far.", Type::Gauge, [](const WorkQueue::Figures& f) { return f.unfinished; }},
  };
  auto label = [](const std::string& name) { return "name=" + json::quoted(name); };
  for (const Family& family : kFamilies)
    for (size_t i = 0; i < queues.size(); ++i) metrics::write_sample(out, family.name, family.type, family.help, label(queues[i].first), family.value(queues[i].second->figures()), i == 0);
  metrics::write_head(out, "workqueue_queue_duration_seconds", Type::Histogram, "How long keys waited in a queue.");
  for (const auto& [name, queue] : queues) queue->waited().write(out, "workqueue_queue_duration_seconds", kSeconds, label(name));
  metrics::write_head(out, "workqueue_work_duration_seconds", Type::Histogram, "How long keys were worked on.");
  for (const auto& [name, queue] : queues) queue->worked().write(out, "workqueue_work_duration_seconds", kSeconds, label(name));
}

}  // namespace k8lite::machinery
