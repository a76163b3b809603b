// The part of the shim that runs inside of a new container's process: builds the rootfs by its plan and becomes the user's program.
#pragma once
#include "runtime/shim_protocol.h"

namespace k8lite::shim {

// Runs in the child, never returns. Errors go as text ("mount /proc: operation not permitted") to `error_fd`, which closes on exec.
// `stdio` become 0, 1 and 2.
[[noreturn]] void become_container(const runtime::shim::Plan& plan, const int stdio[3], int error_fd);
// Joins the namespaces of `target_pid` (already forked into its pid namespace) and becomes the process.
[[noreturn]] void become_exec(const runtime::shim::Process& process, int mount_ns, int root_fd, const int stdio[3], int error_fd);

}  // namespace k8lite::shim
