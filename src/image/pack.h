// A stored layer made a gzip tar again, for archives and registries. The tar is byte for byte the one that came; its compressed form is
// our own, because compressed layers are not kept, so its digest may differ from the registry's.
#pragma once
#include <string>

#include "base/json.h"

namespace k8lite::image {

struct PackedLayer {
  std::string path, digest;
  uint64_t size = 0;
};
// Into a file, so that size and digest are known before anything is sent. BadRequest: the layer cannot be written out again.
Result<PackedLayer> pack_layer(const std::string& layer, const std::string& path);

json::Node descriptor_of(const char* type, const std::string& digest, uint64_t size);
// The OCI manifest of a config and its packed layers, base layer first.
std::string manifest_text(const std::string& config_digest, uint64_t config_size, const json::Node& layers);
inline constexpr const char* kManifestType = "application/vnd.oci.image.manifest.v1+json";
inline constexpr const char* kLayerType = "application/vnd.oci.image.layer.v1.tar+gzip";

}  // namespace k8lite::image
