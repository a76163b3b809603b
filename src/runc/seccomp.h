// Seccomp profiles (`linux.seccomp`) as programs for the kernel. Compiled here rather than by libseccomp: a profile of
// some hundred calls for three architectures takes it 15 ms, this well under one; each architecture gets a search tree
// over the numbers of its calls.
#pragma once
#include <linux/filter.h>

#include <string>
#include <vector>

#include "runc/json.h"

namespace k8lite::runc {

// "" and the program, or what is wrong with the profile. Calls that this kernel's headers do not name are left out, as
// are architectures that this machine cannot run. Calls of an architecture that the profile does not name end the
// process.
std::string compile_seccomp(const Json& profile, std::vector<sock_filter>& out);
unsigned seccomp_flags(const Json& profile);
bool seccomp_notifies(const Json& profile);
// The runtime itself must still write (send its listener) once the filter is there.
void refuse_hopeless_notifications(const Json& profile);
std::vector<std::string> seccomp_actions();
std::vector<std::string> seccomp_operators();
std::vector<std::string> seccomp_architectures();
std::vector<std::string> seccomp_flag_names();

}  // namespace k8lite::runc
