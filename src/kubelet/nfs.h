// Volumes of NFS servers, mounted by the kernel itself: there is no mount.nfs in a static executable's world. The kernel
// takes the server's address beside its name, and one version of the protocol at a time. (nfs(5).)
#pragma once
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace k8lite::kubelet {

struct KernelMount {
  std::string source, type, data;
  unsigned long flags = 0;
};
// What to try, in order; the first that the server speaks is taken. Pure. `source`: an NFSVolumeSource; `options`: a
// volume's mountOptions; `address`: of the server.
std::vector<KernelMount> plan_nfs(json::Value source, const std::vector<std::string>& options,
                                  const std::string& address);
// What kernel and server answered, as a user can act on it.
Status nfs_failure(const KernelMount& mount, int error);
Result<> mount_nfs(const std::vector<KernelMount>& tries, const std::string& target);

}  // namespace k8lite::kubelet
