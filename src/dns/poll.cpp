#include "dns/poll.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace k8lite::dns {
namespace {

constexpr int kEventsAtOnce = 64;
constexpr int64_t kLongestSleepMs = 60'000;

}  // namespace

Result<> Poll::open() {
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll_ || !wake_) return Status::from_errno("dns: epoll", errno);
  epoll_event e{};
  e.events = EPOLLIN;
  e.data.u64 = 0;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &e) != 0) return Status::from_errno("dns: epoll", errno);
  return {};
}

Result<Poll::Id> Poll::add(int fd, uint32_t events, Ready ready) {
  epoll_event e{};
  e.events = events;
  e.data.u64 = last_ + 1;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &e) != 0) return Status::from_errno("dns: epoll", errno);
  items_.emplace(++last_, std::make_shared<Item>(Item{fd, Duration(0), std::move(ready)}));
  return last_;
}

void Poll::watch_for(Id id, uint32_t events) {
  auto it = items_.find(id);
  if (it == items_.end()) return;
  epoll_event e{};
  e.events = events;
  e.data.u64 = id;
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, it->second->fd, &e);
}

void Poll::set_deadline(Id id, Duration mono) {
  auto it = items_.find(id);
  if (it == items_.end()) return;
  Item& item = *it->second;
  if (item.deadline.count()) deadlines_.erase({item.deadline, id});
  item.deadline = mono;
  if (mono.count()) deadlines_.emplace(mono, id);
}

void Poll::remove(Id id) {
  auto it = items_.find(id);
  if (it == items_.end()) return;
  set_deadline(id, Duration(0));
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, it->second->fd, nullptr);
  items_.erase(it);
}

int Poll::timeout_ms() const {
  if (deadlines_.empty()) return -1;
  int64_t us = (deadlines_.begin()->first - clock_.mono()).count();
  return int(std::clamp<int64_t>((us + 999) / 1000, 0, kLongestSleepMs));
}

void Poll::call(Id id, uint32_t events) {
  auto it = items_.find(id);
  if (it == items_.end()) return;  // removed by a handler that ran before, in this round
  std::shared_ptr<Item> item = it->second;
  item->ready(events);
}

void Poll::run() {
  epoll_event events[kEventsAtOnce];
  for (;;) {
    int n = epoll_wait(epoll_.get(), events, kEventsAtOnce, timeout_ms());
    if (n < 0 && errno != EINTR) return;
    for (int i = 0; i < n; ++i) {
      if (events[i].data.u64 == 0) return;
      call(events[i].data.u64, events[i].events);
    }
    while (!deadlines_.empty() && deadlines_.begin()->first <= clock_.mono()) {
      Id id = deadlines_.begin()->second;
      set_deadline(id, Duration(0));
      call(id, 0);
    }
  }
}

void Poll::stop() {
  uint64_t one = 1;
  [[maybe_unused]] ssize_t n = write(wake_.get(), &one, sizeof one);
}

}  // namespace k8lite::dns
