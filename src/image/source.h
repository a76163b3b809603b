// Bytes from somewhere, pulled: a file, text, a decompressor over another source. For archives and layers, which are never held whole.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "image/digest.h"

namespace k8lite::image {

class Source {
 public:
  virtual ~Source() = default;
  virtual Result<size_t> read(char* buffer, size_t size) = 0;  // 0 at the end
};
Result<std::unique_ptr<Source>> file_source(const std::string& path);
// Looks at the first bytes: gzip, zstd or plain. zstd windows beyond 128 MiB are refused, so memory stays bounded.
Result<std::unique_ptr<Source>> decompressed(std::unique_ptr<Source> source);

Result<> write_all(int fd, std::string_view data);

// Text that outlives it.
class TextSource : public Source {
 public:
  explicit TextSource(std::string_view text) : text_(text) {}
  Result<size_t> read(char* buffer, size_t size) override {
    size_t n = text_.copy(buffer, size);
    text_.remove_prefix(n);
    return n;
  }

 private:
  std::string_view text_;
};
// A source that somebody else owns.
class BorrowedSource : public Source {
 public:
  explicit BorrowedSource(Source& inner) : inner_(inner) {}
  Result<size_t> read(char* buffer, size_t size) override { return inner_.read(buffer, size); }

 private:
  Source& inner_;
};

// Hashes what passes through.
class HashingSource : public Source {
 public:
  explicit HashingSource(Source& inner) : inner_(inner) {}
  Result<size_t> read(char* buffer, size_t size) override;
  Result<> drain();       // to the end, so that the digest is of everything
  std::string digest();   // "sha256:…" of what was read; once
  uint64_t bytes() const { return bytes_; }

 private:
  Source& inner_;
  Digester digester_;
  uint64_t bytes_ = 0;
};

}  // namespace k8lite::image
