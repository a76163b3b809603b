// Tells when something changes in a folder (inotify), for whoever follows a log: nobody looks at a clock. One kernel instance for all, for
// those are few. Everything belongs to the loop's thread.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kubelet/fd_stream.h"

namespace k8lite::kubelet {

class FileWatch : public std::enable_shared_from_this<FileWatch> {
 public:
  FileWatch(async::Executor& executor, std::shared_ptr<FdWatch> watch) : executor_(executor), watch_(std::move(watch)) {}
  // Notified after each change for as long as the caller holds it. Where the kernel refuses, it never is.
  std::shared_ptr<async::Notify> watch(const std::string& folder);
  void notify_all();

 private:
  static async::Task<void> read_events(std::shared_ptr<FileWatch> self, FdStreamPtr events);
  void tell(int descriptor);
  async::Executor& executor_;
  std::shared_ptr<FdWatch> watch_;
  FdStreamPtr events_;
  std::map<int, std::vector<std::weak_ptr<async::Notify>>> waiting_;  // by inotify's watch descriptor
};

}  // namespace k8lite::kubelet
