// What pods of each DNS policy find in /etc/resolv.conf.
#include "kubelet/resolv.h"

#include <catch2/catch.hpp>

using namespace k8lite;
using namespace k8lite::kubelet;

namespace {

std::string conf(const std::string& spec, const std::string& host = "search lan.example\nnameserver 192.0.2.53\noptions edns0 timeout:1\n", const std::string& dns = "10.43.0.10") {
  auto pod = json::Doc::parse(R"({"metadata":{"namespace":"shop","name":"web"},"spec":)" + spec + "}");
  REQUIRE(pod.ok());
  return pod_resolv_conf(pod->root(), {dns, "cluster.local", host});
}
const std::string kCluster = "search shop.svc.cluster.local svc.cluster.local cluster.local lan.example\nnameserver 10.43.0.10\noptions ndots:5\n";

}  // namespace

TEST_CASE("resolv.conf: cluster first, the node's search domains behind the cluster's") {
  CHECK(conf("{}") == kCluster);
  CHECK(conf(R"({"hostNetwork":true,"dnsPolicy":"ClusterFirstWithHostNet"})") == kCluster);
  CHECK(conf("{}", "nameserver 192.0.2.53\n") == "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.43.0.10\noptions ndots:5\n");
}

TEST_CASE("resolv.conf: the node's own, for pods in its network, for policy Default, and without a cluster DNS") {
  const std::string host = "search lan.example\nnameserver 192.0.2.53\noptions edns0 timeout:1\n";
  CHECK(conf(R"({"hostNetwork":true})") == host);
  CHECK(conf(R"({"dnsPolicy":"Default"})") == host);
  CHECK(conf("{}", host, "") == host);
  CHECK(conf(R"({"dnsPolicy":"Default"})", "# comment\ndomain a.example\nsearch . b.example c.example\nnameserver 192.0.2.1 # one\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n") ==
        "search b.example c.example\nnameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\n");
}

TEST_CASE("resolv.conf: name servers on the node's loopback are the cluster DNS's to ask") {
  CHECK(conf(R"({"dnsPolicy":"Default"})", "nameserver 127.0.0.53\noptions edns0\n") == "nameserver 10.43.0.10\noptions edns0\n");
  CHECK(conf(R"({"dnsPolicy":"Default"})", "nameserver 127.0.0.53\nnameserver 192.0.2.53\n") == "nameserver 192.0.2.53\n");
  CHECK(conf(R"({"dnsPolicy":"Default","hostNetwork":true})", "nameserver 127.0.0.53\n") == "nameserver 127.0.0.53\n");
}

TEST_CASE("resolv.conf: dnsConfig adds servers and domains to one line each and overrides options") {
  CHECK(conf(R"({"dnsConfig":{"nameservers":["9.9.9.9","10.43.0.10"],"searches":["my.example","svc.cluster.local"],"options":[{"name":"ndots","value":"2"},{"name":"edns0"}]}})") ==
        "search shop.svc.cluster.local svc.cluster.local cluster.local lan.example my.example\nnameserver 10.43.0.10\nnameserver 9.9.9.9\noptions ndots:2 edns0\n");
  CHECK(conf(R"({"dnsPolicy":"None","dnsConfig":{"nameservers":["9.9.9.9"]}})") == "nameserver 9.9.9.9\n");
}
