#include "image/source.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cerrno>
#include <vector>

#include "base/strings.h"
#include "os/files.h"

namespace k8lite::image {
namespace {

constexpr size_t kBuffer = 128 * 1024;
constexpr int kMaxWindowLog = 27;

class FileSource : public Source {
 public:
  FileSource(os::Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  Result<size_t> read(char* buffer, size_t size) override {
    for (;;) {
      ssize_t n = ::read(fd_.get(), buffer, size);
      if (n >= 0) return static_cast<size_t>(n);
      if (errno != EINTR) return Status::from_errno("read " + path_, errno);
    }
  }

 private:
  os::Fd fd_;
  std::string path_;
};

// Gives back what was looked at first.
class Peeked : public Source {
 public:
  Peeked(std::string head, std::unique_ptr<Source> rest) : head_(std::move(head)), rest_(std::move(rest)) {}
  Result<size_t> read(char* buffer, size_t size) override {
    if (at_ < head_.size()) {
      size_t n = head_.copy(buffer, size, at_);
      at_ += n;
      return n;
    }
    return rest_->read(buffer, size);
  }

 private:
  std::string head_;
  size_t at_ = 0;
  std::unique_ptr<Source> rest_;
};

class Gunzip : public Source {
 public:
  explicit Gunzip(std::unique_ptr<Source> inner) : inner_(std::move(inner)), in_(kBuffer) { inflateInit2(&z_, 15 + 16); }
  ~Gunzip() override { inflateEnd(&z_); }
  Result<size_t> read(char* buffer, size_t size) override {
    z_.next_out = reinterpret_cast<Bytef*>(buffer);
    z_.avail_out = static_cast<uInt>(size);
    while (z_.avail_out == size && !done_) {
      if (z_.avail_in == 0) TRY_OK(fill());
      if (z_.avail_in == 0) {
        if (!between_) return bad_request("the gzip stream is truncated");
        done_ = true;
        break;
      }
      if (between_) {
        if (*z_.next_in == 0) {  // zero padding behind the last member
          --z_.avail_in, ++z_.next_in;
          continue;
        }
        inflateReset(&z_);
        between_ = false;
      }
      int rc = inflate(&z_, Z_NO_FLUSH);
      if (rc == Z_STREAM_END) between_ = true;
      else if (rc != Z_OK && rc != Z_BUF_ERROR) return bad_request(std::string("the gzip stream is damaged: ") + (z_.msg ? z_.msg : "bad data"));
    }
    return size - z_.avail_out;
  }

 private:
  Result<> fill() {
    TRY(size_t n, inner_->read(in_.data(), in_.size()));
    z_.next_in = reinterpret_cast<Bytef*>(in_.data());
    z_.avail_in = static_cast<uInt>(n);
    return {};
  }
  std::unique_ptr<Source> inner_;
  std::vector<char> in_;
  z_stream z_{};
  bool between_ = false, done_ = false;  // between two members
};

class Unzstd : public Source {
 public:
  explicit Unzstd(std::unique_ptr<Source> inner) : inner_(std::move(inner)), in_(kBuffer), z_(ZSTD_createDStream()) {
    ZSTD_initDStream(z_);
    ZSTD_DCtx_setParameter(z_, ZSTD_d_windowLogMax, kMaxWindowLog);
  }
  ~Unzstd() override { ZSTD_freeDStream(z_); }
  Result<size_t> read(char* buffer, size_t size) override {
    ZSTD_outBuffer out{buffer, size, 0};
    while (out.pos == 0) {
      if (input_.pos == input_.size) {
        TRY(size_t n, inner_->read(in_.data(), in_.size()));
        if (n == 0) return whole_ ? Result<size_t>(size_t{0}) : bad_request("the zstd stream is truncated");
        input_ = {in_.data(), n, 0};
      }
      size_t rc = ZSTD_decompressStream(z_, &out, &input_);
      if (ZSTD_isError(rc)) return bad_request(std::string("the zstd stream is damaged: ") + ZSTD_getErrorName(rc));
      whole_ = rc == 0;
    }
    return out.pos;
  }

 private:
  std::unique_ptr<Source> inner_;
  std::vector<char> in_;
  ZSTD_DStream* z_;
  ZSTD_inBuffer input_{nullptr, 0, 0};
  bool whole_ = false;
};

}  // namespace

Result<> write_all(int fd, std::string_view data) {
  while (!data.empty()) {
    ssize_t n = ::write(fd, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Status::from_errno("write", errno);
    data.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

Result<std::unique_ptr<Source>> file_source(const std::string& path) {
  os::Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return Status::from_errno("open " + path, errno);
  return std::unique_ptr<Source>(std::make_unique<FileSource>(std::move(fd), path));
}

Result<std::unique_ptr<Source>> decompressed(std::unique_ptr<Source> source) {
  std::string head(4, '\0');
  size_t have = 0;
  while (have < head.size()) {
    TRY(size_t n, source->read(head.data() + have, head.size() - have));
    if (n == 0) break;
    have += n;
  }
  head.resize(have);
  auto whole = std::make_unique<Peeked>(head, std::move(source));
  if (head.starts_with("\x1f\x8b")) return std::unique_ptr<Source>(std::make_unique<Gunzip>(std::move(whole)));
  bool skippable = have == 4 && head.substr(1) == "\x2a\x4d\x18" && (head[0] & 0xf0) == 0x50;
  if (head == "\x28\xb5\x2f\xfd" || skippable) return std::unique_ptr<Source>(std::make_unique<Unzstd>(std::move(whole)));
  return std::unique_ptr<Source>(std::move(whole));
}

Result<size_t> HashingSource::read(char* buffer, size_t size) {
  TRY(size_t n, inner_.read(buffer, size));
  digester_.update({buffer, n});
  bytes_ += n;
  return n;
}
Result<> HashingSource::drain() {
  std::vector<char> buffer(kBuffer);
  for (;;) {
    TRY(size_t n, read(buffer.data(), buffer.size()));
    if (n == 0) return {};
  }
}
std::string HashingSource::digest() { return digester_.finish(); }

}  // namespace k8lite::image
