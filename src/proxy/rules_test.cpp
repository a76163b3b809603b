// Tables of the pure half: what the chains say for each kind of service and endpoint.
#include "proxy/rules.h"

#include <catch2/catch.hpp>

#include "proxy/conntrack.h"
#include "proxy/iptables.h"
#include "proxy/service_ports.h"

using namespace k8lite;
using namespace k8lite::proxy;

namespace {

json::Doc doc(const std::string& text) {
  auto parsed = json::Doc::parse(text);
  INFO(text);
  REQUIRE(parsed.ok());
  return *parsed;
}
json::Doc service(const std::string& spec, const std::string& status = "{}") {
  return doc(R"({"metadata":{"namespace":"default","name":"web"},"spec":{"clusterIP":"10.43.0.5","clusterIPs":["10.43.0.5"],"ports":[{"name":"http","port":80,"protocol":"TCP","nodePort":30080}])" +
             (spec.empty() ? "" : "," + spec) + R"(},"status":)" + status + "}");
}
json::Doc slice(const std::string& endpoints) {
  return doc(R"({"metadata":{"namespace":"default","name":"web-x","labels":{"kubernetes.io/service-name":"web"}},"addressType":"IPv4",)"
             R"("ports":[{"name":"http","port":8080,"protocol":"TCP"}],"endpoints":[)" + endpoints + "]}");
}
std::string ready(const std::string& ip, const std::string& node = "n1") {
  return R"({"addresses":[")" + ip + R"("],"nodeName":")" + node + R"(","conditions":{"ready":true,"serving":true,"terminating":false}})";
}
std::string ending(const std::string& ip, const std::string& node = "n1") {
  return R"({"addresses":[")" + ip + R"("],"nodeName":")" + node + R"(","conditions":{"ready":false,"serving":true,"terminating":true}})";
}
std::string dead(const std::string& ip) { return R"({"addresses":[")" + ip + R"("],"nodeName":"n1","conditions":{"ready":false,"serving":false,"terminating":false}})"; }

const RuleOptions kOptions{"n1", "192.168.1.1", "10.42.0.0/16", {}};
const std::string kName = "default/web:http";
const std::string kSvc = chain_name("KUBE-SVC-", kName, "tcp"), kSvl = chain_name("KUBE-SVL-", kName, "tcp"), kExt = chain_name("KUBE-EXT-", kName, "tcp");
std::string sep(const std::string& ip) { return chain_name("KUBE-SEP-", kName, "tcp", ip + ":8080"); }

bool has(const Chains& chains, const std::string& chain, const std::string& text) {
  auto at = chains.find(chain);
  return at != chains.end() && at->second.find(text) != std::string::npos;
}
std::string get(const Chains& chains, const std::string& chain) {
  auto at = chains.find(chain);
  return at == chains.end() ? "absent" : at->second;
}

}  // namespace

TEST_CASE("chain names: 16 characters of base32, as kube-proxy hashes them") {
  // printf kube-system/kube-dns:dnsudp | sha256sum | xxd -r -p | base32 | head -c 16
  CHECK(chain_name("KUBE-SVC-", "kube-system/kube-dns:dns", "udp") == "KUBE-SVC-TCOU7JCQXEZGVUNU");
  CHECK(chain_name("KUBE-SVC-", "default/kubernetes:https", "tcp") == "KUBE-SVC-NPX46M4PTMTKRN6Y");
}

TEST_CASE("rules: a cluster IP balances over its ready endpoints") {
  auto r = render_rules({service("")}, {slice(ready("10.42.0.2") + "," + ready("10.42.1.3", "n2") + "," + dead("10.42.0.9"))}, kOptions);
  CHECK(has(r.nat, "KUBE-SERVICES", "-p tcp -m tcp -d 10.43.0.5 --dport 80 -j " + kSvc + "\n"));
  CHECK(get(r.nat, kSvc) == "-A " + kSvc + " -m comment --comment \"default/web:http cluster IP\" -p tcp -m tcp -d 10.43.0.5 --dport 80 ! -s 10.42.0.0/16 -j KUBE-MARK-MASQ\n" +
                              "-A " + kSvc + " -m comment --comment \"default/web:http -> 10.42.0.2:8080\" -m statistic --mode random --probability 0.5000000000 -j " + sep("10.42.0.2") + "\n" +
                              "-A " + kSvc + " -m comment --comment \"default/web:http -> 10.42.1.3:8080\" -j " + sep("10.42.1.3") + "\n");
  CHECK(get(r.nat, sep("10.42.0.2")) == "-A " + sep("10.42.0.2") + " -m comment --comment \"default/web:http\" -s 10.42.0.2 -j KUBE-MARK-MASQ\n" +
                                           "-A " + sep("10.42.0.2") + " -m comment --comment \"default/web:http\" -p tcp -m tcp -j DNAT --to-destination 10.42.0.2:8080\n");
  CHECK(get(r.filter, "KUBE-SERVICES").empty());
  CHECK(!r.nat.contains(sep("10.42.0.9")));
}

TEST_CASE("rules: a node port enters through a masquerading chain") {
  auto r = render_rules({service("")}, {slice(ready("10.42.0.2"))}, kOptions);
  CHECK(has(r.nat, "KUBE-NODEPORTS", "-p tcp -m tcp --dport 30080 -j " + kExt));
  CHECK(get(r.nat, kExt) == "-A " + kExt + " -m comment --comment \"masquerade traffic for default/web:http external destinations\" -j KUBE-MARK-MASQ\n-A " + kExt + " -j " + kSvc + "\n");
  const std::string& services = r.nat.at("KUBE-SERVICES");
  CHECK(services.rfind("-j KUBE-NODEPORTS\n") == services.size() - 18);
}

TEST_CASE("rules: without endpoints a service is refused on all its addresses, except where the node answers itself") {
  auto s = service(R"("type":"LoadBalancer","externalIPs":["1.2.3.4"])", R"({"loadBalancer":{"ingress":[{"ip":"5.6.7.8"}]}})");
  auto r = render_rules({s}, {slice(dead("10.42.0.2"))}, kOptions);
  CHECK(has(r.filter, "KUBE-SERVICES", "-d 10.43.0.5 --dport 80 -j REJECT"));
  CHECK(has(r.filter, "KUBE-EXTERNAL-SERVICES", "-d 1.2.3.4 --dport 80 -j REJECT"));
  CHECK(has(r.filter, "KUBE-EXTERNAL-SERVICES", "-d 5.6.7.8 --dport 80 -j REJECT"));
  CHECK(has(r.filter, "KUBE-EXTERNAL-SERVICES", "-m addrtype --dst-type LOCAL -p tcp -m tcp --dport 30080 -j REJECT"));
  CHECK(!r.nat.contains(kSvc));
  CHECK(!r.nat.contains(kExt));
  auto own = render_rules({s}, {}, {"n1", "", "10.42.0.0/16", {"10.43.0.5"}});
  CHECK(get(own.filter, "KUBE-SERVICES").empty());
}

TEST_CASE("rules: external policy Local keeps the source, and drops where no endpoint is local") {
  auto s = service(R"("type":"NodePort","externalTrafficPolicy":"Local")");
  auto here = render_rules({s}, {slice(ready("10.42.0.2") + "," + ready("10.42.1.3", "n2"))}, kOptions);
  CHECK(has(here.nat, kExt, "-s 10.42.0.0/16 -j " + kSvc));
  CHECK(has(here.nat, kExt, "-m addrtype --src-type LOCAL -j " + kSvc));
  CHECK(has(here.nat, kExt, "-A " + kExt + " -j " + kSvl + "\n"));
  CHECK(has(here.nat, kSvl, sep("10.42.0.2")));
  CHECK(!has(here.nat, kSvl, sep("10.42.1.3")));
  CHECK(!has(here.nat, kSvl, "MASQ"));
  auto away = render_rules({s}, {slice(ready("10.42.1.3", "n2"))}, kOptions);
  CHECK(!away.nat.contains(kSvl));
  CHECK(has(away.filter, "KUBE-EXTERNAL-SERVICES", "--dport 30080 -j DROP"));
  CHECK(has(away.nat, "KUBE-SERVICES", "-j " + kSvc));
}

TEST_CASE("rules: internal policy Local sends cluster traffic to this node's endpoints only") {
  auto s = service(R"("internalTrafficPolicy":"Local")");
  auto here = render_rules({s}, {slice(ready("10.42.0.2") + "," + ready("10.42.1.3", "n2"))}, kOptions);
  CHECK(has(here.nat, "KUBE-SERVICES", "-d 10.43.0.5 --dport 80 -j " + kSvl));
  CHECK(has(here.nat, kSvl, "! -s 10.42.0.0/16 -j KUBE-MARK-MASQ"));
  CHECK(has(here.nat, kSvc, sep("10.42.1.3")));  // the node port's traffic still goes everywhere
  auto away = render_rules({s}, {slice(ready("10.42.1.3", "n2"))}, kOptions);
  CHECK(has(away.filter, "KUBE-SERVICES", "-d 10.43.0.5 --dport 80 -j DROP"));
}

TEST_CASE("rules: terminating endpoints that still serve are the last resort") {
  auto mixed = render_rules({service("")}, {slice(ready("10.42.0.2") + "," + ending("10.42.0.3"))}, kOptions);
  CHECK(!has(mixed.nat, kSvc, sep("10.42.0.3")));
  auto last = render_rules({service("")}, {slice(ending("10.42.0.3"))}, kOptions);
  CHECK(has(last.nat, kSvc, sep("10.42.0.3")));
  auto local = render_rules({service(R"("type":"NodePort","externalTrafficPolicy":"Local")")}, {slice(ending("10.42.0.3") + "," + ready("10.42.1.4", "n2"))}, kOptions);
  CHECK(has(local.nat, kSvl, sep("10.42.0.3")));
  CHECK(!has(local.nat, kSvc, sep("10.42.0.3")));
}

TEST_CASE("rules: session affinity remembers clients by address") {
  auto s = service(R"("sessionAffinity":"ClientIP","sessionAffinityConfig":{"clientIP":{"timeoutSeconds":60}})");
  auto r = render_rules({s}, {slice(ready("10.42.0.2") + "," + ready("10.42.0.3"))}, kOptions);
  auto& svc = r.nat.at(kSvc);
  size_t recheck = svc.find("-m recent --name " + sep("10.42.0.3") + " --rcheck --seconds 60 --reap -j " + sep("10.42.0.3"));
  REQUIRE(recheck != std::string::npos);
  CHECK(recheck < svc.find("-m statistic"));
  CHECK(has(r.nat, sep("10.42.0.2"), "-m recent --name " + sep("10.42.0.2") + " --set -p tcp -m tcp -j DNAT"));
}

TEST_CASE("rules: source ranges close the balancer's address to others") {
  auto s = service(R"("type":"LoadBalancer","loadBalancerSourceRanges":["203.0.113.0/24"])", R"({"loadBalancer":{"ingress":[{"ip":"5.6.7.8"},{"ip":"9.9.9.9","ipMode":"Proxy"}]}})");
  auto r = render_rules({s}, {slice(ready("10.42.0.2"))}, kOptions);
  auto fw = chain_name("KUBE-FW-", kName, "tcp");
  CHECK(has(r.nat, "KUBE-SERVICES", "-d 5.6.7.8 --dport 80 -j " + fw));
  CHECK(has(r.nat, fw, "-s 203.0.113.0/24 -j " + kExt));
  CHECK(has(r.filter, "KUBE-PROXY-FIREWALL", "-d 5.6.7.8 --dport 80 -j DROP"));
  CHECK(!has(r.nat, "KUBE-SERVICES", "9.9.9.9"));
}

TEST_CASE("rules: a balancer with policy Local has its health check port let in, and counts this node's ready endpoints") {
  auto s = service(R"("type":"LoadBalancer","externalTrafficPolicy":"Local","healthCheckNodePort":31234)", R"({"loadBalancer":{"ingress":[{"ip":"5.6.7.8"}]}})");
  std::vector<json::Doc> slices{slice(ready("10.42.0.2") + "," + ending("10.42.0.3") + "," + ready("10.42.1.4", "n2"))};
  auto r = render_rules({s}, slices, kOptions);
  CHECK(has(r.filter, "KUBE-NODEPORTS", "default/web health check node port\" -p tcp -m tcp --dport 31234 -j ACCEPT\n"));
  auto ports = service_ports({s}, slices, "n1");
  REQUIRE(ports.size() == 1);
  CHECK(ports[0].ready_here == std::vector<std::string>{"10.42.0.2"});
  auto cluster = service_ports({service(R"("type":"LoadBalancer","healthCheckNodePort":31234)")}, slices, "n1");
  CHECK(cluster[0].health_port == 0);
}

TEST_CASE("rules: headless, external and foreign services, IPv6 slices and bad addresses are left alone") {
  auto plain = render_rules({}, {}, kOptions);
  for (auto text : {R"({"metadata":{"namespace":"a","name":"b"},"spec":{"clusterIP":"None","ports":[{"port":80}]}})",
                    R"({"metadata":{"namespace":"a","name":"b"},"spec":{"type":"ExternalName","externalName":"x.y","ports":[{"port":80}]}})",
                    R"({"metadata":{"namespace":"a","name":"b","labels":{"service.kubernetes.io/service-proxy-name":"other"}},"spec":{"clusterIP":"10.43.0.9","ports":[{"port":80}]}})",
                    R"({"metadata":{"namespace":"a","name":"b"},"spec":{"clusterIP":"fd00::1","clusterIPs":["fd00::1"],"ports":[{"port":80}]}})",
                    R"({"metadata":{"namespace":"a","name":"b"},"spec":{"clusterIP":"10.43.0.999","ports":[{"port":80}]}})"}) {
    auto r = render_rules({doc(text)}, {}, kOptions);
    CHECK(r.nat == plain.nat);
    CHECK(r.filter == plain.filter);
  }
}

TEST_CASE("endpoints: node hints are followed when all ready endpoints have them") {
  std::string hinted = R"(,"hints":{"forNodes":[{"name":")";
  auto with = [&hinted](const std::string& ip, const std::string& node) {
    std::string e = ready(ip, node);
    return e.substr(0, e.size() - 1) + hinted + node + R"("}]}})";
  };
  auto both = service_ports({service("")}, {slice(with("10.42.0.2", "n1") + "," + with("10.42.1.3", "n2"))}, "n1");
  REQUIRE(both.size() == 1);
  CHECK(both[0].cluster_endpoints == std::vector<std::string>{"10.42.0.2:8080"});
  auto partly = service_ports({service("")}, {slice(with("10.42.0.2", "n1") + "," + ready("10.42.1.3", "n2"))}, "n1");
  CHECK(partly[0].cluster_endpoints.size() == 2);
}

TEST_CASE("saved rules: own chains and the jumps to them are found, comments notwithstanding") {
  auto tables = parse_saved("# Generated\n*filter\n:INPUT ACCEPT [0:0]\n:KUBE-FIREWALL - [0:0]\n:DOCKER - [0:0]\n-A INPUT -j KUBE-FIREWALL\n"
                            "-A INPUT -m comment --comment \"x -j KUBE-NO\" -j DOCKER\n-A KUBE-FIREWALL -j KUBE-OTHER\nCOMMIT\n*nat\n:KUBE-SVC-A - [0:0]\nCOMMIT\n");
  CHECK(tables["filter"].chains == std::vector<std::string>{"KUBE-FIREWALL"});
  CHECK(tables["filter"].jumps == std::vector<std::string>{"INPUT -j KUBE-FIREWALL"});
  CHECK(tables["nat"].chains == std::vector<std::string>{"KUBE-SVC-A"});
}

TEST_CASE("flows: UDP to an endpoint that is gone is stale, other traffic is not ours") {
  UdpTargets t{{{"10.43.0.10:53", {}}, {"10.43.0.5:80", {"10.42.0.2:8080"}}}, {{30080, {"10.42.0.2:8080"}}}, {"192.168.77.1"}};
  CHECK_FALSE(is_stale({"10.43.0.5:80", "10.42.0.2:8080"}, t));
  CHECK(is_stale({"10.43.0.5:80", "10.42.0.3:8080"}, t));
  CHECK(is_stale({"10.43.0.5:80", "10.43.0.5:80"}, t));          // sent before there was an endpoint
  CHECK_FALSE(is_stale({"10.43.0.10:53", "10.43.0.10:53"}, t));  // the node's own DNS
  CHECK(is_stale({"192.168.77.1:30080", "10.42.0.3:8080"}, t));
  CHECK(is_stale({"192.168.77.1:30080", "192.168.77.1:30080"}, t));  // sent before there was the node port
  CHECK_FALSE(is_stale({"8.8.8.8:30080", "8.8.8.8:30080"}, t));
  CHECK_FALSE(is_stale({"8.8.8.8:53", "8.8.8.8:53"}, t));
}
