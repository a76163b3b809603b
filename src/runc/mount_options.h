// The words that `mounts[].options` may hold, as flags for the kernel (OCI runtime-spec 1.2, config-linux "Linux mount
// options"). Pure.
#pragma once
#include <stdint.h>

#include <string>
#include <vector>

namespace k8lite::runc {

struct MountOptions {
  unsigned long flags = 0, cleared = 0;
  std::vector<unsigned long> propagations;          // each its own mount(2)
  uint64_t recursive_set = 0, recursive_clear = 0;  // MOUNT_ATTR_…: "rro", "rnosuid"
  bool copy_up = false, idmap = false, idmap_recursive = false;
  std::string data;  // what is the file system's own
};
MountOptions parse_mount_options(const std::vector<std::string>& options);
bool parse_propagation(const std::string& word, unsigned long& flags);  // of rootfsPropagation
std::vector<std::string> known_mount_options();                         // as `features` lists them

std::string clean_path(const std::string& path);  // absolute, without "." and doubled slashes
// What an image's author chose must not cover what the kernel shows: below /proc only some harmless files may be
// mounted upon.
bool may_mount_below_proc(const std::string& target, const std::string& type, bool source_is_proc);

}  // namespace k8lite::runc
