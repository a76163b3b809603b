// What a node may do, by the table: its own objects, what its pods name, and nothing through a side door.
#include <catch2/catch.hpp>

#include "apiserver/authz/authorizer.h"

using namespace k8lite;
using namespace k8lite::apiserver;
using namespace k8lite::apiserver::authz;

namespace {
RequestInfo ask(const char* method, const std::string& path, const char* fields = "") {
  auto i = read_request_info(method, path, "", fields);
  CAPTURE(path);
  REQUIRE(i.ok());
  return *i;
}
// The node "edge" runs a/mine, which names the Secret, ConfigMap, claim and ServiceAccount "used" of its namespace.
NodeView view() {
  return {[](std::string_view, std::string_view ns, std::string_view name) { return ns == "a" && name == "used"; }, [](std::string_view ns, std::string_view pod) { return ns == "a" && pod == "mine"; },
          [](std::string_view volume) { return volume == "mine"; }};
}
}  // namespace

TEST_CASE("node authorizer: what is a node's business, and what is not") {
  struct Row { const char* method; std::string path; bool allowed; const char* fields = ""; };
  for (const Row& r : std::vector<Row>{
           {"GET", "/api/v1/nodes/edge", true}, {"POST", "/api/v1/nodes", true}, {"PATCH", "/api/v1/nodes/edge/status", true}, {"DELETE", "/api/v1/nodes/edge", true},
           {"PATCH", "/api/v1/nodes/far/status", false}, {"DELETE", "/api/v1/nodes/far", false}, {"DELETE", "/api/v1/nodes", false},
           {"GET", "/api/v1/nodes/far/proxy/logs", false}, {"GET", "/api/v1/nodes/edge/proxy/logs", false}, {"PUT", "/api/v1/nodes/edge/proxy", false},
           {"GET", "/api/v1/namespaces/a/services/s/proxy", false}, {"GET", "/api/v1/services", true},
           {"GET", "/api/v1/pods", true}, {"PATCH", "/api/v1/namespaces/a/pods/mine/status", true}, {"DELETE", "/api/v1/namespaces/a/pods/mine", true}, {"POST", "/api/v1/namespaces/a/pods/mine/eviction", true},
           {"PATCH", "/api/v1/namespaces/a/pods/other/status", false}, {"DELETE", "/api/v1/namespaces/a/pods/other", false}, {"PUT", "/api/v1/namespaces/a/pods/mine", false},
           {"GET", "/api/v1/namespaces/a/pods/mine/log", false}, {"GET", "/api/v1/namespaces/a/pods/mine/exec", false}, {"POST", "/api/v1/namespaces/a/pods/mine/exec", false}, {"POST", "/api/v1/namespaces/a/pods/mine/binding", false},
           {"GET", "/api/v1/namespaces/a/secrets/used", true}, {"GET", "/api/v1/namespaces/a/secrets/secret", false}, {"GET", "/api/v1/namespaces/b/secrets/used", false}, {"GET", "/api/v1/namespaces/a/secrets", false},
           {"GET", "/api/v1/namespaces/a/secrets", true, "metadata.name=used"}, {"GET", "/api/v1/namespaces/a/secrets", false, "metadata.name=other"}, {"PUT", "/api/v1/namespaces/a/secrets/used", false}, {"GET", "/api/v1/secrets", false},
           {"GET", "/api/v1/namespaces/a/configmaps/used", true}, {"DELETE", "/api/v1/namespaces/a/configmaps/used", false}, {"GET", "/api/v1/namespaces/a/persistentvolumeclaims/used", true},
           {"POST", "/api/v1/namespaces/a/serviceaccounts/used/token", true}, {"POST", "/api/v1/namespaces/a/serviceaccounts/admin/token", false}, {"GET", "/api/v1/namespaces/a/serviceaccounts", false},
           {"PUT", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/edge", true}, {"PUT", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/far", false}, {"PUT", "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/edge", false},
           {"POST", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", true}, {"DELETE", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", false},
           {"POST", "/apis/certificates.k8s.io/v1/certificatesigningrequests", true}, {"PUT", "/apis/certificates.k8s.io/v1/certificatesigningrequests/x/approval", false},
           {"POST", "/api/v1/namespaces/a/events", true}, {"DELETE", "/api/v1/namespaces/a/events/x", false}, {"GET", "/apis/discovery.k8s.io/v1/endpointslices", true}, {"POST", "/apis/discovery.k8s.io/v1/namespaces/a/endpointslices", false},
           {"GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles", false}, {"POST", "/apis/apps/v1/namespaces/a/deployments", false}, {"GET", "/metrics", false}}) {
    CAPTURE(r.method, r.path, r.fields);
    CHECK(node_allows("edge", ask(r.method, r.path, r.fields), view()) == r.allowed);
  }
}

TEST_CASE("node authorizer: only a member of system:nodes with a node's name is a node") {
  CHECK(node_name_of({"system:node:edge", {"system:nodes"}}) == "edge");
  CHECK(node_name_of({"system:node:edge", {"system:authenticated"}}).empty());
  CHECK(node_name_of({"edge", {"system:nodes"}}).empty());
}

TEST_CASE("node authorizer: every way a pod names what it needs") {
  auto pod = json::Doc::parse(R"({"spec":{"serviceAccountName":"sa","imagePullSecrets":[{"name":"pull"}],
    "containers":[{"env":[{"valueFrom":{"secretKeyRef":{"name":"env"}}},{"valueFrom":{"configMapKeyRef":{"name":"env"}}}],"envFrom":[{"secretRef":{"name":"from"}},{"configMapRef":{"name":"from"}}]}],
    "initContainers":[{"env":[{"valueFrom":{"secretKeyRef":{"name":"init"}}}]}],"ephemeralContainers":[{"envFrom":[{"secretRef":{"name":"debug"}}]}],
    "volumes":[{"secret":{"secretName":"volume"}},{"configMap":{"name":"volume"}},{"projected":{"sources":[{"secret":{"name":"projected"}},{"configMap":{"name":"projected"}}]}},{"persistentVolumeClaim":{"claimName":"claim"}}]}})").value();
  for (const char* name : {"pull", "env", "from", "init", "debug", "volume", "projected"}) {
    CAPTURE(name);
    CHECK(pod_refers_to(pod.root(), "secrets", name));
  }
  for (const char* name : {"env", "from", "volume", "projected"}) CHECK(pod_refers_to(pod.root(), "configmaps", name));
  CHECK(pod_refers_to(pod.root(), "persistentvolumeclaims", "claim"));
  CHECK(pod_refers_to(pod.root(), "serviceaccounts", "sa"));
  for (const char* resource : {"secrets", "configmaps", "persistentvolumeclaims", "serviceaccounts", "pods"}) CHECK_FALSE(pod_refers_to(pod.root(), resource, "none"));
  CHECK_FALSE(pod_refers_to(pod.root(), "configmaps", "pull"));
}
