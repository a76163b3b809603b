// A container's cgroups, version 1, hybrid and 2, through the cgroup file system. What a resource means is decided by a
// pure function that lists the writes, so that both versions are tested without a kernel.
#pragma once
#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "runc/json.h"

namespace k8lite::runc {

struct CgroupWrite {
  std::string controller, file, value;  // controller: "" on version 2
  bool optional = false;                // a kernel without that file is fine
};
// The writes for `linux.resources` (not the devices). What cannot be said in this version is left out.
std::vector<CgroupWrite> plan_cgroup(const Json& resources, bool v2);
uint64_t weight_of_shares(uint64_t shares);
uint64_t weight_of_blkio(uint64_t weight);

class Cgroups {
 public:
  // Where a container of this spec goes. A relative path (and none: the id) is below the caller's own cgroups.
  // With the systemd driver: in the slice and unit that the spec names.
  static Cgroups of_spec(const Json& spec, const std::string& id);
  static Cgroups of_state(const Json& state);
  void to_state(Json& state) const;

  bool v2() const { return v2_; }
  // Fails with a message. A cgroup with others in it is theirs, too: it is not cleared at the end.
  void create(const Json& spec, const std::string& id, pid_t pid);
  void apply(const Json& resources, bool devices) const;
  void add(pid_t pid) const;
  Cgroups below(
      const std::string& path) const;  // "controller,…:path" or "path", relative to the container's own; must be there
  std::vector<pid_t> pids() const;     // of everything below, too
  void freeze(bool frozen) const;
  bool frozen() const;
  bool signal_all(int number) const;                      // false when there was nobody
  bool remove() const;                                    // kills what is left; absent is fine
  Json stats() const;                                     // as `runc events --stats` shows them
  std::string folder(std::string_view controller) const;  // "" : there is none
  const std::vector<std::pair<std::string, std::string>>& all() const { return folders_; }
  bool empty() const { return folders_.empty(); }
  const std::string& unit() const { return unit_; }  // systemd's; "" : none

 private:
  std::vector<std::pair<std::string, std::string>>
      folders_;  // controllers of a hierarchy ("cpu,cpuacct"; "" the second version's), folder
  bool v2_ = false;
  std::string unit_;
  bool shared_ = false;
};

}  // namespace k8lite::runc
