#include "kubelet/volumes.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>

#include "api/volumes.h"
#include "base/quantity.h"
#include "base/strings.h"
#include "kubelet/mounts.h"
#include "kubelet/nfs.h"
#include "kubelet/pod_plan.h"
#include "os/files.h"

namespace k8lite::kubelet {
namespace {

using json::Value;

struct File {
  std::string content;
  mode_t mode;
};
using Files = std::map<std::string, File>;

std::string real_path(const std::string& path) {
  char real[4096];
  return ::realpath(path.c_str(), real) ? real : path;
}

// Replaces the folder's content as a whole: a new dated folder, then "..data" is renamed over; files are links through "..data".
Result<> write_atomically(const std::string& dir, const Files& files) {
  TRY_OK(os::make_dirs(dir));
  std::string current = dir + "/..data";
  bool same = os::exists(current);
  for (const auto& [path, f] : files) same = same && os::read_file(current + "/" + path).value_or("\x01") == f.content;
  if (same && os::list_dir(current).size() <= files.size()) return {};
  static std::atomic<unsigned> counter{0};
  std::string fresh_name = "..k8lite_" + std::to_string(::getpid()) + "_" + std::to_string(counter++), fresh = dir + "/" + fresh_name;
  TRY_OK(os::make_dirs(fresh));
  for (const auto& [path, f] : files) {
    if (size_t slash = path.rfind('/'); slash != path.npos) TRY_OK(os::make_dirs(fresh + "/" + path.substr(0, slash)));
    TRY_OK(os::write_file(fresh + "/" + path, f.content, f.mode, false));
  }
  char old[256] = {};
  ssize_t n = ::readlink(current.c_str(), old, sizeof old - 1);
  std::string temporary = dir + "/..data_tmp";
  ::unlink(temporary.c_str());
  if (::symlink(fresh_name.c_str(), temporary.c_str()) != 0 || ::rename(temporary.c_str(), current.c_str()) != 0) return Status::from_errno("swap " + current, errno);
  std::map<std::string, bool> tops;
  for (const auto& [path, f] : files) tops[path.substr(0, path.find('/'))] = true;
  for (const auto& [top, unused] : tops)
    if (!os::exists(dir + "/" + top) && ::symlink(("..data/" + top).c_str(), (dir + "/" + top).c_str()) != 0) return Status::from_errno("link " + top, errno);
  for (const auto& name : os::list_dir(dir))
    if (!name.starts_with("..") && !tops.count(name)) ::unlink((dir + "/" + name).c_str());
  if (n > 0) (void)os::remove_tree(dir + "/" + std::string(old, static_cast<size_t>(n)));
  return {};
}

// Keys of a config map or secret, all or those of `items`, as files.
Result<> add_keys(Files& files, Value source, const std::string& object_name, bool secret, const EnvironmentInput& env, mode_t mode) {
  bool optional = source["optional"].bool_or(false);
  auto object = env.get(secret ? "secrets" : "configmaps", object_name);
  if (!object.ok() && object.status().is(Reason::NotFound) && optional) return {};
  if (!object.ok()) return object.status();
  std::map<std::string, std::string> content;
  for (auto m : (*object)["data"].members()) content[m.key()] = secret ? base64_decode(m.value.str()).value_or("") : m.value.str();
  for (auto m : (*object)["binaryData"].members()) content[m.key()] = base64_decode(m.value.str()).value_or("");
  if (source["items"].size() == 0) {
    for (auto& [key, text] : content) files[key] = {std::move(text), mode};
    return {};
  }
  for (Value item : source["items"].items()) {
    auto it = content.find(item["key"].str());
    if (it == content.end() && optional) continue;
    if (it == content.end()) return not_found("references non-existent " + std::string(secret ? "secret" : "config") + " key: " + item["key"].str());
    TRY_OK(check_volume_path(item["path"].str()));
    files[item["path"].str()] = {it->second, static_cast<mode_t>(item["mode"].int_or(mode))};
  }
  return {};
}

Result<> add_downward(Files& files, Value source, const EnvironmentInput& env, mode_t mode) {
  for (Value item : source["items"].items()) {
    std::string text;
    if (Value f = item["fieldRef"]) {
      TRY(text, field_value(env, f["fieldPath"].str()));
    } else {
      Value r = item["resourceFieldRef"];
      TRY(text, resource_value(env, find_container(env.pod, r["containerName"].str()), r["resource"].str(), r["divisor"].str()));
    }
    TRY_OK(check_volume_path(item["path"].str()));
    files[item["path"].str()] = {std::move(text), static_cast<mode_t>(item["mode"].int_or(mode))};
  }
  return {};
}

Result<> add_projected(Files& files, Value source, const VolumeContext& c, mode_t mode) {
  for (Value s : source["sources"].items()) {
    if (Value t = s["serviceAccountToken"]) {
      TRY(std::string token, c.token(t["audience"].str(), t["expirationSeconds"].int_or(3600)));
      TRY_OK(check_volume_path(t["path"].str()));
      files[t["path"].str()] = {std::move(token), mode};
    } else if (Value cm = s["configMap"]) {
      TRY_OK(add_keys(files, cm, cm["name"].str(), false, c.environment, mode));
    } else if (Value secret = s["secret"]) {
      TRY_OK(add_keys(files, secret, secret["name"].str(), true, c.environment, mode));
    } else if (Value d = s["downwardAPI"]) {
      TRY_OK(add_downward(files, d, c.environment, mode));
    } else {
      return bad_request("a projected source of this kind is not supported by this node");
    }
  }
  return {};
}

Result<> empty_dir(Value source, const std::string& dir) {
  bool in_memory = source["medium"].equals("Memory"), there = os::exists(dir);
  if (there && (!in_memory || is_mount_point(real_path(dir)))) return {};  // memory does not outlive a machine's restart
  TRY_OK(os::make_dirs(dir));
  ::chmod(dir.c_str(), 0777);
  if (!in_memory) return {};
  std::string data = "mode=1777";
  if (auto q = Quantity::parse(source["sizeLimit"].str())) data += ",size=" + std::to_string(q->value());
  if (::mount("tmpfs", dir.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, data.c_str()) != 0) return Status::from_errno("mount tmpfs", errno);
  return {};
}

Result<> host_path(Value source) {
  std::string path = source["path"].str(), type = source["type"].str();
  struct stat st;
  bool there = ::stat(path.c_str(), &st) == 0;
  if (type == "DirectoryOrCreate" && !there) return os::make_dirs(path);
  if (type == "FileOrCreate" && !there) {
    os::Fd fd(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    return fd ? Result<>() : Status::from_errno("create " + path, errno);
  }
  // Without a type docker made what was missing; Kubernetes' runtimes still do.
  if (type.empty() && !there) return os::make_dirs(path);
  auto is = [&](const char* t, bool fits) { return type != t || (there && fits); };
  if (!is("Directory", there && S_ISDIR(st.st_mode))) return bad_request("hostPath type check failed: " + path + " is not a directory");
  if (!is("File", there && S_ISREG(st.st_mode))) return bad_request("hostPath type check failed: " + path + " is not a file");
  if (!is("Socket", there && S_ISSOCK(st.st_mode))) return bad_request("hostPath type check failed: " + path + " is not a socket file");
  return {};
}

// As the kubelet gives a volume to the pod's fsGroup: the group owns every file, may read (and write, where the volume is not made of
// API objects), and folders hand the group down.
Result<> give_to_group(const std::string& path, gid_t group, bool read_only) {
  struct stat st;
  if (::lstat(path.c_str(), &st) != 0) return Status::from_errno("give " + path + " to its group", errno);
  if (::lchown(path.c_str(), static_cast<uid_t>(-1), group) != 0) return Status::from_errno("give " + path + " to group " + std::to_string(group), errno);
  if (S_ISLNK(st.st_mode)) return {};
  mode_t mode = (st.st_mode & 07777) | (read_only ? 0440 : 0660);
  if (S_ISDIR(st.st_mode)) mode |= S_ISGID | 0110;
  if (::chmod(path.c_str(), mode) != 0) return Status::from_errno("give " + path + " to its group", errno);
  if (!S_ISDIR(st.st_mode)) return {};
  for (const auto& name : os::list_dir(path)) TRY_OK(give_to_group(path + "/" + name, group, read_only));
  return {};
}

// fsGroupChangePolicy OnRootMismatch: a large volume is walked once only.
bool root_belongs_to(const std::string& path, gid_t group) {
  struct stat st;
  return ::stat(path.c_str(), &st) == 0 && st.st_gid == group && (st.st_mode & S_ISGID) && (st.st_mode & 0660) == 0660;
}

// A kind of volume that nothing here mounts, by its field's name.
std::string no_plugin(Value source) {
  std::string kind = "?";
  for (auto m : source.members())
    if (m.value.is_object() && m.key() != "capacity" && m.key() != "claimRef" && m.key() != "nodeAffinity") kind = m.key();
  std::string driver = source[kind]["driver"].str();
  return "no volume plugin matched: volumes of kind " + kind + (driver.empty() ? "" : " (driver " + driver + ")") + " are not supported by this node";
}

Result<> link_to(const std::string& target, const std::string& link) {
  char now[4096] = {};
  if (ssize_t n = ::readlink(link.c_str(), now, sizeof now - 1); n > 0 && target == std::string(now, static_cast<size_t>(n))) return {};
  TRY_OK(os::make_dirs(link.substr(0, link.rfind('/'))));
  ::unlink(link.c_str());
  return ::symlink(target.c_str(), link.c_str()) == 0 ? Result<>() : Status::from_errno("link " + link, errno);
}

// A folder on this machine that was given out as a volume, or one that somebody made here.
Result<> local_folder(const json::Doc& volume, const VolumeContext& c, std::string& path) {
  struct stat st {};
  if (Value s = volume.path("spec.hostPath")) {
    path = s["path"].str();
    bool made = ::stat(path.c_str(), &st) != 0;
    TRY_OK(host_path(s));
    if (made && api::is_local_path(volume["metadata"]["annotations"][api::kProvisionedBy])) ::chmod(path.c_str(), 0777);
    return {};
  }
  path = volume.path("spec.local.path").str();
  if (::stat(path.c_str(), &st) != 0) return Status::from_errno("local volume " + json::quoted(path), errno);
  if (!S_ISDIR(st.st_mode)) return bad_request("local volume " + json::quoted(path) + " is not a folder: this node makes no file systems on devices (volumeMode: Block gives the device itself)");
  Value security = c.environment.pod.path("spec.securityContext");
  if (Value g = security["fsGroup"]; g && !c.environment.pod.path("metadata.deletionTimestamp")) {
    auto group = static_cast<gid_t>(g.int_or(0));
    if (!security["fsGroupChangePolicy"].equals("OnRootMismatch") || !root_belongs_to(path, group)) TRY_OK(give_to_group(path, group, false));
  }
  return {};
}

Result<> block_device(const json::Doc& volume, std::string& path) {
  Value source = volume.path("spec.local") ? volume.path("spec.local") : volume.path("spec.hostPath");
  path = source["path"].str();
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0) return Status::from_errno("block device " + json::quoted(path), errno);
  if (!S_ISBLK(st.st_mode)) return bad_request(json::quoted(path) + " is not a block device");
  return {};
}

// Is the volume named under `volumeMounts`, or under `volumeDevices`, by one of the containers?
bool is_used_as(Value pod, std::string_view list, const std::string& name) {
  for (const char* containers : {"containers", "initContainers", "ephemeralContainers"})
    for (Value c : pod["spec"][containers].items())
      for (Value m : c[list].items())
        if (m["name"].equals(name)) return true;
  return false;
}

Result<> nfs(Value source, const std::vector<std::string>& options, const VolumeContext& c, const std::string& dir) {
  TRY_OK(os::make_dirs(dir.substr(0, dir.rfind('/'))));
  std::string real = real_path(dir.substr(0, dir.rfind('/'))) + dir.substr(dir.rfind('/'));
  if (is_mount_point(real)) return {};
  TRY_OK(os::make_dirs(dir));
  std::string server = source["server"].str();
  if (!c.resolve) return bad_request("there is nobody to look up the name of the server " + server);
  TRY(std::string address, c.resolve(server));
  return mount_nfs(plan_nfs(source, options, address), real);
}

Result<> persistent_volume(Value v, const std::string& claim, const VolumeContext& c, const std::string& dir) {
  TRY(json::Doc volume, c.volume_of_claim(claim));
  std::string name = v["name"].str(), path;
  bool block = volume.path("spec.volumeMode").equals("Block");
  if (is_used_as(c.environment.pod, block ? "volumeMounts" : "volumeDevices", name))
    return bad_request(std::string("volume ") + name + " has volumeMode " + (block ? "Block, but is specified in volumeMounts" : "Filesystem, but is specified in volumeDevices"));
  bool here = volume.path("spec.local") || volume.path("spec.hostPath");
  if (block && here) {
    TRY_OK(block_device(volume, path));
    return link_to(path, dir);
  }
  if (Value s = volume.path("spec.nfs"); s && !block) {
    std::vector<std::string> options;
    for (Value o : volume.path("spec.mountOptions").items()) options.push_back(o.str());
    return nfs(s, options, c, dir);
  }
  if (!here) return bad_request(no_plugin(volume.root()["spec"]) + " (persistent volume " + json::quoted(volume.path("metadata.name").str()) + ")");
  TRY_OK(local_folder(volume, c, path));
  return link_to(path, dir);
}

Result<> set_up(Value v, const VolumeContext& c) {
  std::string dir = volume_dir(c.pod_dir, v["name"].str());
  Value group = c.environment.pod.path("spec.securityContext.fsGroup");
  if (Value s = v["emptyDir"]) {
    bool there = os::exists(dir);
    TRY_OK(empty_dir(s, dir));
    return there || !group ? Result<>() : give_to_group(dir, static_cast<gid_t>(group.int_or(0)), false);
  }
  if (Value s = v["hostPath"]) return host_path(s);
  if (v["image"]) return {};  // when the first container that mounts it starts: see image_volumes.cpp
  if (Value s = v["nfs"]) return nfs(s, {}, c, dir);
  if (std::string claim = api::claim_of(c.environment.pod, v); !claim.empty()) return persistent_volume(v, claim, c, dir);
  Files files;
  if (Value s = v["configMap"]) TRY_OK(add_keys(files, s, s["name"].str(), false, c.environment, static_cast<mode_t>(s["defaultMode"].int_or(0644))));
  else if (Value x = v["secret"]) TRY_OK(add_keys(files, x, x["secretName"].str(), true, c.environment, static_cast<mode_t>(x["defaultMode"].int_or(0644))));
  else if (Value d = v["downwardAPI"]) TRY_OK(add_downward(files, d, c.environment, static_cast<mode_t>(d["defaultMode"].int_or(0644))));
  else if (Value p = v["projected"]) TRY_OK(add_projected(files, p, c, static_cast<mode_t>(p["defaultMode"].int_or(0644))));
  else return bad_request(no_plugin(v));
  TRY_OK(write_atomically(dir, files));
  return group ? give_to_group(dir, static_cast<gid_t>(group.int_or(0)), true) : Result<>();
}

}  // namespace

std::string volume_dir(const std::string& pod_dir, std::string_view name) { return pod_dir + "/volumes/" + std::string(name); }

Result<> check_volume_path(const std::string& path) {
  for (auto part : split(path, '/'))
    if (part == "..") return bad_request("path " + json::quoted(path) + " leaves the volume");
  return {};
}

Result<> set_up_volumes(const VolumeContext& c) {
  for (Value v : c.environment.pod.path("spec.volumes").items()) {
    auto r = set_up(v, c);
    if (!r.ok()) return std::move(r).status().within("MountVolume.SetUp failed for volume " + json::quoted(v["name"].str()) + " ");
  }
  return {};
}

bool has_changing_volumes(Value pod) {
  for (Value v : pod.path("spec.volumes").items())
    if (v["configMap"] || v["secret"] || v["projected"] || v["downwardAPI"]) return true;
  return false;
}

Result<> tear_down_volumes(const std::string& pod_dir) {
  unmount_below(pod_dir);
  return os::remove_tree(pod_dir);
}

}  // namespace k8lite::kubelet
