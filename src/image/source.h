// Bytes from somewhere, pulled: a file, a decompressor over another source. For archives and layers, which are never held whole.
#pragma once
#include <memory>
#include <string>

#include "base/result.h"

namespace k8lite::image {

class Source {
 public:
  virtual ~Source() = default;
  virtual Result<size_t> read(char* buffer, size_t size) = 0;  // 0 at the end
};
Result<std::unique_ptr<Source>> file_source(const std::string& path);
// Looks at the first bytes: gzip, zstd or plain.
Result<std::unique_ptr<Source>> decompressed(std::unique_ptr<Source> source);
// Hashes what passes through.
class HashingSource : public Source {
 public:
  explicit HashingSource(Source& inner);
  ~HashingSource() override;
  Result<size_t> read(char* buffer, size_t size) override;
  Result<> drain();         // to the end, so that the digest is of everything
  std::string digest();     // "sha256:…" of what was read
  uint64_t bytes() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace k8lite::image
