// Tokens in Secrets: filled, renewed and ended with their account; bootstrap tokens that end by the clock.
#include "controllers/tokens.h"

#include <catch2/catch.hpp>

#include "base/strings.h"
#include "pki/jwt.h"
#include "support/controller_world.h"

using namespace k8lite;
using namespace k8lite::controllers;
using json::Doc;
using json::Node;
using testing::ControllerWorld;

namespace {

struct TokenWorld : ControllerWorld {
  std::string key = pki::create_signing_key().value();
  TokenWorld() {
    context.service_account_key_pem = key;
    run<TokenController>();
    run<TokenCleaner>();
  }
  void account(const char* name) {
    cluster
        .create(path("", "serviceaccounts"),
                Doc::from(Node::obj({{"apiVersion", "v1"},
                                     {"kind", "ServiceAccount"},
                                     {"metadata", Node::obj({{"name", name}, {"namespace", "default"}})}})),
                {})
        .value();
  }
  void secret(const char* name, const char* of) {
    Node n = Node::obj({{"apiVersion", "v1"},
                        {"kind", "Secret"},
                        {"type", "kubernetes.io/service-account-token"},
                        {"metadata", Node::obj({{"name", name}, {"namespace", "default"}})}});
    n["metadata"]["annotations"].set("kubernetes.io/service-account.name", of);
    cluster.create(path("", "secrets"), Doc::from(n), {}).value();
  }
  Doc stored(const char* name, const char* ns = "default") {
    return cluster.get(path("", "secrets", name, ns)).value_or(Doc());
  }
};

}  // namespace

TEST_CASE("tokens: a secret for a service account is filled with token, CA and namespace") {
  TokenWorld w;
  w.account("ci");
  w.secret("ci-token", "ci");
  w.settle();
  Doc s = w.stored("ci-token");
  auto field = [&s](const char* name) { return base64_decode(s["data"][name].str()).value_or(""); };
  CHECK(field("ca.crt") == "CA");
  CHECK(field("namespace") == "default");
  auto claims = pki::verify_jwt(field("token"), {pki::public_key_of(w.key).value()});
  REQUIRE(claims.ok());
  CHECK(claims->get("sub").str() == "system:serviceaccount:default:ci");
  CHECK(claims->get("kubernetes.io/serviceaccount/secret.name").str() == "ci-token");
  CHECK_FALSE(claims->get("exp").exists());
  CHECK(s["metadata"]["annotations"]["kubernetes.io/service-account.uid"].str() ==
        uid_of(w.cluster.get(w.path("", "serviceaccounts", "ci")).value()));
  std::string version = s.path("metadata.resourceVersion").str();
  w.pass(seconds(3600));
  CHECK(w.stored("ci-token").path("metadata.resourceVersion").str() == version);
}

TEST_CASE("tokens: a secret goes with its account, and without one from the start") {
  TokenWorld w;
  w.account("ci");
  w.secret("ci-token", "ci");
  w.secret("lost", "nobody");
  w.settle();
  CHECK(w.stored("ci-token"));
  CHECK_FALSE(w.stored("lost"));
  REQUIRE(w.cluster.remove(w.path("", "serviceaccounts", "ci"), {}).ok());
  w.settle();
  CHECK_FALSE(w.stored("ci-token"));
}

TEST_CASE("tokens: bootstrap tokens end by the clock, those without an end stay") {
  TokenWorld w;
  for (auto [name, end] :
       {std::pair<const char*, std::string>{"bootstrap-token-aaaaaa", rfc3339(w.clock.now() + seconds(60))},
        {"bootstrap-token-bbbbbb", ""},
        {"bootstrap-token-cccccc", rfc3339(w.clock.now() - seconds(1))}}) {
    Node n = Node::obj({{"apiVersion", "v1"},
                        {"kind", "Secret"},
                        {"type", "bootstrap.kubernetes.io/token"},
                        {"metadata", Node::obj({{"name", name}, {"namespace", "kube-system"}})},
                        {"data", Node::object()}});
    if (!end.empty()) n["data"].set("expiration", base64_encode(end));
    w.cluster.create(w.path("", "secrets", "", "kube-system"), Doc::from(n), {}).value();
  }
  w.settle();
  CHECK(w.stored("bootstrap-token-aaaaaa", "kube-system"));
  CHECK(w.stored("bootstrap-token-bbbbbb", "kube-system"));
  CHECK_FALSE(w.stored("bootstrap-token-cccccc", "kube-system"));
  w.pass(seconds(61));
  CHECK_FALSE(w.stored("bootstrap-token-aaaaaa", "kube-system"));
  CHECK(w.stored("bootstrap-token-bbbbbb", "kube-system"));
}
