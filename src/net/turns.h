// Tasks of one executor take turns at what only one may use at a time (the write side of a Stream), first come, first served.
#pragma once
#include <deque>
#include <memory>

#include "async/async.h"

namespace k8lite::net {

class Turns {
 public:
  async::Task<void> take() {  // done when it is the caller's turn, which lasts until give_back()
    if (!taken_) {
      taken_ = true;
      co_return;
    }
    auto mine = std::make_shared<async::Notify>();
    waiting_.push_back(mine);
    co_await mine->wait();
  }
  void give_back() {
    if (waiting_.empty()) {
      taken_ = false;
      return;
    }
    auto next = std::move(waiting_.front());
    waiting_.pop_front();
    next->notify();
  }

 private:
  std::deque<std::shared_ptr<async::Notify>> waiting_;
  bool taken_ = false;
};

}  // namespace k8lite::net
