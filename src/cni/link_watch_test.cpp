// The watch tells of addresses and links, once for what comes together, and is silent about other routes.
#include "cni/link_watch.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <thread>

#include "cni/test_namespaces.h"

using namespace k8lite;
using namespace k8lite::cni;

TEST_CASE("link watch: addresses, links and the default route are told, other routes are not", "[root]") {
  Isolated here;
  REQUIRE(std::system("ip link add up0 type veth peer name up1 && ip link set up0 up && ip link set up1 up && ip addr add 192.168.77.1/24 dev up0") == 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  std::atomic<int> calls = 0;
  auto watch = LinkWatch::start([&calls] { ++calls; });
  REQUIRE(watch.ok());
  auto settled = [&calls](const char* command) {
    int before = calls;
    REQUIRE(std::system(command) == 0);
    for (int i = 0; i < 20 && calls == before; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(60));
    return calls - before;
  };
  CHECK(settled("ip addr add 192.168.77.9/24 dev up0; ip addr del 192.168.77.1/24 dev up0; ip addr add 192.168.77.1/24 dev up0") == 1);
  CHECK(settled("ip route add default via 192.168.77.2") == 1);
  CHECK(settled("ip route add 172.30.0.0/16 via 192.168.77.2") == 0);
  CHECK(settled("ip link set up0 mtu 1400") == 1);
  // A link that never rests is told too, but not often.
  int before = calls;
  REQUIRE(std::system("for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25; do ip link set up0 mtu 14$((i + 10)); sleep 0.1; done") == 0);
  CHECK(calls - before >= 1);
  CHECK(calls - before <= 4);
}
