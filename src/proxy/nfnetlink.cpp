#include "proxy/nfnetlink.h"

#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>

namespace k8lite::proxy {
namespace {

constexpr int kAnswerLimitS = 5;

}  // namespace

void append_attribute(std::string& out, uint16_t type, std::string_view value) {
  nlattr a{static_cast<uint16_t>(sizeof(nlattr) + value.size()), type};
  out.append(reinterpret_cast<const char*>(&a), sizeof a).append(value);
  out.resize(NLMSG_ALIGN(out.size()), '\0');
}

std::string netfilter_message(uint8_t subsystem, uint8_t type, uint16_t flags, std::string_view attributes) {
  nlmsghdr header{};
  header.nlmsg_len = static_cast<uint32_t>(NLMSG_LENGTH(sizeof(nfgenmsg)) + attributes.size());
  header.nlmsg_type = static_cast<uint16_t>(subsystem << 8 | type);
  header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
  nfgenmsg family{};
  family.nfgen_family = AF_INET;
  family.version = NFNETLINK_V0;
  std::string out(reinterpret_cast<const char*>(&header), sizeof header);
  return out.append(reinterpret_cast<const char*>(&family), sizeof family).append(attributes);
}

Result<os::Fd> netfilter_socket(uint32_t groups) {
  os::Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  if (!socket) return Status::from_errno("netfilter socket", errno);
  timeval limit{kAnswerLimitS, 0};
  setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = groups;
  if (groups && ::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return Status::from_errno("subscribe to netfilter", errno);
  return socket;
}

Result<> netfilter_exchange(const os::Fd& socket, const std::string& request, const std::function<void(std::string_view)>& use) {
  if (::send(socket.get(), request.data(), request.size(), 0) < 0) return Status::from_errno("netfilter request", errno);
  std::string buffer(65536, '\0');
  for (;;) {
    ssize_t n = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Status::from_errno("netfilter answer", errno);
    std::string_view rest(buffer.data(), static_cast<size_t>(n));
    while (rest.size() >= sizeof(nlmsghdr)) {
      nlmsghdr header;
      memcpy(&header, rest.data(), sizeof header);
      if (header.nlmsg_len < sizeof header || header.nlmsg_len > rest.size()) break;
      if (header.nlmsg_type == NLMSG_DONE) return {};
      std::string_view body = rest.substr(sizeof header, header.nlmsg_len - sizeof header);
      if (header.nlmsg_type == NLMSG_ERROR) {
        int error = 0;
        if (body.size() >= sizeof error) memcpy(&error, body.data(), sizeof error);
        if (error) return Status::from_errno("netfilter", -error);
        return {};
      }
      if (body.size() > sizeof(nfgenmsg)) use(body.substr(NLMSG_ALIGN(sizeof(nfgenmsg))));
      rest.remove_prefix(std::min<size_t>(NLMSG_ALIGN(header.nlmsg_len), rest.size()));
    }
  }
}

}  // namespace k8lite::proxy
