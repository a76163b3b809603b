// The file: zstd over records of a kind byte, a 64-bit length (little endian) and for 'R' raw bytes, for 'F' a 32-bit path length and the
// path of a file whose content, of that length, stood here.
#include "image/split.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <zstd.h>

#include <cerrno>
#include <vector>

#include "os/files.h"

namespace k8lite::image {
namespace {

constexpr size_t kFlush = 256 * 1024;
constexpr size_t kMaxPath = 8192;

void put_number(std::string& out, uint64_t v, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(v >> (8 * i));
}

}  // namespace

struct SplitRecorder::Impl {
  Source& inner;
  os::Fd fd;
  ZSTD_CStream* z = ZSTD_createCStream();
  std::vector<char> out = std::vector<char>(ZSTD_CStreamOutSize());
  std::string raw;        // not yet written
  std::string pending;    // records not yet compressed
  bool in_content = false;
  Status failed;

  Impl(Source& s, os::Fd f) : inner(s), fd(std::move(f)) { ZSTD_initCStream(z, 1); }
  ~Impl() { ZSTD_freeCStream(z); }

  void take_raw() {
    if (raw.empty()) return;
    pending += 'R';
    put_number(pending, raw.size(), 8);
    pending += raw;
    raw.clear();
  }
  void compress(ZSTD_EndDirective end) {
    ZSTD_inBuffer in{pending.data(), pending.size(), 0};
    for (size_t left = 1; failed.ok() && (end == ZSTD_e_end ? left != 0 : in.pos < in.size);) {
      ZSTD_outBuffer o{out.data(), out.size(), 0};
      left = ZSTD_compressStream2(z, &o, &in, end);
      if (ZSTD_isError(left)) failed = internal_error(ZSTD_getErrorName(left));
      else if (auto w = write_all(fd.get(), {out.data(), o.pos}); !w.ok()) failed = w.status();
    }
    pending.clear();
  }
};

SplitRecorder::SplitRecorder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SplitRecorder::~SplitRecorder() = default;

std::unique_ptr<SplitRecorder> SplitRecorder::create(Source& inner, os::Fd file) {
  return std::unique_ptr<SplitRecorder>(new SplitRecorder(std::make_unique<Impl>(inner, std::move(file))));
}

Result<size_t> SplitRecorder::read(char* buffer, size_t size) {
  TRY(size_t n, impl_->inner.read(buffer, size));
  if (impl_->in_content) return n;
  impl_->raw.append(buffer, n);
  if (impl_->raw.size() + impl_->pending.size() > kFlush) {
    impl_->take_raw();
    impl_->compress(ZSTD_e_continue);
    if (!impl_->failed.ok()) return impl_->failed;
  }
  return n;
}

void SplitRecorder::begin_content(const std::string& path, uint64_t size) {
  if (size == 0) return;
  impl_->take_raw();
  impl_->pending += 'F';
  put_number(impl_->pending, size, 8);
  put_number(impl_->pending, path.size(), 4);
  impl_->pending += path;
  impl_->in_content = true;
}
void SplitRecorder::end_content() { impl_->in_content = false; }

Result<> SplitRecorder::finish() {
  impl_->take_raw();
  impl_->compress(ZSTD_e_end);
  if (!impl_->failed.ok()) return impl_->failed;
  return {};
}

namespace {

class Rebuilder {
 public:
  Rebuilder(Source& split, int folder, const std::function<Result<>(std::string_view)>& write) : split_(split), folder_(folder), write_(write) {}

  Result<> run() {
    for (;;) {
      char kind = 0;
      TRY(size_t n, split_.read(&kind, 1));
      if (n == 0) return {};
      TRY(uint64_t size, number(8));
      if (kind == 'R') TRY_OK(copy(split_, size));
      else if (kind == 'F') TRY_OK(content(size));
      else return bad_request("the layer's record is damaged");
    }
  }

 private:
  Result<> exactly(char* to, size_t size) {
    while (size > 0) {
      TRY(size_t n, split_.read(to, size));
      if (n == 0) return bad_request("the layer's record is damaged");
      to += n, size -= n;
    }
    return {};
  }
  Result<uint64_t> number(size_t bytes) {
    unsigned char raw[8] = {};
    TRY_OK(exactly(reinterpret_cast<char*>(raw), bytes));
    uint64_t v = 0;
    for (size_t i = 0; i < bytes; ++i) v |= uint64_t{raw[i]} << (8 * i);
    return v;
  }
  Result<> copy(Source& from, uint64_t size) {
    while (size > 0) {
      TRY(size_t n, from.read(buffer_.data(), std::min<uint64_t>(buffer_.size(), size)));
      if (n == 0) return bad_request("a file of the layer is shorter than it was");
      TRY_OK(write_({buffer_.data(), n}));
      size -= n;
    }
    return {};
  }
  Result<> content(uint64_t size) {
    TRY(uint64_t length, number(4));
    if (length == 0 || length > kMaxPath) return bad_request("the layer's record is damaged");
    std::string path(length, '\0');
    TRY_OK(exactly(path.data(), path.size()));
    open_how how{};
    how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    os::Fd fd(static_cast<int>(syscall(SYS_openat2, folder_, path.c_str(), &how, sizeof how)));
    if (!fd) return bad_request("the layer cannot be written out again: its file " + path + " was replaced by a later entry");
    TRY(auto file, file_source("/proc/self/fd/" + std::to_string(fd.get())));
    return copy(*file, size);
  }

  Source& split_;
  int folder_;
  const std::function<Result<>(std::string_view)>& write_;
  std::vector<char> buffer_ = std::vector<char>(128 * 1024);
};

}  // namespace

Result<> rebuild_tar(const std::string& split_file, const std::string& folder, const std::function<Result<>(std::string_view)>& write) {
  TRY(auto raw, file_source(split_file));
  TRY(auto split, decompressed(std::move(raw)));
  os::Fd root(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return Status::from_errno("open " + folder, errno);
  return Rebuilder(*split, root.get(), write).run();
}

}  // namespace k8lite::image
