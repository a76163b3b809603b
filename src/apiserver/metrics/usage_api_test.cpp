// metrics.k8s.io as clients see it, with nodes that answer, fail or know nothing of a pod.
#include "apiserver/metrics/usage_api.h"

#include <catch2/catch.hpp>

#include "support/api_world.h"

using namespace k8lite;
using testing::ApiWorld;
using testing::HttpAnswer;

namespace {

std::map<std::string, std::string> g_reports;  // by node; the loop's thread reads it, tests write before they ask
std::atomic<int> g_asked{0};

async::Task<Result<json::Node>> answer(apiserver::UsageApi::Agent agent) {
  ++g_asked;
  auto it = g_reports.find(agent.node);
  if (it == g_reports.end()) co_return Status(Reason::ServiceUnavailable, "no answer");
  co_return json::Node::parse(it->second);
}

apiserver::ApiServerOptions options() {
  apiserver::ApiServerOptions o;
  o.usage_of_node = answer;
  return o;
}

void put_node(ApiWorld& w, const std::string& name) {
  REQUIRE(w.ask("POST", "/api/v1/nodes", R"({"metadata":{"name":")" + name + R"(","labels":{"zone":")" + name + R"("}}})").status == 201);
  REQUIRE(w.ask("PUT", "/api/v1/nodes/" + name + "/status", R"({"metadata":{"name":")" + name + R"("},"status":{"addresses":[{"type":"InternalIP","address":"192.0.2.1"}]}})").status == 200);
}
void put_pod(ApiWorld& w, const std::string& name, const std::string& node) {
  REQUIRE(w.ask("POST", "/api/v1/namespaces/default/pods", R"({"metadata":{"name":")" + name + R"(","labels":{"app":")" + name + R"("}},"spec":{"nodeName":")" + node + R"(","containers":[{"name":"c","image":"x"}]}})").status == 201);
}

void put_world(ApiWorld& w) {
  g_reports.clear();
  g_asked = 0;
  REQUIRE(w.ask("POST", "/api/v1/namespaces/default/serviceaccounts", R"({"metadata":{"name":"default"}})").status == 201);
  for (const char* n : {"n1", "n2"}) put_node(w, n);
  put_pod(w, "a", "n1");
  put_pod(w, "b", "n2");
  put_pod(w, "c", "n1");
  auto pod = [](const std::string& name) { return R"({"namespace":"default","name":")" + name + R"(","timestamp":"2026-01-01T00:00:00Z","window":"10s","containers":[{"name":"c","usage":{"cpu":"1500000n","memory":"4Ki"}},{"name":"d","usage":{"cpu":"500000n","memory":"4Ki"}}]})"; };
  g_reports["n1"] = R"({"node":{"name":"n1","timestamp":"2026-01-01T00:00:00Z","window":"10s","usage":{"cpu":"7n","memory":"1Mi"}},"pods":[)" + pod("a") + "," + pod("gone") + "]}";
  g_reports["n2"] = R"({"node":{"name":"n2","timestamp":"2026-01-01T00:00:00Z","window":"9s","usage":{"cpu":"8n","memory":"2Mi"}},"pods":[)" + pod("b") + "]}";
}

std::vector<std::string> names(const HttpAnswer& a) {
  std::vector<std::string> out;
  json::Node list = a.json();
  for (const auto& i : list["items"].items()) out.push_back(i.path("metadata.name").str());
  return out;
}
using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("metrics API: nodes and pods are listed with their labels, and selected by them") {
  ApiWorld w(options());
  put_world(w);
  auto nodes = w.ask("GET", "/apis/metrics.k8s.io/v1beta1/nodes");
  CHECK(nodes.status == 200);
  CHECK(nodes.json().get("kind").str() == "NodeMetricsList");
  CHECK(names(nodes) == Names{"n1", "n2"});
  CHECK(nodes.json()["items"].items()[1].path("usage.memory").str() == "2Mi");
  CHECK(nodes.json()["items"].items()[1].path("metadata.labels.zone").str() == "n2");
  CHECK(names(w.ask("GET", "/apis/metrics.k8s.io/v1beta1/nodes?labelSelector=zone%3Dn2")) == Names{"n2"});
  auto pods = w.ask("GET", "/apis/metrics.k8s.io/v1beta1/pods");
  CHECK(names(pods) == Names{"a", "b"});
  CHECK(pods.json()["items"].items()[0].get("kind").str() == "PodMetrics");
  CHECK(names(w.ask("GET", "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods?labelSelector=app%3Db")) == Names{"b"});
  CHECK(names(w.ask("GET", "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods?fieldSelector=metadata.name%3Da")) == Names{"a"});
  CHECK(names(w.ask("GET", "/apis/metrics.k8s.io/v1beta1/namespaces/other/pods")).empty());
  auto one = w.ask("GET", "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/a");
  CHECK(one.json().path("containers").size() == 2);
  CHECK(one.json().get("window").str() == "10s");
}

TEST_CASE("metrics API: what has no figures is not found, and a node that fails is left out") {
  ApiWorld w(options());
  put_world(w);
  CHECK(w.ask("GET", "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/c").message() == "podmetrics.metrics.k8s.io \"default/c\" not found");
  CHECK(w.ask("GET", "/apis/metrics.k8s.io/v1beta1/nodes/none").message() == "nodemetrics.metrics.k8s.io \"none\" not found");
  w.clock.advance(seconds(5));
  g_reports.erase("n2");
  CHECK(names(w.ask("GET", "/apis/metrics.k8s.io/v1beta1/nodes")) == Names{"n1"});
  int asked = g_asked;
  w.clock.advance(seconds(3));
  CHECK(names(w.ask("GET", "/apis/metrics.k8s.io/v1beta1/nodes")) == Names{"n1"});
  CHECK(g_asked == asked + 1);  // the silent one is left in peace for a while
  CHECK(w.ask("DELETE", "/apis/metrics.k8s.io/v1beta1/nodes/n1").status == 405);
  CHECK(w.ask("GET", "/apis/metrics.k8s.io/v1beta1/nodes?watch=1").status == 405);
}

TEST_CASE("metrics API: questions in a row are one to the nodes") {
  ApiWorld w(options());
  put_world(w);
  for (int i = 0; i < 5; ++i) (void)w.ask("GET", "/apis/metrics.k8s.io/v1beta1/pods");
  CHECK(g_asked == 2);
  w.clock.advance(seconds(2));
  (void)w.ask("GET", "/apis/metrics.k8s.io/v1beta1/pods");
  CHECK(g_asked == 4);
}

TEST_CASE("metrics API: it is discovered, has columns, and takes JSON where protobuf is preferred") {
  ApiWorld w(options());
  put_world(w);
  CHECK(w.ask("GET", "/apis/metrics.k8s.io/v1beta1").json()["resources"].size() == 2);
  CHECK(w.ask("GET", "/apis").body.find("metrics.k8s.io/v1beta1") != std::string::npos);
  CHECK(w.ask("GET", "/apis", "", {{"Accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}}).body.find("NodeMetrics") != std::string::npos);
  auto table = w.ask("GET", "/apis/metrics.k8s.io/v1beta1/pods", "", {{"Accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}}).json();
  REQUIRE(table["rows"].size() == 2);
  CHECK(table["rows"].items()[0]["cells"].dump() == R"(["a","2m","8Ki","10s"])");
  CHECK(w.ask("GET", "/apis/metrics.k8s.io/v1beta1/pods", "", {{"Accept", "application/vnd.kubernetes.protobuf,application/json"}}).json().get("kind").str() == "PodMetricsList");
  CHECK(w.ask("GET", "/apis/metrics.k8s.io/v1beta1/pods", "", {{"Accept", "application/vnd.kubernetes.protobuf"}}).status == 406);
}

TEST_CASE("metrics API: it is asked with the rights of the caller, in process too, and can be disabled") {
  ApiWorld w(options());
  put_world(w);
  CHECK(w.ask_as("ann", "GET", "/apis/metrics.k8s.io/v1beta1/pods").status == 403);
  auto hpa = w.client("system:serviceaccount:kube-system:horizontal-pod-autoscaler", {"system:serviceaccounts"});
  auto list = hpa->list({"metrics.k8s.io", "v1beta1", "pods", "default", "", ""}, {.label_selector = "app in (a,b)"});
  REQUIRE(list.ok());
  CHECK(list->items.size() == 2);
  CHECK(!hpa->list({"metrics.k8s.io", "v1beta1", "nodes", "", "", ""}, {}).ok());
  CHECK(w.admin->get({"metrics.k8s.io", "v1beta1", "nodes", "", "n1", ""})->path("usage.cpu").equals("7n"));
  auto off = options();
  off.serves_usage = false;
  ApiWorld disabled(std::move(off));
  CHECK(disabled.ask("GET", "/apis/metrics.k8s.io/v1beta1/nodes").status == 503);
}
