// The ways to other nodes: what of an earlier run is wrong goes, what is the administrator's stays, for every backend.
#include "cni/peers.h"

#include <catch2/catch.hpp>

#include "cni/cni.h"
#include "cni/test_namespaces.h"

using namespace k8lite;
using namespace k8lite::cni;

TEST_CASE("peers: nodes that are not complete, or claim our pods, are left out") {
  auto own = *Cidr::parse("10.42.0.0/24");
  std::vector<Peer> peers = {{"no-cidr", "192.168.77.2", "", "0a:00:00:00:00:01"}, {"no-ip", "", "10.42.1.0/24", "0a:00:00:00:00:02"}, {"no-mac", "192.168.77.3", "10.42.2.0/24", ""},
                             {"thief", "192.168.77.4", "10.42.0.0/25", "0a:00:00:00:00:03"}, {"good", "192.168.77.5", "10.42.3.0/24", "0a:00:00:00:00:04"}};
  Ways vxlan = plan_ways(peers, own, 7), plain = plan_ways(peers, own, 0);
  REQUIRE(vxlan.routes.size() == 1);
  CHECK(vxlan.routes[0].to.text() == "10.42.3.0/24");
  CHECK(vxlan.forwardings.size() == 1);
  REQUIRE(plain.routes.size() == 2);
  CHECK(plain.routes[0].gateway.text() == "192.168.77.3");
  CHECK(plain.neighbours.empty());
}

namespace {

struct Host : Isolated {
  NetworkOptions options{.pod_cidr = "10.42.0.0/24", .cluster_cidr = "10.42.0.0/16", .service_cidr = "10.43.0.0/16", .state_file = dir + "/ips", .backend = "vxlan", .node_ip = "192.168.77.1", .interface = "", .dns_ip = ""};
  Host() { REQUIRE(std::system("ip link add up0 type veth peer name up1 && ip addr add 192.168.77.1/24 dev up0 && ip link set up0 up && ip link set up1 up") == 0); }
  void sync(const std::vector<Peer>& peers) {
    auto network = Network::open(options);  // as after a restart: it remembers nothing
    REQUIRE(network.ok());
    auto r = (*network)->sync_peers(peers);
    INFO((r.ok() ? std::string() : r.status().message()));
    CHECK(r.ok());
  }
};
const Peer kTwo{"n2", "192.168.77.2", "10.42.1.0/24", "0a:58:0a:2a:01:00"}, kThree{"n3", "192.168.77.3", "10.42.2.0/24", "0a:58:0a:2a:02:00"};
// As `ip` prints them, one line each.
std::string state() { return output_of("ip route; ip neigh show dev flannel.1; bridge fdb show dev flannel.1"); }

}  // namespace

TEST_CASE("peers: after a restart the entries of nodes that are gone go, those that changed are replaced, foreign ones stay", "[root]") {
  Host host;
  host.sync({kTwo, kThree});
  INFO(state());
  CHECK(contains(state(), "10.42.1.0/24 via 10.42.1.0 dev flannel.1"));
  CHECK(contains(state(), "10.42.2.0 lladdr 0a:58:0a:2a:02:00 PERMANENT"));
  CHECK(contains(state(), "0a:58:0a:2a:02:00 dst 192.168.77.3"));
  REQUIRE(std::system("ip route add 172.30.0.0/16 via 192.168.77.2 && ip route add 10.42.77.0/24 via 192.168.77.2") == 0);
  host.sync({kTwo});
  CHECK(!contains(state(), "10.42.2.0"));
  CHECK(!contains(state(), "192.168.77.3"));
  CHECK(contains(state(), "172.30.0.0/16"));
  CHECK(contains(state(), "10.42.77.0/24"));
  Peer moved = kTwo;
  moved.node_ip = "192.168.77.8";
  host.sync({moved});
  CHECK(contains(state(), "0a:58:0a:2a:01:00 dst 192.168.77.8"));
  CHECK(!contains(state(), "dst 192.168.77.2"));
  moved.vtep_mac = "0a:58:0a:2a:01:99";
  host.sync({moved});
  CHECK(contains(state(), "10.42.1.0 lladdr 0a:58:0a:2a:01:99"));
  CHECK(!contains(state(), "0a:58:0a:2a:01:00"));
  moved.pod_cidr = "10.42.5.0/24";
  host.sync({moved});
  CHECK(contains(state(), "10.42.5.0/24 via 10.42.5.0 dev flannel.1"));
  CHECK(!contains(state(), "10.42.1.0"));
  host.sync({moved});
  CHECK(contains(state(), "10.42.5.0/24 via 10.42.5.0 dev flannel.1"));
}

TEST_CASE("peers: switching between vxlan, host-gw and none leaves nothing of the other", "[root]") {
  Host host;
  host.sync({kTwo});
  host.options.backend = "host-gw";
  host.sync({kTwo, kThree});
  CHECK(contains(output_of("ip route"), "10.42.1.0/24 via 192.168.77.2 dev up0"));
  CHECK(!contains(output_of("ip -o link"), "flannel.1"));
  host.sync({kThree});
  CHECK(!contains(output_of("ip route"), "10.42.1.0/24"));
  host.options.backend = "none";
  host.sync({kTwo, kThree});
  CHECK(!contains(output_of("ip route"), "10.42.1.0/24"));
  CHECK(!contains(output_of("ip route"), "10.42.2.0/24"));
  CHECK(contains(output_of("ip route"), "10.43.0.0/16 dev cni0"));
  host.options.backend = "vxlan";
  host.sync({kTwo});
  CHECK(contains(output_of("ip route"), "10.42.1.0/24 via 10.42.1.0 dev flannel.1"));
  host.options.backend = "none";
  host.sync({kTwo});
  CHECK(!contains(output_of("ip -o link"), "flannel.1"));
  CHECK(!contains(output_of("ip route"), "10.42.1.0/24"));
}

TEST_CASE("peers: a node that cannot be reached does not keep the others from their ways", "[root]") {
  Host host;
  host.options.backend = "host-gw";
  auto network = Network::open(host.options);
  REQUIRE(network.ok());
  Peer far{"far", "172.20.0.1", "10.42.0.128/32", ""};
  far.pod_cidr = "10.42.9.0/24";
  auto r = (*network)->sync_peers({far, kTwo});
  REQUIRE(!r.ok());
  CHECK(contains(r.status().message(), "10.42.9.0/24 via 172.20.0.1"));
  CHECK(contains(output_of("ip route"), "10.42.1.0/24 via 192.168.77.2"));
}
