// Host ports against the kernel, and what their chains say.
#include "proxy/host_ports.h"

#include "proxy/proxy.h"
#include "proxy/test_cluster.h"

using namespace k8lite;
using namespace k8lite::proxy;

namespace {

const HostPortOptions kOptions{"10.42.0.0/24", {"10.43.0.10"}};
HostPort mapped(const std::string& pod, int host_port, const std::string& pod_ip, const std::string& host_ip = "", const std::string& protocol = "tcp") {
  return {"default/" + pod, protocol, host_ip, host_port, pod_ip, 8080};
}
void set(HostPorts& ports, const std::vector<HostPort>& wanted) {
  auto done = ports.set(wanted);
  INFO((done.ok() ? std::string() : done.status().message()));
  REQUIRE(done.ok());
}

}  // namespace

TEST_CASE("host ports: one chain a port, those of one address first, the DNS address spared, nonsense left out") {
  auto chains = render_host_ports({mapped("any", 53, "10.42.0.2", "", "udp"), mapped("one", 53, "10.42.0.3", "192.168.77.1", "udp"), mapped("six", 80, "10.42.0.4", "fd00::1"), mapped("sctp", 9999, "10.42.0.5", "0.0.0.0", "sctp"),
                                   mapped("bad", 80, "x"), mapped("big", 70000, "10.42.0.2")},
                                  kOptions);
  CHECK(chains.size() == 3 + 3);
  const std::string& entry = chains.at("K8LITE-HOSTPORTS");
  CHECK(entry.starts_with("-A K8LITE-HOSTPORTS -d 10.43.0.10/32 -j RETURN\n"));
  size_t one = entry.find("default/one"), any = entry.find("default/any");
  REQUIRE(one != std::string::npos);
  CHECK(one < any);
  CHECK(entry.find("-p udp -m udp -d 192.168.77.1/32 --dport 53") != std::string::npos);
  CHECK(entry.find("-p sctp -m sctp --dport 9999") != std::string::npos);
  CHECK(entry.find("default/six") == std::string::npos);
  CHECK(render_host_ports({}, kOptions).at("K8LITE-HOSTPORTS").empty());
}

TEST_CASE("host ports: reached from outside, the node, its loopback, other pods and the pod itself; gone with the pod", "[root]") {
  Cluster c;
  Server one(c.a, "a", 8080), two(c.b, "b", 8080);
  REQUIRE(apply_node_rules("*filter\n:K8LITE-INPUT - [0:0]\n-A K8LITE-INPUT ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP\nCOMMIT\n").ok());
  shell("iptables -t nat -N MINE && iptables -t nat -A PREROUTING -j MINE");
  {
    HostPorts ports(kOptions);
    set(ports, {mapped("a", 9000, "10.42.0.2"), mapped("b", 9001, "10.42.0.3", "192.168.77.1"), mapped("c", 9002, "10.42.0.9")});
    CHECK(ask(c.outside, "192.168.77.1", 9000) == "a 192.168.77.2");  // the client's address stays
    CHECK(ask(c.outside, "192.168.77.1", 9001) == "b 192.168.77.2");
    CHECK(first_word(ask(c.node, "192.168.77.1", 9000)) == "a");
    CHECK(first_word(ask(c.node, "127.0.0.1", 9000)) == "a");
    CHECK(ask(c.node, "127.0.0.1", 9001) == "refused");               // hostIP is another address
    CHECK(first_word(ask(c.b, "192.168.77.1", 9000)) == "a");
    CHECK(ask(c.a, "192.168.77.1", 9000) == "a 10.42.0.1");           // hairpin
  }
  HostPorts restarted(kOptions);
  set(restarted, {mapped("b", 9000, "10.42.0.3")});
  CHECK(ask(c.outside, "192.168.77.1", 9000) == "b 192.168.77.2");
  CHECK(ask(c.outside, "192.168.77.1", 9001) == "refused");
  std::string rules = saved();
  CHECK(rules.find("10.42.0.9") == std::string::npos);
  CHECK(rules.find("-j K8LITE-HOSTPORTS") != std::string::npos);
  set(restarted, {});
  CHECK(ask(c.outside, "192.168.77.1", 9000) == "refused");
  CHECK(saved().find("K8LITE-HP-") == std::string::npos);
  remove_rules();
  CHECK(saved().find("K8LITE") == std::string::npos);
  CHECK(saved().find("-j MINE") != std::string::npos);
}

TEST_CASE("host ports: a UDP client that keeps talking reaches the port's next pod", "[root]") {
  Cluster c;
  REQUIRE(apply_node_rules("").ok());
  auto bound = [](const os::Fd& where, int port) {
    Visit there(where);
    os::Fd s(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    auto any = address("0.0.0.0", port);
    REQUIRE(::bind(s.get(), reinterpret_cast<sockaddr*>(&any), sizeof any) == 0);
    return s;
  };
  os::Fd one = bound(c.a, 8080), two = bound(c.b, 8080), client = bound(c.outside, 5555);
  auto arrives_at = [&] {
    auto to = address("192.168.77.1", 9000);
    ::sendto(client.get(), "x", 1, 0, reinterpret_cast<sockaddr*>(&to), sizeof to);
    pollfd p[2] = {{one.get(), POLLIN, 0}, {two.get(), POLLIN, 0}};
    if (::poll(p, 2, 1000) <= 0) return std::string("nobody");
    char text[8];
    (void)!::recv(p[0].revents ? one.get() : two.get(), text, sizeof text, 0);
    return std::string(p[0].revents ? "a" : "b");
  };
  HostPorts ports(kOptions);
  set(ports, {mapped("a", 9000, "10.42.0.2", "", "udp")});
  CHECK(arrives_at() == "a");
  set(ports, {mapped("b", 9000, "10.42.0.3", "", "udp")});
  CHECK(arrives_at() == "b");
  HostPorts restarted(kOptions);
  set(restarted, {mapped("a", 9000, "10.42.0.2", "", "udp")});
  CHECK(arrives_at() == "a");
  set(restarted, {});
  CHECK(arrives_at() == "nobody");
  set(restarted, {mapped("a", 9000, "10.42.0.2", "", "udp")});  // who has been talking all the time is heard now
  CHECK(arrives_at() == "a");
}
