// See small_executable.h. The unpacked copy is only ever read: what runs is the sealed memory file, so that root in a
// container, to whom /proc/PID/exe leads, finds nothing to write to.
#include "runtime/small_executable.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <cstdio>
#include <cstring>

#include "base/embedded.h"

namespace k8lite::embedded_shim {
std::span<const k8lite::EmbeddedFile> files();
}

namespace k8lite::runtime {
namespace {

constexpr char kFolder[] = "/run/k8lite";
constexpr unsigned long long kMaxSize = 16u << 20;

bool unpack_into(int fd, std::string_view packed, size_t size) {
  void* to = ftruncate(fd, static_cast<off_t>(size)) == 0
                 ? mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                 : MAP_FAILED;
  if (to == MAP_FAILED) return false;
  bool good = ZSTD_decompress(to, size, packed.data(), packed.size()) == size;
  munmap(to, size);
  if (!good) errno = EIO;
  return good;
}

// Whole, and nobody's but root's. Its name holds the checksum with which the packed form ends.
bool copy_kept(int fd, const char* path, size_t size) {
  int from = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  struct stat st {};
  bool good = from >= 0 && fstat(from, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == 0 && !(st.st_mode & 022) &&
              static_cast<size_t>(st.st_size) == size;
  for (size_t done = 0; good && done < size;) {
    ssize_t n = sendfile(fd, from, nullptr, size - done);
    good = n > 0;
    done += good ? static_cast<size_t>(n) : 0;
  }
  if (from >= 0) close(from);
  return good;
}

void keep_copy(int fd, const char* path, size_t size) {
  char temporary[128];
  std::snprintf(temporary, sizeof temporary, "%s.%d", path, static_cast<int>(getpid()));
  mkdir(kFolder, 0700);
  int to = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0500);
  off_t at = 0;
  bool good = to >= 0;
  while (good && static_cast<size_t>(at) < size) good = sendfile(to, fd, &at, size - static_cast<size_t>(at)) > 0;
  if (to >= 0) close(to);
  if (!good || rename(temporary, path) != 0) {
    unlink(temporary);
    return;
  }
  // Those of other builds go: this folder is memory on most hosts.
  DIR* dir = opendir(kFolder);
  if (!dir) return;
  while (dirent* e = readdir(dir))
    if (std::strncmp(e->d_name, "small-", 6) == 0 && std::strcmp(e->d_name, std::strrchr(path, '/') + 1) != 0)
      unlinkat(dirfd(dir), e->d_name, 0);
  closedir(dir);
}

bool folder_is_ours() {
  struct stat st {};
  return lstat(kFolder, &st) != 0 || (S_ISDIR(st.st_mode) && st.st_uid == 0 && !(st.st_mode & 022));
}

}  // namespace

int open_small_executable(bool keep) {
  std::string_view packed = embedded_shim::files()[0].content;
  unsigned long long size = ZSTD_getFrameContentSize(packed.data(), packed.size());
  if (size > kMaxSize || packed.size() < 8) return errno = EINVAL, -1;
  int fd = memfd_create("k8lite-shim", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -1;
  char path[96];
  const auto* end = reinterpret_cast<const unsigned char*>(packed.data() + packed.size());
  std::snprintf(path, sizeof path, "%s/small-%02x%02x%02x%02x-%zu", kFolder, end[-4], end[-3], end[-2], end[-1],
                packed.size());
  keep = keep && geteuid() == 0 && folder_is_ours();
  if (!keep || !copy_kept(fd, path, size)) {
    if (!unpack_into(fd, packed, size)) return close(fd), -1;
    if (keep) keep_copy(fd, path, size);
  }
  if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0) return fd;
  close(fd);
  return -1;
}

}  // namespace k8lite::runtime
