// Unpacking of one layer as a whole: decompress, hash, record what its tar held, write the files. A layer is the
// internet's and its decompressor reads it first, so a node does this in a child process that can reach nothing but the
// layer's own folder: a mount namespace whose root is that folder (no device node there opens), seven capabilities, a
// seccomp filter that knows file calls only, limits on memory, processor time and file size. The child is this
// executable again, under the hidden command "unpack-layer".
#pragma once
#include "base/clock.h"
#include "image/tar.h"
#include "os/files.h"

namespace k8lite::image {

inline constexpr std::string_view kUnpackCommand = "unpack-layer";
inline constexpr uint64_t kUnpackMemory = uint64_t{512}
                                          << 20;    // address space: the largest zstd window allowed is 128 MiB
inline constexpr uint64_t kUnpackProcessor = 3600;  // seconds: 32 GiB at 10 MB/s
inline constexpr Duration kUnpackStall =
    seconds(600);  // without taking a byte: a card that writes slowly still gets along

struct LayerFacts {
  std::string diff_id;  // sha256 of the tar
  uint64_t bytes = 0;   // of the tar
};

// gzip, zstd or plain -> below `folder`, with the record of the tar's headers in `split`. In this process.
Result<LayerFacts> unpack_here(Source& packed, const std::string& folder, os::Fd split, const UnpackLimits& limits);
// The same in a confined child, which is fed from here; it is killed when it takes nothing for `stall`. Needs an
// executable whose main() hands kUnpackCommand to run_unpacker(). Without root only the seccomp filter and the limits
// hold.
Result<LayerFacts> unpack_confined(Source& packed, const std::string& folder, os::Fd split, const UnpackLimits& limits,
                                   Duration stall = kUnpackStall);
int run_unpacker(int argc, char** argv);

// Gives up all that unpacking below `folder` does not need, for good; the folder is / then. Errors name the step.
// (confine.cpp)
Result<> confine_to(const std::string& folder, const UnpackLimits& limits);

}  // namespace k8lite::image
