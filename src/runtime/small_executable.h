// The small executable that k8lite carries in itself: shim of a pod and OCI runtime.
#pragma once

namespace k8lite::runtime {

// In a sealed memory file: what runs in containers cannot change it, and all that run from one such file share its pages. Needs nothing
// that a constructor sets up. -1 with errno when it could not be made.
//
// With `keep`, a root-only copy is kept unpacked below /run/k8lite and the memory file is filled from it: a command of the OCI runtime
// takes as long as unpacking.
int open_small_executable(bool keep);

}  // namespace k8lite::runtime
