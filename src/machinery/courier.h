// A thread that runs functions one after another, at once or after a while. Informers whose client never blocks share one: a thread
// for each kind would cost memory and switches. The thread begins with the first function.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include "base/clock.h"

namespace k8lite::machinery {

class Courier {
 public:
  Courier() = default;
  ~Courier() { stop(); }
  Courier(const Courier&) = delete;

  void run(std::function<void()> fn);
  void after(Duration delay, std::function<void()> fn);
  // Runs fn there and returns when it is done. At once when called on the courier's own thread, or when it was stopped.
  void run_and_wait(std::function<void()> fn);
  void stop();  // by the owner, when nobody else uses it any more; what waits for its time is dropped

 private:
  void work();
  void begin_locked();
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
  std::multimap<Duration, std::function<void()>> later_;
  std::thread thread_;
  bool stopping_ = false;
};

}  // namespace k8lite::machinery
