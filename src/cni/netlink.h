// Links, addresses, routes and neighbours through rtnetlink (rtnetlink(7)), without a library. Every call is idempotent: what is there
// already is fine.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "os/files.h"

namespace k8lite::cni {

struct Ipv4 {
  uint32_t value = 0;  // host order
  static std::optional<Ipv4> parse(const std::string& text);
  std::string text() const;
};
struct Cidr {
  Ipv4 base;
  int bits = 0;
  static std::optional<Cidr> parse(const std::string& text);
  std::string text() const { return base.text() + "/" + std::to_string(bits); }
  uint32_t mask() const { return bits == 0 ? 0 : ~uint32_t{0} << (32 - bits); }
  bool contains(Ipv4 a) const { return (a.value & mask()) == base.value; }
};

struct VxlanOptions {
  uint32_t vni = 1;
  uint16_t port = 8472;
  std::string local_ip, parent;
};

class Netlink {
 public:
  // In the network namespace of the calling thread, or of the process `netns_of`.
  static Result<Netlink> open();
  static Result<Netlink> open_in(int netns_fd);

  int index_of(const std::string& link);  // 0: there is none
  int mtu_of(const std::string& link);
  std::string mac_of(const std::string& link);
  Result<> add_bridge(const std::string& name, int mtu);
  // A veth pair, the peer made inside of the other namespace at once and attached `name` to the bridge.
  Result<> add_veth(const std::string& name, const std::string& bridge, const std::string& peer, int peer_netns_fd, int mtu);
  Result<> add_vxlan(const std::string& name, const VxlanOptions& options, const std::string& mac);
  Result<> remove_link(const std::string& name);
  Result<> set_up(const std::string& name);
  Result<> set_hairpin(const std::string& port);
  Result<> add_address(const std::string& link, Ipv4 address, int bits);
  // Through a gateway (0: directly on the link); `onlink` for gateways outside of the link's network.
  Result<> add_route(Cidr to, Ipv4 gateway, const std::string& link, bool onlink = false);
  Result<> remove_route(Cidr to);
  Result<> add_neighbour(const std::string& link, Ipv4 address, const std::string& mac);                  // ARP
  Result<> add_forwarding(const std::string& link, const std::string& mac, Ipv4 destination);             // vxlan FDB
  Result<> remove_neighbour(const std::string& link, Ipv4 address);

 private:
  explicit Netlink(os::Fd fd) : fd_(std::move(fd)) {}
  Result<std::string> request(std::string message, const std::string& what, int ignore_errno = 0);
  os::Fd fd_;
  uint32_t sequence_ = 0;
};

}  // namespace k8lite::cni
