// ResourceQuota through the API: what is charged, what is refused, and that writers at the same time never exceed it
// together.
#include <catch2/catch.hpp>

#include <thread>

#include "support/api_world.h"

using namespace k8lite;
using json::Node;
using testing::ApiWorld;

namespace {
struct World : ApiWorld {
  World() { REQUIRE(post("serviceaccounts", R"({"metadata":{"name":"default"}})").status == 201); }
  testing::HttpAnswer post(const std::string& plural, const std::string& body, const std::string& query = "") {
    return ask("POST", "/api/v1/namespaces/default/" + plural + query, body);
  }
  testing::HttpAnswer pod(const std::string& name, const std::string& cpu, const std::string& query = "") {
    return post("pods",
                R"({"metadata":{"name":")" + name +
                    R"("},"spec":{"containers":[{"name":"c","image":"i","resources":{"requests":{"cpu":")" + cpu +
                    R"("}}}]}})",
                query);
  }
  // With the status that the controller would give it.
  void quota(const std::string& name, const std::string& hard, const std::string& used,
             const std::string& scopes = "") {
    REQUIRE(post("resourcequotas", R"({"metadata":{"name":")" + name + R"("},"spec":{"hard":)" + hard + scopes + "}}")
                .status == 201);
    REQUIRE(ask("PATCH", "/api/v1/namespaces/default/resourcequotas/" + name + "/status",
                R"({"status":{"hard":)" + hard + R"(,"used":)" + used + "}}",
                {{"Content-Type", "application/merge-patch+json"}})
                .status == 200);
  }
  Node used(const std::string& name) {
    return ask("GET", "/api/v1/namespaces/default/resourcequotas/" + name).json().path("status.used");
  }
};
}  // namespace

TEST_CASE("quota: what is created is charged, and what exceeds is refused with what it lacks") {
  World w;
  w.quota("q", R"({"requests.cpu":"1","pods":"10"})", R"({"requests.cpu":"0","pods":"0"})");
  CHECK(w.pod("a", "600m").status == 201);
  CHECK(w.used("q") == Node::parse(R"({"requests.cpu":"600m","pods":"1"})").value());
  auto a = w.pod("b", "500m");
  CHECK(a.status == 403);
  CHECK(a.message() ==
        "pods \"b\" is forbidden: exceeded quota: q, requested: requests.cpu=500m, used: requests.cpu=600m, limited: "
        "requests.cpu=1");
  CHECK(a.json().path("details.kind").str() == "pods");
  CHECK(w.pod("c", "400m", "?dryRun=All").status == 201);  // asks, and takes nothing
  CHECK(w.used("q").get("pods").str() == "1");
  CHECK(w.pod("a", "100m").status == 409);  // nor does what fails
  CHECK(w.used("q").get("pods").str() == "1");
}

TEST_CASE("quota: containers must say what a quota counts; a quota that was not counted yet lets nothing in") {
  World w;
  w.quota("q", R"({"limits.memory":"1Gi","cpu":"1"})", R"({"limits.memory":"0","cpu":"0"})");
  CHECK(w.post("pods",
               R"({"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i"},{"name":"d","image":"i"}]}})")
            .message() ==
        "pods \"p\" is forbidden: failed quota: q: must specify cpu for: c,d; limits.memory for: c,d");
  World v;
  REQUIRE(v.post("resourcequotas", R"({"metadata":{"name":"new"},"spec":{"hard":{"configmaps":"5"}}})").status == 201);
  CHECK(v.post("configmaps", R"({"metadata":{"name":"m"}})").message() ==
        "configmaps \"m\" is forbidden: status unknown for quota: new, resources: configmaps");
  CHECK(v.post("secrets", R"({"metadata":{"name":"m"}})").status == 201);
}

TEST_CASE("quota: objects of any kind, services' ports and claims' storage") {
  World w;
  w.quota("q",
          R"({"count/configmaps":"1","count/deployments.apps":"0","services.nodeports":"1","requests.storage":"5Gi"})",
          R"({"count/configmaps":"0","count/deployments.apps":"0","services.nodeports":"0","requests.storage":"0"})");
  CHECK(w.post("configmaps", R"({"metadata":{"name":"a"}})").status == 201);
  CHECK(w.post("configmaps", R"({"metadata":{"name":"b"}})").message() ==
        "configmaps \"b\" is forbidden: exceeded quota: q, requested: count/configmaps=1, used: count/configmaps=1, "
        "limited: count/configmaps=1");
  auto d = w.ask(
      "POST", "/apis/apps/v1/namespaces/default/deployments",
      R"({"metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}})");
  CHECK(d.message() ==
        "deployments.apps \"d\" is forbidden: exceeded quota: q, requested: count/deployments.apps=1, used: "
        "count/deployments.apps=0, limited: count/deployments.apps=0");
  auto service = [](const char* name, const char* type) {
    return R"({"metadata":{"name":")" + std::string(name) + R"("},"spec":{"type":")" + type +
           R"(","ports":[{"port":80}]}})";
  };
  CHECK(w.post("services", service("s", "ClusterIP")).status == 201);
  CHECK(w.post("services", service("n", "NodePort")).status == 201);
  auto change = w.ask("PATCH", "/api/v1/namespaces/default/services/s", R"({"spec":{"type":"NodePort"}})",
                      {{"Content-Type", "application/merge-patch+json"}});  // updates can take more too
  CHECK(change.status == 403);
  CHECK(change.message() ==
        "services \"s\" is forbidden: exceeded quota: q, requested: services.nodeports=1, used: services.nodeports=1, "
        "limited: services.nodeports=1");
  CHECK(
      w.post(
           "persistentvolumeclaims",
           R"({"metadata":{"name":"v"},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"6Gi"}}}})")
          .message() ==
      "persistentvolumeclaims \"v\" is forbidden: exceeded quota: q, requested: requests.storage=6Gi, used: "
      "requests.storage=0, limited: requests.storage=5Gi");
}

TEST_CASE("quota: only what is in scope is charged") {
  World w;
  w.quota("best", R"({"pods":"1"})", R"({"pods":"0"})", R"(,"scopes":["BestEffort"])");
  w.quota("high", R"({"pods":"0"})", R"({"pods":"0"})",
          R"(,"scopeSelector":{"matchExpressions":[{"scopeName":"PriorityClass","operator":"In","values":["high"]}]})");
  CHECK(w.pod("a", "1").status == 201);
  CHECK(w.used("best").get("pods").str() == "0");
  CHECK(w.post("pods", R"({"metadata":{"name":"b"},"spec":{"containers":[{"name":"c","image":"i"}]}})").status == 201);
  CHECK(w.used("best").get("pods").str() == "1");
  REQUIRE(
      w.ask("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", R"({"metadata":{"name":"high"},"value":5})").status ==
      201);
  auto a = w.post(
      "pods",
      R"({"metadata":{"name":"h"},"spec":{"priorityClassName":"high","containers":[{"name":"c","image":"i","resources":{"requests":{"cpu":"1"}}}]}})");
  CHECK(a.message() ==
        "pods \"h\" is forbidden: exceeded quota: high, requested: pods=1, used: pods=0, limited: pods=0");
}

TEST_CASE("quota: writers at the same time never exceed it, and use all of it") {
  World w;
  constexpr int kThreads = 8, kEach = 12, kHard = 50;
  w.quota("q", R"({"count/configmaps":"50"})", R"({"count/configmaps":"0"})");
  std::atomic<int> made{0}, refused{0}, other{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      std::vector<machinery::Operation> batch;
      for (int i = 0; i < kEach; ++i) {
        std::string name = "m-" + std::to_string(t) + "-" + std::to_string(i);
        batch.push_back({machinery::Operation::Kind::Create,
                         {"", "v1", "configmaps", "default", name, ""},
                         json::Doc::from(Node::obj({{"metadata", Node::obj({{"name", name}})}})),
                         {},
                         {},
                         {},
                         {}});
      }
      for (const auto& r : w.admin->submit(std::move(batch)))
        ++(r.ok() ? made : r.status().is(Reason::Forbidden) ? refused : other);
    });
  for (auto& t : threads) t.join();
  CHECK(made == kHard);
  CHECK(refused == kThreads * kEach - kHard);
  CHECK(other == 0);
  CHECK(w.used("q").get("count/configmaps").str() == "50");
  CHECK(w.admin->list({"", "v1", "configmaps", "default", "", ""}, {})->items.size() == kHard);
}
