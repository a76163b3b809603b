// From a process of the container that still has every right to the user's program: limits, scheduling, user,
// capabilities, seccomp and exec. `run`'s first process and `exec`'s go the same way (OCI runtime-spec 1.2, config
// "Process").
#pragma once
#include <linux/filter.h>

#include <string>
#include <vector>

#include "runc/json.h"

namespace k8lite::runc {

struct Becoming {
  const Json* process = nullptr;
  const Json* seccomp = nullptr;  // linux.seccomp, or null
  int preserve_fds = 0;           // beyond standard error
  int notify_socket = -1;         // where the seccomp listener goes, connected
  std::string notify_state;       // what is said with it
  bool user_ns = false;           // what needs the host's rights may fail
  bool keep_groups = false;       // the caller's supplementary ones
};
// While the host's files can still be seen.
void limit_process(const Becoming& b);
// Inside of the root: everything up to the program, which is looked up. Seccomp is loaded here unless no_new_privs is
// wanted.
void shed_rights(const Becoming& b, std::string& program);
// The last step. Does not come back.
// `last` runs when all is as the program will find it, seccomp too: the hooks of the start.
[[noreturn]] void execute(const Becoming& b, const std::string& program, void (*last)() = nullptr);
// Descriptors from `first` on do not survive the exec.
void close_on_exec_from(int first);

int capability_number(const std::string& name);  // of "CAP_KILL"; -1
std::vector<std::string> capability_names();
int last_capability();

}  // namespace k8lite::runc
