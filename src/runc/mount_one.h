// One mount of a container, and what it takes: attaching, flags, propagation, attributes, copying up.
#pragma once
#include <string>

#include "runc/mount_options.h"
#include "runc/rootfs.h"

namespace k8lite::runc {

int open_tree_of(int at, const std::string& path, bool recursive);  // a detached copy; -1 with errno
void attach_tree(int tree, int target, const std::string& what);    // both stay open; `tree` is then the mounted root
void set_flags(int mount_fd, unsigned long flags,
               const std::string& what);  // of one bind mount; keeps flags that may not be cleared
void mount_one(Rootfs& r, const Json& mount, int tree);
void copy_tree(int from, int to);

}  // namespace k8lite::runc
