// Image manifests, indexes and configurations read from untrusted text: OCI image-spec 1.1 and Docker v2 schema 2.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"

namespace k8lite::image {

inline constexpr size_t kMaxManifest = 4 << 20;  // as registries limit it
inline constexpr size_t kMaxLayers = 256;        // their names fit into the page of options that mount(2) takes; docker ends at 127

struct Descriptor {
  std::string digest, media_type;
  int64_t size = -1;  // -1: not told
};
struct Manifest {
  Descriptor config;
  std::vector<Descriptor> layers;  // base layer first
};
struct Platform {
  std::string architecture, variant;
  std::string text() const { return "linux/" + architecture + (variant.empty() ? "" : "/" + variant); }
};
Platform this_platform();

bool is_index(const json::Node& document);
// BadRequest: no image manifest (an artifact, a schema 1 manifest), a digest that is not sha256, too many layers.
Result<Manifest> parse_manifest(const json::Node& document);
// The manifest of an index that fits best: the exact variant, then lower variants of arm. NotFound in containerd's words.
Result<Descriptor> choose_platform(const json::Node& index, const Platform& platform);
// Is the config for this platform and does it name as many layers as the manifest? Its diff ids, base layer first.
Result<std::vector<std::string>> layer_ids(const json::Node& config, const Manifest& manifest, const Platform& platform);

}  // namespace k8lite::image
