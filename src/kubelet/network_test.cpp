// Which host ports a pod's object asks for.
#include <catch2/catch.hpp>

#include "kubelet/pods.h"

using namespace k8lite;
using namespace k8lite::kubelet;

namespace {

std::string mappings(const std::string& spec) {
  auto pod = json::Doc::parse(R"({"metadata":{"namespace":"default","name":"web"},"spec":)" + spec + "}");
  REQUIRE(pod.ok());
  std::string out;
  for (const auto& p : port_mappings(pod->root(), "10.42.0.2")) out += p.pod + " " + p.protocol + " " + p.host_ip + ":" + std::to_string(p.host_port) + ">" + p.pod_ip + ":" + std::to_string(p.container_port) + ";";
  return out;
}

}  // namespace

TEST_CASE("host ports: of containers and sidecars, with their protocols and addresses") {
  CHECK(mappings(R"({"containers":[{"ports":[{"containerPort":80,"hostPort":8080},{"containerPort":53,"hostPort":53,"protocol":"UDP","hostIP":"192.0.2.1"},{"containerPort":9}]}]})") ==
        "default/web tcp :8080>10.42.0.2:80;default/web udp 192.0.2.1:53>10.42.0.2:53;");
  CHECK(mappings(R"({"initContainers":[{"ports":[{"containerPort":1,"hostPort":1}]},{"restartPolicy":"Always","ports":[{"containerPort":2,"hostPort":2}]}],"containers":[]})") == "default/web tcp :2>10.42.0.2:2;");
}

TEST_CASE("host ports: a pod in the node's network has none") { CHECK(mappings(R"({"hostNetwork":true,"containers":[{"ports":[{"containerPort":80,"hostPort":80}]}]})").empty()); }
