// Image references as docker and containerd read them: "redis", "k8lite/echoserver:1.0", "10.0.0.1:5000/a/b@sha256:…".
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"

namespace k8lite::image {

struct Reference {
  std::string registry, repository, tag, digest;  // tag "" with a digest
  // "docker.io/library/redis:latest": the normal form; with a digest "…@sha256:…".
  std::string text() const;
  std::string name() const { return registry + "/" + repository; }
  std::string familiar() const;  // as docker shows it: redis:7
};
// BadRequest in the kubelet's words: `couldn't parse image name "A": invalid reference format: repository name (library/A) must be lowercase`.
Result<Reference> parse_reference(std::string_view text);

}  // namespace k8lite::image
