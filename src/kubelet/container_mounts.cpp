// Which parts of a pod's volumes one container sees, and where: volumeMounts with their subPath, propagation and
// read-only words, and the devices of volumeDevices. (Kubernetes documentation: "Volumes".)
#include <errno.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "kubelet/mounts.h"
#include "kubelet/volumes.h"

namespace k8lite::kubelet {
namespace {

using json::Value;

Value volume_named(Value pod, const std::string& name) {
  for (Value v : pod.path("spec.volumes").items())
    if (v["name"].equals(name)) return v;
  return {};
}

// Where it lies on this machine; claims may be links to it.
Result<std::string> source_of(Value volume, const std::string& pod_dir) {
  if (volume["hostPath"]) return volume["hostPath"]["path"].str();
  std::string dir = volume_dir(pod_dir, volume["name"].str());
  if (!volume["persistentVolumeClaim"] && !volume["ephemeral"]) return dir;
  char real[4096];
  if (!::realpath(dir.c_str(), real)) return Status::from_errno("volume " + json::quoted(volume["name"].str()), errno);
  return std::string(real);
}

// KEP-3857.
Result<bool> wants_recursive_read_only(Value mount) {
  std::string word = mount["recursiveReadOnly"].str("Disabled");
  if (word == "Disabled" || !mount["readOnly"].bool_or(false)) return false;
  if (has_recursive_read_only() || word == "IfPossible") return has_recursive_read_only();
  return bad_request("failed to resolve recursive read-only mode: runtime handler \"\" does not support recursive read-only mounts");
}

Result<> check_shared(const std::string& source) {
  char real[4096];
  std::string path = ::realpath(source.c_str(), real) ? real : source;
  MountEntry at = mount_of(mounts_now(), path);
  if (at.shared) return {};
  return bad_request("path " + json::quoted(path) + " is mounted on " + json::quoted(at.target) + " but it is not a shared mount");
}

Result<runtime::BindMount> bind_mount(Value m, Value volume, const std::string& pod_dir,
                                      const std::map<std::string, std::string>& environment) {
  runtime::BindMount b;
  TRY(b.source, source_of(volume, pod_dir));
  b.target = m["mountPath"].str();
  if (!b.target.starts_with('/')) b.target = "/" + b.target;
  bool image = volume["image"].exists();
  b.read_only = m["readOnly"].bool_or(false) || volume["persistentVolumeClaim"]["readOnly"].bool_or(false) || image;
  TRY(b.read_only_below, wants_recursive_read_only(m));
  if (m["mountPropagation"].equals("Bidirectional")) TRY_OK(check_shared(b.source));
  b.propagation = m["mountPropagation"].equals("Bidirectional")     ? MS_SHARED
                  : m["mountPropagation"].equals("HostToContainer") ? MS_SLAVE
                                                                    : 0;
  b.sub = m["subPathExpr"].empty() ? m["subPath"].str() : expand(m["subPathExpr"].str(), environment);
  struct stat st {};
  if (b.sub.empty()) {
    b.file = ::stat(b.source.c_str(), &st) == 0 && !S_ISDIR(st.st_mode);
    return b;
  }
  TRY_OK(check_volume_path(b.sub));
  TRY(os::Fd part, open_sub_path(b.source, b.sub, !image));
  b.file = ::fstat(part.get(), &st) == 0 && !S_ISDIR(st.st_mode);
  return b;
}

}  // namespace

Result<std::vector<runtime::BindMount>> container_mounts(Value pod, Value container, const std::string& pod_dir,
                                                         const std::map<std::string, std::string>& environment) {
  std::vector<runtime::BindMount> out;
  for (Value m : container["volumeMounts"].items()) {
    Value volume = volume_named(pod, m["name"].str());
    if (!volume) return bad_request("volume mount " + json::quoted(m["name"].str()) + " names no volume");
    auto b = bind_mount(m, volume, pod_dir, environment);
    if (!b.ok() && !(m["subPath"].empty() && m["subPathExpr"].empty()))
      return std::move(b).status().within("failed to prepare subPath for volumeMount " + json::quoted(m["name"].str()) +
                                          " of container " + json::quoted(container["name"].str()));
    if (!b.ok()) return std::move(b).status();
    out.push_back(*std::move(b));
  }
  for (Value d : container["volumeDevices"].items()) {
    Value volume = volume_named(pod, d["name"].str());
    if (!volume) return bad_request("volume device " + json::quoted(d["name"].str()) + " names no volume");
    runtime::BindMount b;
    TRY(b.source, source_of(volume, pod_dir));
    b.target = d["devicePath"].str();
    b.file = true;
    out.push_back(std::move(b));
  }
  return out;
}

}  // namespace k8lite::kubelet
