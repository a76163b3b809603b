// Pushing images to registries (OCI distribution 1.1 §push): layers that are not there yet in pieces, the config, then the manifest.
#pragma once
#include "image/pull.h"

namespace k8lite::image {

inline constexpr size_t kPushPiece = 4 << 20;  // of a layer in one request

struct PushOptions {
  bool plain_http = false, skip_verify = false;
  RemoteOptions remote;
  PullProgress* progress = nullptr;
};
// Pushes the image known as `local` under the name `target` and returns the digest of its manifest. Never to a mirror. Calls block (never
// on the loop's thread). Errors begin as containerd's: `failed to push "…"`.
Result<std::string> push_image(async::Loop& loop, const ImageStore& store, const Registries& registries, const Environment& environment, const std::string& local, const Reference& target, const std::vector<RegistryAuth>& auth,
                               PushOptions options = {});

}  // namespace k8lite::image
