#include "kubelet/file_watch.h"

#include <sys/inotify.h>

#include <cstring>

namespace k8lite::kubelet {

namespace {
constexpr uint32_t kEvents = IN_MODIFY | IN_CLOSE_WRITE | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR;
}

std::shared_ptr<async::Notify> FileWatch::watch(const std::string& folder) {
  auto notify = std::make_shared<async::Notify>();
  if (!events_) {
    os::Fd fd(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!fd) return notify;
    events_ = std::make_shared<FdStream>(watch_, std::move(fd));
    async::spawn(executor_, read_events(shared_from_this(), events_));
  }
  int descriptor = inotify_add_watch(events_->fd(), folder.c_str(), kEvents);
  if (descriptor >= 0) waiting_[descriptor].push_back(notify);
  return notify;
}

async::Task<void> FileWatch::read_events(std::shared_ptr<FileWatch> self, FdStreamPtr events) {
  for (;;) {
    auto data = co_await events->read();
    if (!data.ok() || data->empty()) break;
    inotify_event e;
    for (size_t at = 0; at + sizeof e <= data->size(); at += sizeof e + e.len) {
      memcpy(&e, data->data() + at, sizeof e);
      if (e.mask & IN_Q_OVERFLOW) self->notify_all();
      else self->tell(e.wd);
    }
  }
}

void FileWatch::tell(int descriptor) {
  auto it = waiting_.find(descriptor);
  if (it == waiting_.end()) return;
  std::erase_if(it->second, [](const auto& w) { return w.expired(); });
  if (it->second.empty()) {
    inotify_rm_watch(events_->fd(), descriptor);
    waiting_.erase(it);
    return;
  }
  auto notifies = it->second;
  for (auto& weak : notifies)
    if (auto notify = weak.lock()) notify->notify();
}

void FileWatch::notify_all() {
  for (auto& [descriptor, list] : waiting_)
    for (auto& weak : list)
      if (auto notify = weak.lock()) notify->notify();
}

}  // namespace k8lite::kubelet
