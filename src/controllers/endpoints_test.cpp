// Endpoints and EndpointSlices: from pods by the table, and stories of churn that must leave exactly one true set.
#include "controllers/endpoints.h"

#include <catch2/catch.hpp>

#include "controllers/endpoints_plan.h"
#include "support/controller_world.h"

using namespace k8lite;
using namespace k8lite::controllers;
using json::Doc;
using json::Node;
using machinery::Path;
using testing::ControllerWorld;

namespace {

Node service(const char* ports = R"([{"name":"http","port":80,"targetPort":8080,"protocol":"TCP"}])") {
  return Node::obj({{"apiVersion", "v1"}, {"kind", "Service"}, {"metadata", Node::obj({{"name", "web"}, {"namespace", "default"}})}, {"spec", Node::obj({{"selector", Node::obj({{"app", "web"}})}, {"ports", *Node::parse(ports)}, {"clusterIP", "10.43.0.5"}})}});
}
Node pod(const std::string& name, const std::string& ip, bool ready = true, const char* phase = "Running") {
  Node p = Node::obj({{"metadata", Node::obj({{"name", name}, {"namespace", "default"}, {"uid", "u-" + name}, {"labels", Node::obj({{"app", "web"}})}})},
                      {"spec", Node::obj({{"nodeName", "n1"}, {"containers", *Node::parse(R"([{"name":"c","ports":[{"name":"web","containerPort":8081,"protocol":"TCP"},{"name":"dns","containerPort":53,"protocol":"UDP"}]}])")}})},
                      {"status", Node::obj({{"phase", phase}, {"conditions", Node::arr({Node::obj({{"type", "Ready"}, {"status", ready ? "True" : "False"}})})}})}});
  if (!ip.empty()) p["status"].set("podIP", ip);
  return p;
}
ServiceEndpoints plan(const Node& s, std::vector<Node> pods) {
  std::vector<Doc> docs;
  for (auto& p : pods) docs.push_back(Doc::from(p));
  return plan_endpoints(Doc::from(s), docs);
}
std::string conditions(const ServiceEndpoints& e, size_t i = 0) {
  const Node& c = e.slices.at(0).get("endpoints").items().at(i).get("conditions");
  return std::string(c.get("ready").bool_or(false) ? "R" : "-") + (c.get("serving").bool_or(false) ? "S" : "-") + (c.get("terminating").bool_or(false) ? "T" : "-");
}

struct World : ControllerWorld {
  World() { run<EndpointsController>(); }
  Path slices() { return path("discovery.k8s.io", "endpointslices"); }
  std::multiset<std::string> addresses() {
    std::multiset<std::string> out;
    for (const Doc& s : cluster.all(slices()))
      for (json::Value e : s["endpoints"].items()) out.insert(e["addresses"].at(0).str() + (e["conditions"]["ready"].bool_or(false) ? "+" : "-"));
    return out;
  }
  std::string endpoints() { return std::string(cluster.at(path("", "endpoints", "web"))["subsets"].raw()); }
};

}  // namespace

TEST_CASE("endpoints: which pods, and how they are called") {
  struct Row { const char* why; Node pod; bool publish_all; const char* conditions; bool ready, not_ready; };
  Node terminating = pod("p", "1.1.1.1");
  terminating["metadata"].set("deletionTimestamp", "2026-01-01T00:00:00Z");
  Node ended = pod("p", "1.1.1.1", false);
  ended["metadata"].set("deletionTimestamp", "2026-01-01T00:00:00Z");
  for (const Row& r : std::vector<Row>{{"ready", pod("p", "1.1.1.1"), false, "RS-", true, false},
                                       {"not ready", pod("p", "1.1.1.1", false), false, "---", false, true},
                                       {"not ready, published", pod("p", "1.1.1.1", false), true, "R--", true, false},
                                       {"serving to its end", terminating, false, "-ST", false, false},
                                       {"ending, published", ended, true, "R-T", true, false}}) {
    CAPTURE(r.why);
    Node s = service();
    s["spec"].set("publishNotReadyAddresses", r.publish_all);
    auto e = plan(s, {r.pod});
    CHECK(conditions(e) == r.conditions);
    const Node subset = e.subsets.is_null() ? Node::object() : e.subsets.items()[0];
    CHECK((subset.get("addresses").size() == 1) == r.ready);
    CHECK((subset.get("notReadyAddresses").size() == 1) == r.not_ready);
  }
  CHECK(plan(service(), {pod("a", ""), pod("b", "1.1.1.1", false, "Failed"), pod("c", "1.1.1.2", false, "Succeeded")}).slices.empty());
}

TEST_CASE("endpoints: ports by number, by name, and apart where pods differ") {
  auto port = [](const ServiceEndpoints& e, size_t i = 0) { return e.slices.at(0).get("ports").items().at(i).get("port").int_or(0); };
  CHECK(port(plan(service(), {pod("a", "1.1.1.1")})) == 8080);
  CHECK(port(plan(service(R"([{"port":80}])"), {pod("a", "1.1.1.1")})) == 80);
  CHECK(port(plan(service(R"([{"port":80,"targetPort":"web"}])"), {pod("a", "1.1.1.1")})) == 8081);
  CHECK(port(plan(service(R"([{"port":53,"targetPort":"dns","protocol":"UDP"}])"), {pod("a", "1.1.1.1")})) == 53);
  // A name that no container of this protocol has: the pod stands without the port.
  CHECK(plan(service(R"([{"port":53,"targetPort":"dns","protocol":"TCP"}])"), {pod("a", "1.1.1.1")}).slices.at(0).get("ports").size() == 0);
  Node other = pod("b", "1.1.1.2");
  other["spec"]["containers"].items()[0]["ports"].items()[0].set("containerPort", 9999);
  auto two = plan(service(R"([{"port":80,"targetPort":"web"}])"), {pod("a", "1.1.1.1"), other});
  CHECK(two.slices.size() == 2);
  CHECK(two.subsets.size() == 2);
}

TEST_CASE("endpoints: a hundred in a slice, named pods with their host name") {
  std::vector<Node> pods;
  for (int i = 0; i < 250; ++i) pods.push_back(pod("p" + std::to_string(i), "10.0." + std::to_string(i / 200) + "." + std::to_string(i % 200)));
  auto e = plan(service(), pods);
  CHECK(e.slices.size() == 3);
  std::set<std::string> all;
  for (const Node& s : e.slices) {
    CHECK(s.get("endpoints").size() <= kMaxEndpointsPerSlice);
    for (const Node& x : s.get("endpoints").items()) all.insert(x.get("addresses").items()[0].str());
  }
  CHECK(all.size() == 250);
  Node named = pod("db-0", "1.1.1.1");
  named["spec"].set("hostname", "db-0");
  named["spec"].set("subdomain", "web");
  CHECK(plan(service(), {named}).slices[0].get("endpoints").items()[0].get("hostname").str() == "db-0");
  named["spec"].set("subdomain", "other");
  CHECK_FALSE(plan(service(), {named}).slices[0].get("endpoints").items()[0].get("hostname").exists());
}

TEST_CASE("endpoints: follow pods and labels, and end with their Service") {
  World w;
  w.cluster.put(w.path("", "services"), service());
  w.settle();
  CHECK(w.cluster.all(w.slices()).size() == 1);  // an empty one: clients see that nobody answers
  w.cluster.put(w.pods(), pod("a", "1.1.1.1"));
  w.cluster.put(w.pods(), pod("b", "1.1.1.2", false));
  w.settle();
  CHECK(w.addresses() == std::multiset<std::string>{"1.1.1.1+", "1.1.1.2-"});
  CHECK(w.endpoints().find("1.1.1.1") != std::string::npos);
  w.cluster.merge(w.pods("a"), R"({"metadata":{"labels":{"app":"debug"}}})");
  w.settle();
  CHECK(w.addresses() == std::multiset<std::string>{"1.1.1.2-"});
  w.cluster.merge(w.path("", "services", "web"), R"({"spec":{"selector":{"app":"debug"}}})");
  w.settle();
  CHECK(w.addresses() == std::multiset<std::string>{"1.1.1.1+"});
  (void)w.cluster.remove(w.path("", "services", "web"), {});
  w.settle();
  CHECK(w.cluster.all(w.slices()).empty());
  CHECK_FALSE(w.cluster.at(w.path("", "endpoints", "web")));
}

TEST_CASE("endpoints: without a selector, or leading elsewhere, they are somebody else's") {
  World w;
  Node s = service();
  s["spec"].erase("selector");
  w.cluster.put(w.path("", "services"), s);
  w.cluster.put(w.path("", "endpoints"), *Node::parse(R"({"metadata":{"name":"web"},"subsets":[{"addresses":[{"ip":"9.9.9.9"}]}]})"));
  Node away = service();
  away["metadata"].set("name", "away");
  away["spec"].set("type", "ExternalName");
  w.cluster.put(w.path("", "services"), away);
  w.settle();
  CHECK(w.cluster.all(w.slices()).empty());
  CHECK(w.endpoints().find("9.9.9.9") != std::string::npos);
  CHECK_FALSE(w.cluster.at(w.path("", "endpoints", "away")));
}

TEST_CASE("endpoints: what somebody deletes or spoils comes back") {
  World w;
  w.cluster.put(w.path("", "services"), service());
  w.cluster.put(w.pods(), pod("a", "1.1.1.1"));
  w.settle();
  std::string name = w.cluster.names(w.slices()).at(0);
  (void)w.cluster.remove(w.path("discovery.k8s.io", "endpointslices", name), {});
  (void)w.cluster.remove(w.path("", "endpoints", "web"), {});
  w.settle();
  CHECK(w.addresses() == std::multiset<std::string>{"1.1.1.1+"});
  CHECK(w.endpoints().find("1.1.1.1") != std::string::npos);
  w.cluster.merge(w.path("discovery.k8s.io", "endpointslices", w.cluster.names(w.slices()).at(0)), R"({"endpoints":[]})");
  w.cluster.merge(w.path("", "endpoints", "web"), R"({"subsets":null})");
  w.settle();
  CHECK(w.addresses() == std::multiset<std::string>{"1.1.1.1+"});
  CHECK(w.endpoints().find("1.1.1.1") != std::string::npos);
}

// Property: after any churn, with refused writes in between, exactly the pods that should be are there, each once.
TEST_CASE("endpoints: random churn leaves every pod once") {
  World w;
  SeededRandom random(17);
  w.cluster.put(w.path("", "services"), service());
  for (int round = 0; round < 12; ++round) {
    for (int i = 0; i < 20; ++i) {
      std::string n = std::to_string(random.next() % 30);
      if (random.next() % 4 == 0) (void)w.cluster.remove(w.pods("p" + n), {});
      else w.cluster.put(w.pods(), pod("p" + n, "10.0.0." + n, random.next() % 2));
      if (random.next() % 10 == 0) w.cluster.fail_next(random.next() % 2 ? "update endpointslices" : "update endpoints", Status(Reason::Conflict, "modified"));
    }
    for (int i = 0; i < 8; ++i) w.pass(seconds(10));  // each refused write costs one more try
    std::multiset<std::string> want;
    for (const Doc& p : w.cluster.all(w.pods())) want.insert(p.path("status.podIP").str() + (pod_is_ready(p.root()) ? "+" : "-"));
    REQUIRE(w.addresses() == want);
  }
}

TEST_CASE("endpoints: zones are told, and with a traffic distribution hints for those that are ready") {
  Node s = service();
  std::vector<Doc> pods = {Doc::from(pod("a", "1.1.1.1")), Doc::from(pod("b", "1.1.1.2", false))};
  auto first = [&](size_t i) { return plan_endpoints(Doc::from(s), pods, {{"n1", "zone-a"}}).slices.at(0).get("endpoints").items().at(i); };
  CHECK(first(0).get("zone").str() == "zone-a");
  CHECK_FALSE(first(0).get("hints").exists());
  for (const char* wish : {"PreferClose", "PreferSameZone"}) {
    s["spec"].set("trafficDistribution", wish);
    CHECK(first(0).get("hints").dump() == R"({"forZones":[{"name":"zone-a"}]})");
    CHECK_FALSE(first(1).get("hints").exists());
  }
  s["spec"].set("trafficDistribution", "PreferSameNode");
  CHECK(first(0).get("hints").dump() == R"({"forNodes":[{"name":"n1"}],"forZones":[{"name":"zone-a"}]})");
  CHECK_FALSE(plan_endpoints(Doc::from(s), pods).slices.at(0).get("endpoints").items().at(0).path("hints.forZones").exists());
}
