// Hooks: programs of the administrator's that get the container's state on standard input at points of its life
// (OCI runtime-spec 1.2, config "POSIX-platform Hooks").
#pragma once
#include <string>

#include "runc/json.h"

namespace k8lite::runc {

// Each in order; the first that fails, or takes longer than its timeout (then it is killed), fails the whole.
void run_hooks(const Json& hooks, const Json& state, const char* kind);
void run_hooks_leniently(const Json& hooks, const Json& state);  // failures are warnings

}  // namespace k8lite::runc
