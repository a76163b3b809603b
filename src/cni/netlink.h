// Links, addresses, routes and neighbours through rtnetlink (rtnetlink(7)), without a library. IPv4, the main routing table.
// Every call is idempotent: what is there already is fine, what is gone already too, unless the comment says otherwise.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "os/files.h"

namespace k8lite::cni {

struct Ipv4 {
  uint32_t value = 0;  // host order
  static std::optional<Ipv4> parse(const std::string& text);
  std::string text() const;
  auto operator<=>(const Ipv4&) const = default;
};
struct Cidr {
  Ipv4 base;
  int bits = 0;
  static std::optional<Cidr> parse(const std::string& text);
  std::string text() const { return base.text() + "/" + std::to_string(bits); }
  uint32_t mask() const { return bits == 0 ? 0 : ~uint32_t{0} << (32 - bits); }
  bool contains(Ipv4 a) const { return (a.value & mask()) == base.value; }
  bool overlaps(const Cidr& o) const { return contains(o.base) || o.contains(base); }
  auto operator<=>(const Cidr&) const = default;
};

struct VxlanOptions {
  uint32_t vni = 1;
  uint16_t port = 8472;
  Ipv4 local;      // 0: the kernel chooses
  int parent = 0;  // index of the link that carries it; 0: any
  bool learning = false;
  bool operator==(const VxlanOptions&) const = default;
};

struct Link {
  int index = 0, master = 0, mtu = 0;
  int peer = 0;  // of a veth: the other end's index in its own namespace
  std::string name, kind, mac;  // kind: bridge, veth, vxlan; "" for hardware
  bool up = false, running = false;  // running: up, and there is a carrier
  VxlanOptions vxlan;  // when kind says so
};
struct Address {
  int link = 0;
  Ipv4 ip;
  int bits = 32;
};
struct Route {
  Cidr to;
  Ipv4 gateway, source;  // 0: none
  int link = 0;
  bool onlink = false;   // the gateway lies outside of the link's network
  uint8_t protocol = 0;  // who made it; 0: boot
};
struct Neighbour {  // an ARP entry
  Ipv4 address;
  std::string mac;
  bool permanent = false;
};
struct Forwarding {  // an entry of a vxlan device's forwarding table
  std::string mac;
  Ipv4 destination;
  auto operator<=>(const Forwarding&) const = default;
};

class Netlink {
 public:
  // In the network namespace of the calling thread, or of the process `netns_of`.
  static Result<Netlink> open();
  static Result<Netlink> open_in(int netns_fd);

  int index_of(const std::string& link);  // 0: there is none
  std::optional<Link> link(const std::string& name);
  Result<std::vector<Link>> links();
  Result<std::vector<Address>> addresses();
  Result<std::vector<Route>> routes();
  Result<std::vector<Neighbour>> neighbours(int link);
  Result<std::vector<Forwarding>> forwardings(int link);

  Result<> add_bridge(const std::string& name, int mtu, const std::string& mac);
  // A veth pair, the peer made inside of the other namespace at once and attached `name` to the bridge.
  Result<> add_veth(const std::string& name, const std::string& bridge, const std::string& peer, int peer_netns_fd, int mtu, const std::string& peer_mac);
  Result<> add_vxlan(const std::string& name, const VxlanOptions& options, int mtu, const std::string& mac);  // an error when it exists
  Result<> remove_link(const std::string& name);
  Result<> set_up(const std::string& name);
  Result<> set_mtu(int index, int mtu);
  Result<> set_mac(int index, const std::string& mac);
  Result<> set_master(int index, int master);
  Result<> set_hairpin(const std::string& port);
  Result<> add_address(const std::string& link, Ipv4 address, int bits);
  Result<> remove_address(int link, Ipv4 address, int bits);
  Result<> add_route(const Route& route);  // replaces one to the same network
  Result<> remove_route(const Route& route);
  Result<> add_neighbour(const std::string& link, Ipv4 address, const std::string& mac);
  Result<> remove_neighbour(const std::string& link, Ipv4 address);
  Result<> add_forwarding(const std::string& link, const std::string& mac, Ipv4 destination);
  Result<> remove_forwarding(const std::string& link, const std::string& mac, Ipv4 destination);

 private:
  explicit Netlink(os::Fd fd) : fd_(std::move(fd)) {}
  Result<std::string> request(std::string message, const std::string& what, int ignore_errno = 0);
  os::Fd fd_;
  uint32_t sequence_ = 0;
};

}  // namespace k8lite::cni
