// Which iptables of this machine to use. There are two that keep separate rules in the kernel, nf_tables and legacy; distributions name
// one of them plainly "iptables", and either may be missing, or be there without its kernel modules.
#pragma once
#include <string>
#include <vector>

#include "base/result.h"

namespace k8lite::proxy {

struct IptablesTools {
  std::string restore, save;  // paths
  bool legacy = false;
};

// The folders that are searched: PATH and the usual ones for administrators' programs.
std::vector<std::string> tool_folders();

// The first that works here of: the plain name, -nft, -legacy. The error says what to install, or what each one said.
Result<IptablesTools> find_iptables(const std::vector<std::string>& folders = tool_folders());

// The other kind, where it is installed and may hold rules: an earlier run may have used it, before the administrator switched.
std::vector<IptablesTools> other_iptables(const IptablesTools& used, const std::vector<std::string>& folders = tool_folders());

}  // namespace k8lite::proxy
