// What `k8lite ctr` and `k8lite crictl` share: opening the node's image store and pulling into it beside a running node.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "image/pull.h"

namespace k8lite::app {

Result<std::unique_ptr<image::ImageStore>> open_image_store(const std::string& data_dir);
// With registries.yaml, proxies of the environment and, where given, credentials "user:password".
Result<image::Image> pull_image(image::ImageStore& store, const std::string& registries_file, const std::string& name, const std::string& credentials);
std::string binary_size(int64_t bytes);   // "4.5 MiB", as ctr shows sizes
std::string decimal_size(int64_t bytes);  // "4.72MB", as crictl shows sizes

}  // namespace k8lite::app
