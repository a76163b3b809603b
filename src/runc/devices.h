// Which device nodes a container may open and make: writes for the first version's devices controller, a small BPF
// program at the cgroup in the second version. Rules count in order, the later ones more; what containers always may is
// added behind them.
#pragma once
#include <linux/bpf.h>

#include <string>
#include <utility>
#include <vector>

#include "runc/json.h"

namespace k8lite::runc {

// File ("devices.allow") and rule ("c 1:3 rwm"), in order. `rules`: linux.resources.devices.
std::vector<std::pair<std::string, std::string>> plan_device_writes(const Json& rules);
std::vector<bpf_insn> plan_device_program(const Json& rules);
void attach_device_program(const std::string& cgroup_folder, const std::vector<bpf_insn>& program);

}  // namespace k8lite::runc
