// LimitRanger through the API.
#include <catch2/catch.hpp>

#include "support/api_world.h"

using namespace k8lite;
using json::Node;
using testing::ApiWorld;

namespace {
struct World : ApiWorld {
  World() { REQUIRE(post("serviceaccounts", R"({"metadata":{"name":"default"}})").status == 201); }
  testing::HttpAnswer post(const std::string& plural, const std::string& body) {
    return ask("POST", "/api/v1/namespaces/default/" + plural, body);
  }
  void limits(const std::string& items) {
    REQUIRE(post("limitranges", R"({"metadata":{"name":"l"},"spec":{"limits":[)" + items + "]}}").status == 201);
  }
  testing::HttpAnswer pod(const std::string& resources, const std::string& name = "p") {
    return post("pods", R"({"metadata":{"name":")" + name +
                            R"("},"spec":{"containers":[{"name":"c","image":"i","resources":)" + resources + "}]}}");
  }
  testing::HttpAnswer claim(const std::string& storage) {
    return post(
        "persistentvolumeclaims",
        R"({"metadata":{"generateName":"v-"},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":")" +
            storage + R"("}}}})");
  }
};
}  // namespace

TEST_CASE("limit ranger: a container that says nothing gets the defaults, and the pod tells") {
  World w;
  w.limits(R"({"type":"Container","default":{"cpu":"500m","memory":"128Mi"},"defaultRequest":{"cpu":"100m"}})");
  auto a = w.post(
      "pods",
      R"({"metadata":{"name":"p"},"spec":{"initContainers":[{"name":"i","image":"i","resources":{"limits":{"cpu":"1","memory":"1Gi"}}}],"containers":[{"name":"c","image":"i","resources":{"requests":{"memory":"64Mi"}}}]}})");
  CAPTURE(a.body);
  REQUIRE(a.status == 201);
  Node p = a.json();
  const Node& r = p.path("spec.containers").items()[0].get("resources");
  CHECK(r.path("limits.cpu").str() == "500m");
  CHECK(r.path("limits.memory").str() == "128Mi");
  CHECK(r.path("requests.cpu").str() == "100m");
  CHECK(r.path("requests.memory").str() == "64Mi");
  CHECK(p.path("metadata.annotations").get("kubernetes.io/limit-ranger").str() ==
        "LimitRanger plugin set: cpu request for container c; cpu, memory limit for container c");
  CHECK(p.path("spec.initContainers").items()[0].path("resources.requests.cpu").str() == "1");
}

TEST_CASE("limit ranger: what breaks a container's bounds is refused in Kubernetes' words") {
  struct Row {
    const char *limits, *resources, *message;
  };
  for (const Row& r : std::vector<Row>{
           {R"("min":{"cpu":"200m"})", R"({"requests":{"cpu":"100m"}})",
            "minimum cpu usage per Container is 200m, but request is 100m"},
           {R"("max":{"memory":"1Gi"})", R"({"limits":{"memory":"2Gi"},"requests":{"memory":"1Gi"}})",
            "maximum memory usage per Container is 1Gi, but limit is 2Gi"},
           {R"("maxLimitRequestRatio":{"cpu":"2"})", R"({"limits":{"cpu":"1"},"requests":{"cpu":"250m"}})",
            "cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000"},
           {R"("maxLimitRequestRatio":{"cpu":"2"})", "{}",
            "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0"},
           {R"("min":{"cpu":"200m"},"max":{"memory":"1Gi"})",
            R"({"requests":{"cpu":"100m"},"limits":{"memory":"2Gi"}})",
            "[minimum cpu usage per Container is 200m, but request is 100m, maximum memory usage per Container is 1Gi, "
            "but limit is 2Gi]"},
       }) {
    World w;
    w.limits(R"({"type":"Container",)" + std::string(r.limits) + "}");
    auto a = w.pod(r.resources);
    CHECK(a.status == 403);
    CHECK(a.message() == "pods \"p\" is forbidden: " + std::string(r.message));
  }
}

TEST_CASE("limit ranger: what has bounds only has them as defaults too") {
  World w;
  w.limits(R"({"type":"Container","max":{"cpu":"1"},"min":{"memory":"10Mi"}})");
  Node r = w.pod("{}").json().path("spec.containers").items().at(0).get("resources");
  CHECK(r.path("limits.cpu").str() == "1");
  CHECK(r.path("requests.cpu").str() == "1");
  CHECK(r.path("requests.memory").str() == "10Mi");
}

TEST_CASE("limit ranger: pods are bounded in sum, claims by what they ask for") {
  World w;
  w.limits(
      R"({"type":"Pod","max":{"cpu":"1"}},{"type":"PersistentVolumeClaim","min":{"storage":"1Gi"},"max":{"storage":"5Gi"}})");
  CHECK(w.pod("{}").message() == "pods \"p\" is forbidden: maximum cpu usage per Pod is 1.  No limit is specified");
  CHECK(w.pod(R"({"limits":{"cpu":"1500m"}})").message() ==
        "pods \"p\" is forbidden: maximum cpu usage per Pod is 1, but limit is 1500m");
  CHECK(w.pod(R"({"limits":{"cpu":"1"}})").status == 201);
  CHECK(w.claim("2Gi").status == 201);
  auto small = w.claim("1Mi"), big = w.claim("6Gi");
  CHECK(small.message().find("minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi") !=
        std::string::npos);
  CHECK(big.message().find("maximum storage usage per PersistentVolumeClaim is 5Gi, but request is 6Gi") !=
        std::string::npos);
}
