// Connections of one address end; those of others and listeners stay.
#include "cni/connections.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "os/files.h"

using namespace k8lite;
using namespace k8lite::cni;

namespace {

sockaddr_in at(const char* ip, int port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(static_cast<uint16_t>(port));
  inet_pton(AF_INET, ip, &a.sin_addr);
  return a;
}
os::Fd connected(const char* from, int port) {
  os::Fd s(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  auto mine = at(from, 0), to = at("127.0.0.1", port);
  REQUIRE(::bind(s.get(), reinterpret_cast<sockaddr*>(&mine), sizeof mine) == 0);
  REQUIRE(::connect(s.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
  return s;
}

}  // namespace

TEST_CASE("connections: those of an address that is gone end, others and listeners stay") {
  os::Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), other_listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  auto any = at("127.0.0.1", 0), gone = at("127.0.0.5", 0);
  socklen_t size = sizeof any;
  REQUIRE(::bind(listener.get(), reinterpret_cast<sockaddr*>(&any), sizeof any) == 0);
  REQUIRE(::bind(other_listener.get(), reinterpret_cast<sockaddr*>(&gone), sizeof gone) == 0);
  REQUIRE(::listen(listener.get(), 8) == 0);
  REQUIRE(::listen(other_listener.get(), 8) == 0);
  REQUIRE(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&any), &size) == 0);
  os::Fd stays = connected("127.0.0.4", ntohs(any.sin_port)), ends = connected("127.0.0.5", ntohs(any.sin_port));
  CHECK(end_connections("127.0.0.5") == 1);
  char c;
  CHECK(::recv(ends.get(), &c, 1, 0) == 0);
  CHECK(::recv(stays.get(), &c, 1, MSG_DONTWAIT) == -1);
  CHECK(::accept(listener.get(), nullptr, nullptr) >= 0);
  CHECK(::send(stays.get(), "x", 1, MSG_NOSIGNAL) == 1);
}
