// Files as the house needs them: whole reads, atomic durable writes, folders. Errors name the path and the errno.
#pragma once
#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace k8lite::os {

// A descriptor that closes itself.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& o) noexcept : fd_(o.release()) {}
  Fd& operator=(Fd&& o) noexcept {
    if (this != &o) reset(o.release());
    return *this;
  }
  ~Fd() { reset(); }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { int fd = fd_; fd_ = -1; return fd; }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

Result<std::string> read_file(const std::string& path, size_t limit = size_t{64} << 20);
// Temporary file, fsync, rename, fsync of the folder: after a crash there is the old content or the new one.
Result<> write_file(const std::string& path, std::string_view content, mode_t mode = 0644, bool durable = true);
// For kernel files (cgroupfs, procfs): one write(2), no temporary.
Result<> write_kernel_file(const std::string& path, std::string_view content);
Result<> make_dirs(const std::string& path, mode_t mode = 0755);
bool exists(const std::string& path);
std::vector<std::string> list_dir(const std::string& path);  // sorted names without . and ..; empty when it cannot be read
Result<> remove_tree(const std::string& path);               // does not follow links, stays on one file system; absent is fine
Result<> remove_tree_at(int folder, const std::string& name);  // the same below an open folder

}  // namespace k8lite::os
