// Reviews: what they ask, what they refuse, and what they say of real roles.
#include "apiserver/reviews.h"

#include <catch2/catch.hpp>

#include "support/api_world.h"

using namespace k8lite;
using json::Node;
using testing::ApiWorld;

namespace {

constexpr const char* kAuthorization = "/apis/authorization.k8s.io/v1/";

void grant_view(ApiWorld& w) {
  REQUIRE(w.ask("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles", R"({"metadata":{"name":"r"},"rules":[{"verbs":["get","list"],"apiGroups":[""],"resources":["pods"]}]})").status == 201);
  REQUIRE(w.ask("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings", R"({"metadata":{"name":"b"},"roleRef":{"kind":"Role","name":"r","apiGroup":"rbac.authorization.k8s.io"},"subjects":[{"kind":"Group","name":"dev"}]})").status == 201);
}

Node review(ApiWorld& w, const std::string& token, const std::string& url, const char* spec, int code = 201) {
  auto a = w.ask_as(token, "POST", url, std::string(R"({"spec":)") + spec + "}");
  CAPTURE(a.body);
  CHECK(a.status == code);
  return a.json();
}

}  // namespace

TEST_CASE("review: who am I") {
  ApiWorld w;
  Node me = review(w, "ann", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "{}");
  CHECK(me.get("kind").str() == "SelfSubjectReview");
  CHECK(me.path("status.userInfo") == Node::obj({{"username", "ann"}, {"uid", "2"}, {"groups", Node::arr({"dev", "system:authenticated"})}}));
  auto anonymous = w.ask("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "{}", {}, "");
  CHECK(anonymous.status == 403);
}

TEST_CASE("review: may I, and may they") {
  ApiWorld w;
  grant_view(w);
  std::string self = std::string(kAuthorization) + "selfsubjectaccessreviews", other = std::string(kAuthorization) + "subjectaccessreviews";
  struct Row { const char* spec; bool allowed; };
  for (const Row& r : {Row{R"({"resourceAttributes":{"verb":"get","resource":"pods","namespace":"default"}})", true},
                       {R"({"resourceAttributes":{"verb":"get","resource":"pods","namespace":"default","name":"x"}})", true},
                       {R"({"resourceAttributes":{"verb":"get","resource":"pods"}})", false},
                       {R"({"resourceAttributes":{"verb":"get","resource":"pods","subresource":"log","namespace":"default"}})", false},
                       {R"({"resourceAttributes":{"verb":"get","group":"apps","resource":"pods","namespace":"default"}})", false},
                       {R"({"nonResourceAttributes":{"verb":"get","path":"/version"}})", true},
                       {R"({"nonResourceAttributes":{"verb":"get","path":"/metrics"}})", false}}) {
    CAPTURE(r.spec);
    CHECK(review(w, "ann", self, r.spec).path("status.allowed").bool_or(!r.allowed) == r.allowed);
    std::string about = std::string(R"({"user":"ann","groups":["dev","system:authenticated"],)") + (r.spec + 1);
    CHECK(review(w, "admin", other, about.c_str()).path("status.allowed").bool_or(!r.allowed) == r.allowed);
  }
  CHECK(review(w, "ann", self, R"({"resourceAttributes":{"verb":"get","resource":"pods","namespace":"default"}})").path("status.reason").str() == R"(RBAC: allowed by RoleBinding "b/default" of Role "r" to Group "dev")");
  // Groups are those the review names: nobody is added to system:authenticated.
  CHECK_FALSE(review(w, "admin", other, R"({"user":"ann","nonResourceAttributes":{"verb":"get","path":"/api"}})").path("status.allowed").bool_or(true));
  review(w, "ann", other, R"({"user":"ann","nonResourceAttributes":{"verb":"get","path":"/api"}})", 403);
}

TEST_CASE("review: a question must be one question") {
  ApiWorld w;
  std::string self = std::string(kAuthorization) + "selfsubjectaccessreviews", other = std::string(kAuthorization) + "subjectaccessreviews",
              local = std::string(kAuthorization) + "namespaces/default/localsubjectaccessreviews";
  struct Row { std::string url; const char *spec, *field; };
  for (const Row& r : {Row{self, "{}", "spec.resourceAttributes"},
                       {self, R"({"resourceAttributes":{"verb":"get"},"nonResourceAttributes":{"verb":"get"}})", "spec.nonResourceAttributes"},
                       {other, R"({"resourceAttributes":{"verb":"get","resource":"pods"}})", "spec.user"},
                       {local, R"({"user":"ann","resourceAttributes":{"verb":"get","resource":"pods","namespace":"kube-system"}})", "spec.resourceAttributes.namespace"},
                       {local, R"({"user":"ann","nonResourceAttributes":{"verb":"get","path":"/"}})", "spec.nonResourceAttributes"}}) {
    CAPTURE(r.url, r.spec);
    Node status = review(w, "admin", r.url, r.spec, 422);
    REQUIRE(status.path("details.causes").size() == 1);
    CHECK(status.path("details.causes").items()[0].get("field").str() == r.field);
  }
  grant_view(w);
  CHECK(review(w, "admin", local, R"({"user":"x","groups":["dev"],"resourceAttributes":{"verb":"list","resource":"pods","namespace":"default"}})").path("status.allowed").bool_or(false));
}

TEST_CASE("review: the rules somebody has") {
  ApiWorld w;
  grant_view(w);
  std::string url = std::string(kAuthorization) + "selfsubjectrulesreviews";
  Node status = review(w, "ann", url, R"({"namespace":"default"})").get("status");
  CHECK_FALSE(status.get("incomplete").bool_or(true));
  Node pods = Node::obj({{"verbs", Node::arr({"get", "list"})}, {"apiGroups", Node::arr({""})}, {"resources", Node::arr({"pods"})}});
  auto has = [](const Node& list, const Node& rule) { return std::count(list.items().begin(), list.items().end(), rule); };
  CHECK(has(status.get("resourceRules"), pods) == 1);
  CHECK(has(review(w, "ann", url, R"({"namespace":"kube-system"})").path("status.resourceRules"), pods) == 0);
  Node all = review(w, "admin", url, R"({"namespace":"default"})").get("status");
  CHECK(has(all.get("resourceRules"), *Node::parse(R"({"verbs":["*"],"apiGroups":["*"],"resources":["*"]})")) >= 1);
  CHECK(has(all.get("nonResourceRules"), *Node::parse(R"({"verbs":["*"],"nonResourceURLs":["*"]})")) >= 1);
  CHECK(review(w, "ann", url, "{}", 400).get("message").str() == "no namespace on request");
}

TEST_CASE("review: tokens, with the audiences they are good for") {
  ApiWorld w;
  std::string url = "/apis/authentication.k8s.io/v1/tokenreviews", issuer = "https://kubernetes.default.svc.cluster.local";
  REQUIRE(w.ask("POST", "/api/v1/namespaces/default/serviceaccounts", R"({"metadata":{"name":"web"}})").status == 201);
  auto token = [&w](const char* audiences) {
    auto a = w.ask("POST", "/api/v1/namespaces/default/serviceaccounts/web/token", std::string(R"({"spec":{"audiences":)") + audiences + "}}");
    CHECK(a.status == 201);
    return a.json().path("status.token").str();
  };
  auto spec = [](const std::string& t, const char* audiences) { return R"({"token":")" + t + R"(","audiences":)" + audiences + "}"; };
  Node good = review(w, "admin", url, spec(token("[]"), "[]").c_str()).get("status");
  CHECK(good.get("authenticated").bool_or(false));
  CHECK(good.path("user.username").str() == "system:serviceaccount:default:web");
  CHECK(good.get("audiences") == Node::arr({issuer, "k8lite"}));
  std::string vault = token(R"(["vault","db"])");
  CHECK(review(w, "admin", url, spec(vault, R"(["vault","other"])").c_str()).path("status.audiences") == Node::arr({"vault"}));
  Node bad = review(w, "admin", url, spec(vault, "[]").c_str()).get("status");
  CHECK_FALSE(bad.get("authenticated").bool_or(false));
  CHECK_FALSE(bad.get("error").str().empty());
  CHECK(bad.path("user.username").str().empty());
  CHECK(review(w, "admin", url, spec("ann", "[]").c_str()).path("status.user.username").str() == "ann");
  CHECK_FALSE(review(w, "admin", url, spec("ann", R"(["vault"])").c_str()).path("status.authenticated").bool_or(false));
  CHECK(review(w, "admin", url, "{}", 400).get("message").str() == "token is required for TokenReview in authentication");
  review(w, "ann", url, spec("ann", "[]").c_str(), 403);
}

TEST_CASE("review: selectors of attributes are clear or refused") {
  ApiWorld w;
  std::string url = std::string(kAuthorization) + "selfsubjectaccessreviews";
  struct Row {
    const char* selector;
    const char* says;  // "" : accepted
  };
  for (const Row& r : {Row{R"("fieldSelector":{"rawSelector":"spec.nodeName=a"})", ""}, {R"("labelSelector":{"requirements":[{"key":"a","operator":"In","values":["b"]}]})", ""},
                       {R"("fieldSelector":{})", "spec.resourceAttributes.fieldSelector.requirements: Required value: when spec.resourceAttributes.fieldSelector is specified, requirements or rawSelector is required"},
                       {R"("fieldSelector":{"rawSelector":"a=b","requirements":[{"key":"a","operator":"Exists"}]})", "may not specified at the same time as requirements"},
                       {R"("labelSelector":{"requirements":[{"operator":"Exists"}]})", "requirements[0].key: Required value: must be specified"},
                       {R"("labelSelector":{"requirements":[{"key":"a","operator":"In"}]})", "requirements[0].values: Required value"}, {R"("labelSelector":{"requirements":[{"key":"a","operator":"Exists","values":["b"]}]})", "requirements[0].values: Forbidden"},
                       {R"("labelSelector":{"requirements":[{"key":"a","operator":"=="}]})", "requirements[0].operator: Unsupported value"}}) {
    CAPTURE(r.selector);
    Node answer = review(w, "ann", url, (std::string(R"({"resourceAttributes":{"verb":"list","resource":"pods",)") + r.selector + "}}").c_str(), *r.says ? 422 : 201);
    CHECK(answer.get("message").str().find(r.says) != std::string::npos);
  }
}
