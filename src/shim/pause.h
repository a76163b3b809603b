// Process 1 of the process namespace that a pod's containers share (shareProcessNamespace): takes in their orphans until the shim ends.
// They can look at it, so there is nothing to be seen: no files, no rights, no arguments.
#pragma once
#include <stddef.h>

namespace k8lite::shim {

// `folder`: any one, for an empty root to be mounted over (in a mount namespace of its own). `arguments`: what the kernel shows as the
// command line, overwritten.
[[noreturn]] void hold_processes(const char* folder, char* arguments, size_t length);

}  // namespace k8lite::shim
