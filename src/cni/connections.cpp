#include "cni/connections.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/strings.h"
#include "os/files.h"

namespace k8lite::cni {

int end_connections(const std::string& local_ip) {
  int ended = 0;
  for (const auto& name : os::list_dir("/proc/self/fd")) {
    auto fd = parse_int(name);
    if (!fd) continue;
    int socket = static_cast<int>(*fd), listening = 0;
    sockaddr_storage address{};
    socklen_t size = sizeof address, number = sizeof listening;
    if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) continue;
    if (::getsockopt(socket, SOL_SOCKET, SO_ACCEPTCONN, &listening, &number) != 0 || listening) continue;
    char text[INET6_ADDRSTRLEN] = "";
    if (address.ss_family == AF_INET) inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in&>(address).sin_addr, text, sizeof text);
    // A socket that listens for both kinds shows IPv4 peers as ::ffff:192.0.2.1.
    auto& v6 = reinterpret_cast<sockaddr_in6&>(address);
    if (address.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) inet_ntop(AF_INET, v6.sin6_addr.s6_addr + 12, text, sizeof text);
    if (text == local_ip && ::shutdown(socket, SHUT_RDWR) == 0) ++ended;
  }
  return ended;
}

}  // namespace k8lite::cni
