// Pipes, terminals and sockets made by hand as something a task can read and write: descriptors are non-blocking and one thread with
// epoll wakes whoever waits. Everything but FdWatch belongs to the loop's thread.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "async/async.h"
#include "os/files.h"

namespace k8lite::kubelet {

// Waits for descriptors on a thread of its own. Thread-safe.
class FdWatch {
 public:
  FdWatch();
  ~FdWatch();
  // Calls done(true) once when one of `events` (EPOLLIN, EPOLLOUT) or an error is there, done(false) when cancelled or stopped. One
  // waiter a descriptor.
  void wait(int fd, uint32_t events, std::function<void(bool)> done);
  void cancel(int fd);  // before the descriptor is closed
  void stop();

 private:
  void run();
  os::Fd epoll_, wake_;
  std::mutex mutex_;
  std::map<int, std::function<void(bool)>> waiters_;
  bool stopping_ = false;
  std::thread thread_;
};

// One direction of one descriptor.
class FdStream {
 public:
  FdStream(std::shared_ptr<FdWatch> watch, os::Fd fd);
  ~FdStream() { close(); }
  async::Task<Result<std::string>> read();             // "" at the end (and when a terminal's last user is gone)
  async::Task<Result<>> write(std::string data);       // all of it
  void close();                                        // what waits fails
  bool waiting() const { return waiting_; }
  int fd() const { return fd_.get(); }

 private:
  async::Task<bool> ready(uint32_t events);
  std::shared_ptr<FdWatch> watch_;
  os::Fd fd_;
  bool waiting_ = false, closed_ = false;
};
using FdStreamPtr = std::shared_ptr<FdStream>;

}  // namespace k8lite::kubelet
