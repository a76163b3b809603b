// Cgroups of pods and containers, v1, hybrid and v2, through the cgroupfs. What is written where is decided by pure functions; the
// root folder is an argument so that both layouts are tested on fixture trees. (Kubernetes' cgroup hierarchy: kubepods/<qos>/pod<uid>.)
#pragma once
#include <string>
#include <vector>

#include "base/result.h"

namespace k8lite::runtime {

struct Resources {
  int64_t memory_limit = 0;    // bytes; 0: none
  int64_t cpu_shares = 0;      // v1 shares (1024 a core); 0: least
  int64_t cpu_quota_us = 0;    // of each period; 0: none
  int64_t cpu_period_us = 100'000;
  int64_t pids_limit = 0;
};

// Name of a kernel file and what goes into it.
struct KernelWrite {
  std::string controller, file, value;  // controller "" on v2
};
std::vector<KernelWrite> plan_resources(const Resources& resources, bool v2);
int64_t shares_of_milli_cpu(int64_t milli);
int64_t weight_of_shares(int64_t shares);  // v2 cpu.weight

class Cgroups {
 public:
  explicit Cgroups(std::string root = "/sys/fs/cgroup");
  bool v2() const { return v2_; }
  // Which of cpu, memory and pids the kernel does not give: limits of that kind are not kept.
  std::vector<std::string> missing() const;
  // Creates "kubepods/burstable/pod…/…" in every hierarchy and applies the resources. A controller the kernel lacks is left out.
  Result<> create(const std::string& path, const Resources& resources) const;
  // Where a pod's own keeper (the shim) goes, made if need be: in v2 a cgroup with a process of its own cannot hand memory
  // and cpu down to its containers' cgroups, so the keeper gets one beside theirs.
  Result<std::string> create_keeper(const std::string& pod) const;
  // The cgroup.procs files a process joins.
  std::vector<std::string> procs_files(const std::string& path) const;
  // The hierarchies of v1 that containers are to see, as the kernel's mount options name them ("cpu,cpuacct", "memory"); none on v2.
  // `text` is that of /proc/self/cgroup.
  std::vector<std::string> hierarchies(std::string_view text) const;
  std::string oom_file(const std::string& path) const;
  Result<> remove(const std::string& path) const;  // kills what is left in it; absent is fine
  struct Usage {
    int64_t memory_bytes = 0, working_set_bytes = 0, cpu_usage_ns = 0;
  };
  Usage usage(const std::string& path) const;

 private:
  std::vector<std::string> folders(const std::string& path) const;
  std::string root_;
  bool v2_ = false;
  std::vector<std::string> controllers_;  // v1 hierarchies that are there
};

}  // namespace k8lite::runtime
