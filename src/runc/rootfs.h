// The container's file system: its mounts, devices and links, what is masked and read-only, and the change into it.
// Everything below the root is reached through descriptors that the kernel resolved inside of it, and mounts are
// attached to such descriptors: whoever exchanges folders for links meanwhile changes nothing outside.
#pragma once
#include <string>
#include <vector>

#include "runc/cgroups.h"
#include "runc/json.h"

namespace k8lite::runc {

struct Rootfs {
  const Json* spec = nullptr;
  std::string bundle, path;  // path: of the root folder on the host
  const Cgroups* cgroups = nullptr;
  bool user_ns = false, cgroup_ns = false, no_pivot = false, mount_ns = true;
  std::vector<int> trees;            // for each mount: its source as a detached mount, made by the parent, or -1
  void (*await_cgroup)() = nullptr;  // returns when this process is in its cgroups
  int root = -1;
};

// In the parent: mounts whose sources a process of the new user namespace could not reach or map.
void prepare_trees(Rootfs& r);
// In the container's process, in this order.
void build_rootfs(Rootfs& r);
void bind_console(Rootfs& r, int terminal);
void seal_rootfs(Rootfs& r);  // masks and read-only paths
void enter_rootfs(Rootfs& r);

}  // namespace k8lite::runc
