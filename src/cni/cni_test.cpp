// The pod network in a network namespace of its own: two pods reach each other and their node, two nodes over vxlan.
#include "cni/cni.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>

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

namespace {

os::Fd new_netns() {
  os::Fd own(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  unshare(CLONE_NEWNET);
  os::Fd made(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  setns(own.get(), CLONE_NEWNET);
  return made;
}
// Runs a shell command in the namespace.
int run_in(int netns, const std::string& command) {
  pid_t pid = fork();
  if (pid == 0) {
    setns(netns, CLONE_NEWNET);
    execl("/bin/sh", "sh", "-c", (command + " >/dev/null 2>&1").c_str(), static_cast<char*>(nullptr));
    _exit(127);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return WEXITSTATUS(status);
}

// The test's own thread lives in a fresh namespace while this stands.
struct Isolated {
  os::Fd own{::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)};
  std::string dir;
  Isolated() {
    char name[] = "/tmp/k8lite-cni-XXXXXX";
    dir = mkdtemp(name);
    unshare(CLONE_NEWNET);
    std::system("ip link set lo up");
  }
  ~Isolated() {
    setns(own.get(), CLONE_NEWNET);
    std::filesystem::remove_all(dir);
  }
};

}  // namespace

TEST_CASE("cni: pods of a node reach each other, keep their addresses and give them back", "[root]") {
  Isolated here;
  NetworkOptions o{.pod_cidr = "10.42.0.0/24", .cluster_cidr = "10.42.0.0/16", .state_file = here.dir + "/ips", .backend = "none", .node_ip = "127.0.0.1", .dns_ip = "10.43.0.10"};
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
  auto one = Network::open({.pod_cidr = "10.42.0.0/24", .cluster_cidr = "10.42.0.0/16", .state_file = here.dir + "/1", .backend = "vxlan", .node_ip = "192.168.77.1", .dns_ip = ""});
  REQUIRE(one.ok());
  os::Fd p1 = new_netns();
  std::string ip1 = (*one)->attach("p1", p1.get()).value();
  setns(n2.get(), CLONE_NEWNET);
  auto two = Network::open({.pod_cidr = "10.42.1.0/24", .cluster_cidr = "10.42.0.0/16", .state_file = here.dir + "/2", .backend = "vxlan", .node_ip = "192.168.77.2", .dns_ip = ""});
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
