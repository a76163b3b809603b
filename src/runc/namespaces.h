// The namespaces of a container: which are new, which are joined, and how the first process comes to be in them.
#pragma once
#include <sys/types.h>

#include <string>
#include <vector>

#include "runc/json.h"

namespace k8lite::runc {

struct Namespaces {
  unsigned long fresh = 0;  // CLONE_NEW…
  struct Joined {
    int fd;
    unsigned long flag;
    std::string path;
  };
  std::vector<Joined> joined;  // the user namespace first, mounts last
  bool has(unsigned long flag) const;
  bool is_joined(unsigned long flag) const;
};
constexpr unsigned long kNewTime = 0x80;

Namespaces read_namespaces(const Json& linux_part);  // opens the paths
const char* namespace_name(unsigned long flag);      // "net"
// In the order in which /proc/PID/ns is entered by `exec`.
std::vector<unsigned long> all_namespaces();
void write_id_maps(pid_t pid, const Json& linux_part);
void join(const Namespaces::Joined& ns);
void become_root_of_user_namespace();

}  // namespace k8lite::runc
