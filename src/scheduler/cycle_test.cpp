// One scheduling decision: every filter with its words, the sums of requests, scores, preemption. Pure: no cluster.
#include "scheduler/cycle.h"

#include <catch2/catch.hpp>

#include "base/random.h"

using namespace k8lite;
using namespace k8lite::scheduler;
using json::Doc;
using json::Node;

namespace {

Node parse(const std::string& text) {
  auto n = Node::parse(text);
  CAPTURE(text);
  REQUIRE(n.ok());
  return *n;
}
Doc node(const std::string& name, const std::string& spec = "{}", const std::string& labels = "{}", const std::string& allocatable = R"({"cpu":"2","memory":"4Gi","pods":"110"})") {
  Node n = Node::obj({{"metadata", Node::obj({{"name", name}, {"labels", parse(labels)}})}, {"spec", parse(spec)}, {"status", Node::obj({{"allocatable", parse(allocatable)}})}});
  if (!n.path("metadata.labels").get("kubernetes.io/hostname").exists()) n["metadata"]["labels"].set("kubernetes.io/hostname", name);
  return Doc::from(n);
}
Doc pod(const std::string& name, const std::string& spec = "{}", const std::string& labels = "{}", const std::string& ns = "default") {
  Node s = parse(spec);
  if (!s.get("containers").exists()) s["containers"] = Node::arr({Node::obj({{"name", "c"}})});
  return Doc::from(Node::obj({{"metadata", Node::obj({{"name", name}, {"namespace", ns}, {"uid", "u-" + name}, {"labels", parse(labels)}})}, {"spec", s}}));
}
std::string asks(const char* cpu, const char* memory = "0") { return R"("containers":[{"resources":{"requests":{"cpu":")" + std::string(cpu) + R"(","memory":")" + memory + "\"}}}]"; }

struct World {
  Snapshot snapshot;
  World& has(const Doc& n) {
    snapshot.set_node(n);
    return *this;
  }
  World& runs(const std::string& on, const Doc& p) {
    Node n = p.to_node();
    n["spec"].set("nodeName", on);
    snapshot.set_pod(p.path("metadata.namespace").str() + "/" + p.path("metadata.name").str(), Doc::from(n));
    return *this;
  }
  Profile profile;
  Decision ask(const Doc& p) { return schedule(PodInfo(p), snapshot, profile); }
  Preemption make_room(const Doc& p, const Decision& d) { return preempt(PodInfo(p), snapshot, profile, d); }
  std::string where(const Doc& p) { return ask(p).node; }
  std::string why(const Doc& p) { return ask(p).message; }
};
std::string only(const std::string& why) { return "0/1 nodes are available: 1 " + why + "."; }

}  // namespace

TEST_CASE("scheduler: without nodes it says so") { CHECK(World().why(pod("p")) == "no nodes available to schedule pods"); }

TEST_CASE("scheduler: taints and tolerations, and cordoned nodes") {
  struct Row { const char *node, *tolerations; const char* why; };
  constexpr const char* kUntolerated = "node(s) had untolerated taint(s)";
  for (const Row& r : {Row{R"({"taints":[{"key":"a","value":"b","effect":"NoSchedule"}]})", "[]", kUntolerated},
                       {R"({"taints":[{"key":"a","value":"b","effect":"NoExecute"}]})", "[]", kUntolerated},
                       {R"({"taints":[{"key":"a","value":"b","effect":"PreferNoSchedule"}]})", "[]", ""},
                       {R"({"taints":[{"key":"a","value":"b","effect":"NoSchedule"}]})", R"([{"key":"a","value":"b"}])", ""},
                       {R"({"taints":[{"key":"a","value":"b","effect":"NoSchedule"}]})", R"([{"key":"a","operator":"Equal","value":"c"}])", kUntolerated},
                       {R"({"taints":[{"key":"a","value":"b","effect":"NoSchedule"}]})", R"([{"key":"a","operator":"Exists"}])", ""},
                       {R"({"taints":[{"key":"a","value":"b","effect":"NoSchedule"}]})", R"([{"operator":"Exists"}])", ""},
                       {R"({"taints":[{"key":"a","effect":"NoSchedule"}]})", R"([{"value":""}])", kUntolerated},
                       {R"({"taints":[{"key":"a","effect":"NoExecute"}]})", R"([{"key":"a","operator":"Exists","effect":"NoSchedule"}])", kUntolerated},
                       {R"({"taints":[{"key":"a","effect":"NoSchedule"},{"key":"b","effect":"NoSchedule"}]})", R"([{"key":"a","operator":"Exists"}])", kUntolerated},
                       {R"({"unschedulable":true})", "[]", "node(s) were unschedulable"},
                       {R"({"unschedulable":true})", R"([{"key":"node.kubernetes.io/unschedulable","operator":"Exists","effect":"NoSchedule"}])", ""},
                       {R"({"unschedulable":true})", R"([{"key":"node.kubernetes.io/unschedulable","operator":"Exists","effect":"NoExecute"}])", "node(s) were unschedulable"}}) {
    CAPTURE(r.node, r.tolerations);
    World w;
    w.has(node("n", r.node));
    auto d = w.ask(pod("p", R"({"tolerations":)" + std::string(r.tolerations) + "}"));
    CHECK(d.message == (*r.why ? only(r.why) : ""));
    CHECK(d.node == (*r.why ? "" : "n"));
    CHECK(d.helpable.empty());
  }
}

TEST_CASE("scheduler: node selectors and every operator of node affinity") {
  constexpr const char* kLabels = R"({"disk":"ssd","cores":"8","zone":"a"})";
  struct Row { const char* expression; bool fits; };
  for (const Row& r : {Row{R"({"key":"disk","operator":"In","values":["hdd","ssd"]})", true}, {R"({"key":"disk","operator":"In","values":["hdd"]})", false}, {R"({"key":"none","operator":"In","values":[""]})", false},
                       {R"({"key":"disk","operator":"NotIn","values":["hdd"]})", true}, {R"({"key":"disk","operator":"NotIn","values":["ssd"]})", false}, {R"({"key":"none","operator":"NotIn","values":["x"]})", true},
                       {R"({"key":"disk","operator":"Exists"})", true}, {R"({"key":"none","operator":"Exists"})", false}, {R"({"key":"none","operator":"DoesNotExist"})", true}, {R"({"key":"disk","operator":"DoesNotExist"})", false},
                       {R"({"key":"cores","operator":"Gt","values":["4"]})", true}, {R"({"key":"cores","operator":"Gt","values":["8"]})", false}, {R"({"key":"cores","operator":"Lt","values":["9"]})", true}, {R"({"key":"disk","operator":"Gt","values":["1"]})", false},
                       {R"({"key":"none","operator":"Lt","values":["1"]})", false}}) {
    CAPTURE(r.expression);
    World w;
    w.has(node("n", "{}", kLabels));
    auto d = w.ask(pod("p", R"({"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[)" + std::string(r.expression) + "]}]}}}}"));
    CHECK(d.message == (r.fits ? "" : only("node(s) didn't match Pod's node affinity/selector")));
  }
  World w;
  w.has(node("n", "{}", kLabels));
  auto terms = [&w](const char* t) { return w.where(pod("p", R"({"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":)" + std::string(t) + "}}}}")) == "n"; };
  CHECK(terms(R"([{"matchExpressions":[{"key":"none","operator":"Exists"}]},{"matchExpressions":[{"key":"disk","operator":"Exists"}]}])"));        // terms: or
  CHECK_FALSE(terms(R"([{"matchExpressions":[{"key":"none","operator":"Exists"},{"key":"disk","operator":"Exists"}]}])"));                          // expressions: and
  CHECK_FALSE(terms(R"([{}])"));
  CHECK(terms(R"([{"matchFields":[{"key":"metadata.name","operator":"In","values":["n"]}]}])"));
  CHECK_FALSE(terms(R"([{"matchFields":[{"key":"metadata.name","operator":"NotIn","values":["n"]}]}])"));
  CHECK(w.where(pod("p", R"({"nodeSelector":{"disk":"ssd","zone":"a"}})")) == "n");
  CHECK(w.where(pod("p", R"({"nodeSelector":{"disk":"ssd","zone":"b"}})")) == "");
}

TEST_CASE("scheduler: a pod that is resized in place takes the most of what it asks for and what it has, unless that can never be") {
  auto sum = [](const char* asks, const char* allocated, const char* has, const char* more = "[]") {
    auto doc = json::Doc::parse(std::string(R"({"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":")") + asks + R"("}}}]},"status":{"conditions":)" + more +
                                R"(,"containerStatuses":[{"name":"c","allocatedResources":{"cpu":")" + allocated + R"("},"resources":{"requests":{"cpu":")" + has + "\"}}}]}}");
    REQUIRE(doc.ok());
    return pod_requests(doc->root())["cpu"];
  };
  CHECK(sum("300m", "100m", "100m") == 300);
  CHECK(sum("100m", "300m", "100m") == 300);
  CHECK(sum("100m", "100m", "300m") == 300);
  CHECK(sum("900", "100m", "200m", R"([{"type":"PodResizePending","status":"True","reason":"Infeasible"}])") == 200);
}

TEST_CASE("scheduler: what a pod asks for") {
  auto sum = [](const char* spec) {
    Amounts a = pod_requests(pod("p", spec).root());
    return std::pair(a["cpu"], a["memory"]);
  };
  auto c = [](const char* cpu, const char* memory, const char* more = "") { return R"({"resources":{"requests":{"cpu":")" + std::string(cpu) + R"(","memory":")" + memory + "\"}}" + more + "}"; };
  auto spec = [](const std::string& init, const std::string& main, const std::string& more = "") { return R"({"initContainers":[)" + init + R"(],"containers":[)" + main + "]" + more + "}"; };
  constexpr const char* kSidecar = R"(,"restartPolicy":"Always")";
  CHECK(sum("{}") == std::pair<int64_t, int64_t>(0, 0));
  CHECK(sum(spec("", c("100m", "1Ki") + "," + c("0.2", "1")).c_str()) == std::pair<int64_t, int64_t>(300, 1025));
  CHECK(sum(spec(c("1", "10"), c("100m", "20")).c_str()) == std::pair<int64_t, int64_t>(1000, 20));                           // the larger, each by itself
  CHECK(sum(spec(c("1", "10", kSidecar), c("100m", "20")).c_str()) == std::pair<int64_t, int64_t>(1100, 30));                 // a sidecar runs beside them
  CHECK(sum(spec(c("1", "10", kSidecar) + "," + c("2", "5"), c("100m", "20")).c_str()) == std::pair<int64_t, int64_t>(3000, 30));  // and beside later init containers
  CHECK(sum(spec(c("2", "5") + "," + c("1", "10", kSidecar), c("100m", "20")).c_str()) == std::pair<int64_t, int64_t>(2000, 30));  // not beside earlier ones
  CHECK(sum(spec("", c("1", "10"), R"(,"overhead":{"cpu":"250m","memory":"5"})").c_str()) == std::pair<int64_t, int64_t>(1250, 15));
  CHECK(sum(spec("", c("1", "10"), R"(,"resources":{"requests":{"cpu":"3"}})").c_str()) == std::pair<int64_t, int64_t>(3000, 10));  // KEP-2837
}

TEST_CASE("scheduler: resources, each that is short is named, and hopeless ones are told apart") {
  World w;
  w.has(node("n", "{}", "{}", R"({"cpu":"1","memory":"1Gi","pods":"2","example.org/gpu":"1"})"));
  CHECK(w.where(pod("p", "{" + asks("1", "1Gi") + "}")) == "n");
  w.runs("n", pod("a", "{" + asks("600m", "512Mi") + "}"));
  CHECK(w.where(pod("p", "{" + asks("400m", "512Mi") + "}")) == "n");
  auto d = w.ask(pod("p", "{" + asks("401m", "513Mi") + "}"));
  CHECK(d.message == "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory.");
  CHECK(d.helpable == std::vector<std::string>{"n"});
  CHECK(w.ask(pod("p", "{" + asks("1100m") + "}")).helpable.empty());  // more than the node has at all
  CHECK(w.why(pod("p", R"({"containers":[{"resources":{"requests":{"example.org/gpu":"2"}}}]})")) == only("Insufficient example.org/gpu"));
  CHECK(w.why(pod("p", R"({"containers":[{"resources":{"requests":{"example.org/fpga":"1"}}}]})")) == only("Insufficient example.org/fpga"));
  w.runs("n", pod("b"));
  CHECK(w.why(pod("p")) == only("Too many pods"));
  // A pod that is over takes nothing.
  Node over = pod("b").to_node();
  over["spec"].set("nodeName", "n");
  over["status"].set("phase", "Succeeded");
  w.snapshot.set_pod("default/b", Doc::from(over));
  CHECK(w.where(pod("p")) == "n");
}

TEST_CASE("scheduler: host ports collide by protocol and address") {
  auto with = [](const char* name, const char* port) { return pod(name, R"({"containers":[{"ports":[)" + std::string(port) + "]}]}"); };
  struct Row { const char *there, *wanted; bool fits; };
  for (const Row& r : {Row{R"({"hostPort":80,"protocol":"TCP"})", R"({"hostPort":80,"protocol":"TCP"})", false},
                       {R"({"hostPort":80,"protocol":"TCP"})", R"({"hostPort":80,"protocol":"UDP"})", true},
                       {R"({"hostPort":80,"protocol":"TCP"})", R"({"hostPort":81,"protocol":"TCP"})", true},
                       {R"({"hostPort":80,"hostIP":"1.1.1.1"})", R"({"hostPort":80,"hostIP":"1.1.1.2"})", true},
                       {R"({"hostPort":80,"hostIP":"1.1.1.1"})", R"({"hostPort":80,"hostIP":"1.1.1.1"})", false},
                       {R"({"hostPort":80,"hostIP":"0.0.0.0"})", R"({"hostPort":80,"hostIP":"1.1.1.1"})", false},
                       {R"({"containerPort":80})", R"({"containerPort":80})", true}}) {
    CAPTURE(r.there, r.wanted);
    World w;
    w.has(node("n")).runs("n", with("a", r.there));
    CHECK(w.why(with("p", r.wanted)) == (r.fits ? "" : only("node(s) didn't have free ports for the requested pod ports")));
  }
  World w;
  w.has(node("n")).runs("n", pod("a", R"({"initContainers":[{"restartPolicy":"Always","ports":[{"hostPort":80}]},{"ports":[{"hostPort":81}]}],"containers":[]})"));
  CHECK(w.where(with("p", R"({"hostPort":80})")) == "");
  CHECK(w.where(with("p", R"({"hostPort":81})")) == "n");
}

TEST_CASE("scheduler: topology spread keeps the skew") {
  auto constraint = [](const std::string& more = "") { return R"({"topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"zone","whenUnsatisfiable":"DoNotSchedule","labelSelector":{"matchLabels":{"app":"web"}})" + more + "}]}"; };
  constexpr const char* kWeb = R"({"app":"web","v":"1"})";
  World w;
  w.has(node("a1", "{}", R"({"zone":"a"})")).has(node("a2", "{}", R"({"zone":"a"})")).has(node("b1", "{}", R"({"zone":"b"})"));
  w.runs("a1", pod("w1", "{}", kWeb));
  CHECK(w.where(pod("p", constraint(), kWeb)) == "b1");
  w.runs("b1", pod("w2", "{}", kWeb)).runs("a2", pod("w3", "{}", kWeb)).runs("a2", pod("other", "{}", kWeb, "elsewhere"));
  CHECK(w.where(pod("p", constraint(), kWeb)) == "b1");
  // The emptier zone is full: nobody may go to the fuller one.
  Node full = node("b1", R"({"unschedulable":true})", R"({"zone":"b"})").to_node();
  w.has(Doc::from(full));
  CHECK(w.why(pod("p", constraint(), kWeb)) == "0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) didn't match pod topology spread constraints.");
  CHECK(w.ask(pod("p", constraint(), kWeb)).helpable.size() == 2);
  // A pod that the selector does not count adds nothing to the skew.
  CHECK(w.where(pod("p", constraint(), R"({"app":"db"})")) != "");
  // Nodes that cannot take the pod by affinity or, when honoured, taints are out of the picture.
  World v;
  v.has(node("a1", "{}", R"({"zone":"a"})")).has(node("b1", R"({"taints":[{"key":"t","effect":"NoSchedule"}]})", R"({"zone":"b"})")).runs("a1", pod("w1", "{}", kWeb));
  CHECK(v.where(pod("p", constraint(), kWeb)) == "");
  CHECK(v.where(pod("p", constraint(R"(,"nodeTaintsPolicy":"Honor")"), kWeb)) == "a1");
  World x;
  x.has(node("a1", "{}", R"({"zone":"a"})")).has(node("b1", "{}", R"({"zone":"b"})")).runs("a1", pod("w1", "{}", kWeb));
  Node only_a = parse(constraint());
  only_a["nodeSelector"].set("zone", "a");
  CHECK(x.where(pod("p", only_a.dump(), kWeb)) == "a1");
  only_a["topologySpreadConstraints"].items()[0].set("nodeAffinityPolicy", "Ignore");
  CHECK(x.where(pod("p", only_a.dump(), kWeb)) == "");
  // minDomains, matchLabelKeys, a node without the label.
  World m;
  m.has(node("a1", "{}", R"({"zone":"a"})")).runs("a1", pod("w1", "{}", kWeb));
  CHECK(m.where(pod("p", constraint(), kWeb)) == "a1");
  CHECK(m.where(pod("p", constraint(R"(,"minDomains":2)"), kWeb)) == "");
  CHECK(m.where(pod("p", constraint(R"(,"minDomains":2,"matchLabelKeys":["v"])"), R"({"app":"web","v":"2"})")) == "a1");
  m.has(node("bare"));
  CHECK(m.why(pod("p", constraint(R"(,"minDomains":2)"), kWeb)) == "0/2 nodes are available: 1 node(s) didn't match pod topology spread constraints, 1 node(s) didn't match pod topology spread constraints (missing required label).");
}

TEST_CASE("scheduler: pod affinity and anti-affinity, by topology and namespace") {
  auto term = [](const char* list, const std::string& more = "") { return R"({"affinity":{")" + std::string(list) + R"(":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"zone","labelSelector":{"matchLabels":{"app":"web"}})" + more + "}]}}}"; };
  World w;
  w.has(node("a1", "{}", R"({"zone":"a"})")).has(node("b1", "{}", R"({"zone":"b"})"));
  CHECK(w.why(pod("p", term("podAffinity"))) == "0/2 nodes are available: 2 node(s) didn't match pod affinity rules.");
  CHECK(w.where(pod("p", term("podAffinity"), R"({"app":"web"})")) != "");  // the first of its group
  w.runs("b1", pod("w1", "{}", R"({"app":"web"})"));
  CHECK(w.where(pod("p", term("podAffinity"))) == "b1");
  CHECK(w.where(pod("p", term("podAntiAffinity"))) == "a1");
  w.runs("a1", pod("w2", "{}", R"({"app":"web"})"));
  CHECK(w.why(pod("p", term("podAntiAffinity"))) == "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules.");
  // Namespaces: the pod's own, listed ones, selected ones.
  CHECK(w.where(pod("p", term("podAffinity"), "{}", "other")) == "");
  CHECK(w.where(pod("p", term("podAffinity", R"(,"namespaces":["default"])"), "{}", "other")) != "");
  CHECK(w.where(pod("p", term("podAffinity", R"(,"namespaceSelector":{})"), "{}", "other")) != "");
  std::string team = R"(,"namespaceSelector":{"matchLabels":{"team":"x"}})";
  CHECK(w.where(pod("p", term("podAffinity", team), "{}", "other")) == "");
  w.snapshot.set_namespace(Doc::parse(R"({"metadata":{"name":"default","labels":{"team":"x"}}})").value());
  CHECK(w.where(pod("p", term("podAffinity", team), "{}", "other")) != "");
  // Those that are there may not want company.
  World v;
  v.has(node("a1", "{}", R"({"zone":"a"})")).runs("a1", pod("loner", term("podAntiAffinity")));
  CHECK(v.why(pod("p", "{}", R"({"app":"web"})")) == only("node(s) didn't satisfy existing pods anti-affinity rules"));
  CHECK(v.where(pod("p", "{}", R"({"app":"db"})")) == "a1");
}

TEST_CASE("scheduler: reasons are counted over nodes and sorted") {
  World w;
  w.has(node("a", R"({"taints":[{"key":"x","effect":"NoSchedule"}]})")).has(node("b", "{}", "{}", R"({"cpu":"1","memory":"1","pods":"9"})")).has(node("c", "{}", "{}", R"({"cpu":"1","memory":"4Gi","pods":"9"})")).has(node("d", R"({"unschedulable":true})"));
  CHECK(w.why(pod("p", "{" + asks("2", "1Gi") + "}")) == "0/4 nodes are available: 1 Insufficient memory, 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable, 2 Insufficient cpu.");
}

TEST_CASE("scheduler: of the nodes that fit, the better one") {
  World w;
  w.has(node("a")).has(node("b"));
  w.runs("a", pod("x", "{" + asks("1500m", "3Gi") + "}"));
  CHECK(w.where(pod("p", "{" + asks("100m", "100Mi") + "}")) == "b");
  World taint;
  taint.has(node("a", R"({"taints":[{"key":"t","effect":"PreferNoSchedule"}]})")).has(node("b"));
  CHECK(taint.where(pod("p")) == "b");
  World liked;
  liked.has(node("a")).has(node("b", "{}", R"({"disk":"ssd"})"));
  CHECK(liked.where(pod("p", R"({"affinity":{"nodeAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":1,"preference":{"matchExpressions":[{"key":"disk","operator":"Exists"}]}}]}}})")) == "b");
  World soft;
  soft.has(node("a", "{}", R"({"zone":"a"})")).has(node("b", "{}", R"({"zone":"b"})")).runs("a", pod("x", "{}", R"({"app":"web"})"));
  CHECK(soft.where(pod("p", R"({"topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"zone","whenUnsatisfiable":"ScheduleAnyway","labelSelector":{"matchLabels":{"app":"web"}}}]})", R"({"app":"web"})")) == "b");
}

namespace {
Doc ranked(const std::string& name, int priority, const char* cpu, const std::string& more = "") { return pod(name, R"({"priority":)" + std::to_string(priority) + "," + asks(cpu) + more + "}"); }
Preemption preempt_for(World& w, const Doc& p) { return w.make_room(p, w.ask(p)); }
}  // namespace

TEST_CASE("preemption: the fewest and least important have to go, and only where it helps") {
  World w;
  w.has(node("a")).has(node("b")).has(node("tainted", R"({"taints":[{"key":"x","effect":"NoSchedule"}]})"));
  w.runs("a", ranked("a-low", 1, "1")).runs("a", ranked("a-mid", 5, "1"));
  w.runs("b", ranked("b-low", 2, "500m")).runs("b", ranked("b-low2", 2, "500m")).runs("b", ranked("b-high", 100, "1"));
  auto got = preempt_for(w, ranked("p", 50, "1"));
  CHECK(got.node == "a");
  CHECK(got.victims == std::vector<std::string>{"default/a-low"});  // the most important that fits stays
  got = preempt_for(w, ranked("p", 2, "1"));
  CHECK(got.victims == std::vector<std::string>{"default/a-low"});
  got = preempt_for(w, ranked("p", 50, "2"));
  CHECK(got.node == "a");
  CHECK(got.victims.size() == 2);
  got = preempt_for(w, ranked("p", 1, "1"));
  CHECK(got.victims.empty());
  CHECK(got.message == "preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod.");
  CHECK(preempt_for(w, ranked("p", 50, "1", R"(,"preemptionPolicy":"Never")")).message == "preemption: not eligible due to preemptionPolicy=Never.");
  CHECK(preempt_for(w, ranked("p", 50, "3")).message == "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.");
}

TEST_CASE("preemption: helps against ports, anti-affinity and skew as well") {
  World w;
  w.has(node("n", "{}", R"({"zone":"a"})"));
  w.runs("n", pod("port", R"({"containers":[{"ports":[{"hostPort":80}]}]})"));
  CHECK(preempt_for(w, pod("p", R"({"priority":9,"containers":[{"ports":[{"hostPort":80}]}]})")).victims == std::vector<std::string>{"default/port"});
  constexpr const char* kApart = R"("affinity":{"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"zone","labelSelector":{"matchLabels":{"app":"web"}}}]}})";
  World v;
  v.has(node("n", "{}", R"({"zone":"a"})")).runs("n", pod("web", "{}", R"({"app":"web"})"));
  CHECK(preempt_for(v, pod("p", R"({"priority":9,)" + std::string(kApart) + "}")).victims == std::vector<std::string>{"default/web"});
  World x;
  x.has(node("n", "{}", R"({"zone":"a"})")).runs("n", pod("loner", "{" + std::string(kApart) + "}"));
  CHECK(preempt_for(x, pod("p", R"({"priority":9})", R"({"app":"web"})")).victims == std::vector<std::string>{"default/loner"});
}

TEST_CASE("preemption: its room is kept, and it waits for those that end") {
  World w;
  w.has(node("n", "{}", "{}", R"({"cpu":"1","pods":"9"})")).runs("n", ranked("low", 1, "1"));
  Doc high = ranked("high", 50, "1");
  CHECK(preempt_for(w, high).victims.size() == 1);
  w.snapshot.nominate("default/high", "n", high);
  Node ending = ranked("low", 1, "1").to_node();
  ending["metadata"].set("deletionTimestamp", "2026-01-01T00:00:00Z");
  ending["status"]["conditions"] = Node::arr({Node::obj({{"type", "DisruptionTarget"}, {"status", "True"}, {"reason", "PreemptionByScheduler"}})});
  w.runs("n", Doc::from(ending));
  CHECK(preempt_for(w, high).message == "preemption: not eligible due to a terminating pod on the nominated node.");
  w.snapshot.remove_pod("default/low");
  // The one that was ended comes back as another pod: the room is not for it.
  CHECK(w.why(ranked("low-again", 1, "1")) == only("Insufficient cpu"));
  CHECK(w.where(ranked("higher", 60, "1")) == "n");
  CHECK(w.where(high) == "n");
  w.runs("n", high);
  CHECK(w.snapshot.nominated("n").empty());
}

// Property: a chosen node always has room for the pod and for everybody on it, whatever came and went.
TEST_CASE("scheduler: random worlds are never overbooked, and victims make room") {
  SeededRandom random(21);
  World w;
  for (int i = 0; i < 5; ++i) w.has(node("n" + std::to_string(i), "{}", "{}", R"({"cpu":"4","memory":"8Gi","pods":"6"})"));
  std::set<std::string> running;
  for (int i = 0; i < 1500; ++i) {
    if (!running.empty() && random.next() % 3 == 0) {
      std::string gone = *running.begin();
      running.erase(gone);
      w.snapshot.remove_pod("default/" + gone);
      continue;
    }
    std::string name = "p" + std::to_string(i), cpu = std::to_string(100 + random.next() % 2500) + "m";
    Doc p = ranked(name, static_cast<int>(random.next() % 4), cpu.c_str());
    Decision d = w.ask(p);
    if (d.node.empty()) {
      Preemption e = w.make_room(p, d);
      if (e.node.empty()) continue;
      for (const auto& v : e.victims) {
        CHECK(w.snapshot.nodes().at(e.node).pods.at(v)->priority < p.path("spec.priority").int_or(0));
        w.snapshot.remove_pod(v);
        running.erase(v.substr(8));
      }
      REQUIRE(w.ask(p).node != "");
      d.node = e.node;
    }
    w.runs(d.node, p);
    running.insert(name);
    for (const auto& [n, info] : w.snapshot.nodes()) {
      int64_t cpu_sum = 0;
      for (const auto& [key, x] : info.pods) cpu_sum += x->requests.cpu;
      REQUIRE(cpu_sum <= 4000);
      REQUIRE(cpu_sum == info.requested.cpu);
      REQUIRE(info.pods.size() <= 6);
    }
  }
}
