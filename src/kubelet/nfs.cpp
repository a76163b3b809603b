#include "kubelet/nfs.h"

#include <errno.h>
#include <sys/mount.h>

#include "base/strings.h"

namespace k8lite::kubelet {
namespace {

struct FlagRow {
  std::string_view name;
  unsigned long set, clear;
};
constexpr FlagRow kFlags[] = {{"ro", MS_RDONLY, 0},
                              {"rw", 0, MS_RDONLY},
                              {"noexec", MS_NOEXEC, 0},
                              {"exec", 0, MS_NOEXEC},
                              {"nosuid", MS_NOSUID, 0},
                              {"suid", 0, MS_NOSUID},
                              {"nodev", MS_NODEV, 0},
                              {"dev", 0, MS_NODEV},
                              {"noatime", MS_NOATIME, 0},
                              {"nodiratime", MS_NODIRATIME, 0},
                              {"relatime", MS_RELATIME, 0},
                              {"strictatime", MS_STRICTATIME, 0},
                              {"sync", MS_SYNCHRONOUS, 0},
                              {"async", 0, MS_SYNCHRONOUS},
                              {"dirsync", MS_DIRSYNC, 0},
                              {"defaults", 0, 0}};
// For mount.nfs and init scripts: nothing that the kernel knows.
constexpr std::string_view kNotForTheKernel[] = {"auto", "noauto", "nofail", "_netdev", "bg", "fg", "user", "nouser"};
constexpr std::string_view kVersions[] = {"4.2", "4.1", "4.0", "3"};

bool is_not_for_the_kernel(std::string_view option) {
  for (auto name : kNotForTheKernel)
    if (name == option) return true;
  return option.starts_with("retry=") || option.starts_with("x-");
}

// The version that the options ask for; "": whatever the server speaks.
std::string version_of(std::string_view option) {
  if (option == "v3" || option == "nfsvers3") return "3";
  if (option.starts_with("v4") && (option.size() == 2 || option[2] == '.')) return std::string(option.substr(1));
  for (std::string_view key : {"vers=", "nfsvers="})
    if (option.starts_with(key)) return std::string(option.substr(key.size()));
  return {};
}

}  // namespace

std::vector<KernelMount> plan_nfs(json::Value source, const std::vector<std::string>& options,
                                  const std::string& address) {
  KernelMount m;
  std::string server = source["server"].str(), version, minor, rest;
  m.source = (server.find(':') != server.npos && server[0] != '[' ? "[" + server + "]" : server) + ":" +
             source["path"].str();
  if (source["readOnly"].bool_or(false)) m.flags |= MS_RDONLY;
  for (const auto& listed : options)
    for (auto option : split(listed, ',')) {
      const FlagRow* row = nullptr;
      for (const FlagRow& f : kFlags)
        if (f.name == option) row = &f;
      if (row) {
        m.flags = (m.flags & ~row->clear) | row->set;
        continue;
      }
      if (option.empty() || is_not_for_the_kernel(option)) continue;
      if (std::string v = version_of(option); !v.empty()) {
        version = v;
        continue;
      }
      if (option.starts_with("minorversion=")) {
        minor = option.substr(13);
        continue;
      }
      rest += "," + std::string(option);
    }
  if (source["readOnly"].bool_or(false)) m.flags |= MS_RDONLY;  // no option takes it back
  if (version == "4" && !minor.empty()) version += "." + minor;
  std::vector<std::string> versions;
  for (auto v : kVersions)
    if (version.empty() || version == v || (version == "4" && v.starts_with("4."))) versions.emplace_back(v);
  if (versions.empty()) versions.push_back(version);
  std::vector<KernelMount> out;
  for (const auto& v : versions) {
    KernelMount t = m;
    t.type = v.starts_with("4") ? "nfs4" : "nfs";
    t.data = "vers=" + v + ",addr=" + address + rest;
    // Locks of version 3 need a daemon beside the kernel that nobody can count upon.
    if (v == "3" && rest.find("lock") == rest.npos) t.data += ",nolock";
    out.push_back(std::move(t));
  }
  return out;
}

Status nfs_failure(const KernelMount& m, int error) {
  std::string what = "mount " + m.source + " (" + m.data + ")";
  if (error == ENODEV)
    return unavailable(what + ": the kernel of this node has no NFS client: load its module (modprobe nfs), or build it in");
  if (error == EACCES) return Status(Reason::Forbidden, what + ": access denied by the server");
  if (error == ENOENT) return not_found(what + ": the server does not export this path");
  return Status::from_errno(what, error);
}

Result<> mount_nfs(const std::vector<KernelMount>& tries, const std::string& target) {
  Status failed;
  for (const auto& t : tries) {
    if (::mount(t.source.c_str(), target.c_str(), t.type.c_str(), t.flags, t.data.c_str()) == 0) return {};
    int error = errno;
    failed = nfs_failure(t, error);
    // Only what speaks of the version is a reason to ask for an older one.
    if (error != EPROTONOSUPPORT && error != EINVAL && error != EPROTO && error != EOPNOTSUPP) break;
  }
  return failed;
}

}  // namespace k8lite::kubelet
