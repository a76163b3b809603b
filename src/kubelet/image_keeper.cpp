#include "kubelet/image_keeper.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "image/partial.h"

namespace k8lite::kubelet {
namespace {
constexpr size_t kMaxList = 1 << 20;
constexpr Duration kSettle = seconds(1);  // after the last change of the folder: archives often come in groups
}  // namespace

DiskUse disk_use(const std::string& path) {
  struct statvfs fs {};
  if (statvfs(path.c_str(), &fs) != 0) return {};
  // As df counts: what only root may still use is neither capacity nor available.
  uint64_t used = (fs.f_blocks - fs.f_bfree) * fs.f_frsize, available = fs.f_bavail * fs.f_frsize;
  return {used + available, available};
}

Result<ImageGcPolicy> image_gc_policy(const std::vector<std::string>& kubelet_args) {
  ImageGcPolicy policy;
  for (const auto& arg : kubelet_args) {
    size_t equals = arg.find('=');
    std::string name = arg.substr(0, equals), value = equals == arg.npos ? "" : arg.substr(equals + 1);
    if (name.starts_with("--")) name.erase(0, 2);
    if (name == "minimum-image-ttl-duration") {
      auto d = parse_go_duration(value);
      if (!d || *d < Duration{0}) return bad_request("--kubelet-arg " + arg + ": not a duration");
      policy.min_age = *d;
    }
    bool high = name == "image-gc-high-threshold";
    if (!high && name != "image-gc-low-threshold") continue;
    auto percent = parse_int(value);
    if (!percent || *percent < 0 || *percent > 100) return bad_request("--kubelet-arg " + arg + ": must be between 0 and 100, inclusive");
    (high ? policy.high_percent : policy.low_percent) = static_cast<int>(*percent);
  }
  if (policy.low_percent >= policy.high_percent)
    return bad_request("--kubelet-arg image-gc-low-threshold: " + std::to_string(policy.low_percent) + " must be less than image-gc-high-threshold, " + std::to_string(policy.high_percent));
  return policy;
}

CollectionPlan plan_collection(const std::vector<image::Image>& images, const std::set<std::string>& in_use, const DiskUse& disk, const ImageGcPolicy& policy, Instant now) {
  CollectionPlan plan;
  if (policy.high_percent >= 100 || disk.percent() < policy.high_percent) return plan;
  uint64_t wanted = disk.capacity / 100 * static_cast<uint64_t>(100 - policy.low_percent);
  plan.bytes = wanted > disk.available ? wanted - disk.available : 0;
  std::vector<const image::Image*> candidates;
  for (const auto& image : images)
    if (!image.pinned && !in_use.count(image.id) && now - image.used >= policy.min_age) candidates.push_back(&image);
  std::stable_sort(candidates.begin(), candidates.end(), [](const auto* a, const auto* b) { return a->used < b->used; });
  for (const auto* image : candidates) plan.remove.push_back(image->id);
  return plan;
}

void ImageKeeper::look() {
  std::lock_guard lock(mutex_);
  std::map<std::string, Instant> now;
  if (options_.images_in_use)
    for (const auto& id : options_.images_in_use()) now[id] = clock_.now();
  for (const auto& [id, at] : seen_)
    if (store_.find(id)) now.emplace(id, at);
  seen_ = std::move(now);
}

void ImageKeeper::collect(bool all_unused) {
  std::lock_guard lock(mutex_);
  ImageGcPolicy policy = options_.policy;
  if (all_unused) policy.high_percent = policy.low_percent = 0;
  DiskUse disk = disk_use(store_.root());
  if (policy.high_percent >= 100 || disk.percent() < policy.high_percent) return;
  image::drop_partials(store_.partial_folder(), seconds(60));
  (void)store_.sweep();
  disk = disk_use(store_.root());
  auto images = store_.list();
  for (auto& image : images)
    if (auto it = seen_.find(image.id); it != seen_.end()) image.used = std::max(image.used, it->second);
  auto plan = plan_collection(images, options_.images_in_use ? options_.images_in_use() : std::set<std::string>(), disk, policy, clock_.now());
  uint64_t goal = disk.available + plan.bytes;
  size_t removed = 0;
  for (const auto& id : plan.remove) {
    if (disk_use(store_.root()).available >= goal) break;
    auto r = store_.remove(id);
    if (r.ok()) ++removed;
    else log_warn("an unused image could not be removed", {{"image", id}, {"error", r.status()}});
  }
  uint64_t now = disk_use(store_.root()).available;
  log_info("images were collected", {{"removed", removed}, {"bytes", now > disk.available ? now - disk.available : 0}, {"disk_percent", disk_use(store_.root()).percent()}});
  if (plan.bytes > 0 && now < goal && options_.warn && !all_unused)
    options_.warn("FreeDiskSpaceFailed", "Failed to garbage collect required amount of images. Attempted to free " + std::to_string(plan.bytes) + " bytes, but only found " + std::to_string(now > disk.available ? now - disk.available : 0) + " bytes eligible to free.");
}

void ImageKeeper::pull_lists() {
  if (!options_.pull) return;
  for (const auto& file : os::list_dir(options_.folder)) {
    if (!file.ends_with(".txt") || file[0] == '.') continue;
    auto text = os::read_file(options_.folder + "/" + file, kMaxList);
    if (!text.ok()) {
      log_warn("a list of images is left out", {{"error", text.status()}});
      continue;
    }
    for (auto line : split(*text, '\n')) {
      std::string name(trim(line.substr(0, line.find('#'))));
      if (name.empty()) continue;
      bool there = store_.find(name).has_value();
      auto r = there ? Result<>() : options_.pull(name);
      if (r.ok()) r = store_.pin(name);
      if (!r.ok()) log_warn("an image of a list is not there", {{"list", file}, {"image", name}, {"error", r.status()}});
      else if (!there) log_info("an image of a list was pulled", {{"list", file}, {"image", name}});
    }
  }
}

void ImageKeeper::start() {
  wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  watch_.reset(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (inotify_add_watch(watch_.get(), options_.folder.c_str(), IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR) < 0)
    log_warn("the folder of image archives is not watched", {{"folder", options_.folder}, {"error", Status::from_errno("inotify", errno)}});
  thread_ = std::thread([this] { run(); });
}

bool ImageKeeper::wait(Duration at_most, bool& changed) {
  pollfd fds[2] = {{wake_.get(), POLLIN, 0}, {watch_.get(), POLLIN, 0}};
  changed = false;
  if (poll(fds, 2, static_cast<int>(at_most.count() / 1000)) <= 0) return true;
  if (fds[0].revents) return false;
  char buffer[4096];
  while (::read(watch_.get(), buffer, sizeof buffer) > 0) changed = true;
  return true;
}

void ImageKeeper::run() {
  store_.import_folder(options_.folder);
  pull_lists();
  (void)store_.sweep();
  look();
  collect();
  Duration next = clock_.mono() + options_.policy.period;
  for (bool changed = false;;) {
    if (!wait(std::max<Duration>(next - clock_.mono(), milliseconds(1)), changed)) return;
    if (changed) {
      do {
        if (!wait(kSettle, changed)) return;
      } while (changed);
      store_.import_folder(options_.folder);
      pull_lists();
    }
    if (clock_.mono() < next) continue;
    pull_lists();
    look();
    collect();
    next = clock_.mono() + options_.policy.period;
  }
}

void ImageKeeper::stop() {
  if (!thread_.joinable()) return;
  eventfd_write(wake_.get(), 1);
  thread_.join();
}

}  // namespace k8lite::kubelet
