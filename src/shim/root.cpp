// See root.h.
#include "shim/root.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace k8lite::shim {

int open_in_root(int root, const std::string& path, uint64_t flags) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(syscall(SYS_openat2, root, path.c_str(), &how, sizeof how));
}

int open_without_links(int root, const std::string& path, uint64_t flags) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS;
  return static_cast<int>(syscall(SYS_openat2, root, path.c_str(), &how, sizeof how));
}

std::string parent_of(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos || slash == 0 ? "/" : path.substr(0, slash);
}
std::string base_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

int make_dirs_in_root(int root, const std::string& path, int depth) {
  int fd = open_in_root(root, path, O_PATH | O_DIRECTORY);
  if (fd >= 0 || errno != ENOENT || path == "/" || path.empty() || depth > 64) return fd;
  int parent = make_dirs_in_root(root, parent_of(path), depth + 1);
  if (parent < 0) return -1;
  int rc = mkdirat(parent, base_of(path).c_str(), 0755);
  int err = errno;
  close(parent);
  if (rc != 0 && err != EEXIST) return errno = err, -1;
  return open_in_root(root, path, O_PATH | O_DIRECTORY);
}

int make_file_in_root(int root, const std::string& path) {
  int fd = open_in_root(root, path, O_PATH);
  if (fd >= 0 || errno != ENOENT) return fd;
  int parent = make_dirs_in_root(root, parent_of(path));
  if (parent < 0) return -1;
  int made = openat(parent, base_of(path).c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0644);
  close(parent);
  if (made >= 0) close(made);
  return open_in_root(root, path, O_PATH);
}

std::string fd_path(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

}  // namespace k8lite::shim
