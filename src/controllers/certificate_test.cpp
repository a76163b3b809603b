// The certificate controller: what it approves, signs, fails and forgets.
#include "controllers/certificate.h"

#include <catch2/catch.hpp>

#include "base/strings.h"
#include "controllers/certificate_plan.h"
#include "support/controller_world.h"
#include "support/csr.h"

using namespace k8lite;
using namespace k8lite::controllers;
using json::Doc;
using json::Node;
using testing::ControllerWorld;
using testing::make_request;

namespace {

struct World : ControllerWorld {
  World() {
    clock.set_wall(Instant{1'800'000'000'000'000});
    auto ca = pki::create_ca("test", clock.now(), seconds(400 * 24 * 3600)).value();
    context.ca_pem = ca.certificate_pem;
    context.ca_key_pem = ca.key_pem;
    run<CertificateController>();
  }
  static machinery::Path path(const std::string& name = "") {
    return {"certificates.k8s.io", "v1", "certificatesigningrequests", "", name, ""};
  }
  void request(const std::string& name, const testing::MadeRequest& made, std::string_view signer,
               std::initializer_list<Node> usages, const char* condition = "Approved") {
    Node csr = Node::obj({{"metadata", Node::obj({{"name", name}})},
                          {"spec", Node::obj({{"request", base64_encode(made.request_pem)},
                                              {"signerName", signer},
                                              {"username", "ann"},
                                              {"usages", Node::arr(usages)}})}});
    if (condition)
      csr["status"]["conditions"].append(
          Node::obj({{"type", condition}, {"status", "True"}, {"lastUpdateTime", rfc3339(clock.now())}}));
    cluster.put(path(), csr);
  }
  std::string certificate(const std::string& name) {
    return base64_decode(cluster.at(path(name)).path("status.certificate").str()).value_or("");
  }
};

}  // namespace

TEST_CASE("certificates: what is approved is signed, for as long as it asks") {
  World w;
  w.request("r", make_request("ann", {"dev"}), kClientSigner, {"client auth", "digital signature"});
  w.settle();
  auto info = pki::read_certificate(w.certificate("r"));
  REQUIRE(info.ok());
  CHECK(info->common_name == "ann");
  CHECK(info->organizations == std::vector<std::string>{"dev"});
  CHECK(info->not_after == w.clock.now() + seconds(365 * 24 * 3600));
  CHECK(pki::verify(w.certificate("r"), w.context.ca_pem, w.clock.now()).ok());
}

TEST_CASE("certificates: nobody's approval, another's signer and a denial are not signed") {
  World w;
  w.request("pending", make_request("ann"), kClientSigner, {"client auth"}, nullptr);
  w.request("denied", make_request("ann"), kClientSigner, {"client auth"}, "Denied");
  w.request("foreign", make_request("ann"), "example.com/own", {"client auth"});
  w.settle();
  for (const char* name : {"pending", "denied", "foreign"}) CHECK(w.certificate(name).empty());
}

TEST_CASE("certificates: what a signer will not sign has failed, and says why") {
  World w;
  w.request("r", make_request("ann"), kClientSigner, {"server auth"});
  w.settle();
  Doc csr = w.cluster.at(World::path("r"));
  CHECK(w.certificate("r").empty());
  json::Value failed = csr.path("status.conditions").at(1);
  CHECK(failed["type"].equals("Failed"));
  CHECK(failed["reason"].equals("SignerValidationFailure"));
  CHECK(failed["message"].equals("invalid usage for client certificate: server auth"));
}

TEST_CASE("certificates: each signer wants requests of its own kind") {
  struct Row {
    std::string_view signer;
    std::string cn;
    std::vector<std::string> groups;
    std::string alternatives;
    std::vector<std::string> usages;
    const char* refusal;
  };
  const std::vector<std::string> nodes = {"system:nodes"}, client = {"client auth", "digital signature"},
                                 server = {"server auth", "digital signature", "key encipherment"};
  for (const Row& r : std::vector<Row>{
           {kKubeletClientSigner, "system:node:a", nodes, "", client, ""},
           {kKubeletClientSigner, "system:node:a", nodes, "DNS:a", client, "DNS subjectAltNames are not allowed"},
           {kKubeletClientSigner,
            "system:node:a",
            {"system:masters"},
            "",
            client,
            "subject organization is not system:nodes"},
           {kKubeletClientSigner, "ann", nodes, "", client, "subject common name does not begin with system:node: "},
           {kKubeletClientSigner, "system:node:a", nodes, "", server,
            "usages did not match [digital signature key encipherment server auth]"},
           {kKubeletServingSigner, "system:node:a", nodes, "IP:10.0.0.1", server, ""},
           {kKubeletServingSigner, "system:node:a", nodes, "", server, "DNS or IP subjectAltName is required"},
           {kKubeletServingSigner, "system:node:a", nodes, "DNS:a,email:x@y", server,
            "Email subjectAltNames are not allowed"},
           {kClientSigner,
            "ann",
            {},
            "",
            {"digital signature"},
            "missing required usage for client certificate: client auth"},
       })
    CHECK(refusal(r.signer, pki::parse_request(make_request(r.cn, r.groups, r.alternatives).request_pem).value(),
                  r.usages) == r.refusal);
}

TEST_CASE("certificates: life is a year at most and ten minutes at least") {
  auto life = [](const char* spec) { return certificate_life(Doc::parse(spec)->root()); };
  CHECK(life("{}") == seconds(365 * 24 * 3600));
  CHECK(life(R"({"expirationSeconds":3600})") == seconds(3600));
  CHECK(life(R"({"expirationSeconds":1})") == seconds(600));
  CHECK(life(R"({"expirationSeconds":100000000})") == seconds(365 * 24 * 3600));
}

TEST_CASE("certificates: decided requests go after an hour, others after a day") {
  World w;
  w.request("done", make_request("ann"), kClientSigner, {"client auth"});
  w.request("denied", make_request("ann"), kClientSigner, {"client auth"}, "Denied");
  Node waiting = Node::obj(
      {{"metadata", Node::obj({{"name", "waiting"}})}, {"spec", Node::obj({{"signerName", "example.com/own"}})}});
  w.cluster.put(World::path(), waiting);
  w.pass(seconds(3500));
  CHECK(w.cluster.names(World::path()).size() == 3);
  w.pass(seconds(200));
  CHECK(w.cluster.names(World::path()) == std::vector<std::string>{"waiting"});
  w.pass(seconds(24 * 3600));
  CHECK(w.cluster.names(World::path()).empty());
}
