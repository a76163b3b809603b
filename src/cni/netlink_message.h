// How a netlink message is put together and taken apart; for netlink.cpp and netlink_read.cpp only.
#pragma once
#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <cstring>
#include <string>
#include <string_view>

#include "cni/netlink.h"

namespace k8lite::cni {

// A netlink message under construction.
class Message {
 public:
  Message(uint16_t type, uint16_t flags) {
    bytes_.resize(NLMSG_HDRLEN);
    header()->nlmsg_type = type;
    header()->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
  }
  template <class T>
  Message& body(const T& t) {
    bytes_.append(reinterpret_cast<const char*>(&t), sizeof t);
    pad();
    return *this;
  }
  Message& attribute(uint16_t type, const void* data, size_t size) {
    rtattr a{static_cast<uint16_t>(RTA_LENGTH(size)), type};
    bytes_.append(reinterpret_cast<const char*>(&a), sizeof a);
    pad();
    bytes_.append(static_cast<const char*>(data), size);
    pad();
    return *this;
  }
  template <class T>
  Message& number(uint16_t type, T v) { return attribute(type, &v, sizeof v); }
  Message& text(uint16_t type, const std::string& v) { return attribute(type, v.c_str(), v.size() + 1); }
  Message& address(uint16_t type, Ipv4 a) { return number<uint32_t>(type, htonl(a.value)); }
  size_t begin(uint16_t type) {
    size_t at = bytes_.size();
    attribute(type, "", 0);
    return at;
  }
  Message& end(size_t at) {
    auto* a = reinterpret_cast<rtattr*>(bytes_.data() + at);
    a->rta_len = static_cast<uint16_t>(bytes_.size() - at);
    return *this;
  }
  std::string take() {
    header()->nlmsg_len = static_cast<uint32_t>(bytes_.size());
    return std::move(bytes_);
  }

 private:
  nlmsghdr* header() { return reinterpret_cast<nlmsghdr*>(bytes_.data()); }
  void pad() { bytes_.resize((bytes_.size() + 3) & ~size_t{3}); }
  std::string bytes_;
};

std::string mac_bytes(const std::string& text);
std::string mac_text(std::string_view bytes);
ifinfomsg link_by_index(int index);

constexpr uint16_t kCreate = NLM_F_CREATE | NLM_F_EXCL;

}  // namespace k8lite::cni
