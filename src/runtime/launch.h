// From what a container is to be (a spec in the words of the OCI runtime specification) to the plan by which the shim builds it. Pure.
#pragma once
#include <string>
#include <vector>

#include "runtime/shim_protocol.h"

namespace k8lite::runtime {

struct BindMount {
  std::string source, target;
  bool read_only = false, file = false, recursive = true;
  unsigned long propagation = 0;  // MS_SLAVE, MS_SHARED (with `source` a shared mount: what is mounted inside shows outside) or 0
  std::string sub = {};           // the part of `source` to mount, never followed out of it
  bool read_only_below = false;   // with `read_only`: so is everything mounted below
};

struct ContainerSpec {
  std::vector<std::string> layers;  // overlay lower folders, topmost first
  std::string folder;               // of this container: rootfs, upper and work folders go into it
  std::vector<std::string> args, env;
  std::string cwd;
  uint64_t uid = 0, gid = 0;
  std::vector<uint64_t> groups;
  std::vector<std::string> add_capabilities, drop_capabilities;  // "NET_ADMIN", "ALL"
  bool privileged = false, no_new_privileges = false, read_only_root = false, tty = false, stdin_open = false, stdin_once = false, host_pid = false;
  int64_t oom_score_adj = 0;
  std::vector<BindMount> mounts;
  bool unmasked_proc = false;
  std::string processes_of;  // "" : its own; shim::kPodProcesses; another container's id
  std::string log_path;
  std::vector<std::string> cgroup_procs;
  std::vector<std::string> cgroup_hierarchies;  // of v1, by mount option ("cpu,cpuacct"); none: v2
  std::string oom_file;
  int64_t shm_bytes = 64 << 20;
};
shim::Plan plan_container(const ContainerSpec& spec);

// The 14 capabilities containers get by default (as docker and containerd give them), and any list of names, as a mask of bits.
uint64_t default_capabilities();
uint64_t capability_mask(const std::vector<std::string>& add, const std::vector<std::string>& drop, bool privileged);

}  // namespace k8lite::runtime
