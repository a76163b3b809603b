// A queue of keys for controllers: a key waits at most once however often it is added, and is never handed to two workers at the
// same time (added while being worked on, it comes back when that work is done). Failed keys return after a growing delay.
// Thread-safe; bounded by the number of distinct keys. Time comes from the Clock, so tests run hours in microseconds.
#pragma once
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"

namespace k8lite::machinery {

struct BackoffOptions {
  Duration first = milliseconds(5);
  Duration most = seconds(1000);
};

class WorkQueue {
 public:
  using Key = std::string;
  explicit WorkQueue(const Clock& clock, BackoffOptions backoff = {});

  void add(const Key& key);
  void add_after(const Key& key, Duration delay);  // the earliest of several delays counts
  void add_failed(const Key& key);                 // after first * 2^failures, at most `most`
  void forget(const Key& key);                     // the key succeeded: its failures are over
  int failures(const Key& key) const;

  // The next key, or nothing when none is due. The caller calls done() afterwards.
  std::optional<Key> try_take();
  // Blocks until a key is due; nothing after shut_down().
  std::optional<Key> take();
  void done(const Key& key);

  // Since the beginning: keys added (once each time they wait), failures that came back; how long keys waited and were worked on.
  struct Figures {
    uint64_t added = 0, retried = 0;
    size_t depth = 0;            // ready now
    double unfinished = 0, longest = 0;  // seconds that the keys being worked on have taken: together, and the longest
  };
  Figures figures() const;
  const metrics::Series& waited() const { return waited_; }
  const metrics::Series& worked() const { return worked_; }

  void shut_down();
  size_t size() const;  // due and waiting, without those being worked on
  // When the next delayed key is due, in the clock's mono(); for tests and runners that own the waiting.
  std::optional<Duration> next_due() const;

 private:
  void add_locked(const Key& key);
  void add_after_locked(const Key& key, Duration delay);
  void release_due_locked();
  std::optional<Key> take_locked();

  const Clock& clock_;
  const BackoffOptions backoff_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::pair<Key, Duration>> ready_;  // with the time since when
  std::unordered_set<Key> dirty_;    // in ready_, or to be put there by done()
  std::unordered_map<Key, Duration> working_;  // since when
  std::set<std::pair<Duration, Key>> delayed_;
  std::unordered_map<Key, Duration> due_;
  std::unordered_map<Key, int> failures_;
  bool stopped_ = false;
  uint64_t added_ = 0, retried_ = 0;
  metrics::Series waited_, worked_;
};

// Kubernetes' workqueue_* families for these queues, in Prometheus' text format.
void write_queue_figures(std::string& out, const std::vector<std::pair<std::string, WorkQueue*>>& queues);

}  // namespace k8lite::machinery
