// The Certificates API: who asked is written down, who may decide is checked, and each way in changes its own part
// only.
#include <catch2/catch.hpp>

#include "base/strings.h"
#include "support/api_world.h"
#include "support/csr.h"

using namespace k8lite;
using json::Node;
using testing::ApiWorld;

namespace {
const std::string kUrl = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

struct World : ApiWorld {
  testing::HttpAnswer create(const std::string& name, const testing::MadeRequest& made,
                             const std::string& signer = "kubernetes.io/kube-apiserver-client",
                             const std::string& more = "", const std::string& token = "admin") {
    return ask_as(token, "POST", kUrl,
                  R"({"metadata":{"name":")" + name +
                      R"("},"spec":{"username":"forged","groups":["system:masters"],"request":")" +
                      base64_encode(made.request_pem) + R"(","signerName":")" + signer +
                      R"(","usages":["client auth"])" + more + "}}");
  }
  void allow(const std::string& user, const std::string& rules) {
    REQUIRE(ask("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles",
                R"({"metadata":{"name":")" + user + R"("},"rules":)" + rules + "}")
                .status == 201);
    REQUIRE(ask("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
                R"({"metadata":{"name":")" + user +
                    R"("},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":")" + user +
                    R"("},"subjects":[{"kind":"User","name":")" + user +
                    R"(","apiGroup":"rbac.authorization.k8s.io"}]})")
                .status == 201);
  }
  testing::HttpAnswer put(const std::string& token, const std::string& path, const Node& body) {
    return ask_as(token, "PUT", kUrl + path, body.dump());
  }
  Node with_condition(const std::string& name, const char* type) {
    Node csr = ask("GET", kUrl + "/" + name).json();
    csr["status"]["conditions"].append(Node::obj({{"type", type}, {"status", "True"}, {"reason", "Test"}}));
    return csr;
  }
};
}  // namespace

TEST_CASE("certificate requests: the server says who asked") {
  World w;
  w.allow("ann",
          R"([{"apiGroups":["certificates.k8s.io"],"resources":["certificatesigningrequests"],"verbs":["create"]}])");
  auto a = w.create("r", testing::make_request("ann", {"dev"}), "kubernetes.io/kube-apiserver-client", "", "ann");
  CAPTURE(a.body);
  REQUIRE(a.status == 201);
  CHECK(a.json().path("spec.username").str() == "ann");
  CHECK(a.json().path("spec.groups").items().at(0).str() == "dev");
  CHECK(a.json().path("status.conditions").empty());
}

TEST_CASE("certificate requests: what makes no sense is refused") {
  World w;
  auto made = testing::make_request("ann");
  CHECK(w.create("r", {"", "no PEM"}).json().path("details.causes").items().at(0).get("field").str() == "spec.request");
  CHECK(w.create("r", made, "kubernetes.io/legacy-unknown")
            .message()
            .find("the legacy signerName is not allowed via this API version") != std::string::npos);
  CHECK(w.create("r", made, "nodomain").status == 422);
  CHECK(w.create("r", made, "kubernetes.io/kube-apiserver-client", R"(,"expirationSeconds":60)")
            .message()
            .find("may not specify a duration less than 600 seconds (10 minutes)") != std::string::npos);
  CHECK(w.create("r", testing::make_request("eve", {"system:masters"})).message() ==
        "certificatesigningrequests.certificates.k8s.io \"r\" is forbidden: use of kubernetes.io/kube-apiserver-client "
        "signer with system:masters group is not allowed");
  CHECK(w.create("r", made, "example.com/own").status == 201);
}

TEST_CASE("certificate requests: approving changes conditions only, and needs the right to this signer") {
  World w;
  w.allow(
      "ann",
      R"([{"apiGroups":["certificates.k8s.io"],"resources":["certificatesigningrequests","certificatesigningrequests/approval","certificatesigningrequests/status"],"verbs":["get","update"]}])");
  REQUIRE(w.create("r", testing::make_request("ann")).status == 201);
  Node csr = w.with_condition("r", "Approved");
  csr["spec"].set("username", "somebody");
  csr["status"].set("certificate", base64_encode("forged"));
  auto refused = w.put("ann", "/r/approval", csr);
  CHECK(refused.status == 403);
  CHECK(refused.message() ==
        "certificatesigningrequests.certificates.k8s.io \"r\" is forbidden: user not permitted to approve requests "
        "with signerName \"kubernetes.io/kube-apiserver-client\"");
  auto a = w.put("admin", "/r/approval", csr);
  CAPTURE(a.body);
  REQUIRE(a.status == 200);
  CHECK(a.json().path("spec.username").str() == "admin");
  CHECK_FALSE(a.json().path("status.certificate").exists());
  const Node condition = a.json().path("status.conditions").items().at(0);
  CHECK(condition.get("type").str() == "Approved");
  CHECK_FALSE(condition.get("lastUpdateTime").str().empty());
  CHECK_FALSE(condition.get("lastTransitionTime").str().empty());
  // An approval is for good, and excludes its opposite.
  CHECK(w.put("admin", "/r/approval", w.with_condition("r", "Denied")).status == 422);
  Node none = w.ask("GET", kUrl + "/r").json();
  none["status"].erase("conditions");
  CHECK(w.put("admin", "/r/approval", none).message().find("updates may not remove a condition of type \"Approved\"") !=
        std::string::npos);
}

TEST_CASE("certificate requests: signing needs its own right, and decides nothing") {
  World w;
  w.allow(
      "ann",
      R"([{"apiGroups":["certificates.k8s.io"],"resources":["certificatesigningrequests/status"],"verbs":["update"]}])");
  REQUIRE(w.create("r", testing::make_request("ann")).status == 201);
  Node csr = w.with_condition("r", "Approved");
  csr["status"].set("certificate", base64_encode("x"));
  CHECK(w.put("ann", "/r/status", csr).message() ==
        "certificatesigningrequests.certificates.k8s.io \"r\" is forbidden: user not permitted to sign requests with "
        "signerName \"kubernetes.io/kube-apiserver-client\"");
  auto a = w.put("admin", "/r/status", csr);
  CAPTURE(a.body);
  REQUIRE(a.status == 200);
  CHECK(a.json().path("status.certificate").str() == base64_encode("x"));
  CHECK(a.json().path("status.conditions").empty());
}

TEST_CASE("certificate requests: a node asks for its own name only") {
  World w;
  auto node = w.client("system:node:edge", {"system:nodes", "system:authenticated"});
  auto ask = [&node](const std::string& cn) {
    Node body = Node::obj(
        {{"metadata", Node::obj({{"name", "n-" + std::to_string(fnv1a32(cn))}})},
         {"spec", Node::obj({{"request", base64_encode(testing::make_request(cn, {"system:nodes"}).request_pem)},
                             {"signerName", "kubernetes.io/kube-apiserver-client-kubelet"},
                             {"usages", Node::arr({"client auth", "digital signature"})}})}});
    return node->create({"certificates.k8s.io", "v1", "certificatesigningrequests", "", "", ""}, json::Doc::from(body),
                        {});
  };
  CHECK(ask("system:node:edge").ok());
  CHECK(ask("system:node:other").status().message().find("can only create a node CSR with CN=system:node:edge") !=
        std::string::npos);
}
