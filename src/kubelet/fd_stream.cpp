#include "kubelet/fd_stream.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

namespace k8lite::kubelet {

using async::Task;

namespace {
constexpr size_t kReadBytes = 32 * 1024;
constexpr int kEvents = 32;
}  // namespace

FdWatch::FdWatch() : epoll_(epoll_create1(EPOLL_CLOEXEC)), wake_(eventfd(0, EFD_CLOEXEC)) {
  epoll_event e{};
  e.events = EPOLLIN;
  e.data.fd = wake_.get();
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &e);
  thread_ = std::thread([this] { run(); });
}

FdWatch::~FdWatch() { stop(); }

void FdWatch::wait(int fd, uint32_t events, std::function<void(bool)> done) {
  {
    std::lock_guard lock(mutex_);
    if (!stopping_) {
      epoll_event e{};
      e.events = events | EPOLLONESHOT;
      e.data.fd = fd;
      waiters_[fd] = done;
      if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &e) == 0 || (errno == EEXIST && epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &e) == 0)) return;
      waiters_.erase(fd);
    }
  }
  done(false);
}

void FdWatch::cancel(int fd) {
  std::function<void(bool)> done;
  {
    std::lock_guard lock(mutex_);
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);  // a duplicate may live on, so closing alone does not remove it
    auto it = waiters_.find(fd);
    if (it == waiters_.end()) return;
    done = std::move(it->second);
    waiters_.erase(it);
  }
  done(false);
}

void FdWatch::stop() {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(stopping_, true)) return;
    uint64_t one = 1;
    (void)!::write(wake_.get(), &one, sizeof one);
  }
  thread_.join();
  for (auto& [fd, done] : std::exchange(waiters_, {})) done(false);
}

void FdWatch::run() {
  for (;;) {
    epoll_event events[kEvents];
    int n = epoll_wait(epoll_.get(), events, kEvents, -1);
    std::vector<std::function<void(bool)>> ready;
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return;
      for (int i = 0; i < n; ++i) {
        auto it = waiters_.find(events[i].data.fd);
        if (it == waiters_.end()) continue;
        ready.push_back(std::move(it->second));
        waiters_.erase(it);
      }
    }
    for (auto& done : ready) done(true);
  }
}

FdStream::FdStream(std::shared_ptr<FdWatch> watch, os::Fd fd) : watch_(std::move(watch)), fd_(std::move(fd)) {
  fcntl(fd_.get(), F_SETFL, fcntl(fd_.get(), F_GETFL) | O_NONBLOCK);
}

void FdStream::close() {
  if (std::exchange(closed_, true)) return;
  watch_->cancel(fd_.get());
  fd_.reset();
}

Task<bool> FdStream::ready(uint32_t events) {
  waiting_ = true;
  int fd = fd_.get();
  FdWatch* watch = watch_.get();
  std::function<void(std::function<void(bool)>)> start = [watch, fd, events](std::function<void(bool)> done) { watch->wait(fd, events, std::move(done)); };
  bool good = co_await async::from_callback<bool>(start);
  waiting_ = false;
  co_return good && !closed_;
}

Task<Result<std::string>> FdStream::read() {
  std::string buffer(kReadBytes, '\0');
  for (;;) {
    if (closed_) co_return unavailable("read: closed");
    ssize_t n = ::read(fd_.get(), buffer.data(), buffer.size());
    if (n >= 0) {
      buffer.resize(static_cast<size_t>(n));
      co_return buffer;
    }
    int err = errno;
    if (err == EIO) co_return std::string();  // of a terminal whose other side nobody has open
    if (err == EINTR) continue;
    if (err != EAGAIN) co_return Status::from_errno("read", err);
    if (!co_await ready(EPOLLIN)) co_return unavailable("read: closed");
  }
}

Task<Result<>> FdStream::write(std::string data) {
  for (size_t at = 0; at < data.size();) {
    if (closed_) co_return unavailable("write: closed");
    ssize_t n = ::write(fd_.get(), data.data() + at, data.size() - at);
    if (n >= 0) {
      at += static_cast<size_t>(n);
      continue;
    }
    int err = errno;
    if (err == EINTR) continue;
    if (err != EAGAIN) co_return Status::from_errno("write", err);
    if (!co_await ready(EPOLLOUT)) co_return unavailable("write: closed");
  }
  co_return Result<>{};
}

}  // namespace k8lite::kubelet
