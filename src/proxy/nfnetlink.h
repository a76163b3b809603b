// Messages of the kernel's netfilter subsystems over netlink (nfnetlink), as far as this room asks it directly.
#pragma once
#include <linux/netlink.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "os/files.h"

namespace k8lite::proxy {

// Calls use(type, bytes) for each netlink attribute in `bytes`.
template <class F>
void each_attribute(std::string_view bytes, F use) {
  while (bytes.size() >= sizeof(nlattr)) {
    nlattr a;
    memcpy(&a, bytes.data(), sizeof a);
    if (a.nla_len < sizeof a || a.nla_len > bytes.size()) return;
    use(a.nla_type & static_cast<uint16_t>(NLA_TYPE_MASK), bytes.substr(sizeof a, a.nla_len - sizeof a));
    bytes.remove_prefix(std::min<size_t>(NLA_ALIGN(a.nla_len), bytes.size()));
  }
}
void append_attribute(std::string& out, uint16_t type, std::string_view value);

// A request about IPv4 to a subsystem (NFNL_SUBSYS_*).
std::string netfilter_message(uint8_t subsystem, uint8_t type, uint16_t flags, std::string_view attributes);

// A socket in the calling thread's network namespace; answers are waited for at most five seconds. `groups` are subscribed to.
Result<os::Fd> netfilter_socket(uint32_t groups = 0);

// Sends a request and gives each answer's attributes to `use` until the kernel says it is done.
Result<> netfilter_exchange(const os::Fd& socket, const std::string& request, const std::function<void(std::string_view)>& use);

}  // namespace k8lite::proxy
