#include "app/images_cli.h"

#include <cmath>
#include <cstdio>

#include "base/strings.h"
#include "kubelet/container_record.h"

namespace k8lite::app {

Result<std::unique_ptr<image::ImageStore>> open_image_store(const std::string& data_dir) {
  image::StoreOptions options;
  options.layers_in_use = [] { return kubelet::layers_in_use(kubelet::kRunDir); };
  return image::ImageStore::open(data_dir + "/agent/store", std::move(options));
}

Result<image::Image> pull_image(image::ImageStore& store, const std::string& registries_file, const std::string& name, const std::string& credentials) {
  TRY(auto reference, image::parse_reference(name));
  std::vector<image::RegistryAuth> auth;
  if (!credentials.empty()) {
    size_t colon = credentials.find(':');
    auth.push_back({credentials.substr(0, colon), colon == credentials.npos ? "" : credentials.substr(colon + 1), "", ""});
  }
  async::Loop loop;
  loop.start();
  Result<image::Pulled> pulled = unavailable("not asked");
  {
    image::PullerOptions options;
    options.guard = false;  // who may run this may give the image to every pod
    image::Puller puller(loop, store, registries_file, image::process_environment(), options);
    pulled = puller.pull(reference, auth);
  }
  loop.stop();
  if (!pulled.ok()) return std::move(pulled).status();
  return std::move(pulled->image);
}

std::string binary_size(int64_t bytes) {
  char text[32];
  double v = static_cast<double>(bytes);
  const char* unit = "B";
  for (const char* u : {"KiB", "MiB", "GiB"})
    if (v >= 1024) v /= 1024, unit = u;
  std::snprintf(text, sizeof text, "%.1f %s", v, unit);
  return text;
}

std::string decimal_size(int64_t bytes) {
  char text[32];
  double v = static_cast<double>(bytes);
  const char* unit = "B";
  for (const char* u : {"kB", "MB", "GB", "TB"})
    if (v >= 1000) v /= 1000, unit = u;
  std::snprintf(text, sizeof text, "%.3g%s", v, unit);
  return text;
}

}  // namespace k8lite::app
