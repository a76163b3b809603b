// The pod network in a network namespace of its own: two pods reach each other and their node, two nodes over vxlan.
#include "cni/cni.h"

#include <catch2/catch.hpp>

#include "cni/test_namespaces.h"

using namespace k8lite;
using namespace k8lite::cni;

TEST_CASE("cidr: networks are parsed and compared") {
  auto c = Cidr::parse("10.42.3.7/24");
  REQUIRE(c);
  CHECK(c->text() == "10.42.3.0/24");
  CHECK(c->contains(*Ipv4::parse("10.42.3.255")));
  CHECK(!c->contains(*Ipv4::parse("10.42.4.0")));
  CHECK(!Cidr::parse("10.42.3.0"));
  CHECK(!Cidr::parse("x/24"));
}

TEST_CASE("cni: pods of a node reach each other, keep their addresses and give them back", "[root]") {
  Isolated here;
  NetworkOptions o{.pod_cidr = "10.42.0.0/24", .cluster_cidr = "10.42.0.0/16", .service_cidr = "10.43.0.0/16", .state_file = here.dir + "/ips", .backend = "none", .node_ip = "127.0.0.1", .interface = "", .dns_ip = "10.43.0.10"};
  auto network = Network::open(o);
  INFO((network.ok() ? std::string() : network.status().message()));
  REQUIRE(network.ok());
  os::Fd a = new_netns(), b = new_netns();
  auto ip_a = (*network)->attach("a", a.get());
  INFO((ip_a.ok() ? std::string() : ip_a.status().message()));
  REQUIRE(ip_a.ok());
  auto ip_b = (*network)->attach("b", b.get());
  REQUIRE(ip_b.ok());
  CHECK(*ip_a == "10.42.0.2");
  CHECK((*network)->attach("a", a.get()).value() == "10.42.0.2");
  CHECK(run_in(a.get(), "busybox ping -c1 -W5 " + *ip_b) == 0);
  CHECK(run_in(a.get(), "busybox ping -c1 -W5 10.42.0.1") == 0);
  CHECK(run_in(a.get(), "busybox ping -c1 -W5 10.43.0.10") == 0);
  network = Network::open(o);
  REQUIRE(network.ok());
  CHECK((*network)->address_of("b") == *ip_b);
  (*network)->keep_only({"b"});
  CHECK((*network)->address_of("a").empty());
  os::Fd c = new_netns();
  CHECK((*network)->attach("c", c.get()).value() == "10.42.0.4");
}

TEST_CASE("cni: a pod's next sandbox is reached at once by those who knew the former one", "[root]") {
  Isolated here;
  auto network = Network::open({.pod_cidr = "10.42.0.0/24", .cluster_cidr = "10.42.0.0/16", .service_cidr = "10.43.0.0/16", .state_file = here.dir + "/ips", .backend = "none", .node_ip = "127.0.0.1", .interface = "", .dns_ip = ""});
  REQUIRE(network.ok());
  os::Fd a = new_netns(), b = new_netns(), again = new_netns();
  std::string ip = (*network)->attach("a", a.get()).value();
  REQUIRE((*network)->attach("b", b.get()).ok());
  REQUIRE(std::system(("busybox ping -c1 -W5 " + ip).c_str()) == 0);
  REQUIRE(run_in(b.get(), "busybox ping -c1 -W5 " + ip) == 0);
  REQUIRE((*network)->attach("a", again.get()).value() == ip);
  // The first packet may meet a link that is not up yet.
  CHECK(std::system(("busybox ping -c4 -W5 " + ip).c_str()) == 0);
  CHECK(run_in(b.get(), "busybox ping -c4 -W5 " + ip) == 0);
}

TEST_CASE("cni: pods of two nodes reach each other over vxlan", "[root]") {
  Isolated here;
  // Two "nodes" joined by a veth pair; each runs in its own namespace, visited by this thread.
  os::Fd n1 = new_netns(), n2 = new_netns();
  setns(n1.get(), CLONE_NEWNET);
  std::string link = "ip link add up0 type veth peer name up1";
  REQUIRE(std::system(link.c_str()) == 0);
  REQUIRE(std::system(("ip link set up1 netns /proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(n2.get())).c_str()) == 0);
  REQUIRE(std::system("ip addr add 192.168.77.1/24 dev up0 && ip link set up0 up && ip link set lo up") == 0);
  REQUIRE(run_in(n2.get(), "ip addr add 192.168.77.2/24 dev up1 && ip link set up1 up && ip link set lo up") == 0);
  auto one = Network::open({.pod_cidr = "10.42.0.0/24", .cluster_cidr = "10.42.0.0/16", .service_cidr = "10.43.0.0/16", .state_file = here.dir + "/1", .backend = "vxlan", .node_ip = "192.168.77.1", .interface = "", .dns_ip = ""});
  REQUIRE(one.ok());
  os::Fd p1 = new_netns();
  std::string ip1 = (*one)->attach("p1", p1.get()).value();
  setns(n2.get(), CLONE_NEWNET);
  auto two = Network::open({.pod_cidr = "10.42.1.0/24", .cluster_cidr = "10.42.0.0/16", .service_cidr = "10.43.0.0/16", .state_file = here.dir + "/2", .backend = "vxlan", .node_ip = "192.168.77.2", .interface = "", .dns_ip = ""});
  REQUIRE(two.ok());
  os::Fd p2 = new_netns();
  std::string ip2 = (*two)->attach("p2", p2.get()).value();
  auto r2 = (*two)->sync_peers({{"n1", "192.168.77.1", "10.42.0.0/24", (*one)->vtep_mac()}});
  INFO((r2.ok() ? std::string() : r2.status().message()));
  REQUIRE(r2.ok());
  setns(n1.get(), CLONE_NEWNET);
  REQUIRE((*one)->sync_peers({{"n2", "192.168.77.2", "10.42.1.0/24", (*two)->vtep_mac()}}).ok());
  CHECK(run_in(p1.get(), "busybox ping -c1 -W5 " + ip2) == 0);
  CHECK(run_in(p2.get(), "busybox ping -c1 -W5 " + ip1) == 0);
}

namespace {

// A host: an uplink with 192.168.77.1 and a neighbour; a Network on it.
struct Host : Isolated {
  os::Fd beyond = new_netns();
  NetworkOptions options{.pod_cidr = "10.42.0.0/24", .cluster_cidr = "10.42.0.0/16", .service_cidr = "10.43.0.0/16", .state_file = dir + "/ips", .backend = "vxlan", .node_ip = "192.168.77.1", .interface = "", .dns_ip = "10.43.0.10"};
  Host() {
    std::string there = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(beyond.get());
    REQUIRE(std::system(("ip link add up0 type veth peer name up1 && ip link set up1 netns " + there + " && ip addr add 192.168.77.1/24 dev up0 && ip link set up0 up").c_str()) == 0);
    REQUIRE(run_in(beyond.get(), "ip addr add 192.168.77.2/24 dev up1 && ip link set up1 up") == 0);
  }
  std::unique_ptr<Network> open() {
    auto r = Network::open(options);
    INFO((r.ok() ? std::string() : r.status().message()));
    REQUIRE(r.ok());
    return std::move(r).value();
  }
};
std::string attach(Network& network, const std::string& uid, const os::Fd& netns) {
  auto r = network.attach(uid, netns.get());
  return r.ok() ? *r : "error: " + r.status().message();
}

}  // namespace

TEST_CASE("killall: only the links of our bridge go", "[root]") {
  Host host;
  auto network = host.open();
  os::Fd pod = new_netns();
  REQUIRE(attach(*network, "a", pod) == "10.42.0.2");
  REQUIRE(std::system("ip link add vethdeadbeef type veth peer name veth0badcafe && ip link add br7 type bridge && ip link set vethdeadbeef master br7 && ip route add 172.30.0.0/16 via 192.168.77.2") == 0);
  remove_links();
  std::string links = output_of("ip -o link");
  CHECK(contains(links, "vethdeadbeef"));
  CHECK(contains(links, "veth0badcafe"));
  CHECK(contains(links, "br7"));
  CHECK(contains(links, "up0"));
  CHECK(!contains(links, "cni0"));
  CHECK(!contains(links, "flannel.1"));
  CHECK(output_of(pod, "ip -o link").find("eth0") == std::string::npos);
  CHECK(contains(output_of("ip route"), "172.30.0.0/16"));
}

TEST_CASE("cni: the bridge keeps one MAC whatever hangs on it, and MTUs leave room for vxlan", "[root]") {
  Host host;
  REQUIRE(std::system("ip link set up0 mtu 1400") == 0);
  auto network = host.open();
  os::Fd a = new_netns();
  REQUIRE(attach(*network, "a", a) == "10.42.0.2");
  CHECK(contains(output_of("ip -o link show cni0"), "0a:58:0a:2a:00:01"));
  CHECK(contains(output_of("ip -o link show cni0"), "mtu 1350"));
  CHECK(contains(output_of("ip -o link show flannel.1"), "mtu 1350"));
  CHECK(contains(output_of(a, "ip -o link show eth0"), "mtu 1350"));
  CHECK(network->vtep_mac() == "0a:58:0a:2a:00:00");
  host.options.backend = "host-gw";
  network = host.open();
  CHECK(contains(output_of("ip -o link show cni0"), "mtu 1400"));
  REQUIRE(attach(*network, "a", a) == "10.42.0.2");  // a running pod follows
  CHECK(contains(output_of(a, "ip -o link show eth0"), "mtu 1400"));
}

TEST_CASE("cni: a bridge and a vxlan device that an earlier run left otherwise are put right, running pods keep their links", "[root]") {
  Host host;
  auto network = host.open();
  os::Fd a = new_netns();
  REQUIRE(attach(*network, "a", a) == "10.42.0.2");
  REQUIRE(std::system("ip addr add 10.42.9.1/24 dev cni0 && ip addr del 10.42.0.1/24 dev cni0 && ip link set cni0 mtu 1300 && ip link set cni0 address 02:00:00:00:00:07 && ip link set cni0 down"
                      " && ip link del flannel.1 && ip link add flannel.1 type vxlan id 7 dstport 4789 dev up0 local 192.168.77.1 && ip addr add 10.42.9.0/32 dev flannel.1") == 0);
  network = host.open();
  std::string addresses = output_of("ip -o addr"), vxlan = output_of("ip -d -o link show flannel.1");
  INFO(addresses << vxlan);
  CHECK(contains(addresses, "10.42.0.1/24"));
  CHECK(contains(addresses, "10.43.0.10/32"));
  CHECK(!contains(addresses, "10.42.9."));
  CHECK(contains(output_of("ip -o link show cni0"), "mtu 1450"));
  CHECK(contains(output_of("ip -o link show cni0"), "0a:58:0a:2a:00:01"));
  CHECK(contains(vxlan, "id 1 "));
  CHECK(contains(vxlan, "dstport 8472"));
  CHECK(contains(vxlan, "nolearning"));
  CHECK(contains(vxlan, "local 192.168.77.1 dev up0"));
  CHECK(run_in(a.get(), "busybox ping -c1 -W5 10.42.0.1") == 0);
}

TEST_CASE("cni: a link of the bridge's name that is none is refused", "[root]") {
  Host host;
  REQUIRE(std::system("ip link add cni0 type veth peer name other") == 0);
  auto r = Network::open(host.options);
  REQUIRE(!r.ok());
  CHECK(contains(r.status().message(), "ip link delete cni0"));
}

TEST_CASE("cni: a bridge that was deleted comes back with its pods", "[root]") {
  Host host;
  auto network = host.open();
  os::Fd a = new_netns();
  REQUIRE(attach(*network, "a", a) == "10.42.0.2");
  REQUIRE(std::system("ip link del cni0") == 0);
  network = host.open();
  REQUIRE(attach(*network, "a", a) == "10.42.0.2");
  CHECK(run_in(a.get(), "busybox ping -c1 -W5 10.42.0.1") == 0);
}

TEST_CASE("cni: another address of the node moves the vxlan device, not the pods", "[root]") {
  Host host;
  auto network = host.open();
  os::Fd a = new_netns();
  REQUIRE(attach(*network, "a", a) == "10.42.0.2");
  std::string mac = network->vtep_mac();
  REQUIRE(network->sync_peers({{"n2", "192.168.77.2", "10.42.1.0/24", "0a:58:0a:2a:01:00"}}).ok());
  REQUIRE(std::system("ip addr del 192.168.77.1/24 dev up0 && ip addr add 192.168.77.9/24 dev up0") == 0);
  REQUIRE(network->set_node_ip("192.168.77.9").ok());
  REQUIRE(network->sync_peers({{"n2", "192.168.77.2", "10.42.1.0/24", "0a:58:0a:2a:01:00"}}).ok());
  CHECK(contains(output_of("ip -d -o link show flannel.1"), "local 192.168.77.9"));
  CHECK(network->vtep_mac() == mac);
  CHECK(contains(output_of("ip route"), "10.42.1.0/24 via 10.42.1.0 dev flannel.1"));
  CHECK(run_in(a.get(), "busybox ping -c1 -W5 10.42.0.1") == 0);
}

TEST_CASE("cni: a node without any address or default route has its pod network and a way to services", "[root]") {
  Isolated here;
  CHECK(find_node_address().empty());
  for (const char* ip : {"", "127.0.0.1"}) {
    auto network = Network::open({.pod_cidr = "10.42.0.0/24", .cluster_cidr = "10.42.0.0/16", .service_cidr = "10.43.0.0/16", .state_file = here.dir + "/ips", .backend = "vxlan", .node_ip = ip, .interface = "", .dns_ip = "10.43.0.10"});
    INFO((network.ok() ? std::string() : network.status().message()));
    REQUIRE(network.ok());
    os::Fd a = new_netns();
    CHECK(contains(attach(**network, "a", a), "10.42.0."));
    (*network)->keep_only({});
  }
  CHECK(contains(output_of("ip route get 10.43.0.1"), "dev cni0 src 10.42.0.1"));
  CHECK(find_node_address().empty());
}

TEST_CASE("cni: the node's address is found with and without a default route", "[root]") {
  Host host;
  CHECK(find_node_address() == "192.168.77.1");
  auto network = host.open();
  CHECK(find_node_address() == "192.168.77.1");
  REQUIRE(std::system("ip link add other type veth peer name other1 && ip addr add 192.168.88.1/24 dev other && ip link set other up && ip link set other1 up && ip route add default via 192.168.88.2") == 0);
  CHECK(find_node_address() == "192.168.88.1");
  CHECK(find_node_address("up0") == "192.168.77.1");
  CHECK(find_node_address("", "192.168.77.1") == "192.168.77.1");  // still there: a route elsewhere does not move the node
  REQUIRE(run_in(host.beyond.get(), "ip link set up1 down") == 0);
  for (int i = 0; i < 2000 && find_node_address("", "192.168.77.1") != "192.168.88.1"; ++i) usleep(10'000);  // the kernel tells the other end later
  CHECK(find_node_address("", "192.168.77.1") == "192.168.88.1");                                           // no carrier
  REQUIRE(run_in(host.beyond.get(), "ip link set up1 up") == 0);
  REQUIRE(std::system("ip addr del 192.168.77.1/24 dev up0 && ip addr add 169.254.7.7/16 dev up0 && ip route del default") == 0);
  CHECK(find_node_address("", "192.168.77.1") == "192.168.88.1");
  REQUIRE(std::system("ip link del other") == 0);
  CHECK(find_node_address("", "192.168.77.1") == "169.254.7.7");
}

TEST_CASE("cni: an address is free only after its link is gone, and a lost file is learnt again from running pods", "[root]") {
  Host host;
  auto network = host.open();
  os::Fd a = new_netns(), b = new_netns(), c = new_netns();
  REQUIRE(attach(*network, "a", a) == "10.42.0.2");
  REQUIRE(attach(*network, "b", b) == "10.42.0.3");
  std::filesystem::resize_file(host.options.state_file, 7);
  network = host.open();
  CHECK(attach(*network, "b", b) == "10.42.0.3");
  CHECK(attach(*network, "a", a) == "10.42.0.2");
  CHECK(attach(*network, "c", c) == "10.42.0.4");
  REQUIRE(network->detach("a").ok());
  CHECK(output_of(a, "ip -o link").find("eth0") == std::string::npos);
  CHECK(network->address_of("a").empty());
  REQUIRE(network->detach("a").ok());
}
