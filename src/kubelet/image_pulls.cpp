#include "kubelet/image_pulls.h"

#include <algorithm>

#include "base/json.h"

namespace k8lite::kubelet {
namespace {

using State = ImageAnswer::State;

constexpr unsigned kParallelPulls = 5;
// A fresh failure stays visible this long before it becomes a back-off, as the kubelet's next sync would make it.
constexpr Duration kShowError = seconds(2);
constexpr Duration kLookAgain = seconds(60);  // at what only a person can mend: a name, a missing image

ImageAnswer failed(std::string reason, std::string message, Duration again) { return {State::Failed, {}, std::move(reason), std::move(message), again}; }

}  // namespace

std::string pull_duration(Duration d) {
  int64_t ms = d.count() / 1000;
  if (ms < 1000) return std::to_string(ms) + "ms";
  std::string out;
  if (ms >= 3'600'000) out += std::to_string(ms / 3'600'000) + "h";
  if (ms >= 60'000) out += std::to_string(ms / 60'000 % 60) + "m";
  out += std::to_string(ms / 1000 % 60);
  if (int64_t rest = ms % 1000) {
    std::string digits = std::to_string(1000 + rest).substr(1);
    while (digits.ends_with('0')) digits.pop_back();
    out += "." + digits;
  }
  return out + "s";
}

ImagePulls::ImagePulls(const Clock& clock, image::ImageStore& images, PullFn pull, std::function<void(const std::string&)> on_done)
    : clock_(clock), images_(images), pull_(std::move(pull)), on_done_(std::move(on_done)), pool_(std::make_unique<async::Pool>(kParallelPulls)) {}

void ImagePulls::stop() { pool_->stop(); }

void ImagePulls::forget(const std::string& pod_uid) {
  std::lock_guard lock(mutex_);
  std::erase_if(pulls_, [&pod_uid](const auto& e) { return e.first.starts_with(pod_uid + "_"); });
}

// What policy says about an image that is there or must be there; nothing: it has to be pulled.
std::optional<ImageAnswer> ImagePulls::present(const ImageWanted& w, const image::Reference& reference) {
  auto image = images_.find(reference.text());
  bool allowed = true;
  if (image && !image->credentials.empty() && w.policy != "Always") {
    allowed = false;
    for (const auto& auth : w.credentials(reference)) allowed |= image->credentials.count(auth.hash()) > 0;
  }
  // Imported and built-in images have no registry to ask: they count as pulled.
  if (image && allowed && (w.policy != "Always" || image->pinned)) {
    w.event("Normal", "Pulled", "Container image " + json::quoted(w.image) + " already present on machine");
    return ImageAnswer{State::Ready, std::move(*image), "", "", Duration{0}};
  }
  if (w.policy != "Never") return {};
  std::string message = "Container image " + json::quoted(w.image) + (image ? " is present with pull policy of Never but does not have the proper credentials to access the image" : " is not present with pull policy of Never");
  w.event("Warning", "ErrImageNeverPull", message);
  w.event("Warning", "Failed", "Error: ErrImageNeverPull");
  return failed("ErrImageNeverPull", message, kLookAgain);
}

ImageAnswer ImagePulls::ensure(const ImageWanted& w) {
  auto reference = image::parse_reference(w.image);
  if (!reference.ok()) {
    std::string message = "Failed to apply default image tag " + json::quoted(w.image) + ": " + reference.status().message();
    w.event("Warning", "InspectFailed", message);
    w.event("Warning", "Failed", "Error: InvalidImageName");
    return failed("InvalidImageName", message, kLookAgain);
  }
  std::string key = w.pod_uid + "_" + reference->text();
  std::string back_off = "Back-off pulling image " + json::quoted(w.image);
  {
    std::lock_guard lock(mutex_);
    Pull& p = pulls_[key];
    Duration now = clock_.mono();
    switch (p.state) {
      case Pull::State::Running: return {State::Pulling, {}, "", "", Duration{0}};
      case Pull::State::Done: {
        std::string took = pull_duration(p.ended - p.started) + " (" + pull_duration(p.ended - p.asked) + " including waiting)";
        w.event("Normal", "Pulled", "Successfully pulled image " + json::quoted(w.image) + " in " + took + ". Image size: " + std::to_string(p.pulled.image.size) + " bytes.");
        ImageAnswer out{State::Ready, std::move(p.pulled.image), "", "", Duration{0}};
        pulls_.erase(key);
        return out;
      }
      case Pull::State::Failed:
        p.state = Pull::State::Waiting;
        // Long after the last failure a new one starts from the beginning.
        p.backoff = p.backoff == Duration{0} || now - p.not_before > 2 * kLongestPullBackoff ? kFirstPullBackoff : std::min(p.backoff * 2, kLongestPullBackoff);
        p.not_before = now + p.backoff;
        p.told = false;
        w.event("Warning", "Failed", "Failed to pull image " + json::quoted(w.image) + ": " + p.failed.message());
        w.event("Warning", "Failed", "Error: ErrImagePull");
        return failed("ErrImagePull", p.failed.message(), kShowError);
      case Pull::State::Waiting:
        if (now >= p.not_before) break;
        if (!std::exchange(p.told, true)) {
          w.event("Normal", "BackOff", back_off);
          w.event("Warning", "Failed", "Error: ImagePullBackOff");
        }
        return failed("ImagePullBackOff", back_off + ": ErrImagePull: " + p.failed.message(), p.not_before - now);
      case Pull::State::Idle: break;
    }
  }
  if (auto answer = present(w, *reference)) return std::move(*answer);
  return start(w, *reference, key);
}

ImageAnswer ImagePulls::start(const ImageWanted& w, const image::Reference& reference, const std::string& key) {
  w.event("Normal", "Pulling", "Pulling image " + json::quoted(w.image));
  auto auth = w.credentials(reference);
  {
    std::lock_guard lock(mutex_);
    Pull& p = pulls_[key];
    if (p.state == Pull::State::Running) return {State::Pulling, {}, "", "", Duration{0}};
    p.state = Pull::State::Running;
    p.asked = clock_.mono();
  }
  pool_->run([this, uid = w.pod_uid, key, reference, auth] { run(uid, key, reference, auth); });
  return {State::Pulling, {}, "", "", Duration{0}};
}

void ImagePulls::run(const std::string& pod_uid, const std::string& key, const image::Reference& reference, const std::vector<image::RegistryAuth>& auth) {
  {
    std::lock_guard lock(mutex_);
    auto it = pulls_.find(key);
    if (it == pulls_.end()) return;  // forgotten while it waited
    it->second.started = clock_.mono();
  }
  auto result = pull_(reference, auth);
  {
    std::lock_guard lock(mutex_);
    auto it = pulls_.find(key);
    if (it == pulls_.end()) return;
    Pull& p = it->second;
    p.ended = clock_.mono();
    p.state = result.ok() ? Pull::State::Done : Pull::State::Failed;
    if (result.ok()) p.pulled = std::move(result).value();
    else p.failed = result.status();
  }
  on_done_(pod_uid);
}

}  // namespace k8lite::kubelet
