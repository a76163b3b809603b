// What is remembered of a container between commands: a folder below --root with runc's state.json, the spec it was
// made from and, until it is started, the fifo that its first process waits on.
#pragma once
#include <sys/types.h>

#include <string>
#include <vector>

#include "runc/cgroups.h"
#include "runc/json.h"

namespace k8lite::runc {

struct Container {
  std::string id, folder, status;  // status: created, running, paused, stopped
  Json state, spec;
  pid_t pid = 0;  // 0 when it has ended
  std::string bundle() const;
  Cgroups cgroups() const { return Cgroups::of_state(state); }
  // The specification's state: for `state` and for hooks.
  Json oci_state(const char* status_now, pid_t pid_now) const;
};

std::string& state_root();
bool valid_id(const std::string& id);
[[noreturn]] void refuse_id(const std::string& id);
std::string folder_of(const std::string& id);
Container load(const std::string& id);  // fails: "container does not exist"
bool try_load(const std::string& id, Container& c);
void store(const Container& c, pid_t pid);
uint64_t start_time_of(pid_t pid, char* process_state = nullptr);  // in clock ticks since boot; 0: no such process
void destroy(Container& c);                                        // cgroups, folder, then the poststop hooks

}  // namespace k8lite::runc
