// A firewall that is reloaded takes our jumps away; we notice, and nothing else makes us think so.
#include "proxy/rule_watch.h"

#include <atomic>

#include "proxy/host_ports.h"
#include "proxy/proxy.h"
#include "proxy/test_cluster.h"
#include "proxy/variants.h"

using namespace k8lite;
using namespace k8lite::proxy;

TEST_CASE("rule watch: a flush by another program is noticed once, our own changes and others' rules are not", "[root]") {
  Cluster c;
  auto tools = find_iptables();
  REQUIRE(tools.ok());
  if (tools->legacy) return;
  const std::string rules = "*filter\n:K8LITE-INPUT - [0:0]\nCOMMIT\n*nat\n:K8LITE-POSTRTG - [0:0]\nCOMMIT\n";
  HostPorts ports({"10.42.0.0/24", {}});
  std::atomic<int> lost = 0;
  REQUIRE(apply_node_rules(rules).ok());
  auto watch = RuleWatch::start({{"filter", "INPUT", "K8LITE-INPUT"}, {"nat", "POSTROUTING", "K8LITE-POSTRTG"}, {"nat", "PREROUTING", "K8LITE-HOSTPORTS"}}, [&lost] { ++lost; });
  REQUIRE(watch.ok());
  auto settled = [&lost](int wanted) {
    for (int i = 0; i < 25 && lost != wanted; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    return lost == wanted;
  };
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  REQUIRE(ports.set({{"default/a", "tcp", "", 9000, "10.42.0.2", 8080}}).ok());
  REQUIRE(apply_node_rules(rules).ok());
  shell("iptables -N OTHER && iptables -A INPUT -j OTHER");
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  CHECK(lost == 0);
  shell("iptables -F INPUT");
  CHECK(settled(1));
  REQUIRE(apply_node_rules(rules).ok());
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  shell("iptables -t nat -F && iptables -t nat -X");
  CHECK(settled(2));
  REQUIRE(apply_node_rules(rules).ok());
  REQUIRE(ports.again().ok());
  CHECK(saved().find("10.42.0.2:8080") != std::string::npos);
  CHECK(saved().find("-j K8LITE-HOSTPORTS") != std::string::npos);
}
