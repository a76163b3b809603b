// The words of port-forward.
#include "kubectl/commands/ports.h"

#include <catch2/catch.hpp>

namespace k8lite::kubectl {
namespace {

const json::Node& pod() {
  static const json::Node n = *json::Node::parse(R"({"metadata":{"name":"p"},"spec":{"containers":[{"ports":[{"name":"http","containerPort":8080}]}]}})");
  return n;
}
const json::Node& service() {
  static const json::Node n = *json::Node::parse(R"({"metadata":{"name":"s"},"spec":{"clusterIP":"10.43.0.1","ports":[{"name":"web","port":80,"targetPort":"http"},{"name":"raw","port":81,"targetPort":9}]}})");
  return n;
}
std::string shown(const Result<PortPair>& p) { return p.ok() ? std::to_string(p.value().local) + ":" + std::to_string(p.value().remote) : p.status().message(); }

}  // namespace

TEST_CASE("port-forward: ports of a pod by number and by name") {
  CHECK(shown(pod_port("80", pod())) == "80:80");
  CHECK(shown(pod_port("5000:80", pod())) == "5000:80");
  CHECK(shown(pod_port(":80", pod())) == "0:80");
  CHECK(shown(pod_port("http", pod())) == "8080:8080");
  CHECK(shown(pod_port("1:http", pod())) == "1:8080");
  CHECK(shown(pod_port("1:https", pod())) == "Pod 'p' does not have a named port 'https'");
  CHECK(shown(pod_port("1:2:3", pod())) == "invalid port format '1:2:3'");
  CHECK(shown(pod_port("x:80", pod())) == "error parsing local port 'x': strconv.ParseUint: parsing \"x\": invalid syntax");
  CHECK(shown(pod_port("80:0", pod())) == "remote port must be > 0");
}

TEST_CASE("port-forward: ports of a service lead to the container's") {
  CHECK(shown(service_port("80", service(), pod())) == "80:8080");
  CHECK(shown(service_port("5000:web", service(), pod())) == "5000:8080");
  CHECK(shown(service_port("raw", service(), pod())) == "81:9");
  CHECK(shown(service_port("82", service(), pod())) == "Service s does not have a service port 82");
  CHECK(shown(service_port("1:no", service(), pod())) == "Service 's' does not have a named port 'no'");
}

}  // namespace k8lite::kubectl
