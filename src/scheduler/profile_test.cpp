// KubeSchedulerConfiguration: what is read, what is refused, and what it changes.
#include "scheduler/profile.h"

#include <catch2/catch.hpp>

#include "scheduler/cycle.h"

using namespace k8lite;
using namespace k8lite::scheduler;
using json::Doc;

namespace {

const std::string kHead = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";

Configuration read(const std::string& text) {
  auto c = read_configuration(kHead + text, "f");
  CAPTURE(text);
  if (!c.ok()) FAIL(c.status().message());
  return *c;
}
std::string error(const std::string& text) {
  auto c = read_configuration(text.starts_with("apiVersion") ? text : kHead + text, "f");
  return c.ok() ? "" : c.status().message();
}
Profile arguments(const std::string& plugin, const std::string& args) { return read("profiles: [{pluginConfig: [{name: " + plugin + ", args: " + args + "}]}]").profiles[0]; }

Doc doc(const std::string& text) {
  auto d = Doc::parse(text);
  CAPTURE(text);
  REQUIRE(d.ok());
  return *d;
}
Doc node(const std::string& name, const std::string& labels = "{}", const std::string& more = "") {
  return doc(R"({"metadata":{"name":")" + name + R"(","labels":)" + labels + R"(},"status":{"allocatable":{"cpu":"4","memory":"8Gi","pods":"110","example.org/gpu":"4"})" + more + "}}");
}
Doc pod(const std::string& name, const std::string& spec, const std::string& on = "") {
  return doc(R"({"metadata":{"name":")" + name + R"(","namespace":"default","uid":")" + name + R"(","ownerReferences":[{"kind":"ReplicaSet","uid":"rs","controller":true}]},"spec":{)" + (on.empty() ? "" : R"("nodeName":")" + on + R"(",)") + spec + "}}");
}
std::string asks(const std::string& requests) { return R"("containers":[{"image":"example.org/app","resources":{"requests":{)" + requests + "}}}]"; }

}  // namespace

TEST_CASE("profiles: the default is upstream's, and several are told apart by name") {
  Configuration c;
  REQUIRE(c.profiles.size() == 1);
  CHECK(c.profiles[0].name == "default-scheduler");
  CHECK(c.profiles[0].weights[kTaintToleration] == 3);
  CHECK(c.profiles[0].weights[kNodeName] == 0);
  c = read("podMaxBackoffSeconds: 20\npercentageOfNodesToScore: 30\nprofiles:\n- {}\n- schedulerName: packed\n  percentageOfNodesToScore: 10\n");
  REQUIRE(c.profiles.size() == 2);
  CHECK(c.profiles[0].percentage_of_nodes == 30);
  CHECK(c.profiles[1].name == "packed");
  CHECK(c.profiles[1].percentage_of_nodes == 10);
  CHECK(c.longest_backoff == seconds(20));
}

TEST_CASE("profiles: plugins are turned on and off, at all points or at one") {
  Profile p = read("profiles: [{plugins: {score: {disabled: [{name: '*'}], enabled: [{name: ImageLocality, weight: 7}]}, filter: {disabled: [{name: NodePorts}]}}}]").profiles[0];
  CHECK(p.weights[kImageLocality] == 7);
  CHECK(p.weights[kTaintToleration] == 0);
  CHECK(p.weights[kNodeResourcesFit] == 0);
  CHECK((p.filters & bit(kNodeResourcesFit)));
  CHECK_FALSE((p.filters & bit(kNodePorts)));
  p = read("profiles: [{plugins: {multiPoint: {disabled: [{name: TaintToleration}, {name: DefaultPreemption}]}, score: {enabled: [{name: TaintToleration}]}}}]").profiles[0];
  CHECK_FALSE((p.filters & bit(kTaintToleration)));
  CHECK_FALSE((p.filters & bit(kDefaultPreemption)));
  CHECK(p.weights[kTaintToleration] == 3);
}

TEST_CASE("profiles: what is not known is refused where it stands") {
  struct Row { const char *text, *error; };
  for (const Row& r : std::vector<Row>{
           {"apiVersion: kubescheduler.config.k8s.io/v1beta1\nkind: KubeSchedulerConfiguration", "f: must be a KubeSchedulerConfiguration of kubescheduler.config.k8s.io/v1"},
           {"colour: red", "f: unknown field \"colour\""},
           {"extenders: [{urlPrefix: x}]", "f.extenders: extenders are not supported"},
           {"podInitialBackoffSeconds: 0", "f.podInitialBackoffSeconds: must be a number from 1 to 2147483647"},
           {"podInitialBackoffSeconds: 11", "f.podMaxBackoffSeconds: must be greater than or equal to podInitialBackoffSeconds"},
           {"profiles: [{}, {}]", "f.profiles[1]: duplicate schedulerName \"default-scheduler\""},
           {"profiles: [{plugins: {filter: {enabled: [{name: Coscheduling}]}}}]", "f.profiles[0].plugins.filter.enabled[0]: plugin \"Coscheduling\" is not known here"},
           {"profiles: [{plugins: {multiPoint: {disabled: [{name: DefaultBinder}]}}}]", "f.profiles[0].plugins.multiPoint.disabled[0]: plugin \"DefaultBinder\" cannot be disabled here"},
           {"profiles: [{plugins: {scores: {}}}]", "f.profiles[0].plugins: unknown extension point \"scores\""},
           {"profiles: [{pluginConfig: [{name: NodeName, args: {}}]}]", "f.profiles[0].pluginConfig[0].args: this plugin takes no arguments here"},
           {"profiles: [{pluginConfig: [{name: NodeResourcesFit, args: {scoringStrategy: {type: Best}}}]}]", "f.profiles[0].pluginConfig[0].args.scoringStrategy.type: unknown strategy \"Best\""},
           {"profiles: [{pluginConfig: [{name: NodeResourcesFit, args: {scoringStrategy: {type: RequestedToCapacityRatio}}}]}]",
            "f.profiles[0].pluginConfig[0].args.scoringStrategy.requestedToCapacityRatio.shape: at least one point must be specified"},
           {"profiles: [{pluginConfig: [{name: NodeResourcesFit, args: {scoringStrategy: {resources: [{name: cpu, weight: 101}]}}}]}]",
            "f.profiles[0].pluginConfig[0].args.scoringStrategy.resources[0].weight: must be a number from 1 to 100"},
           {"profiles: [{pluginConfig: [{name: PodTopologySpread, args: {defaultConstraints: [{maxSkew: 1, topologyKey: z, whenUnsatisfiable: ScheduleAnyway}]}}]}]",
            "f.profiles[0].pluginConfig[0].args.defaultConstraints: when .defaultingType is System, it must be empty"},
           {"profiles: [{pluginConfig: [{name: InterPodAffinity, args: {hardPodAffinityWeight: 101}}]}]", "f.profiles[0].pluginConfig[0].args.hardPodAffinityWeight: must be a number from 0 to 100"}}) {
    CAPTURE(r.text);
    CHECK(error(r.text) == r.error);
  }
  auto none = [](const std::string&) -> Result<std::string> { return not_found("no such file"); };
  CHECK(configuration_of({}, none).ok());
  CHECK(configuration_of({"config=/x"}, none).status().message() == "no such file");
  CHECK(configuration_of({"bind-address=1"}, none).status().message() == "kube-scheduler-arg: unknown argument \"bind-address\"");
}

TEST_CASE("profiles: the strategy of NodeResourcesFit spreads, packs, or follows a shape") {
  Snapshot s;
  s.set_node(node("empty"));
  s.set_node(node("full"));
  s.set_pod("default/x", pod("x", asks(R"("cpu":"2","memory":"4Gi")"), "full"));
  PodInfo p(doc(R"({"metadata":{"name":"p","namespace":"default","uid":"p"},"spec":{)" + asks(R"("cpu":"1","memory":"2Gi")") + "}}"));
  CHECK(schedule(p, s, {}).node == "empty");
  CHECK(schedule(p, s, arguments("NodeResourcesFit", "{scoringStrategy: {type: MostAllocated}}")).node == "full");
  CHECK(schedule(p, s, arguments("NodeResourcesFit", "{scoringStrategy: {type: RequestedToCapacityRatio, requestedToCapacityRatio: {shape: [{utilization: 0, score: 0}, {utilization: 100, score: 10}]}}}")).node == "full");
  CHECK(schedule(p, s, arguments("NodeResourcesFit", "{scoringStrategy: {type: RequestedToCapacityRatio, requestedToCapacityRatio: {shape: [{utilization: 0, score: 10}, {utilization: 100, score: 0}]}}}")).node == "empty");
  // Of an extended resource, for those who ask for it.
  s.set_pod("default/y", pod("y", asks(R"("example.org/gpu":"2")"), "empty"));
  PodInfo g(doc(R"({"metadata":{"name":"g","namespace":"default","uid":"g"},"spec":{)" + asks(R"("example.org/gpu":"1")") + "}}"));
  CHECK(schedule(g, s, arguments("NodeResourcesFit", "{scoringStrategy: {type: MostAllocated, resources: [{name: example.org/gpu, weight: 100}]}}")).node == "empty");
}

TEST_CASE("profiles: added affinity holds for every pod of the profile") {
  Snapshot s;
  s.set_node(node("a"));
  s.set_node(node("b", R"({"team":"x"})"));
  Profile p = arguments("NodeAffinity", "{addedAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: team, operator: In, values: [x]}]}]}}}");
  PodInfo any(pod("p", asks("")));
  CHECK(schedule(any, s, p).node == "b");
  s.remove_node("b");
  CHECK(schedule(any, s, p).message == "0/1 nodes are available: 1 node(s) didn't match scheduler-enforced node affinity.");
}

TEST_CASE("profiles: pods of one owner are spread by default, and by constraints of one's own") {
  Snapshot s;
  for (const char* n : {"a1", "a2", "b1"}) s.set_node(node(n, R"({"kubernetes.io/hostname":")" + std::string(n) + R"(","topology.kubernetes.io/zone":")" + n[0] + R"(","rack":")" + n[1] + "\"}"));
  s.set_pod("default/x", pod("x", asks(""), "a1"));
  CHECK(schedule(PodInfo(pod("p", asks(""))), s, {}).node == "b1");  // another zone
  s.set_pod("default/y", pod("y", asks(""), "b1"));
  CHECK(schedule(PodInfo(pod("p", asks(""))), s, {}).node == "a2");  // another node
  Profile hard = arguments("PodTopologySpread", "{defaultingType: List, defaultConstraints: [{maxSkew: 1, topologyKey: rack, whenUnsatisfiable: DoNotSchedule}]}");
  CHECK(schedule(PodInfo(pod("p", asks(""))), s, hard).node == "a2");
  s.set_node(doc(R"({"metadata":{"name":"a2","labels":{"rack":"2"}},"spec":{"unschedulable":true}})"));
  CHECK(schedule(PodInfo(pod("p", asks(""))), s, hard).message == "0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) didn't match pod topology spread constraints.");
}

TEST_CASE("scores: a node that has the image already") {
  Snapshot s;
  s.set_node(node("a"));
  s.set_node(node("b", "{}", R"(,"images":[{"names":["example.org/app:latest"],"sizeBytes":900000000}])"));
  s.set_node(node("c"));
  CHECK(schedule(PodInfo(pod("p", asks(""))), s, {}).node == "b");
}
