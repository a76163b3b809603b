// IP addresses and networks as texts: parsed without any network library, because this room does not know one. Pure.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace k8lite::api::rules {

struct Address {
  std::array<unsigned char, 16> bytes{};  // an IPv4 address stands in the first four
  bool v6 = false;
  bool operator==(const Address&) const = default;
  std::string str() const;  // RFC 5952
};
// Leading zeros in IPv4 are refused, zones too; "::ffff:1.2.3.4" is IPv6.
std::optional<Address> parse_ip(std::string_view text);

struct Network {
  Address base;
  int bits = 0;
  bool holds(const Network& inner) const;
  Network masked() const;
};
std::optional<Network> parse_cidr(std::string_view text);

}  // namespace k8lite::api::rules
