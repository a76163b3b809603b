// See small_executable.h. Packed with zstd, which takes a millisecond where gzip takes four: the OCI runtime pays it
// with every command.
#include "runtime/small_executable.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#include "base/embedded.h"

namespace k8lite::embedded_shim {
std::span<const k8lite::EmbeddedFile> files();
}

namespace k8lite::runtime {

int open_small_executable() {
  std::string_view packed = embedded_shim::files()[0].content;
  unsigned long long size = ZSTD_getFrameContentSize(packed.data(), packed.size());
  if (size > (16u << 20)) return errno = EINVAL, -1;
  int fd = memfd_create("k8lite-shim", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -1;
  void* to = ftruncate(fd, static_cast<off_t>(size)) == 0
                 ? mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                 : MAP_FAILED;
  bool good = to != MAP_FAILED && ZSTD_decompress(to, size, packed.data(), packed.size()) == size;
  if (to != MAP_FAILED) munmap(to, size);
  if (good && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0) return fd;
  if (good)
    good = false;
  else
    errno = EIO;
  close(fd);
  return -1;
}

}  // namespace k8lite::runtime
