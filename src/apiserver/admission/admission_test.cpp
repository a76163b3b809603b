// Admission through the API: what is filled in, what is refused, for whom.
#include "apiserver/admission/admission.h"

#include <catch2/catch.hpp>

#include "base/strings.h"
#include "support/api_world.h"

using namespace k8lite;
using json::Doc;
using json::Node;
using testing::ApiWorld;

namespace {

struct World : ApiWorld {
  World() { REQUIRE(post("serviceaccounts", R"({"metadata":{"name":"default"}})").status == 201); }
  testing::HttpAnswer post(const std::string& plural, const std::string& body, const std::string& token = "admin") { return ask_as(token, "POST", "/api/v1/namespaces/default/" + plural, body); }
  testing::HttpAnswer pod(const std::string& spec, const std::string& meta = R"("name":"p")") { return post("pods", R"({"metadata":{)" + meta + R"(},"spec":{"containers":[{"name":"c","image":"i"}])" + (spec.empty() ? "" : "," + spec) + "}}"); }
  Node made(const std::string& spec) {
    auto a = pod(spec, R"("generateName":"p-")");
    CAPTURE(a.body);
    REQUIRE(a.status == 201);
    return a.json();
  }
};

}  // namespace

TEST_CASE("admission: a pod gets its service account and a token, once for each container") {
  World w;
  Node p = w.made("");
  CHECK(p.path("spec.serviceAccountName").str() == "default");
  REQUIRE(p.path("spec.volumes").size() == 1);
  const Node& volume = p.path("spec.volumes").items()[0];
  CHECK(volume.get("name").str().starts_with("kube-api-access-"));
  CHECK(volume.path("projected.sources").size() == 3);
  const Node& mount = p.path("spec.containers").items()[0].get("volumeMounts").items()[0];
  CHECK(mount.get("mountPath").str() == "/var/run/secrets/kubernetes.io/serviceaccount");
  CHECK(mount.get("name") == volume.get("name"));
  CHECK(mount.get("readOnly").bool_or(false));
}

TEST_CASE("admission: who wants no token gets none") {
  World w;
  CHECK(w.made(R"("automountServiceAccountToken":false)").path("spec.volumes").size() == 0);
  REQUIRE(w.post("serviceaccounts", R"({"metadata":{"name":"quiet"},"automountServiceAccountToken":false,"imagePullSecrets":[{"name":"s"}]})").status == 201);
  Node p = w.made(R"("serviceAccountName":"quiet")");
  CHECK(p.path("spec.volumes").size() == 0);
  CHECK(p.path("spec.imagePullSecrets") == Node::arr({Node::obj({{"name", "s"}})}));
  CHECK(w.made(R"("serviceAccountName":"quiet","automountServiceAccountToken":true)").path("spec.volumes").size() == 1);  // the pod's word counts more
  CHECK(w.made(R"("serviceAccountName":"quiet","imagePullSecrets":[{"name":"own"}])").path("spec.imagePullSecrets").items()[0].get("name").str() == "own");
}

TEST_CASE("admission: an unknown service account is refused") {
  World w;
  auto a = w.pod(R"("serviceAccountName":"gone")");
  CHECK(a.status == 403);
  CHECK(a.message() == "pods \"p\" is forbidden: error looking up service account default/gone: serviceaccount \"gone\" not found");
}

TEST_CASE("admission: pods stay five minutes on a silent node unless they say how long") {
  World w;
  Node p = w.made("");
  CHECK(p.path("spec.tolerations").size() == 2);
  for (const Node& t : p.path("spec.tolerations").items()) CHECK(t.get("tolerationSeconds").int_or(0) == 300);
  CHECK(w.made(R"("tolerations":[{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":5}])").path("spec.tolerations").size() == 2);
  CHECK(w.made(R"("tolerations":[{"operator":"Exists"}])").path("spec.tolerations").size() == 1);
  CHECK(w.made(R"("tolerations":[{"operator":"Exists","effect":"NoSchedule"}])").path("spec.tolerations").size() == 3);
}

TEST_CASE("admission: priorities come from their class") {
  World w;
  auto priority_class = [&w](const char* body) { CHECK(w.ask("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", body).status == 201); };
  CHECK(w.made("").path("spec.priority").int_or(-1) == 0);
  priority_class(R"({"metadata":{"name":"high"},"value":1000,"preemptionPolicy":"Never"})");
  Node p = w.made(R"("priorityClassName":"high")");
  CHECK(p.path("spec.priority").int_or(0) == 1000);
  CHECK(p.path("spec.preemptionPolicy").str() == "Never");
  priority_class(R"({"metadata":{"name":"usual"},"value":7,"globalDefault":true})");
  p = w.made("");
  CHECK(p.path("spec.priority").int_or(0) == 7);
  CHECK(p.path("spec.priorityClassName").str() == "usual");
  CHECK(w.pod(R"("priorityClassName":"gone")").message() == "pods \"p\" is forbidden: no PriorityClass with name gone was found");
  CHECK(w.pod(R"("priorityClassName":"high","priority":5)").message().find("the integer value of priority (5) must not be provided in pod spec; priority admission controller computed 1000 from the given PriorityClass name") != std::string::npos);
  CHECK(w.made(R"("priorityClassName":"system-node-critical")").path("spec.priority").int_or(0) == 2000001000);
  CHECK(w.made(R"("priorityClassName":"system-cluster-critical")").path("spec.priority").int_or(0) == 2000000000);
}

TEST_CASE("admission: nothing new in a namespace that ends") {
  World w;
  REQUIRE(w.ask("POST", "/api/v1/namespaces", R"({"metadata":{"name":"doomed"}})").status == 201);
  REQUIRE(w.ask("DELETE", "/api/v1/namespaces/doomed").status == 200);
  auto a = w.ask("POST", "/api/v1/namespaces/doomed/configmaps", R"({"metadata":{"name":"m"}})");
  CHECK(a.status == 403);
  CHECK(a.message() == "configmaps \"m\" is forbidden: unable to create new content in namespace doomed because it is being terminated");
  CHECK(a.json().path("details.causes").items().at(0).get("reason").str() == "NamespaceTerminating");
  auto none = w.ask("POST", "/api/v1/namespaces/nowhere/configmaps", R"({"metadata":{"name":"m"}})");
  CHECK(none.status == 404);
  CHECK(none.message() == "namespaces \"nowhere\" not found");
  for (const char* kept : {"default", "kube-system", "kube-public"}) CHECK(w.ask("DELETE", std::string("/api/v1/namespaces/") + kept).status == 403);
}

TEST_CASE("admission: a node writes itself and its pods, and no more") {
  World w;
  auto node = w.client("system:node:edge", {"system:nodes", "system:authenticated"});
  auto create = [&node](const machinery::Path& path, const std::string& body) { return node->create(path, Doc::parse(body).value(), {}).status(); };
  machinery::Path nodes{"", "v1", "nodes", "", "", ""}, pods{"", "v1", "pods", "default", "", ""};
  CHECK(create(nodes, R"({"metadata":{"name":"far"}})").message().find("node \"edge\" is not allowed to modify node \"far\"") != std::string::npos);
  CHECK(create(nodes, R"({"metadata":{"name":"edge","labels":{"node-restriction.kubernetes.io/x":"y"}}})").is(Reason::Forbidden));
  CHECK(create(nodes, R"({"metadata":{"name":"edge"}})").ok());
  machinery::Path edge{"", "v1", "nodes", "", "edge", ""};
  CHECK(node->patch(edge, machinery::PatchType::Merge, R"({"metadata":{"labels":{"a":"b"}}})", {}).ok());
  CHECK(node->patch(edge, machinery::PatchType::Merge, R"({"spec":{"taints":[{"key":"a","effect":"NoSchedule"}]}})", {}).status().message().find("is not allowed to modify taints") != std::string::npos);
  const char* mirror = R"({"metadata":{"name":"%n","annotations":{"kubernetes.io/config.mirror":"x"},"ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"edge","uid":"%u","controller":true}]},"spec":{"nodeName":"%o","containers":[{"name":"c","image":"i"}]}})";
  std::string uid = node->get({"", "v1", "nodes", "", "edge", ""})->path("metadata.uid").str();
  auto body = [&](const char* name, const char* on) { return replace_all(replace_all(replace_all(mirror, "%n", name), "%o", on), "%u", uid); };
  CHECK(create(pods, body("mine", "edge")).ok());
  CHECK(create(pods, body("theirs", "far")).is(Reason::Forbidden));
  CHECK(create(pods, R"({"metadata":{"name":"plain"},"spec":{"nodeName":"edge","containers":[{"name":"c","image":"i"}]}})").is(Reason::Forbidden));
  // Status and deletion: its own pods only.
  REQUIRE(w.pod(R"("nodeName":"far")", R"("name":"other")").status == 201);
  machinery::Path other{"", "v1", "pods", "default", "other", "status"}, mine{"", "v1", "pods", "default", "mine", "status"};
  CHECK(node->patch(other, machinery::PatchType::Merge, R"({"status":{"phase":"Failed"}})", {}).status().is(Reason::Forbidden));
  CHECK(node->patch(mine, machinery::PatchType::Merge, R"({"status":{"phase":"Running"}})", {}).ok());
  other.subresource.clear();
  CHECK(node->remove(other, {}).status().is(Reason::Forbidden));
  // Secrets: those its pods name.
  REQUIRE(w.post("secrets", R"({"metadata":{"name":"s"}})").status == 201);
  REQUIRE(w.post("secrets", R"({"metadata":{"name":"t"}})").status == 201);
  REQUIRE(w.pod(R"("nodeName":"edge","volumes":[{"name":"v","secret":{"secretName":"s"}}])", R"("name":"uses")").status == 201);
  CHECK(node->get({"", "v1", "secrets", "default", "s", ""}).ok());
  CHECK(node->get({"", "v1", "secrets", "default", "t", ""}).status().is(Reason::Forbidden));
  CHECK(node->list({"", "v1", "secrets", "default", "", ""}, {}).status().is(Reason::Forbidden));
}
