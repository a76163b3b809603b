// RuntimeClass, priorities, new nodes and the small defaults, through the API.
#include <catch2/catch.hpp>

#include "support/api_world.h"

using namespace k8lite;
using json::Node;
using testing::ApiWorld;

namespace {
struct World : ApiWorld {
  explicit World(apiserver::ApiServerOptions options = {}) : ApiWorld(std::move(options)) {
    REQUIRE(post("/api/v1/namespaces/default/serviceaccounts", R"({"metadata":{"name":"default"}})").status == 201);
  }
  testing::HttpAnswer post(const std::string& url, const std::string& body) { return ask("POST", url, body); }
  testing::HttpAnswer pod(const std::string& spec) {
    return post("/api/v1/namespaces/default/pods",
                R"({"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i:1"}])" +
                    (spec.empty() ? "" : "," + spec) + "}}");
  }
  testing::HttpAnswer patch(const std::string& url, const std::string& body) {
    return ask("PATCH", url, body, {{"Content-Type", "application/merge-patch+json"}});
  }
};
}  // namespace

TEST_CASE("runtime class: overhead, node selector and tolerations go into the pod") {
  World w;
  REQUIRE(
      w.post(
           "/apis/node.k8s.io/v1/runtimeclasses",
           R"({"metadata":{"name":"vm"},"handler":"vm","overhead":{"podFixed":{"cpu":"100m"}},"scheduling":{"nodeSelector":{"vm":"yes"},"tolerations":[{"key":"vm","operator":"Exists"}]}})")
          .status == 201);
  auto a = w.pod(R"("runtimeClassName":"vm","nodeSelector":{"disk":"ssd"})");
  CAPTURE(a.body);
  REQUIRE(a.status == 201);
  CHECK(a.json().path("spec.overhead.cpu").str() == "100m");
  CHECK(a.json().path("spec.nodeSelector") == Node::obj({{"disk", "ssd"}, {"vm", "yes"}}));
  CHECK(a.json().path("spec.tolerations").items().back().get("key").str() == "vm");
  CHECK(w.pod(R"("runtimeClassName":"gone")").message() ==
        "pods \"p\" is forbidden: pod rejected: RuntimeClass \"gone\" not found");
  CHECK(w.pod(R"("runtimeClassName":"vm","nodeSelector":{"vm":"no"})").message() ==
        "pods \"p\" is forbidden: conflict: runtimeClass.scheduling.nodeSelector[vm] = yes; pod.spec.nodeSelector[vm] "
        "= no");
  CHECK(w.pod(R"("runtimeClassName":"vm","overhead":{"cpu":"1"})").message() ==
        "pods \"p\" is forbidden: pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead");
  CHECK(w.pod(R"("overhead":{"cpu":"1"})").message() ==
        "pods \"p\" is forbidden: pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead");
}

TEST_CASE("priority classes: reserved names and values, one default only") {
  World w;
  const std::string url = "/apis/scheduling.k8s.io/v1/priorityclasses";
  CHECK(w.post(url, R"({"metadata":{"name":"system-mine"},"value":1})").status == 422);
  CHECK(w.post(url, R"({"metadata":{"name":"big"},"value":1000000001})").status == 422);
  CHECK(w.post(url, R"({"metadata":{"name":"usual"},"value":1,"globalDefault":true})").status == 201);
  CHECK(w.post(url, R"({"metadata":{"name":"other"},"value":2,"globalDefault":true})").message() ==
        "priorityclasses.scheduling.k8s.io \"other\" is forbidden: PriorityClass usual is already marked as default. "
        "Only one default can exist");
  CHECK(w.patch(url + "/usual", R"({"metadata":{"labels":{"a":"b"}}})").status == 200);
  CHECK(w.pod(R"("priorityClassName":"usual","preemptionPolicy":"Never")")
            .message()
            .find("the string value of PreemptionPolicy (Never) must not be provided in pod spec") !=
        std::string::npos);
}

TEST_CASE("taints: a new node takes no pods before it is ready") {
  World w;
  auto a = w.post("/api/v1/nodes", R"({"metadata":{"name":"n"}})");
  REQUIRE(a.status == 201);
  CHECK(a.json().path("spec.taints").dump() == R"([{"key":"node.kubernetes.io/not-ready","effect":"NoSchedule"}])");
}

TEST_CASE("always pull: only where it is switched on") {
  World w;
  CHECK(w.pod("").json().path("spec.containers").items().at(0).get("imagePullPolicy").str() == "IfNotPresent");
  apiserver::ApiServerOptions options;
  options.admission.enable = {"AlwaysPullImages"};
  options.admission.disable = {"DefaultTolerationSeconds"};
  World v(options);
  Node p = v.pod("").json();
  CHECK(p.path("spec.containers").items().at(0).get("imagePullPolicy").str() == "Always");
  CHECK(p.path("spec.tolerations").size() == 0);
}

TEST_CASE("storage: claims get the default class and stay while they are in use; only some can grow") {
  World w;
  auto claim = [&w](const char* name, const char* more) {
    return w.post("/api/v1/namespaces/default/persistentvolumeclaims",
                  R"({"metadata":{"name":")" + std::string(name) +
                      R"("},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}})" +
                      more + "}}");
  };
  CHECK_FALSE(claim("early", "").json().path("spec.storageClassName").exists());
  REQUIRE(
      w.post(
           "/apis/storage.k8s.io/v1/storageclasses",
           R"({"metadata":{"name":"old","annotations":{"storageclass.kubernetes.io/is-default-class":"true"}},"provisioner":"p"})")
          .status == 201);
  w.clock.advance(seconds(5));
  REQUIRE(
      w.post(
           "/apis/storage.k8s.io/v1/storageclasses",
           R"({"metadata":{"name":"new","annotations":{"storageclass.kubernetes.io/is-default-class":"true"}},"provisioner":"p"})")
          .status == 201);
  REQUIRE(w.post("/apis/storage.k8s.io/v1/storageclasses",
                 R"({"metadata":{"name":"grows"},"provisioner":"p","allowVolumeExpansion":true})")
              .status == 201);
  auto a = claim("a", "");
  CAPTURE(a.body);
  CHECK(a.json().path("spec.storageClassName").str() == "new");
  CHECK(a.json().path("metadata.finalizers") == Node::arr({"kubernetes.io/pvc-protection"}));
  CHECK(claim("none", R"(,"storageClassName":"")").json().path("spec.storageClassName").str().empty());
  REQUIRE(claim("g", R"(,"storageClassName":"grows")").status == 201);
  const std::string url = "/api/v1/namespaces/default/persistentvolumeclaims/",
                    bigger = R"({"spec":{"resources":{"requests":{"storage":"2Gi"}}}})";
  CHECK(w.patch(url + "g", bigger).status >= 400);  // not bound yet
  for (const char* name : {"a", "g"})
    REQUIRE(w.patch(url + name + "/status", R"({"status":{"phase":"Bound"}})").status == 200);
  CHECK(w.patch(url + "a", bigger).message() ==
        "persistentvolumeclaims \"a\" is forbidden: only dynamically provisioned pvc can be resized and the "
        "storageclass that provisions the pvc must support resize");
  CHECK(w.patch(url + "g", bigger).status == 200);
}

TEST_CASE("ingress: the default class") {
  World w;
  auto ingress = [&w](const char* name, const char* meta) {
    return w.post("/apis/networking.k8s.io/v1/namespaces/default/ingresses",
                  R"({"metadata":{"name":")" + std::string(name) + "\"" + meta +
                      R"(},"spec":{"defaultBackend":{"service":{"name":"s","port":{"number":80}}}}})");
  };
  REQUIRE(
      w.post(
           "/apis/networking.k8s.io/v1/ingressclasses",
           R"({"metadata":{"name":"web","annotations":{"ingressclass.kubernetes.io/is-default-class":"true"}},"spec":{"controller":"k8lite.io/ingress"}})")
          .status == 201);
  CHECK(ingress("a", "").json().path("spec.ingressClassName").str() == "web");
  CHECK_FALSE(ingress("b", R"(,"annotations":{"kubernetes.io/ingress.class":"own"})")
                  .json()
                  .path("spec.ingressClassName")
                  .exists());
}

TEST_CASE("policies and webhooks: what is stored and not enforced says so") {
  World w;
  auto a = w.post("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
                  R"({"metadata":{"name":"hook"},"webhooks":[]})");
  CAPTURE(a.body);
  CHECK(a.status == 201);
  CHECK(a.headers.get("Warning") ==
        "299 - \"ValidatingWebhookConfiguration \\\"hook\\\" is stored, but this server does not enforce it yet\"");
}
