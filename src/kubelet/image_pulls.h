// Images for containers, as the kubelet hands them out: policy, pulls in the background, exponential back-off, and the events and reasons
// that `kubectl describe pod` readers know. (Kubernetes documentation: "Images"; KEP-2535 for images pulled with credentials.)
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "image/pull.h"

namespace k8lite::kubelet {

inline constexpr Duration kFirstPullBackoff = seconds(10), kLongestPullBackoff = seconds(300);

struct ImageWanted {
  std::string pod_uid;
  std::string image;   // as the pod's author wrote it
  std::string policy;  // Always, IfNotPresent, Never
  std::function<std::vector<image::RegistryAuth>(const image::Reference&)> credentials;  // asked only when something must be pulled or checked
  std::function<void(std::string_view type, std::string_view reason, const std::string& message)> event;
};

struct ImageAnswer {
  enum class State { Ready, Pulling, Failed } state = State::Failed;
  image::Image image;           // Ready
  std::string reason, message;  // Failed: ErrImagePull, ImagePullBackOff, InvalidImageName, ErrImageNeverPull
  Duration again{0};            // Failed: when to ask again
};

// "1.2s", "345ms", "1m2.5s": Go's durations, cut to milliseconds.
std::string pull_duration(Duration d);

// Thread-safe. ensure() does not wait for a network; `on_done` tells, on another thread, that a pod should ask again.
class ImagePulls {
 public:
  using PullFn = std::function<Result<image::Pulled>(const image::Reference&, const std::vector<image::RegistryAuth>&)>;
  ImagePulls(const Clock& clock, image::ImageStore& images, PullFn pull, std::function<void(const std::string& pod_uid)> on_done);
  ~ImagePulls() { stop(); }
  ImageAnswer ensure(const ImageWanted& wanted);
  void forget(const std::string& pod_uid);  // its back-offs; a pull under way goes on and its image stays
  void stop();

 private:
  struct Pull {
    enum class State { Idle, Running, Done, Failed, Waiting } state = State::Idle;
    Status failed;
    image::Pulled pulled;
    Duration asked{0}, started{0}, ended{0};  // mono
    Duration backoff{0}, not_before{0};
    bool told = false;                        // the BackOff event of this pause
  };
  std::optional<ImageAnswer> present(const ImageWanted& wanted, const image::Reference& reference);
  ImageAnswer start(const ImageWanted& wanted, const image::Reference& reference, const std::string& key);
  void run(const std::string& pod_uid, const std::string& key, const image::Reference& reference, const std::vector<image::RegistryAuth>& auth);

  const Clock& clock_;
  image::ImageStore& images_;
  const PullFn pull_;
  const std::function<void(const std::string&)> on_done_;
  std::mutex mutex_;
  std::map<std::string, Pull> pulls_;  // by pod uid and image
  std::unique_ptr<async::Pool> pool_;
};

}  // namespace k8lite::kubelet
