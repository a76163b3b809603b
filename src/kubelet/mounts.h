// What the node agent has to do with mounts: reading the kernel's table of them, taking away what lies below a pod's
// folder, and finding the part of a volume that a container asked for without following anybody out of it.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "os/files.h"

namespace k8lite::kubelet {

struct MountEntry {
  std::string target, type;
  bool shared = false;  // what is mounted below is seen by others too
};
// From the text of /proc/self/mountinfo, in its order.
std::vector<MountEntry> parse_mountinfo(std::string_view text);
std::vector<MountEntry> mounts_now();
// The mount that `path` lies on; empty target: none is known.
MountEntry mount_of(const std::vector<MountEntry>& mounts, const std::string& path);
// `path` without links in it. Does not look at what is mounted there, so that a server that is gone does not hang it.
bool is_mount_point(const std::string& path);
// Lets go of everything that is mounted at `folder` or below it, last first, though somebody still uses it.
void unmount_below(const std::string& folder);

// The part `sub` ("a/b") of the volume at `base`, created with the volume's own mode where it is missing and `create`.
// Links inside are followed as long as they stay inside: whoever else writes to the volume cannot lead us out.
Result<os::Fd> open_sub_path(const std::string& base, const std::string& sub, bool create);
// Does the kernel make a mount read-only with all that is mounted below it (Linux 5.12)?
bool has_recursive_read_only();

}  // namespace k8lite::kubelet
