// Opening and making things below a container's root by the kernel's own rules for a root: no link, and nobody who
// exchanges a folder for a link meanwhile, leads out of it (openat2, RESOLVE_IN_ROOT). Every function gives a
// descriptor or -1 with errno.
#pragma once
#include <stdint.h>

#include <string>

namespace k8lite::shim {

int open_in_root(int root, const std::string& path, uint64_t flags);
int open_without_links(int root, const std::string& path, uint64_t flags);  // ELOOP where a link is on the way
int make_dirs_in_root(int root, const std::string& path, int depth = 0);    // O_PATH, mode 0755
int make_file_in_root(int root, const std::string& path);  // O_PATH of what is there, else of a new empty file
std::string parent_of(const std::string& path);
std::string base_of(const std::string& path);
std::string fd_path(int fd);

}  // namespace k8lite::shim
