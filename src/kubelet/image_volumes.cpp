// Volumes that are images (KEP-4639): pulled as a container's image is, when the first container that mounts one starts,
// and mounted read-only beside the pod's other volumes. A record in the pod's folder below /run keeps the image from
// being collected meanwhile.
#include <stdlib.h>
#include <sys/mount.h>

#include "base/strings.h"
#include "kubelet/mounts.h"
#include "kubelet/pods.h"

namespace k8lite::kubelet {

using json::Value;

namespace {
constexpr size_t kLongestLayers = 3500;  // mount(2) takes a page of options
constexpr auto kImageVolumeAgain = seconds(10);
}  // namespace

Result<> PodManager::mount_image(const LocalPtr& local, const std::string& volume, const std::string& reference,
                                 const image::Image& image) {
  std::string dir = volume_dir(pod_dir(local->uid), volume), empty = pod_dir(local->uid) + "/empty";
  TRY_OK(os::make_dirs(dir));
  char real[4096];
  if (::realpath(dir.c_str(), real) && is_mount_point(real)) return {};
  ContainerRecord record;
  record.id = volume;
  record.pod_uid = local->uid;
  record.image = reference;
  record.image_id = image.id;
  record.created_us = clock_.now().us;
  for (const auto& layer : image.layers) record.layers.push_back(layer.substr(layer.rfind('/') + 1));
  TRY_OK(write_volume_record(facts_.run_dir, record));
  images_.mark_used(image.id);
  // An overlay has two lower folders at least.
  TRY_OK(os::make_dirs(empty, 0755));
  std::string lower;
  for (const auto& layer : image.layers) lower += layer + ":";
  if (lower.size() > kLongestLayers) return bad_request("image " + json::quoted(reference) + " has too many layers for a volume");
  if (::mount("overlay", dir.c_str(), "overlay", MS_RDONLY | MS_NOSUID | MS_NODEV, ("lowerdir=" + lower + empty).c_str()) != 0)
    return Status::from_errno("mount image " + json::quoted(reference), errno);
  return {};
}

bool PodManager::ensure_image_volumes(const LocalPtr& local, Value c) {
  std::string name = c["name"].str();
  for (Value m : c["volumeMounts"].items())
    for (Value v : local->pod.path("spec.volumes").items()) {
      if (!v["image"] || !v["name"].equals(m["name"].str())) continue;
      std::string reference = v["image"]["reference"].str();
      auto image = ensure_image(local, name, reference, v["image"]["pullPolicy"].str("IfNotPresent"));
      if (!image) return false;
      auto r = mount_image(local, v["name"].str(), reference, *image);
      if (r.ok()) continue;
      event(local, "Warning", "Failed", "Error: " + r.status().message(), name);
      std::lock_guard lock(mutex_);
      ContainerRun& run = local->runs[name];
      run.not_before = clock_.mono() + kImageVolumeAgain;
      run.waiting_reason = "CreateContainerError";
      run.waiting_message = r.status().message();
      return false;
    }
  return true;
}

}  // namespace k8lite::kubelet
