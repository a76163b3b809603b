// Reading tar archives as a stream (POSIX ustar, GNU long names, pax extended headers) and unpacking layers safely below a folder.
#pragma once
#include <functional>
#include <map>
#include <string>

#include "image/source.h"

namespace k8lite::image {

struct TarEntry {
  std::string name, link;
  char type = '0';  // '0' file, '1' hard link, '2' symlink, '3' character device, '4' block device, '5' folder, '6' fifo
  uint32_t mode = 0;
  uint64_t uid = 0, gid = 0, size = 0, mtime = 0;
  uint32_t major = 0, minor = 0;
  std::map<std::string, std::string> xattrs;
};

// Calls fn for each entry; `data` reads its content (what is left of it is skipped). BadRequest for broken or truncated archives.
using TarFn = std::function<Result<>(const TarEntry& entry, Source& data)>;
Result<> read_tar(Source& source, const TarFn& fn);

struct UnpackLimits {
  uint64_t bytes = uint64_t{16} << 30;   // of content
  uint64_t entries = 2'000'000;
};
// Unpacks one layer below `folder` for overlayfs: whiteouts become 0/0 devices, opaque markers the xattr trusted.overlay.opaque. Nothing
// is ever written outside of the folder: parents are opened beneath it without following links out (openat2).
Result<> unpack_layer(Source& tar, const std::string& folder, UnpackLimits limits = {});

}  // namespace k8lite::image
