// Autoscalers: how many replicas the use asks for, how fast it may go, what is told of it, and that bounds hold whatever the figures are.
#include "controllers/autoscaler.h"

#include <catch2/catch.hpp>

#include "support/controller_world.h"

using namespace k8lite;
using namespace k8lite::controllers;
using json::Doc;
using json::Node;
using testing::ControllerWorld;

namespace {

const Instant kNow{1'700'000'000'000'000};

struct PodSpec {
  std::string name;
  int64_t cpu_request = 100;  // milli; 0: none
  std::string phase = "Running";
  bool ready = true;
  Duration age = seconds(3600);
  bool deleted = false;
};

Doc pod(const PodSpec& p) {
  Node n = Node::obj({{"metadata", Node::obj({{"name", p.name}, {"namespace", "default"}, {"labels", Node::obj({{"app", "web"}})}})}});
  Node c = Node::obj({{"name", "c"}});
  if (p.cpu_request) c["resources"]["requests"].set("cpu", std::to_string(p.cpu_request) + "m");
  n["spec"]["containers"].append(std::move(c));
  if (p.deleted) n["metadata"].set("deletionTimestamp", rfc3339(kNow));
  std::string since = rfc3339(kNow - p.age);
  n["status"] = Node::obj({{"phase", p.phase}, {"startTime", since}, {"conditions", Node::arr({Node::obj({{"type", "Ready"}, {"status", p.ready ? "True" : "False"}, {"lastTransitionTime", since}})})}});
  return Doc::from(n);
}
std::vector<Doc> pods_of(const std::vector<PodSpec>& specs) {
  std::vector<Doc> out;
  for (const auto& s : specs) out.push_back(pod(s));
  return out;
}
Doc metric(const std::string& name, int64_t cpu_milli) {
  Node n = Node::obj({{"metadata", Node::obj({{"name", name}, {"namespace", "default"}})}, {"timestamp", rfc3339(kNow)}, {"window", "15s"}});
  n["containers"].append(Node::obj({{"name", "c"}, {"usage", Node::obj({{"cpu", std::to_string(cpu_milli) + "m"}, {"memory", "100Mi"}})}}));
  return Doc::from(n);
}

const AutoscalerSettings kSettings;

Result<ReplicaAnswer> for_utilization(const std::vector<PodSpec>& specs, const std::vector<int64_t>& used, int64_t target, int64_t replicas) {
  auto pods = pods_of(specs);
  std::vector<Doc> metrics;
  for (size_t i = 0; i < used.size(); ++i)
    if (used[i] >= 0) metrics.push_back(metric(specs[i].name, used[i]));
  auto figures = figures_of(metrics, "cpu", "");
  if (!figures.ok()) return figures.status();
  return replicas_for_utilization({pods, *figures, "cpu", "", replicas, 0.1, 0.1, kNow, kSettings}, target);
}

std::string hpa_text(const std::string& more) { return R"({"apiVersion":"autoscaling/v2","kind":"HorizontalPodAutoscaler","metadata":{"name":"web","namespace":"default","uid":"u1"},"spec":{"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"web"},"minReplicas":1,"maxReplicas":10)" + more + "}}"; }
const std::string kCpu50 = R"(,"metrics":[{"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":50}}}])";

AutoscalerPlan plan(const Doc& hpa, int64_t replicas, const std::vector<PodSpec>& specs, int64_t used_each, AutoscalerMemory memory = {}, Instant now = kNow) {
  auto pods = pods_of(specs);
  std::vector<Doc> metrics;
  for (const auto& s : specs)
    if (used_each >= 0) metrics.push_back(metric(s.name, used_each));
  return plan_autoscaler({hpa, TargetScale{replicas, replicas, "app=web"}, pods, metrics, {}, std::move(memory), now, kSettings});
}
std::string condition(const Node& status, const std::string& type) {
  for (const Node& c : status.get("conditions").items())
    if (c.get("type").str() == type) return c.get("status").str() + " " + c.get("reason").str() + ": " + c.get("message").str();
  return "";
}
Doc parse(const std::string& text) {
  auto d = Doc::parse(text);
  REQUIRE(d.ok());
  return *d;
}

}  // namespace

TEST_CASE("autoscaler: the use of ready pods asks for replicas, within a tolerance for none other") {
  CHECK(for_utilization({{"a"}, {"b"}}, {80, 80}, 50, 2)->replicas == 4);
  CHECK(for_utilization({{"a"}, {"b"}}, {80, 80}, 50, 2)->utilization == 80);
  CHECK(for_utilization({{"a"}, {"b"}}, {52, 54}, 50, 2)->replicas == 2);
  CHECK(for_utilization({{"a"}, {"b"}, {"c"}, {"d"}}, {10, 10, 10, 10}, 50, 4)->replicas == 1);
  CHECK(for_utilization({{"a"}, {"b"}}, {0, 0}, 50, 2)->replicas == 0);
}

TEST_CASE("autoscaler: a pod without figures is busy when there would be fewer, idle when there would be more") {
  CHECK(for_utilization({{"a"}, {"b"}, {"c"}}, {20, 20, -1}, 50, 3)->replicas == 3);
  CHECK(for_utilization({{"a"}, {"b"}, {"c"}}, {100, 100, -1}, 50, 3)->replicas == 4);
  // It must not turn the direction round.
  CHECK(for_utilization({{"a"}, {"b"}, {"c"}}, {60, 60, -1}, 50, 3)->replicas == 3);
}

TEST_CASE("autoscaler: pods that are starting are idle when there would be more, and left out else") {
  PodSpec pending{"b", 100, "Pending"}, fresh{"b", 100, "Running", false, seconds(20)}, just_ready{"b", 100, "Running", true, seconds(5)};
  for (const PodSpec& p : {pending, fresh, just_ready}) {
    CHECK(for_utilization({{"a"}, p}, {200, 900}, 50, 2)->replicas == 4);
    CHECK(for_utilization({{"a"}, p}, {10, 900}, 50, 2)->replicas == 1);
  }
  CHECK(for_utilization({{"a"}, {"b", 100, "Running", true, seconds(60)}}, {200, 100}, 50, 2)->replicas == 6);
  CHECK(for_utilization({{"a"}, {"b", 100, "Failed"}, {"c", 100, "Running", true, seconds(3600), true}}, {100, 900, 900}, 50, 1)->replicas == 2);
  CHECK(for_utilization({fresh}, {100}, 50, 1).status().message() == "did not receive metrics for targeted pods (pods might be unready)");
}

TEST_CASE("autoscaler: what is missing is told") {
  CHECK(for_utilization({{"a", 0}}, {50}, 50, 1).status().message() == "missing request for cpu in container c of Pod a");
  CHECK(for_utilization({{"a"}}, {-1}, 50, 1).status().message() == "no metrics returned from resource metrics API");
  CHECK(for_utilization({}, {}, 50, 1).status().message() == "no metrics returned from resource metrics API");
  CHECK(figures_of({metric("a", 5)}, "cpu", "x").status().message() == "container x not present in metrics for pod default/a");
}

TEST_CASE("autoscaler: an average a pod needs no requests") {
  auto pods = pods_of({{"a", 0}, {"b", 0}});
  auto figures = figures_of({metric("a", 300), metric("b", 100)}, "cpu", "c").value();
  auto r = replicas_for_average({pods, figures, "cpu", "c", 2, 0.1, 0.1, kNow, kSettings}, 100);
  CHECK(r->replicas == 4);
  CHECK(r->average == 200);
}

TEST_CASE("autoscaler: without a behaviour it doubles at most, and comes down when its window is over") {
  Doc hpa = parse(hpa_text(kCpu50));
  auto p = plan(hpa, 3, {{"a"}, {"b"}, {"c"}}, 1000);
  REQUIRE(p.rescale);
  CHECK(*p.rescale == 6);
  CHECK(condition(p.status, "ScalingLimited") == "True ScaleUpLimit: the desired replica count is increasing faster than the maximum scale rate");
  CHECK(condition(p.status, "ScalingActive") == "True ValidMetricFound: the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)");
  rescaled(p, hpa, {}, kNow);
  CHECK(p.events.at(0).message == "New size: 6; reason: cpu resource utilization (percentage of request) above target");
  CHECK(condition(p.status, "AbleToScale") == "True SucceededRescale: the HPA controller was able to update the target scale to 6");
  CHECK(p.status.get("lastScaleTime").str() == rfc3339(kNow));
  CHECK(p.status["currentMetrics"].dump() == R"([{"type":"Resource","resource":{"name":"cpu","current":{"averageValue":"1","averageUtilization":1000}}}])");

  AutoscalerMemory busy;
  busy.recommendations = {{kNow, 6}};
  auto down = plan(hpa, 6, {{"a"}, {"b"}}, 0, busy, kNow + seconds(60));
  CHECK(!down.rescale);
  CHECK(condition(down.status, "AbleToScale") == "True ScaleDownStabilized: recent recommendations were higher than current one, applying the highest recent recommendation");
  auto later = plan(hpa, 6, {{"a"}, {"b"}}, 0, down.memory, kNow + seconds(301));
  REQUIRE(later.rescale);
  CHECK(*later.rescale == 1);
  CHECK(later.reason == "All metrics below target");
  CHECK(condition(later.status, "ScalingLimited") == "True TooFewReplicas: the desired replica count is less than the minimum replica count");
}

TEST_CASE("autoscaler: bounds and a target of none come before metrics") {
  Doc hpa = parse(hpa_text(kCpu50));
  auto p = plan(hpa, 12, {}, -1);
  CHECK(*p.rescale == 10);
  CHECK(p.reason == "Current number of replicas above Spec.MaxReplicas");
  Node n = hpa.to_node();
  n["spec"].set("minReplicas", 3);
  CHECK(*plan(Doc::from(n), 2, {}, -1).rescale == 3);
  auto none = plan(hpa, 0, {}, -1);
  CHECK(!none.rescale);
  CHECK(condition(none.status, "ScalingActive") == "False ScalingDisabled: scaling is disabled since the replica count of the target is zero");
}

TEST_CASE("autoscaler: metrics that cannot be had are told, and nothing is scaled down on half of them") {
  Doc hpa = parse(hpa_text(kCpu50));
  auto p = plan(hpa, 2, {{"a"}, {"b"}}, -1);
  CHECK(!p.rescale);
  CHECK(condition(p.status, "ScalingActive") == "False FailedGetResourceMetric: the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from resource metrics API");
  REQUIRE(p.events.size() == 2);
  CHECK(p.events[1].message == "invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from resource metrics API");
  Doc both = parse(hpa_text(R"(,"metrics":[{"type":"Pods","pods":{"metric":{"name":"rps"},"target":{"type":"AverageValue","averageValue":"5"}}},{"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":50}}}])"));
  auto half = plan(both, 2, {{"a"}, {"b"}}, 10);
  CHECK(!half.rescale);
  CHECK(condition(half.status, "ScalingActive") == "False FailedGetPodsMetric: the HPA was unable to compute the replica count: unable to get metric rps: no custom metrics API (custom.metrics.k8s.io) registered");
  CHECK(*plan(both, 2, {{"a"}, {"b"}}, 100).rescale == 4);
}

TEST_CASE("autoscaler: a target that cannot be read, or whose selector is missing or another's, is told") {
  Doc hpa = parse(hpa_text(kCpu50));
  auto p = plan_autoscaler({hpa, not_found_object("apps", "deployments", "web"), {}, std::vector<Doc>{}, {}, {}, kNow, kSettings});
  CHECK(condition(p.status, "AbleToScale") == "False FailedGetScale: the HPA controller was unable to get the target's current scale: deployments.apps \"web\" not found");
  auto bare = plan_autoscaler({hpa, TargetScale{1, 1, ""}, {}, std::vector<Doc>{}, {}, {}, kNow, kSettings});
  CHECK(condition(bare.status, "ScalingActive") == "False InvalidSelector: the HPA target's scale is missing a selector");
  auto rival = plan_autoscaler({hpa, TargetScale{1, 1, "app=web"}, {}, std::vector<Doc>{}, {"default/other"}, {}, kNow, kSettings});
  CHECK(condition(rival.status, "ScalingActive") == "False AmbiguousSelector: pods by selector app=web are controlled by multiple HPAs: [default/other default/web]");
}

TEST_CASE("autoscaler: policies of a behaviour bound each period") {
  Doc b = parse(R"({"scaleUp":{"policies":[{"type":"Pods","value":2,"periodSeconds":60},{"type":"Percent","value":50,"periodSeconds":60}]},"scaleDown":{"policies":[{"type":"Pods","value":1,"periodSeconds":60},{"type":"Percent","value":50,"periodSeconds":60}]}})");
  auto to = [&](int64_t current, int64_t wanted, AutoscalerMemory m = {}) { return within_behavior(b.root(), m, current, wanted, 1, 100, kNow).replicas; };
  CHECK(to(2, 20) == 4);
  CHECK(to(10, 20) == 15);
  CHECK(to(10, 1) == 5);
  AutoscalerMemory recent;
  recent.added = {{kNow - seconds(30), 2}};
  CHECK(to(4, 20, recent) == 4);
  recent.added = {{kNow - seconds(61), 2}};
  CHECK(to(4, 20, recent) == 6);
  recent.added = {};
  recent.removed = {{kNow - seconds(10), 5}};
  CHECK(to(5, 1, recent) == 5);

  Doc least = parse(R"({"scaleUp":{"selectPolicy":"Min","policies":[{"type":"Pods","value":2,"periodSeconds":60},{"type":"Percent","value":50,"periodSeconds":60}]},"scaleDown":{"selectPolicy":"Disabled"}})");
  CHECK(within_behavior(least.root(), {}, 10, 20, 1, 100, kNow).replicas == 12);
  auto off = within_behavior(least.root(), {}, 10, 2, 1, 100, kNow);
  CHECK(off.replicas == 10);
  CHECK(off.reason == "ScaleDownLimit");
  CHECK(within_behavior(b.root(), {}, 2, 20, 1, 3, kNow).reason == "TooManyReplicas");
}

TEST_CASE("autoscaler: windows of a behaviour hold back both ways") {
  Doc b = parse(R"({"scaleUp":{"stabilizationWindowSeconds":60},"scaleDown":{"stabilizationWindowSeconds":120}})");
  AutoscalerMemory m;
  m.recommendations = {{kNow - seconds(90), 9}, {kNow - seconds(30), 5}};
  CHECK(stabilized(b.root(), m, 5, 8, kNow, kSettings).reason == "ScaleUpStabilized");
  m.recommendations = {{kNow - seconds(90), 9}, {kNow - seconds(30), 5}};
  CHECK(stabilized(b.root(), m, 5, 8, kNow, kSettings).replicas == 5);
  m.recommendations = {{kNow - seconds(90), 9}};
  CHECK(stabilized(b.root(), m, 9, 3, kNow, kSettings).replicas == 9);
  m.recommendations = {{kNow - seconds(130), 9}, {kNow - seconds(100), 6}};
  CHECK(stabilized(b.root(), m, 9, 3, kNow, kSettings).replicas == 6);
  CHECK(m.recommendations.size() == 2);
}

TEST_CASE("autoscaler: whatever the figures are, bounds hold and a look at the same world changes nothing more") {
  SeededRandom random{7};
  auto below = [&random](uint64_t n) { return static_cast<int64_t>(random.next() % n); };
  for (int round = 0; round < 400; ++round) {
    int64_t least = 1 + below(4), most = least + below(9), replicas = below(14);
    Node n = parse(hpa_text(kCpu50)).to_node();
    n["spec"].set("minReplicas", least);
    n["spec"].set("maxReplicas", most);
    if (below(2)) n["spec"].set("behavior", Node::obj({{"scaleUp", Node::obj({{"stabilizationWindowSeconds", below(100)}})}, {"scaleDown", Node::obj({{"stabilizationWindowSeconds", below(100)}})}}));
    Doc hpa = Doc::from(n);
    std::vector<PodSpec> pods;
    for (int64_t i = 0; i < replicas; ++i) pods.push_back({"p" + std::to_string(i), 100, below(5) ? "Running" : "Pending", below(4) != 0, seconds(below(900))});
    AutoscalerMemory memory;
    for (int64_t i = below(4); i > 0; --i) memory.recommendations.push_back({kNow - seconds(below(600)), least + below(10)});
    auto p = plan(hpa, replicas, pods, below(400), memory);
    if (p.rescale) {
      CHECK(*p.rescale >= least);
      CHECK(*p.rescale <= most);
      CHECK(*p.rescale != replicas);
      CHECK(replicas != 0);
    } else {
      CHECK((replicas == 0 || (replicas >= least && replicas <= most)));
    }
    for (const Node& c : p.status["conditions"].items()) CHECK(!c.get("reason").str().empty());
  }
}

TEST_CASE("autoscaler controller: it scales a deployment up by its metrics, says so, and looks again in time") {
  ControllerWorld w;
  w.run<AutoscalerController>();
  w.cluster.put(ControllerWorld::path("apps", "deployments"), parse(R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":2},"status":{"replicas":2,"selector":"app=web"}})").to_node());
  auto put_metric = [&w](const std::string& name, int64_t milli) {
    Node m = metric(name, milli).to_node();
    m["metadata"].set("labels", Node::obj({{"app", "web"}}));
    m.set("timestamp", rfc3339(w.clock.now()));
    w.cluster.put({"metrics.k8s.io", "v1beta1", "pods", "default", "", ""}, std::move(m));
  };
  for (const char* name : {"a", "b"}) {
    w.cluster.put(ControllerWorld::pods(), pod({name}).to_node());
    put_metric(name, 100);
  }
  w.cluster.put({"autoscaling", "v2", "horizontalpodautoscalers", "default", "", ""}, parse(hpa_text(kCpu50)).to_node());
  w.settle();
  auto replicas = [&w] { return w.cluster.at(ControllerWorld::path("apps", "deployments", "web")).path("spec.replicas").int_or(0); };
  auto hpa = [&w] { return w.cluster.at({"autoscaling", "v2", "horizontalpodautoscalers", "default", "web", ""}); };
  CHECK(replicas() == 4);
  CHECK(hpa().path("status.desiredReplicas").int_or(0) == 4);
  CHECK(condition(hpa()["status"].to_node(), "AbleToScale").starts_with("True SucceededRescale"));
  w.events.flush();
  bool told = false;
  for (const Doc& e : w.cluster.all(ControllerWorld::path("", "events"))) told |= e["reason"].equals("SuccessfulRescale");
  CHECK(told);
  int before = w.cluster.calls("list pods");
  w.pass(seconds(16));
  CHECK(w.cluster.calls("list pods") > before);
}

TEST_CASE("autoscaler: one container's use, and amounts instead of percentages, are told as they were asked for") {
  Doc hpa = parse(hpa_text(R"(,"metrics":[{"type":"ContainerResource","containerResource":{"name":"cpu","container":"c","target":{"type":"Utilization","averageUtilization":50}}},{"type":"Resource","resource":{"name":"memory","target":{"type":"AverageValue","averageValue":"50Mi"}}}])"));
  auto p = plan(hpa, 2, {{"a"}, {"b"}}, 40);
  CHECK(*p.rescale == 4);
  CHECK(p.reason == "memory resource above target");
  CHECK(p.status["currentMetrics"].dump() ==
        R"([{"type":"ContainerResource","containerResource":{"name":"cpu","container":"c","current":{"averageValue":"40m","averageUtilization":40}}},{"type":"Resource","resource":{"name":"memory","current":{"averageValue":"104857600"}}}])");
  Doc other = parse(hpa_text(R"(,"metrics":[{"type":"ContainerResource","containerResource":{"name":"cpu","container":"sidecar","target":{"type":"Utilization","averageUtilization":50}}}])"));
  CHECK(condition(plan(other, 2, {{"a"}}, 40).status, "ScalingActive") ==
        "False FailedGetContainerResourceMetric: the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get metrics for resource cpu: container sidecar not present in metrics for pod default/a");
}

TEST_CASE("autoscaler: a tolerance of its own holds for its direction") {
  Node n = parse(hpa_text(kCpu50)).to_node();
  n["spec"].set("behavior", Node::obj({{"scaleUp", Node::obj({{"tolerance", "0"}})}, {"scaleDown", Node::obj({{"tolerance", "500m"}, {"stabilizationWindowSeconds", 0}})}}));
  Doc hpa = Doc::from(n);
  CHECK(*plan(hpa, 4, {{"a"}, {"b"}, {"c"}, {"d"}}, 52).rescale == 5);
  CHECK(!plan(hpa, 4, {{"a"}, {"b"}, {"c"}, {"d"}}, 26).rescale);
  CHECK(*plan(hpa, 4, {{"a"}, {"b"}, {"c"}, {"d"}}, 20).rescale == 2);
}

TEST_CASE("autoscaler controller: a custom resource with a scale is a target too, and a scale that cannot be written is told") {
  ControllerWorld w;
  w.run<AutoscalerController>();
  w.cluster.put({"apiextensions.k8s.io", "v1", "customresourcedefinitions", "", "", ""}, parse(R"({"metadata":{"name":"shops.shop.example"},"spec":{"group":"shop.example","scope":"Namespaced","names":{"plural":"shops","kind":"Shop"},"versions":[{"name":"v1beta1","served":true,"storage":true}]},
      "status":{"acceptedNames":{"plural":"shops","kind":"Shop"},"storedVersions":["v1beta1"],"conditions":[{"type":"NamesAccepted","status":"True"},{"type":"Established","status":"True"}]}})").to_node());
  w.cluster.put({"shop.example", "v1beta1", "shops", "default", "", ""}, parse(R"({"metadata":{"name":"x"},"spec":{"replicas":12},"status":{"replicas":12,"selector":"app=web"}})").to_node());
  Node n = parse(hpa_text(kCpu50)).to_node();
  n["spec"]["scaleTargetRef"] = Node::obj({{"apiVersion", "shop.example/v1beta1"}, {"kind", "Shop"}, {"name", "x"}});
  w.cluster.fail_next("update shops/scale", Status(Reason::Forbidden, "not today"));
  w.cluster.put({"autoscaling", "v2", "horizontalpodautoscalers", "default", "", ""}, n);
  w.settle();
  auto told = [&w] { return condition(w.cluster.at({"autoscaling", "v2", "horizontalpodautoscalers", "default", "web", ""})["status"].to_node(), "AbleToScale"); };
  CHECK(told() == "False FailedUpdateScale: the HPA controller was unable to update the target scale: not today");
  w.pass(seconds(16));
  CHECK(w.cluster.at({"shop.example", "v1beta1", "shops", "default", "x", ""}).path("spec.replicas").int_or(0) == 10);
  CHECK(told().starts_with("True SucceededRescale"));
}

TEST_CASE("autoscaler controller: a status in which only an amount behind a percentage moved is not written each time") {
  ControllerWorld w;
  w.run<AutoscalerController>();
  w.cluster.put(ControllerWorld::path("apps", "deployments"), parse(R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":1},"status":{"replicas":1,"selector":"app=web"}})").to_node());
  w.cluster.put(ControllerWorld::pods(), pod({"a", 1000}).to_node());
  auto put_metric = [&w](int64_t milli) {
    Node m = metric("a", milli).to_node();
    m["metadata"].set("labels", Node::obj({{"app", "web"}}));
    w.cluster.put({"metrics.k8s.io", "v1beta1", "pods", "default", "", ""}, std::move(m));
  };
  put_metric(500);
  w.cluster.put({"autoscaling", "v2", "horizontalpodautoscalers", "default", "", ""}, parse(hpa_text(kCpu50)).to_node());
  w.settle();
  auto average = [&w] { return w.cluster.at({"autoscaling", "v2", "horizontalpodautoscalers", "default", "web", ""})["status"]["currentMetrics"].at(0).path("resource.current.averageValue").str(); };
  CHECK(average() == "500m");
  put_metric(502);
  w.pass(seconds(16));
  CHECK(average() == "500m");
  w.pass(seconds(120));
  CHECK(average() == "502m");
  put_metric(512);
  w.pass(seconds(16));
  CHECK(average() == "512m");
}

TEST_CASE("autoscaler controller: a target of an unknown kind, or one that is not there, is told") {
  ControllerWorld w;
  w.run<AutoscalerController>();
  Node n = parse(hpa_text(kCpu50)).to_node();
  n["spec"]["scaleTargetRef"] = Node::obj({{"apiVersion", "shop.example/v1"}, {"kind", "Shop"}, {"name", "x"}});
  w.cluster.put({"autoscaling", "v2", "horizontalpodautoscalers", "default", "", ""}, n);
  w.settle();
  auto told = [&w] { return condition(w.cluster.at({"autoscaling", "v2", "horizontalpodautoscalers", "default", "web", ""})["status"].to_node(), "AbleToScale"); };
  CHECK(told() == "False FailedGetScale: the HPA controller was unable to get the target's current scale: no matches for kind \"Shop\" in group \"shop.example\"");
  w.cluster.merge({"autoscaling", "v2", "horizontalpodautoscalers", "default", "web", ""}, R"({"spec":{"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"none"}}})");
  w.settle();
  CHECK(told() == "False FailedGetScale: the HPA controller was unable to get the target's current scale: deployments.apps \"none\" not found");
}
