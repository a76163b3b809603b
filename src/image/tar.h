// Reading tar archives as a stream (POSIX ustar, GNU long names, pax extended headers), writing small ones, and unpacking layers safely
// below a folder.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "image/source.h"

namespace k8lite::image {

// Where the stored bytes of a sparse file belong; the rest of its `size` bytes is holes.
struct SparseMap {
  uint64_t size = 0;
  std::vector<std::pair<uint64_t, uint64_t>> pieces;  // offset, bytes: ascending
};

struct TarEntry {
  std::string name, link;
  char type = '0';  // '0' file, '1' hard link, '2' symlink, '3' character device, '4' block device, '5' folder, '6' fifo
  uint32_t mode = 0;
  uint64_t uid = 0, gid = 0, size = 0, mtime = 0;
  uint32_t mtime_nanos = 0;
  uint32_t major = 0, minor = 0;
  std::map<std::string, std::string> xattrs;
  std::optional<SparseMap> sparse;  // `size` is that of the stored bytes then (old GNU, and pax 0.0, 0.1, 1.0)
};

// Calls fn for each entry; `data` reads its content (what is left of it is skipped). BadRequest for broken or truncated archives.
using TarFn = std::function<Result<>(const TarEntry& entry, Source& data)>;
Result<> read_tar(Source& source, const TarFn& fn);

// The header of a file; its content, tar_padding(size) and at last kTarEnd follow. Names up to 100 bytes.
std::string tar_header(const std::string& name, uint64_t size, uint32_t mode = 0644);
inline std::string tar_padding(uint64_t size) { return std::string((512 - size % 512) % 512, '\0'); }
inline std::string tar_end() { return std::string(1024, '\0'); }

// What one layer may cost this node. Beyond it the layer is refused, naming the limit.
struct UnpackLimits {
  uint64_t bytes = uint64_t{32} << 30;        // of file content
  uint64_t entries = 1'000'000;
  size_t depth = 200;                         // folders within folders
  size_t path = 4096;                         // bytes of a name
  uint64_t ratio = 250;                       // content to compressed bytes, once there is more content than ratio_from
  uint64_t ratio_from = uint64_t{1} << 30;
  uint64_t free_bytes = uint64_t{64} << 20;   // left on the file system, or a twentieth of it where that is less
  uint64_t free_inodes = 20'000;              // likewise
};

// Is there less left (bytes, inodes) on the file system of this descriptor than layers must leave?
bool is_full(int fd, const UnpackLimits& limits);

// Told when the content of a file begins and ends, so that a recorder can leave it out.
class ContentMarker {
 public:
  virtual ~ContentMarker() = default;
  virtual void begin_content(const std::string& path, uint64_t size) = 0;
  virtual void end_content() = 0;
};

struct UnpackOptions {
  UnpackLimits limits;
  std::function<uint64_t()> compressed_bytes;  // read so far; none: no ratio is watched
  ContentMarker* marker = nullptr;
};
// Unpacks one layer below `folder` for overlayfs: whiteouts become 0/0 devices, opaque markers the xattr trusted.overlay.opaque. Nothing
// is ever touched outside of the folder: links are followed as if the folder were / (openat2). OCI image-spec 1.1 layer.md.
Result<> unpack_layer(Source& tar, const std::string& folder, UnpackOptions options = {});

}  // namespace k8lite::image
