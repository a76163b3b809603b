// Who may begin on a node, by table: reasons and words, and who goes for a critical pod.
#include "kubelet/admission.h"

#include <catch2/catch.hpp>

using namespace k8lite;
using namespace k8lite::kubelet;

namespace {

json::Doc parse(const std::string& text) {
  auto doc = json::Doc::parse(text);
  CAPTURE(text);
  REQUIRE(doc.ok());
  return *doc;
}
json::Doc pod(const std::string& uid, const std::string& requests, const std::string& more = "") {
  return parse(R"({"metadata":{"name":"p","namespace":"default","uid":")" + uid + R"("},"spec":{)" + more +
               R"("containers":[{"name":"c","resources":{"requests":)" + requests + "}}]}}");
}
json::Doc node_with_disk() { return parse(R"({"metadata":{"name":"n1","labels":{"disk":"ssd"}},"spec":{}})"); }

Admission ask(const json::Doc& wanted, const std::vector<json::Doc>& others = {}, const json::Doc& node = node_with_disk()) {
  NodeOffer offer;
  offer.allocatable = api::read_usage(
      parse(R"({"cpu":"2","memory":"1Gi","ephemeral-storage":"10Gi","pods":"3","example.com/gpu":"1"})").root());
  for (const auto& p : others) offer.pods.push_back(p.root());
  offer.node = node.root();
  return admit(wanted.root(), offer);
}

}  // namespace

TEST_CASE("admission: what does not fit is refused with upstream's reason and words") {
  auto used = pod("a", R"({"cpu":"1500m","memory":"100Mi"})");
  CHECK(ask(pod("b", R"({"cpu":"500m"})"), {used}).reason.empty());
  auto refused = ask(pod("b", R"({"cpu":"600m"})"), {used});
  CHECK(refused.reason == "OutOfcpu");
  CHECK(refused.message == "Node didn't have enough resource: cpu, requested: 600, used: 1500, capacity: 2000");
  refused = ask(pod("b", R"({"memory":"1Gi"})"), {used});
  CHECK(refused.reason == "OutOfmemory");
  CHECK(refused.message ==
        "Node didn't have enough resource: memory, requested: 1073741824, used: 104857600, capacity: 1073741824");
  CHECK(ask(pod("b", R"({"ephemeral-storage":"11Gi"})")).reason == "OutOfephemeral-storage");
  CHECK(ask(pod("d", "{}"), {pod("a", "{}"), pod("b", "{}"), pod("c", "{}")}).reason == "OutOfpods");
  CHECK(ask(pod("b", R"({"example.com/gpu":"2"})")).reason == "OutOfexample.com/gpu");
  CHECK(ask(pod("b", R"({"example.com/other":"2"})")).reason.empty());  // no business of this node
}

TEST_CASE("admission: labels, taints, ports and operating systems") {
  CHECK(ask(pod("b", "{}", R"("nodeSelector":{"disk":"ssd"},)")).reason.empty());
  auto refused = ask(pod("b", "{}", R"("nodeSelector":{"disk":"hdd"},)"));
  CHECK(refused.reason == "NodeAffinity");
  CHECK(refused.message == "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector");
  auto tainted = parse(R"({"metadata":{"name":"n1"},"spec":{"taints":[{"key":"k","effect":"NoExecute"}]}})");
  CHECK(ask(pod("b", "{}"), {}, tainted).reason == "TaintToleration");
  CHECK(ask(pod("b", "{}", R"("tolerations":[{"operator":"Exists"}],)"), {}, tainted).reason.empty());
  auto port = [](const std::string& uid, const char* ip) {
    return parse(R"({"metadata":{"uid":")" + uid + R"("},"spec":{"containers":[{"name":"c","ports":[{"hostPort":80,"hostIP":")" +
                 ip + R"("}]}]}})");
  };
  CHECK(ask(port("b", "127.0.0.1"), {port("a", "0.0.0.0")}).reason == "NodePorts");
  CHECK(ask(port("b", "127.0.0.1"), {port("a", "127.0.0.2")}).reason.empty());
  CHECK(ask(pod("b", "{}", R"("os":{"name":"windows"},)")).reason == "PodOSNotSupported");
}

TEST_CASE("admission: for a critical pod the least important go, and only where that helps") {
  const std::string critical = R"("priority":2000001000,)";
  auto small = pod("small", R"({"cpu":"500m"})", R"("priority":5,)"), large = pod("large", R"({"cpu":"1500m"})");
  auto wanted = pod("w", R"({"cpu":"1"})", critical);
  auto verdict = ask(wanted, {small, large});
  CHECK(verdict.reason.empty());
  CHECK(verdict.preempt == std::vector<std::string>{"large"});
  verdict = ask(pod("w", R"({"cpu":"3"})", critical), {small, large});
  CHECK(verdict.reason == "UnexpectedAdmissionError");
  CHECK(verdict.message ==
        "Unexpected error while attempting to recover from admission failure: preemption: error finding a set of pods "
        "to preempt: no set of running pods found to reclaim resources: [(res: cpu, q: 3000), ]");
  CHECK(ask(wanted, {pod("other", R"({"cpu":"2"})", critical)}).reason == "UnexpectedAdmissionError");
}
