// The part of a large layer that has already come over the wire, kept beside the store until the layer is unpacked: a process that is
// killed or a node that loses its network takes the download up where it was. Never trusted: the whole is hashed as if it had just come.
#pragma once
#include <memory>
#include <string>

#include "base/clock.h"
#include "image/manifest.h"
#include "image/source.h"
#include "image/tar.h"
#include "os/files.h"

namespace k8lite::image {

inline constexpr int64_t kResumeFrom = 1 << 20;          // smaller layers are simply fetched again
inline constexpr Duration kPartialAge = seconds(86400);  // abandoned ones go when a store is opened

class PartialBlob : public Source {
 public:
  // Nothing where it cannot be kept: no disk left, or another process is at the same layer.
  static std::unique_ptr<PartialBlob> open(const std::string& folder, const Descriptor& layer, const UnpackLimits& limits);
  uint64_t have() const { return have_; }           // bytes from an earlier time
  void follow(Source& rest) { rest_ = &rest; }      // what comes behind them
  Result<size_t> read(char* buffer, size_t size) override;
  void drop();                                      // not wanted any more: the layer is whole, or what was kept is broken

 private:
  PartialBlob(os::Fd fd, std::string path, uint64_t have, const UnpackLimits& limits) : fd_(std::move(fd)), path_(std::move(path)), have_(have), limits_(limits) {}
  void keep(std::string_view piece);

  os::Fd fd_;
  const std::string path_;
  const uint64_t have_;
  const UnpackLimits limits_;
  Source* rest_ = nullptr;
  uint64_t at_ = 0, kept_since_ = 0;
};

// Removes those that nothing has been added to for so long.
void drop_partials(const std::string& folder, Duration age);

}  // namespace k8lite::image
