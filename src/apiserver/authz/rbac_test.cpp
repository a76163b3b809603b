#include "apiserver/authz/rbac.h"

#include <catch2/catch.hpp>

using namespace k8lite;
using namespace k8lite::apiserver;
using namespace k8lite::apiserver::authz;

namespace {
json::Doc doc(const char* text) {
  auto d = json::Doc::parse(text);
  REQUIRE(d.ok());
  return *d;
}
RequestInfo ask(const char* method, const char* path) {
  auto i = read_request_info(method, path, "", "");
  REQUIRE(i.ok());
  return *i;
}
RbacSnapshot world() {
  return RbacSnapshot(
      {doc(R"({"metadata":{"namespace":"a","name":"reader"},"rules":[{"verbs":["get","list"],"apiGroups":[""],"resources":["pods","pods/log"]}]})"),
       doc(R"({"metadata":{"namespace":"a","name":"one"},"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["secrets"],"resourceNames":["s"]}]})")},
      {doc(R"({"metadata":{"name":"scale"},"rules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*/scale"]},{"verbs":["get"],"nonResourceURLs":["/healthz/*"]}]})")},
      {doc(R"({"metadata":{"namespace":"a","name":"b1"},"roleRef":{"kind":"Role","name":"reader"},"subjects":[{"kind":"User","name":"jane"}]})"),
       doc(R"({"metadata":{"namespace":"a","name":"b2"},"roleRef":{"kind":"Role","name":"one"},"subjects":[{"kind":"ServiceAccount","name":"sa"}]})"),
       doc(R"({"metadata":{"namespace":"b","name":"b3"},"roleRef":{"kind":"ClusterRole","name":"scale"},"subjects":[{"kind":"User","name":"jane"}]})"),
       doc(R"({"metadata":{"namespace":"b","name":"b4"},"roleRef":{"kind":"Role","name":"gone"},"subjects":[{"kind":"User","name":"jane"}]})")},
      {doc(R"({"metadata":{"name":"c1"},"roleRef":{"kind":"ClusterRole","name":"scale"},"subjects":[{"kind":"Group","name":"ops"}]})"),
       doc(R"({"metadata":{"name":"c2"},"roleRef":{"kind":"Role","name":"reader"},"subjects":[{"kind":"User","name":"eve"}]})")});
}
}  // namespace

TEST_CASE("rbac: what a binding grants, and nothing beside it") {
  RbacSnapshot w = world();
  struct Row { User user; const char *method, *path; bool allowed; };
  for (const auto& r : {Row{{"jane", {}}, "GET", "/api/v1/namespaces/a/pods/x", true},
                        {{"jane", {}}, "GET", "/api/v1/namespaces/a/pods/x/log", true},
                        {{"jane", {}}, "GET", "/api/v1/namespaces/a/pods/x/exec", false},
                        {{"jane", {}}, "DELETE", "/api/v1/namespaces/a/pods/x", false},
                        {{"jane", {}}, "GET", "/api/v1/namespaces/b/pods/x", false},
                        {{"jane", {}}, "GET", "/api/v1/pods", false},
                        {{"jane", {}}, "PUT", "/apis/apps/v1/namespaces/b/deployments/d/scale", true},
                        {{"jane", {}}, "PUT", "/apis/apps/v1/namespaces/b/deployments/d", false},
                        {{"jane", {}}, "GET", "/healthz/ping", false},
                        {{"x", {"ops"}}, "GET", "/healthz/ping", true},
                        {{"x", {"ops"}}, "GET", "/healthz", false},
                        {{"system:serviceaccount:a:sa", {}}, "GET", "/api/v1/namespaces/a/secrets/s", true},
                        {{"system:serviceaccount:a:sa", {}}, "GET", "/api/v1/namespaces/a/secrets/t", false},
                        {{"system:serviceaccount:a:sa", {}}, "GET", "/api/v1/namespaces/a/secrets", false},
                        {{"system:serviceaccount:b:sa", {}}, "GET", "/api/v1/namespaces/a/secrets/s", false},
                        {{"eve", {}}, "GET", "/api/v1/namespaces/a/pods/x", false},
                        {{"", {}}, "GET", "/api/v1/namespaces/a/pods/x", false},
                        {{"root", {"system:masters"}}, "DELETE", "/api/v1/nodes/n", true}}) {
    CAPTURE(r.user.name, r.method, r.path);
    CHECK(w.allows(r.user, ask(r.method, r.path)) == r.allowed);
  }
}

TEST_CASE("rbac: a decision names the binding it stands on") {
  RbacSnapshot w = world();
  CHECK(w.granted_by({"jane", {}}, ask("GET", "/api/v1/namespaces/a/pods/x")) == R"(RoleBinding "b1/a" of Role "reader" to User "jane")");
  CHECK(w.granted_by({"x", {"ops"}}, ask("GET", "/healthz/ping")) == R"(ClusterRoleBinding "c1" of ClusterRole "scale" to Group "ops")");
  CHECK(w.granted_by({"system:serviceaccount:a:sa", {}}, ask("GET", "/api/v1/namespaces/a/secrets/s")) == R"(RoleBinding "b2/a" of Role "one" to ServiceAccount "sa/a")");
  CHECK(w.granted_by({"eve", {}}, ask("GET", "/api/v1/namespaces/a/pods/x")) == "");
}
