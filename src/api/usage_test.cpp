// What objects use, by the names quotas count them under.
#include "api/usage.h"

#include <catch2/catch.hpp>

using namespace k8lite;
using namespace k8lite::api;
using json::Doc;

namespace {
Doc doc(const char* text) { return Doc::parse(text).value(); }
std::string text(const Usage& usage) { return usage_node(usage).dump(); }
}  // namespace

TEST_CASE("usage: containers add up, init containers count at their peak, sidecars all along") {
  Doc spec = doc(
      R"({"containers":[{"name":"a","resources":{"requests":{"cpu":"100m","memory":"64Mi"},"limits":{"cpu":"1"}}},{"name":"b","resources":{"requests":{"cpu":"200m"}}}],
    "initContainers":[{"name":"side","restartPolicy":"Always","resources":{"requests":{"cpu":"50m"}}},{"name":"big","resources":{"requests":{"cpu":"1","memory":"32Mi"}}}],"overhead":{"cpu":"10m","memory":"1Mi"}})");
  CHECK(text(pod_usage(spec.root(), PodSide::Requests, false)) == R"({"cpu":"1050m","memory":"64Mi"})");
  CHECK(text(pod_usage(spec.root(), PodSide::Requests, true)) == R"({"cpu":"1060m","memory":"65Mi"})");
  CHECK(text(pod_usage(spec.root(), PodSide::Limits, true)) == R"({"cpu":"1010m"})");
  CHECK(
      text(pod_usage(
          doc(R"({"resources":{"requests":{"cpu":"3"}},"containers":[{"resources":{"requests":{"cpu":"1","memory":"1Gi"}}}]})")
              .root(),
          PodSide::Requests, false)) == R"({"cpu":"3","memory":"1Gi"})");
}

TEST_CASE("usage: each kind counts under its names") {
  struct Row {
    Counted resource;
    const char *object, *usage;
  };
  for (
      const Row& r : std::vector<Row>{
          {{"", "pods"},
           R"({"spec":{"containers":[{"resources":{"requests":{"cpu":"1","example.com/gpu":"2"},"limits":{"memory":"1Gi"}}}]}})",
           R"({"count/pods":"1","cpu":"1","limits.memory":"1Gi","pods":"1","requests.cpu":"1","requests.example.com/gpu":"2"})"},
          {{"", "pods"},
           R"({"spec":{"containers":[{"resources":{"requests":{"cpu":"1"}}}]},"status":{"phase":"Succeeded"}})",
           R"({"count/pods":"1"})"},
          {{"", "services"},
           R"({"spec":{"type":"NodePort","ports":[{},{}]}})",
           R"({"count/services":"1","services":"1","services.loadbalancers":"0","services.nodeports":"2"})"},
          {{"", "services"},
           R"({"spec":{"type":"LoadBalancer","allocateLoadBalancerNodePorts":false,"ports":[{"nodePort":30000},{}]}})",
           R"({"count/services":"1","services":"1","services.loadbalancers":"1","services.nodeports":"1"})"},
          {{"", "persistentvolumeclaims"},
           R"({"spec":{"storageClassName":"gold","resources":{"requests":{"storage":"5Gi"}}}})",
           R"({"count/persistentvolumeclaims":"1","gold.storageclass.storage.k8s.io/persistentvolumeclaims":"1","gold.storageclass.storage.k8s.io/requests.storage":"5Gi","persistentvolumeclaims":"1","requests.storage":"5Gi"})"},
          {{"", "secrets"}, "{}", R"({"count/secrets":"1","secrets":"1"})"},
          {{"apps", "deployments"}, "{}", R"({"count/deployments.apps":"1"})"},
      })
    CHECK(text(usage_of(r.resource, doc(r.object).root(), {})) == r.usage);
}

TEST_CASE("usage: which resources a quota's names stand for") {
  CHECK(resources_of({"requests.cpu", "pods", "requests.example.com/gpu"}) == std::set<Counted>{{"", "pods"}});
  CHECK(resources_of({"count/widgets.example.com", "services.nodeports"}) ==
        std::set<Counted>{{"", "services"}, {"example.com", "widgets"}});
  CHECK(resources_of({"gold.storageclass.storage.k8s.io/requests.storage"}) ==
        std::set<Counted>{{"", "persistentvolumeclaims"}});
  CHECK(resources_of({"configmaps", "count/configmaps"}) == std::set<Counted>{{"", "configmaps"}});
  CHECK(counted_names({"", "pods"}, {"cpu", "requests.storage", "count/pods", "count/pods.apps"}) ==
        std::vector<std::string>{"cpu", "count/pods"});
}

TEST_CASE("usage: scopes") {
  struct Row {
    const char *quota, *pod;
    bool within;
  };
  const char *
      effort = R"({"spec":{"containers":[{}]}})",
     *burst =
         R"({"spec":{"priorityClassName":"high","activeDeadlineSeconds":5,"containers":[{"resources":{"requests":{"cpu":"1"}}}]}})",
     *foreign =
         R"({"spec":{"containers":[{}],"affinity":{"podAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"namespaces":["x"]}]}}}})";
  for (
      const Row& r : std::vector<Row>{
          {"{}", effort, true},
          {R"({"scopes":["BestEffort"]})", effort, true},
          {R"({"scopes":["BestEffort"]})", burst, false},
          {R"({"scopes":["NotBestEffort"]})", burst, true},
          {R"({"scopes":["Terminating"]})", burst, true},
          {R"({"scopes":["NotTerminating"]})", burst, false},
          {R"({"scopes":["NotTerminating","BestEffort"]})", effort, true},
          {R"({"scopeSelector":{"matchExpressions":[{"scopeName":"PriorityClass","operator":"In","values":["low","high"]}]}})",
           burst, true},
          {R"({"scopeSelector":{"matchExpressions":[{"scopeName":"PriorityClass","operator":"NotIn","values":["high"]}]}})",
           burst, false},
          {R"({"scopeSelector":{"matchExpressions":[{"scopeName":"PriorityClass","operator":"Exists"}]}})", effort,
           false},
          {R"({"scopeSelector":{"matchExpressions":[{"scopeName":"PriorityClass","operator":"DoesNotExist"}]}})",
           effort, true},
          {R"({"scopes":["CrossNamespacePodAffinity"]})", foreign, true},
          {R"({"scopes":["CrossNamespacePodAffinity"]})", effort, false},
      }) {
    CAPTURE(r.quota, r.pod);
    CHECK(in_scope(doc(r.quota).root(), {"", "pods"}, doc(r.pod).root()) == r.within);
  }
  CHECK_FALSE(in_scope(doc(R"({"scopes":["NotBestEffort"]})").root(), {"", "services"}, doc("{}").root()));
}
