// One thread's waiting: descriptors and deadlines over epoll. With no deadline set it sleeps without a timeout, so an idle server
// costs no wake-up. All calls but stop() belong to the thread of run(), or come before it.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <unordered_map>

#include "base/clock.h"
#include "base/result.h"
#include "os/files.h"

namespace k8lite::dns {

class Poll {
 public:
  using Id = uint64_t;                            // never 0, never used twice
  using Ready = std::function<void(uint32_t)>;    // epoll's events; 0 when the deadline has passed, which is cleared then
  explicit Poll(const Clock& clock) : clock_(clock) {}

  Result<> open();
  // The descriptor is watched, not owned: remove() before closing it. Calling remove() from within its own handler is fine.
  Result<Id> add(int fd, uint32_t events, Ready ready);
  void watch_for(Id id, uint32_t events);
  void set_deadline(Id id, Duration mono);  // 0: none
  void remove(Id id);
  void run();   // until stop()
  void stop();  // from any thread
  Duration now() const { return clock_.mono(); }

 private:
  struct Item {
    int fd;
    Duration deadline{0};
    Ready ready;
  };
  int timeout_ms() const;
  void call(Id id, uint32_t events);

  const Clock& clock_;
  os::Fd epoll_, wake_;
  Id last_ = 0;
  std::unordered_map<Id, std::shared_ptr<Item>> items_;
  std::set<std::pair<Duration, Id>> deadlines_;
};

}  // namespace k8lite::dns
