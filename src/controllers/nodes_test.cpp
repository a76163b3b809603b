// Nodes: taints, evictions, silence, pod networks, and what becomes of the pods of a node that is no more.
#include "controllers/nodes.h"

#include <catch2/catch.hpp>
#include <mutex>
#include <set>

#include "controllers/nodes_plan.h"
#include "support/controller_world.h"

using namespace k8lite;
using namespace k8lite::controllers;
using json::Doc;
using json::Node;
using machinery::Path;
using testing::ControllerWorld;

namespace {

const Instant kNow{1'767'226'000'000'000};

Node node(const char* name, const char* ready = "True", const char* taints = "[]") {
  return Node::obj({{"apiVersion", "v1"}, {"kind", "Node"}, {"metadata", Node::obj({{"name", name}})}, {"spec", Node::obj({{"podCIDR", "10.42.0.0/24"}, {"taints", *Node::parse(taints)}})},
                    {"status", Node::obj({{"conditions", Node::arr({Node::obj({{"type", "Ready"}, {"status", ready}})})}})}});
}
Node pod(const std::string& name, const std::string& on, const char* tolerations = "[]") {
  return Node::obj({{"metadata", Node::obj({{"name", name}, {"namespace", "default"}})}, {"spec", Node::obj({{"nodeName", on}, {"tolerations", *Node::parse(tolerations)}})}, {"status", Node::obj({{"phase", "Running"}})}});
}
std::string words(const Node& taints) {
  std::set<std::string> out;
  for (const Node& t : taints.items()) out.insert(t.get("key").str() + ":" + t.get("effect").str());
  std::string text;
  for (const auto& t : out) text += (text.empty() ? "" : " ") + t;
  return text;
}
std::string stamped(const char* key, int seconds_ago) { return R"([{"key":")" + std::string(key) + R"(","effect":"NoExecute","timeAdded":")" + rfc3339(kNow - seconds(seconds_ago)) + "\"}]"; }

}  // namespace

TEST_CASE("nodes: taints follow conditions, silence and cordons, and leave others' alone") {
  struct Row { const char* why; Node node; int silent; const char* want; };
  auto with = [](Node n, const char* type, const char* status) {
    n["status"]["conditions"].append(Node::obj({{"type", type}, {"status", status}}));
    return n;
  };
  Node cordoned = node("n");
  cordoned["spec"].set("unschedulable", true);
  constexpr const char* kOwn = R"([{"key":"gpu","value":"yes","effect":"NoSchedule"}])";
  constexpr const char* kStale = R"([{"key":"node.kubernetes.io/not-ready","effect":"NoSchedule"},{"key":"node.kubernetes.io/memory-pressure","effect":"NoSchedule"},{"key":"node.kubernetes.io/unschedulable","effect":"NoSchedule"}])";
  for (const Row& r : std::vector<Row>{{"well", node("n"), 0, ""},
                                       {"not ready", node("n", "False"), 0, "node.kubernetes.io/not-ready:NoExecute node.kubernetes.io/not-ready:NoSchedule"},
                                       {"silent", node("n"), 40, "node.kubernetes.io/unreachable:NoExecute node.kubernetes.io/unreachable:NoSchedule"},
                                       {"never heard", node("n", "Unknown"), 0, "node.kubernetes.io/unreachable:NoExecute node.kubernetes.io/unreachable:NoSchedule"},
                                       {"cordoned", cordoned, 0, "node.kubernetes.io/unschedulable:NoSchedule"},
                                       {"others'", node("n", "True", kOwn), 0, "gpu:NoSchedule"},
                                       {"stale", node("n", "True", kStale), 0, ""},
                                       {"pressure", with(with(node("n"), "MemoryPressure", "True"), "DiskPressure", "False"), 0, "node.kubernetes.io/memory-pressure:NoSchedule"}}) {
    CAPTURE(r.why);
    auto plan = plan_node(Doc::from(r.node), seconds(r.silent), {}, kNow);
    CHECK(words(plan.taints) == r.want);
    CHECK(plan.change_taints == (words(plan.taints) != words(r.node.path("spec.taints"))));
    CHECK(plan.unknown == (r.silent >= 40 && std::string(r.why) == "silent"));
    // Put on, they are settled: nothing to change at the next look.
    Node after = r.node;
    after["spec"].set("taints", plan.taints);
    CHECK_FALSE(plan_node(Doc::from(after), seconds(r.silent), {}, kNow + seconds(5)).change_taints);
  }
}

TEST_CASE("nodes: who must go when, by tolerations") {
  constexpr const char* kKey = "node.kubernetes.io/unreachable";
  struct Row { const char* why; const char* tolerations; int since; bool goes; int again; };
  for (const Row& r : std::vector<Row>{{"no toleration", "[]", 0, true, 0},
                                       {"for ever", R"([{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute"}])", 9999, false, 0},
                                       {"everything", R"([{"operator":"Exists"}])", 9999, false, 0},
                                       {"for 300 s, early", R"([{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}])", 299, false, 1},
                                       {"for 300 s, late", R"([{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}])", 300, true, 0},
                                       {"another effect", R"([{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoSchedule"}])", 0, true, 0},
                                       {"another key", R"([{"key":"node.kubernetes.io/not-ready","operator":"Exists"}])", 0, true, 0},
                                       {"a value it has not", R"([{"key":"node.kubernetes.io/unreachable","value":"x"}])", 0, true, 0},
                                       {"the first counts", R"([{"key":"node.kubernetes.io/unreachable","operator":"Exists","tolerationSeconds":10},{"operator":"Exists"}])", 20, true, 0},
                                       {"negative is none", R"([{"key":"node.kubernetes.io/unreachable","operator":"Exists","tolerationSeconds":-5}])", 0, true, 0}}) {
    CAPTURE(r.why);
    auto plan = plan_node(Doc::from(node("n", "Unknown", stamped(kKey, r.since).c_str())), seconds(60), {Doc::from(pod("p", "n", r.tolerations)), Doc::from(pod("elsewhere", "m"))}, kNow);
    CHECK(plan.evict == (r.goes ? std::vector<std::string>{"default/p"} : std::vector<std::string>{}));
    CHECK(plan.again == Duration(seconds(r.again)));
  }
}

TEST_CASE("nodes: a NoExecute taint of an administrator evicts too, from when it was seen first") {
  Node n = node("n", "True", R"([{"key":"maintenance","value":"soon","effect":"NoExecute"}])");
  std::vector<Doc> pods = {Doc::from(pod("plain", "n")), Doc::from(pod("patient", "n", R"([{"key":"maintenance","value":"soon","effect":"NoExecute","tolerationSeconds":60}])")), Doc::from(pod("stays", "n", R"([{"key":"maintenance","operator":"Exists"}])"))};
  auto plan = plan_node(Doc::from(n), seconds(0), pods, kNow);
  CHECK(plan.evict == std::vector<std::string>{"default/plain"});
  REQUIRE(plan.change_taints);
  n["spec"].set("taints", plan.taints);
  CHECK(plan_node(Doc::from(n), seconds(0), pods, kNow + seconds(59)).evict.size() == 1);
  CHECK(plan_node(Doc::from(n), seconds(0), pods, kNow + seconds(60)).evict.size() == 2);
}

TEST_CASE("nodes: pod networks are free ones inside the cluster's") {
  PodNetworks n("10.42.0.0/22");
  n.hold("10.42.1.0/24");
  CHECK(n.take() == "10.42.0.0/24");
  CHECK(n.take() == "10.42.2.0/24");
  CHECK(n.take() == "10.42.3.0/24");
  CHECK(n.take() == "");
  n.release("10.42.2.0/24");
  CHECK(n.take() == "10.42.2.0/24");
  CHECK(PodNetworks("10.42.0.0/25").take() == "");
  CHECK(PodNetworks("nonsense").take() == "");
}

TEST_CASE("nodes: a zone loses one node in ten seconds, a failing one fewer, and nobody loses any when all fail") {
  EvictionPace pace;
  Duration again{0};
  std::map<std::string, EvictionPace::Zone> zones = {{"a", {5, 2}}, {"b", {0, 3}}};
  CHECK(pace.ask("a", zones, seconds(100), again) == Eviction::Now);
  CHECK(pace.ask("b", zones, seconds(100), again) == Eviction::Now);  // all of this zone, but not of all zones
  CHECK(pace.ask("a", zones, seconds(103), again) == Eviction::NotYet);
  CHECK(again == Duration(seconds(7)));
  CHECK(pace.ask("a", zones, seconds(110), again) == Eviction::Now);
  zones["a"] = {4, 6};
  CHECK(pace.ask("a", zones, seconds(1000), again) == Eviction::NotYet);
  zones["a"] = {40, 60};
  CHECK(pace.ask("a", zones, seconds(1000), again) == Eviction::Now);
  CHECK(pace.ask("a", zones, seconds(1099), again) == Eviction::NotYet);
  zones["a"] = {0, 100};
  CHECK(pace.ask("a", zones, seconds(9000), again) == Eviction::Never);
}

TEST_CASE("nodes: the only node of a cluster keeps its pods however long it is silent") {
  ControllerWorld w;
  w.run<NodeController>();
  w.cluster.put(w.path("", "nodes", "", ""), node("n"));
  w.cluster.put(w.pods(), pod("p", "n"));
  w.settle();
  for (int i = 0; i < 5; ++i) w.pass(seconds(60));
  CHECK(words(w.cluster.at(w.path("", "nodes", "n", "")).path("spec.taints").to_node()) == "node.kubernetes.io/unreachable:NoSchedule");
  CHECK(w.cluster.at(w.pods("p")));
}

TEST_CASE("nodes: a pod that ends on a node out of service is over at once, and says why") {
  ControllerWorld w;
  w.cluster.graceful_pods = true;
  w.run<NodeController>();
  w.cluster.put(w.path("", "nodes", "", ""), node("n", "False", R"([{"key":"node.kubernetes.io/out-of-service","value":"nodeshutdown","effect":"NoExecute"}])"));
  w.cluster.put(w.pods(), pod("stays", "n", R"([{"operator":"Exists"}])"));
  w.cluster.put(w.pods(), pod("goes", "n"));
  std::mutex mutex;
  std::set<std::string> told;
  w.context.informer("", "pods").on_change([&](const Doc&, const Doc& after) {
    std::lock_guard lock(mutex);
    if (after && name_of(after) == "goes") told.insert(after.path("status.conditions").at(0)["reason"].str());
  });
  w.settle();
  w.pass(seconds(1));
  {
    std::lock_guard lock(mutex);
    CHECK(told.count("DeletionByTaintManager") == 1);
  }
  CHECK(w.cluster.names(w.pods()) == std::vector<std::string>{"stays"});
}

TEST_CASE("nodes: eviction survives that every write fails once") {
  ControllerWorld w;
  w.run<NodeController>();
  w.cluster.put(w.path("", "nodes", "", ""), node("n", "True", R"([{"key":"maintenance","effect":"NoExecute"}])"));
  Node without = node("m");
  without["spec"].erase("podCIDR");
  w.cluster.put(w.path("", "nodes", "", ""), without);
  w.cluster.put(w.pods(), pod("p", "n"));
  w.cluster.put(w.pods(), pod("ghost", "never-there"));
  for (const char* what : {"patch nodes", "patch pods/status", "delete pods"}) w.cluster.fail_next(what, unavailable("busy"));
  for (int i = 0; i < 10; ++i) w.pass(seconds(5));
  CHECK(w.cluster.all(w.pods()).empty());
  CHECK(w.cluster.at(w.path("", "nodes", "m", "")).path("spec.podCIDR").str() == "10.42.1.0/24");
}

TEST_CASE("nodes: silence makes a node unknown, taints it, and in time evicts; a word from it ends that") {
  ControllerWorld w;
  w.run<NodeController>();
  Path nodes = w.path("", "nodes", "", ""), leases = w.path("coordination.k8s.io", "leases", "", "kube-node-lease");
  w.cluster.put(nodes, node("n"));
  auto renew = [&](int n) { w.cluster.put(leases, Node::obj({{"metadata", Node::obj({{"name", "n"}})}, {"spec", Node::obj({{"renewTime", std::to_string(n)}})}})); };
  renew(0);
  w.cluster.put(nodes, node("neighbour"));  // which is well all the time
  auto neighbour_renews = [&, i = 0]() mutable { w.cluster.put(leases, Node::obj({{"metadata", Node::obj({{"name", "neighbour"}})}, {"spec", Node::obj({{"renewTime", std::to_string(++i)}})}})); };
  constexpr const char* kPatient = R"([{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}])";
  w.cluster.put(w.pods(), pod("p", "n", kPatient));
  w.settle();
  w.set_status(w.cluster.at(w.pods("p")), true);
  neighbour_renews();
  w.pass(seconds(39));
  Path n = w.path("", "nodes", "n", "");
  CHECK(words(w.cluster.at(n).path("spec.taints").to_node()) == "");
  neighbour_renews();
  w.pass(seconds(2));
  neighbour_renews();
  w.pass(seconds(1));
  CHECK(words(w.cluster.at(n).path("spec.taints").to_node()) == "node.kubernetes.io/unreachable:NoExecute node.kubernetes.io/unreachable:NoSchedule");
  CHECK(w.cluster.at(n).path("status.conditions").at(0)["status"].equals("Unknown"));
  CHECK_FALSE(pod_is_ready(w.cluster.at(w.pods("p")).root()));
  CHECK(w.cluster.at(w.pods("p")));
  // It speaks again in time: nobody goes.
  renew(1);
  w.cluster.merge({"", "v1", "nodes", "", "n", "status"}, R"({"status":{"conditions":[{"type":"Ready","status":"True"}]}})");
  w.settle();
  CHECK(words(w.cluster.at(n).path("spec.taints").to_node()) == "");
  neighbour_renews();
  w.pass(seconds(39));
  CHECK(w.cluster.at(w.pods("p")));
  neighbour_renews();
  w.pass(seconds(2));
  neighbour_renews();
  w.pass(seconds(300));
  neighbour_renews();
  w.pass(seconds(2));
  CHECK_FALSE(w.cluster.at(w.pods("p")));
}

TEST_CASE("nodes: one that is back is not called silent while its lease is still on its way") {
  ControllerWorld w;
  w.run<NodeController>();
  Path nodes = w.path("", "nodes", "", ""), leases = w.path("coordination.k8s.io", "leases", "", "kube-node-lease"), n = w.path("", "nodes", "n", "");
  w.cluster.put(nodes, node("n"));
  w.settle();
  w.pass(seconds(41));
  REQUIRE(w.cluster.at(n).path("status.conditions").at(0)["status"].equals("Unknown"));
  w.cluster.hold("coordination.k8s.io", "leases");
  w.cluster.put(leases, Node::obj({{"metadata", Node::obj({{"name", "n"}})}, {"spec", Node::obj({{"renewTime", "1"}})}}));
  w.cluster.merge({"", "v1", "nodes", "", "n", "status"}, R"({"status":{"conditions":[{"type":"Ready","status":"True"}]}})");
  w.settle();
  w.cluster.release();
  w.settle();
  CHECK(w.cluster.at(n).path("status.conditions").at(0)["status"].equals("True"));
  CHECK(words(w.cluster.at(n).path("spec.taints").to_node()) == "");
}

TEST_CASE("nodes: the pods of a deleted node go, unless it comes back soon") {
  ControllerWorld w;
  w.run<NodeController>();
  Path nodes = w.path("", "nodes", "", "");
  for (const char* n : {"gone", "back"}) {
    w.cluster.put(nodes, node(n));
    w.cluster.put(w.pods(), pod(std::string("on-") + n, n));
  }
  w.settle();
  for (const char* n : {"gone", "back"}) (void)w.cluster.remove(w.path("", "nodes", n, ""), {});
  w.settle();
  w.pass(seconds(20));
  CHECK(w.cluster.all(w.pods()).size() == 2);
  w.cluster.put(nodes, node("back"));
  w.pass(seconds(21));
  w.settle();
  CHECK(w.cluster.names(w.pods()) == std::vector<std::string>{"on-back"});
}

TEST_CASE("nodes: many new nodes get different networks, with several writers") {
  ControllerWorld w;
  w.run<NodeController>();
  for (int i = 0; i < 20; ++i) w.cluster.put(w.path("", "nodes", "", ""), Node::obj({{"metadata", Node::obj({{"name", "n" + std::to_string(i)}})}}));
  w.settle();
  std::set<std::string> cidrs;
  for (const Doc& n : w.cluster.all(w.path("", "nodes", "", ""))) cidrs.insert(n.path("spec.podCIDR").str());
  CHECK(cidrs.size() == 20);
  CHECK_FALSE(cidrs.count(""));
}
