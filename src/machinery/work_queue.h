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

#include "base/clock.h"

namespace k8lite::machinery {

struct BackoffOptions {
  Duration first = milliseconds(5);
  Duration most = seconds(1000);
};

class WorkQueue {
 public:
  using Key = std::string;
  explicit WorkQueue(const Clock& clock, BackoffOptions backoff = {}) : clock_(clock), backoff_(backoff) {}

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
  std::deque<Key> ready_;
  std::unordered_set<Key> dirty_;    // in ready_, or to be put there by done()
  std::unordered_set<Key> working_;
  std::set<std::pair<Duration, Key>> delayed_;
  std::unordered_map<Key, Duration> due_;
  std::unordered_map<Key, int> failures_;
  bool stopped_ = false;
};

}  // namespace k8lite::machinery
