// Keeps the node's images: archives that appear in <data-dir>/agent/images are imported, images that lists there (*.txt, a name a line)
// name are pulled, both are pinned; and when the disk fills up images that nothing has used for longest go first. (Kubernetes documentation: "Garbage Collection", image lifecycle: 85 and 80 percent.)
#pragma once
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "image/store.h"
#include "os/files.h"

namespace k8lite::kubelet {

struct ImageGcPolicy {
  int high_percent = 85, low_percent = 80;
  Duration min_age = seconds(120);    // younger ones stay, whatever the disk says
  Duration period = seconds(300);
};
// The kubelet's flags: image-gc-high-threshold, image-gc-low-threshold (percent), minimum-image-ttl-duration ("2m0s"); others are left
// alone. BadRequest in the kubelet's words.
Result<ImageGcPolicy> image_gc_policy(const std::vector<std::string>& kubelet_args);
struct DiskUse {
  uint64_t capacity = 0, available = 0;
  int percent() const { return capacity ? static_cast<int>(100 - available * 100 / capacity) : 0; }
};
DiskUse disk_use(const std::string& path);

// Which images to remove, in order, and how many bytes have to become free. Pure. Nothing while the disk is below the high mark.
struct CollectionPlan {
  std::vector<std::string> remove;  // ids, longest unused first; to be removed until `bytes` are free
  uint64_t bytes = 0;
};
CollectionPlan plan_collection(const std::vector<image::Image>& images, const std::set<std::string>& in_use, const DiskUse& disk, const ImageGcPolicy& policy, Instant now);

struct ImageKeeperOptions {
  std::string folder;                                   // of archives
  std::function<std::set<std::string>()> images_in_use;
  std::function<void(const std::string& reason, const std::string& message)> warn;  // a node's event
  ImageGcPolicy policy;
  std::function<Result<>(const std::string& name)> pull;  // for lists of images; none: they are not looked at
};

class ImageKeeper {
 public:
  ImageKeeper(image::ImageStore& store, const Clock& clock, ImageKeeperOptions options) : store_(store), clock_(clock), options_(std::move(options)) {}
  ~ImageKeeper() { stop(); }
  void start();  // imports what lies there first, on its own thread
  void stop();
  // By the policy, or all images that nothing uses and that are old enough to go. Any thread.
  void collect(bool all_unused = false);
  // What containers stand on now counts as used now.
  void look();
  // Pulls what the lists name and is not there yet. What fails is tried again at the next look.
  void pull_lists();

 private:
  void run();
  bool wait(Duration at_most, bool& changed);  // false: stop
  image::ImageStore& store_;
  const Clock& clock_;
  const ImageKeeperOptions options_;
  os::Fd watch_, wake_;
  std::mutex mutex_;  // around look() and collect()
  std::map<std::string, Instant> seen_;  // image id -> last seen in use
  std::thread thread_;
};

}  // namespace k8lite::kubelet
