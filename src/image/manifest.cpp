#include "image/manifest.h"

#include <algorithm>

#include "image/digest.h"

namespace k8lite::image {
namespace {

using json::Node;

Result<Descriptor> descriptor(const Node& v) {
  Descriptor d{v.get("digest").str(), v.get("mediaType").str(), v.get("size").int_or(-1)};
  if (!is_digest(d.digest)) return bad_request("unsupported digest " + json::quoted(d.digest));
  return d;
}

// Variants a machine also runs, best first. An entry without a variant is v8 of arm64 and v7 of arm.
std::vector<std::string> variants(const Platform& p) {
  if (p.architecture == "arm64") return {"v8", ""};
  if (p.architecture != "arm") return {p.variant, ""};
  std::vector<std::string> out;
  for (const char* v : {"v8", "v7", "v6", "v5"}) {
    if (!p.variant.empty() && p.variant < v) continue;
    out.emplace_back(v);
    if (std::string_view(v) == "v7") out.emplace_back("");
  }
  return out;
}

}  // namespace

Platform this_platform() {
#if defined(__aarch64__)
  return {"arm64", "v8"};
#elif defined(__arm__)
  return {"arm", "v7"};
#else
  return {"amd64", ""};
#endif
}

bool is_index(const Node& document) { return document.get("manifests").is_array(); }

Result<Manifest> parse_manifest(const Node& document) {
  if (document.get("schemaVersion").int_or(2) == 1) return bad_request("manifests of schema 1 are not supported: the image must be pushed again by a newer client");
  if (!document.get("config").is_object() || !document.get("layers").is_array()) return bad_request("not an image manifest");
  Manifest m;
  TRY(m.config, descriptor(document.get("config")));
  for (const Node& layer : document.get("layers").items()) {
    TRY(Descriptor d, descriptor(layer));
    m.layers.push_back(std::move(d));
  }
  if (m.layers.size() > kMaxLayers) return bad_request("the image has more than " + std::to_string(kMaxLayers) + " layers");
  return m;
}

Result<Descriptor> choose_platform(const Node& index, const Platform& platform) {
  const auto& entries = index.get("manifests").items();
  for (const auto& variant : variants(platform))
    for (const Node& entry : entries) {
      const Node& p = entry.get("platform");
      if (p.get("os").str() == "linux" && p.get("architecture").str() == platform.architecture && p.get("variant").str() == variant) return descriptor(entry);
    }
  if (entries.size() == 1 && !entries[0].find("platform")) return descriptor(entries[0]);
  return not_found("no match for platform in manifest: not found");
}

Result<std::vector<std::string>> layer_ids(const Node& config, const Manifest& manifest, const Platform& platform) {
  std::string arch = config.get("architecture").str(), os = config.get("os").str();
  if ((!arch.empty() && arch != platform.architecture) || (!os.empty() && os != "linux"))
    return bad_request("the image is for " + (os.empty() ? "linux" : os) + "/" + arch + ", this node is " + platform.text() + ": no match for platform in manifest");
  std::vector<std::string> out;
  for (const Node& id : config.path("rootfs.diff_ids").items()) {
    if (!is_digest(id.str())) return bad_request("unsupported layer digest " + json::quoted(id.str()));
    out.push_back(id.str());
  }
  if (out.size() != manifest.layers.size())
    return bad_request("mismatched image rootfs and manifest layers: the config names " + std::to_string(out.size()) + " layers, the manifest " + std::to_string(manifest.layers.size()));
  if (out.empty()) return bad_request("the image has no layers");
  return out;
}

}  // namespace k8lite::image
