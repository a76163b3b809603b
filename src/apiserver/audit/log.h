// The audit log's file: lines are handed over without waiting and written by a thread of its own; when the disk is
// slower than the cluster, lines are dropped and counted rather than requests delayed. Rotated by size; old files go by
// number and age.
#pragma once
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace k8lite::apiserver::audit {

struct LogOptions {
  std::string path;                                                  // "-": standard output
  int64_t max_size_mb = 100, max_backups = 100, max_age_days = 366;  // 0: 100 MB; no limit; no limit
};

class Log {
 public:
  // An error when the file cannot be opened now. Its folder is made.
  static Result<std::unique_ptr<Log>> open(LogOptions options, const Clock& clock);
  ~Log();                         // writes what is queued
  void submit(std::string line);  // any thread; never blocks
  uint64_t dropped() const { return dropped_; }
  void flush();  // waits until everything submitted so far is written

 private:
  static constexpr size_t kMaxQueuedBytes = 32 << 20;
  Log(LogOptions options, const Clock& clock, int fd, int64_t size)
      : options_(std::move(options)), clock_(clock), fd_(fd), size_(size) {}
  void run();
  void write(const std::string& text);
  void rotate();
  void remove_old();

  const LogOptions options_;
  const Clock& clock_;
  int fd_;
  int64_t size_;
  std::mutex mutex_;
  std::condition_variable wake_, idle_;
  std::vector<std::string> queue_;
  size_t queued_bytes_ = 0;
  bool stopping_ = false, writing_ = false, failing_ = false;
  std::atomic<uint64_t> dropped_{0};
  std::thread thread_;
};

}  // namespace k8lite::apiserver::audit
