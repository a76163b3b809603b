// What `k8lite ctr` and `k8lite crictl` share: opening the node's image store, and pulling into it or pushing from it beside a running node.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "image/push.h"

namespace k8lite::app {

struct TransferOptions {
  std::string registries_file;  // registries.yaml
  std::string credentials;      // "user:password", "" for those of registries.yaml
  bool plain_http = false, skip_verify = false;
  bool show = false;            // progress as ctr shows it: again and again on a terminal, once otherwise
};

Result<std::unique_ptr<image::ImageStore>> open_image_store(const std::string& data_dir);
// With registries.yaml, proxies of the environment and credentials where given.
Result<image::Image> pull_image(image::ImageStore& store, const std::string& name, const TransferOptions& options);
// The digest of what is at the registry then.
Result<std::string> push_image(const image::ImageStore& store, const std::string& local, const std::string& target, const TransferOptions& options);
std::string binary_size(int64_t bytes);   // "4.5 MiB", as ctr shows sizes
std::string decimal_size(int64_t bytes);  // "4.72MB", as crictl shows sizes

}  // namespace k8lite::app
