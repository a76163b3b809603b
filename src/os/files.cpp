#include "os/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

namespace k8lite::os {
namespace {

Result<> write_fully(int fd, std::string_view content, const std::string& path) {
  while (!content.empty()) {
    ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Status::from_errno("write " + path, errno);
    content.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

std::string parent_of(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == path.npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Result<> remove_at(int dir_fd, const char* name, const std::string& path, dev_t device) {
  if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return Status::from_errno("remove " + path, errno);
  Fd fd(openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return Status::from_errno("open " + path, errno);
  struct stat st;
  if (fstat(fd.get(), &st) == 0 && st.st_dev != device) return Status(Reason::InternalError, "remove " + path + ": something is mounted there", EBUSY);
  int copy = dup(fd.get());
  DIR* dir = fdopendir(copy);
  std::vector<std::string> names;
  while (dirent* e = dir ? readdir(dir) : nullptr)
    if (std::string_view n = e->d_name; n != "." && n != "..") names.emplace_back(n);
  if (dir) closedir(dir);
  for (const auto& n : names) TRY_OK(remove_at(fd.get(), n.c_str(), path + "/" + n, device));
  if (unlinkat(dir_fd, name, AT_REMOVEDIR) != 0 && errno != ENOENT) return Status::from_errno("remove " + path, errno);
  return {};
}

}  // namespace

void Fd::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Result<std::string> read_file(const std::string& path, size_t limit) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return errno == ENOENT ? Status(Reason::NotFound, "open " + path + ": no such file or directory", ENOENT) : Status::from_errno("open " + path, errno);
  std::string out;
  char buffer[65536];
  for (;;) {
    ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Status::from_errno("read " + path, errno);
    if (n == 0) return out;
    out.append(buffer, static_cast<size_t>(n));
    if (out.size() > limit) return bad_request("read " + path + ": larger than " + std::to_string(limit) + " bytes");
  }
}

Result<> write_file(const std::string& path, std::string_view content, mode_t mode, bool durable) {
  static std::atomic<unsigned> counter{0};
  std::string temporary = path + ".tmp" + std::to_string(getpid()) + "." + std::to_string(counter++);
  Fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!fd) return Status::from_errno("create " + temporary, errno);
  fchmod(fd.get(), mode);
  auto written = write_fully(fd.get(), content, path);
  if (written.ok() && durable && fsync(fd.get()) != 0) written = Status::from_errno("fsync " + path, errno);
  if (written.ok() && ::rename(temporary.c_str(), path.c_str()) != 0) written = Status::from_errno("rename to " + path, errno);
  if (!written.ok()) {
    ::unlink(temporary.c_str());
    return written;
  }
  if (durable) {
    Fd dir(::open(parent_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (dir) fsync(dir.get());
  }
  return {};
}

Result<> write_kernel_file(const std::string& path, std::string_view content) {
  Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return Status::from_errno("open " + path, errno);
  ssize_t n = ::write(fd.get(), content.data(), content.size());
  if (n < 0) return Status::from_errno("write \"" + std::string(content.substr(0, 100)) + "\" to " + path, errno);
  return {};
}

Result<> make_dirs(const std::string& path, mode_t mode) {
  for (size_t at = 1; at <= path.size(); ++at) {
    if (at < path.size() && path[at] != '/') continue;
    std::string piece = path.substr(0, at);
    if (::mkdir(piece.c_str(), mode) == 0 || errno == EEXIST) continue;
    return Status::from_errno("create folder " + piece, errno);
  }
  struct stat st;
  if (::stat(path.c_str(), &st) != 0 || !S_ISDIR(st.st_mode)) return bad_request(path + " is no folder");
  return {};
}

bool exists(const std::string& path) {
  struct stat st;
  return ::lstat(path.c_str(), &st) == 0;
}

std::vector<std::string> list_dir(const std::string& path) {
  std::vector<std::string> out;
  DIR* dir = opendir(path.c_str());
  while (dirent* e = dir ? readdir(dir) : nullptr)
    if (std::string_view n = e->d_name; n != "." && n != "..") out.emplace_back(n);
  if (dir) closedir(dir);
  std::sort(out.begin(), out.end());
  return out;
}

Result<> remove_tree(const std::string& path) {
  struct stat st;
  if (::lstat(path.c_str(), &st) != 0) return {};
  return remove_at(AT_FDCWD, path.c_str(), path, st.st_dev);
}

Result<> remove_tree_at(int folder, const std::string& name) {
  struct stat st;
  if (::fstatat(folder, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return {};
  return remove_at(folder, name.c_str(), name, st.st_dev);
}

}  // namespace k8lite::os
