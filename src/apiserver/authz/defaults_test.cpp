// The default roles: which there are, what an upgrade adds to them, and who may write roles beside them.
#include "apiserver/authz/defaults.h"

#include <catch2/catch.hpp>

#include "base/strings.h"
#include "support/api_world.h"

using namespace k8lite;
using namespace k8lite::apiserver;
using json::Doc;
using json::Node;
using testing::ApiWorld;

namespace {
constexpr const char* kRbac = "/apis/rbac.authorization.k8s.io/v1/";
Doc doc(const char* text) { return Doc::parse(text).value(); }
}  // namespace

TEST_CASE("defaults: what is missing is added, what is there stays") {
  Node wanted = *Node::parse(R"({"metadata":{"name":"r","labels":{"a":"1"}},"rules":[{"verbs":["get","list"],"apiGroups":[""],"resources":["pods"]},{"verbs":["get"],"nonResourceURLs":["/x"]}]})");
  CHECK_FALSE(authz::with_missing_defaults(Doc::from(wanted), wanted));
  auto more = authz::with_missing_defaults(doc(R"({"metadata":{"name":"r","labels":{"a":"mine","b":"2"}},"rules":[{"verbs":["*"],"apiGroups":["*"],"resources":["pods"]},{"verbs":["delete"],"apiGroups":[""],"resources":["nodes"]}]})"), wanted);
  REQUIRE(more);
  CHECK(more->path("metadata.labels") == Node::obj({{"a", "mine"}, {"b", "2"}}));
  CHECK(more->get("rules").size() == 3);  // pods are covered already
  CHECK(more->get("rules").items()[2] == wanted.get("rules").items()[1]);
  CHECK_FALSE(authz::with_missing_defaults(Doc::from(*more), wanted));  // settled after one step
  CHECK_FALSE(authz::with_missing_defaults(doc(R"({"metadata":{"name":"r","annotations":{"rbac.authorization.kubernetes.io/autoupdate":"false"}}})"), wanted));
}

TEST_CASE("defaults: subjects and aggregation are added once") {
  Node binding = *Node::parse(R"({"metadata":{"name":"b"},"subjects":[{"kind":"Group","name":"g","apiGroup":"rbac.authorization.k8s.io"}]})");
  auto more = authz::with_missing_defaults(doc(R"({"metadata":{"name":"b"},"subjects":[{"kind":"User","name":"g"}]})"), binding);
  REQUIRE(more);
  CHECK(more->get("subjects").size() == 2);
  CHECK_FALSE(authz::with_missing_defaults(Doc::from(*more), binding));
  Node gathering = *Node::parse(R"({"metadata":{"name":"view"},"aggregationRule":{"clusterRoleSelectors":[{"matchLabels":{"to-view":"true"}}]}})");
  auto old = authz::with_missing_defaults(doc(R"({"metadata":{"name":"view"},"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}]})"), gathering);
  REQUIRE(old);
  CHECK(old->path("aggregationRule.clusterRoleSelectors").size() == 1);
}

TEST_CASE("defaults: the roles clients look for are there, and an emptied one is filled at the next start") {
  ApiWorld w;
  for (const char* name : {"cluster-admin", "admin", "edit", "view", "system:basic-user", "system:discovery", "system:public-info-viewer", "system:node", "system:node-proxier", "system:kube-scheduler",
                           "system:kube-controller-manager", "system:auth-delegator", "system:monitoring", "system:aggregate-to-admin", "system:aggregate-to-edit", "system:aggregate-to-view",
                           "system:controller:deployment-controller", "system:controller:namespace-controller", "system:service-account-issuer-discovery"}) {
    CAPTURE(name);
    auto role = w.ask("GET", kRbac + std::string("clusterroles/") + name);
    CHECK(role.status == 200);
    CHECK(role.json().path("metadata.labels").get("kubernetes.io/bootstrapping").str() == "rbac-defaults");
  }
  CHECK(w.ask("GET", kRbac + std::string("namespaces/kube-system/rolebindings/system::extension-apiserver-authentication-reader")).status == 200);
  for (auto [role, label] : {std::pair{"view", "edit"}, {"edit", "admin"}}) CHECK(w.ask("GET", kRbac + std::string("clusterroles/") + role).json().path("metadata.labels").get("rbac.authorization.k8s.io/aggregate-to-" + std::string(label)).str() == "true");
  REQUIRE(w.ask("PATCH", kRbac + std::string("clusterroles/system:basic-user"), R"({"rules":[]})", {{"Content-Type", "application/merge-patch+json"}}).status == 200);
  CHECK(w.ask_as("ann", "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "{}").status == 403);
  REQUIRE(w.api->bootstrap().ok());
  CHECK(w.ask_as("ann", "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "{}").status == 201);
}

TEST_CASE("roles: nobody grants what they do not hold") {
  ApiWorld w;
  std::string roles = kRbac + std::string("namespaces/default/roles"), bindings = kRbac + std::string("namespaces/default/rolebindings"), cluster_roles = kRbac + std::string("clusterroles");
  // ann may write roles and bindings of the namespace, and read pods.
  REQUIRE(w.ask("POST", cluster_roles, R"({"metadata":{"name":"writer"},"rules":[{"verbs":["*"],"apiGroups":["rbac.authorization.k8s.io"],"resources":["roles","rolebindings","clusterroles"],"resourceNames":[]},{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}]})").status == 201);
  // "*" would hold escalate and bind too: only the plain verbs.
  REQUIRE(w.ask("PATCH", cluster_roles + "/writer", R"([{"op":"replace","path":"/rules/0/verbs","value":["create","update","patch","get"]}])", {{"Content-Type", "application/json-patch+json"}}).status == 200);
  REQUIRE(w.ask("POST", kRbac + std::string("clusterrolebindings"), R"({"metadata":{"name":"ann"},"roleRef":{"kind":"ClusterRole","name":"writer","apiGroup":"rbac.authorization.k8s.io"},"subjects":[{"kind":"User","name":"ann"}]})").status == 201);
  auto role = [](const char* name, const char* rules) { return R"({"metadata":{"name":")" + std::string(name) + R"("},"rules":)" + rules + "}"; };
  CHECK(w.ask_as("ann", "POST", roles, role("mine", R"([{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}])")).status == 201);
  auto refused = w.ask_as("ann", "POST", roles, role("more", R"([{"verbs":["get","delete"],"apiGroups":[""],"resources":["pods"]}])"));
  CHECK(refused.status == 403);
  CHECK(refused.message() == "roles.rbac.authorization.k8s.io \"more\" is forbidden: user \"ann\" (groups=[\"dev\" \"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\"]}");
  CHECK(w.ask("GET", roles + "/more").status == 404);
  CHECK(w.ask("PATCH", roles + "/mine", R"({"rules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}]})", {{"Content-Type", "application/merge-patch+json"}}, "ann").status == 403);
  CHECK(w.ask("PATCH", roles + "/mine?fieldManager=x&force=true", R"({"apiVersion":"rbac.authorization.k8s.io/v1","kind":"Role","metadata":{"name":"mine"},"rules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}]})", {{"Content-Type", "application/apply-patch+yaml"}}, "ann").status == 403);
  auto bind = [](const char* name, const char* kind, const char* to) {
    return R"({"metadata":{"name":")" + std::string(name) + R"("},"roleRef":{"kind":")" + kind + R"(","name":")" + to + R"(","apiGroup":"rbac.authorization.k8s.io"},"subjects":[{"kind":"User","name":"bob"}]})";
  };
  CHECK(w.ask_as("ann", "POST", bindings, bind("ok", "Role", "mine")).status == 201);
  CHECK(w.ask_as("ann", "POST", bindings, bind("no", "ClusterRole", "cluster-admin")).status == 403);
  CHECK(w.ask_as("ann", "POST", bindings, bind("gone", "Role", "nothing")).status == 404);
  CHECK(w.ask_as("ann", "POST", cluster_roles, R"({"metadata":{"name":"gather"},"aggregationRule":{"clusterRoleSelectors":[{"matchLabels":{"a":"b"}}]}})").message().find("must have cluster-admin privileges to use an aggregationRule") != std::string::npos);
  // escalate and bind lift the check, for the roles they name.
  REQUIRE(w.ask("POST", roles, role("lift", R"([{"verbs":["escalate"],"apiGroups":["rbac.authorization.k8s.io"],"resources":["roles"]},{"verbs":["bind"],"apiGroups":["rbac.authorization.k8s.io"],"resources":["clusterroles"],"resourceNames":["view"]}])")).status == 201);
  REQUIRE(w.ask("POST", bindings, R"({"metadata":{"name":"lift"},"roleRef":{"kind":"Role","name":"lift","apiGroup":"rbac.authorization.k8s.io"},"subjects":[{"kind":"User","name":"ann"}]})").status == 201);
  CHECK(w.ask_as("ann", "POST", roles, role("more", R"([{"verbs":["delete"],"apiGroups":[""],"resources":["pods"]}])")).status == 201);
  CHECK(w.ask_as("ann", "POST", bindings, bind("v", "ClusterRole", "view")).status == 201);
  CHECK(w.ask_as("ann", "POST", bindings, bind("e", "ClusterRole", "system:node")).status == 403);
}

TEST_CASE("front: impersonation over HTTP is authorised, applied and worded") {
  ApiWorld w;
  auto who = [&w](net::Headers headers, const char* token) { return w.ask("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "{}", std::move(headers), token); };
  auto as_bob = who({{"Impersonate-User", "bob"}, {"Impersonate-Group", "ops"}, {"Impersonate-Uid", "9"}, {"Impersonate-Extra-Reason", "drill"}}, "admin");
  CHECK(as_bob.status == 201);
  CHECK(as_bob.json().path("status.userInfo") == *Node::parse(R"({"username":"bob","uid":"9","groups":["ops","system:authenticated"],"extra":{"reason":["drill"]}})"));
  auto refused = who({{"Impersonate-User", "bob"}}, "ann");
  CHECK(refused.status == 403);
  CHECK(refused.message() == R"(users "bob" is forbidden: User "ann" cannot impersonate resource "users" in API group "" at the cluster scope)");
  CHECK(who({{"Impersonate-Group", "system:masters"}}, "admin").status == 400);
  // The rights are those of the impersonated: an admin that acts as ann is ann.
  CHECK(w.ask("GET", "/api/v1/nodes", "", {{"Impersonate-User", "ann"}}).status == 403);
}

TEST_CASE("front: relying parties find issuer and keys") {
  ApiWorld w;
  REQUIRE(w.ask("POST", "/api/v1/namespaces/default/serviceaccounts", R"({"metadata":{"name":"web"}})").status == 201);
  std::string token = w.ask("POST", "/api/v1/namespaces/default/serviceaccounts/web/token", "{}").json().path("status.token").str();
  auto found = w.ask_as(token, "GET", "/.well-known/openid-configuration");
  REQUIRE(found.status == 200);
  CHECK(found.json().get("issuer").str() == "https://kubernetes.default.svc.cluster.local");
  CHECK(found.json().get("jwks_uri").str() == "https://127.0.0.1:6443/openid/v1/jwks");
  auto keys = w.ask_as(token, "GET", "/openid/v1/jwks");
  REQUIRE(keys.status == 200);
  CHECK(keys.headers.get("Content-Type") == "application/jwk-set+json");
  REQUIRE(keys.json().get("keys").size() == 1);
  // The key id is the one the token's head names.
  auto head = Node::parse(*base64_decode(token.substr(0, token.find('.'))));
  REQUIRE(head.ok());
  CHECK(keys.json().get("keys").items()[0].get("kid") == head->get("kid"));
  CHECK(w.ask_as("ann", "GET", "/openid/v1/jwks").status == 403);
}

TEST_CASE("tokens: a node asks only for its own pods, bound to them") {
  ApiWorld w;
  REQUIRE(w.ask("POST", "/api/v1/namespaces/default/serviceaccounts", R"({"metadata":{"name":"web"}})").status == 201);
  auto pod = [&w](const char* name, const char* node) {
    auto a = w.ask("POST", "/api/v1/namespaces/default/pods", R"({"metadata":{"name":")" + std::string(name) + R"("},"spec":{"nodeName":")" + node + R"(","serviceAccountName":"web","containers":[{"name":"c","image":"i"}]}})");
    CAPTURE(a.body);
    REQUIRE(a.status == 201);
    return a.json().path("metadata.uid").str();
  };
  std::string mine = pod("mine", "edge"), other = pod("other", "far");
  auto node = w.client("system:node:edge", {"system:nodes", "system:authenticated"});
  auto ask = [&node](const std::string& ref) {
    return node->create({"", "v1", "serviceaccounts", "default", "web", "token"}, json::Doc::from(*Node::parse(R"({"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{)" + (ref.empty() ? "" : R"("boundObjectRef":)" + ref) + "}}")), {});
  };
  auto good = ask(R"({"kind":"Pod","apiVersion":"v1","name":"mine","uid":")" + mine + "\"}");
  REQUIRE(good.ok());
  CHECK(w.ask_as(good->path("status.token").str(), "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "{}").json().path("status.userInfo.username").str() == "system:serviceaccount:default:web");
  for (const std::string& ref : {std::string(), std::string(R"({"kind":"Pod","apiVersion":"v1","name":"mine"})"), R"({"kind":"Pod","apiVersion":"v1","name":"other","uid":")" + other + "\"}", R"({"kind":"Pod","apiVersion":"v1","name":"mine","uid":")" + other + "\"}"}) {
    CAPTURE(ref);
    CHECK(ask(ref).status().is(Reason::Forbidden));
  }
  // The pod goes, and with it its token.
  REQUIRE(w.ask("DELETE", "/api/v1/namespaces/default/pods/mine?gracePeriodSeconds=0").status == 200);
  CHECK(w.ask_as(good->path("status.token").str(), "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "{}").status == 401);
}
