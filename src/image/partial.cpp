#include "image/partial.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/clock.h"
#include "base/log.h"

namespace k8lite::image {
namespace {
constexpr uint64_t kLookAtDisk = 16 << 20;  // bytes between two looks at how full the disk is
}

std::unique_ptr<PartialBlob> PartialBlob::open(const std::string& folder, const Descriptor& layer, const UnpackLimits& limits) {
  if (layer.size < kResumeFrom || !os::make_dirs(folder, 0700).ok()) return nullptr;
  std::string path = folder + "/" + hex_of(layer.digest);
  os::Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  struct stat st {};
  if (!fd || flock(fd.get(), LOCK_EX | LOCK_NB) != 0 || fstat(fd.get(), &st) != 0 || st.st_nlink == 0) return nullptr;
  uint64_t have = static_cast<uint64_t>(st.st_size);
  if (have > static_cast<uint64_t>(layer.size)) {
    if (ftruncate(fd.get(), 0) != 0) return nullptr;
    have = 0;
  }
  return std::unique_ptr<PartialBlob>(new PartialBlob(std::move(fd), std::move(path), have, limits));
}

Result<size_t> PartialBlob::read(char* buffer, size_t size) {
  if (at_ < have_) {
    ssize_t n = pread(fd_.get(), buffer, std::min<uint64_t>(size, have_ - at_), static_cast<off_t>(at_));
    if (n <= 0) return Status::from_errno("read " + path_, n < 0 ? errno : EIO);
    at_ += static_cast<uint64_t>(n);
    return static_cast<size_t>(n);
  }
  TRY(size_t n, rest_->read(buffer, size));
  if (fd_ && n > 0) keep({buffer, n});
  return n;
}

// A full disk ends the keeping, not the pull.
void PartialBlob::keep(std::string_view piece) {
  kept_since_ += piece.size();
  bool room = kept_since_ < kLookAtDisk || !is_full(fd_.get(), limits_);
  if (kept_since_ >= kLookAtDisk) kept_since_ = 0;
  if (room && pwrite(fd_.get(), piece.data(), piece.size(), static_cast<off_t>(at_)) == static_cast<ssize_t>(piece.size())) {
    at_ += piece.size();
    return;
  }
  drop();
}

void PartialBlob::drop() {
  if (!fd_) return;
  ::unlink(path_.c_str());
  fd_.reset();
}

void drop_partials(const std::string& folder, Duration age) {
  int64_t now = system_clock().now().us / 1'000'000;
  for (const auto& name : os::list_dir(folder)) {
    std::string path = folder + "/" + name;
    struct stat st {};
    if (::stat(path.c_str(), &st) == 0 && now - st.st_mtim.tv_sec >= age.count() / 1'000'000) ::unlink(path.c_str());
  }
}

}  // namespace k8lite::image
