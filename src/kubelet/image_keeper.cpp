#include "kubelet/image_keeper.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"

namespace k8lite::kubelet {
namespace {
constexpr Duration kSettle = seconds(1);  // after the last change of the folder: archives often come in groups
}  // namespace

DiskUse disk_use(const std::string& path) {
  struct statvfs fs {};
  if (statvfs(path.c_str(), &fs) != 0) return {};
  // As df counts: what only root may still use is neither capacity nor available.
  uint64_t used = (fs.f_blocks - fs.f_bfree) * fs.f_frsize, available = fs.f_bavail * fs.f_frsize;
  return {used + available, available};
}

CollectionPlan plan_collection(const std::vector<image::Image>& images, const std::set<std::string>& in_use, const DiskUse& disk, const ImageGcPolicy& policy, Instant now) {
  CollectionPlan plan;
  if (disk.percent() < policy.high_percent) return plan;
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
  if (disk.percent() < policy.high_percent) return;
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
    }
    if (clock_.mono() < next) continue;
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
