// Files compiled into the executable (see cmake/embed.cmake): schema texts, manifests, the shim, the echo image.
#pragma once
#include <span>
#include <string_view>

namespace k8lite {

struct EmbeddedFile {
  std::string_view path;     // relative to the embedded folder, sorted
  std::string_view content;  // followed by a NUL that is not counted
};

}  // namespace k8lite
