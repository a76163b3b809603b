// Tokens that are not bound: static files, bootstrap tokens, tokens in Secrets; keys that were rotated; requests for
// tokens.
#include <catch2/catch.hpp>

#include "apiserver/authn/authn.h"
#include "base/strings.h"
#include "pki/jwt.h"
#include "support/api_world.h"

using namespace k8lite;
using namespace k8lite::apiserver;
using authn::Identity;
using json::Doc;
using json::Node;
using testing::ApiWorld;

TEST_CASE("authn: a static token file, line by line") {
  auto tokens = authn::parse_token_file("# a comment\nt1,ann,1\n\nt2,bob,2,dev\r\nt3,\"x, y\",3,\"dev, ops,\"\n", "f");
  REQUIRE(tokens.ok());
  CHECK(tokens->size() == 3);
  CHECK((*tokens)["t1"].user.name == "ann");
  CHECK((*tokens)["t1"].uid == "1");
  CHECK((*tokens)["t2"].user.groups == std::vector<std::string>{"dev"});
  CHECK((*tokens)["t3"].user.name == "x, y");
  CHECK((*tokens)["t3"].user.groups == std::vector<std::string>{"dev", "ops"});
  for (const char* bad : {"t1,ann", ",ann,1", "t1,,1", "t1,ann,1\nt1,bob,2", "t1,\"ann,1", "t1,a\"nn,1"}) {
    CAPTURE(bad);
    auto r = authn::parse_token_file(bad, "tokens.csv");
    REQUIRE_FALSE(r.ok());
    CHECK(r.status().message().starts_with("tokens.csv: line "));
    CHECK(r.status().message().find("t1") == std::string::npos);
  }
}

namespace {

std::string bootstrap_secret(const char* id, const std::string& more,
                             const char* type = "bootstrap.kubernetes.io/token") {
  return R"({"metadata":{"name":"bootstrap-token-)" + std::string(id) + R"("},"type":")" + type +
         R"(","stringData":{"token-id":")" + id + R"(","token-secret":"0123456789abcdef")" + more + "}}";
}
std::string name_of(const testing::HttpAnswer& a) { return a.json().path("status.userInfo.username").str(); }
testing::HttpAnswer whoami(ApiWorld& w, const std::string& token) {
  return w.ask_as(token, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "{}");
}

}  // namespace

TEST_CASE("authn: bootstrap tokens live in secrets of kube-system, with groups and an end") {
  ApiWorld w;
  std::string past = rfc3339(w.clock.now() - seconds(60)), future = rfc3339(w.clock.now() + seconds(60)),
              use = R"(,"usage-bootstrap-authentication":"true")";
  struct Row {
    const char* id;
    std::string more;
    bool good;
    const char* type = "bootstrap.kubernetes.io/token";
  };
  for (const Row& r : std::vector<Row>{
           {"aaaaa1", use, true},
           {"aaaaa2", "", false},
           {"aaaaa3", R"(,"usage-bootstrap-authentication":"yes")", false},
           {"aaaaa4", use + R"(,"expiration":")" + past + "\"", false},
           {"aaaaa5", use + R"(,"expiration":")" + future + "\"", true},
           {"aaaaa6", use + R"(,"expiration":"soon")", false},
           {"aaaaa7", use + R"(,"auth-extra-groups":"system:bootstrappers:x:y, system:bootstrappers:z")", true},
           {"aaaaa8", use + R"(,"auth-extra-groups":"system:masters")", false},
           {"aaaaa9", use, false, "Opaque"}}) {
    CAPTURE(r.id);
    REQUIRE(w.ask("POST", "/api/v1/namespaces/kube-system/secrets", bootstrap_secret(r.id, r.more, r.type)).status ==
            201);
    auto a = whoami(w, std::string(r.id) + ".0123456789abcdef");
    CHECK(a.status == (r.good ? 201 : 401));
    if (r.good) CHECK(name_of(a) == std::string("system:bootstrap:") + r.id);
    CHECK(whoami(w, std::string(r.id) + ".0123456789abcdeg").status == 401);
  }
  CHECK(whoami(w, "aaaaa7.0123456789abcdef").json().path("status.userInfo.groups").dump() ==
        R"(["system:bootstrappers","system:bootstrappers:x:y","system:bootstrappers:z","system:authenticated"])");
  w.clock.advance(seconds(61));
  CHECK(whoami(w, "aaaaa5.0123456789abcdef").status == 401);
  CHECK(whoami(w, "nobody.0123456789abcdef").status == 401);
}

TEST_CASE("authn: a token in a secret is good as long as secret, account and text are the same") {
  ApiWorld w;
  REQUIRE(w.ask("POST", "/api/v1/namespaces/default/serviceaccounts", R"({"metadata":{"name":"ci"}})").status == 201);
  std::string uid = w.ask("GET", "/api/v1/namespaces/default/serviceaccounts/ci").json().path("metadata.uid").str();
  std::string token =
      pki::sign_jwt(authn::secret_token_claims("default", "ci-token", "ci", uid), ApiWorld::key()).value();
  CHECK(whoami(w, token).status == 401);  // signed, and no secret holds it
  auto put = [&w](const std::string& text) {
    std::string body = Node::obj({{"metadata", Node::obj({{"name", "ci-token"}})},
                                  {"data", Node::obj({{"token", base64_encode(text)}})}})
                           .dump();
    int code = w.ask("POST", "/api/v1/namespaces/default/secrets", body).status;
    if (code == 409) code = w.ask("PUT", "/api/v1/namespaces/default/secrets/ci-token", body).status;
    REQUIRE(code < 300);
  };
  put(token);
  CHECK(name_of(whoami(w, token)) == "system:serviceaccount:default:ci");
  CHECK(w.ask_as("admin", "POST", "/apis/authentication.k8s.io/v1/tokenreviews",
                 R"({"spec":{"token":")" + token + R"(","audiences":["vault"]}})")
            .json()
            .path("status.authenticated")
            .bool_or(false) == false);
  put("another");
  CHECK(whoami(w, token).status == 401);
  put(token);
  REQUIRE(w.ask("DELETE", "/api/v1/namespaces/default/serviceaccounts/ci").status == 200);
  CHECK(whoami(w, token).status == 401);
  REQUIRE(w.ask("POST", "/api/v1/namespaces/default/serviceaccounts", R"({"metadata":{"name":"ci"}})").status == 201);
  CHECK(whoami(w, token).status == 401);  // another account of that name
}

TEST_CASE("authn: after a rotation of keys the old one's tokens are still good, and the key set shows both") {
  std::string fresh = pki::create_signing_key().value(), foreign = pki::create_signing_key().value();
  ApiServerOptions options;
  options.service_account_key_pem = fresh + ApiWorld::key();  // one file: the first key signs
  options.service_account_keys = {pki::public_key_of(pki::create_signing_key().value()).value()};
  ApiWorld w(options);
  std::string url = "/api/v1/namespaces/default/serviceaccounts/ci";
  REQUIRE(w.ask("POST", "/api/v1/namespaces/default/serviceaccounts", R"({"metadata":{"name":"ci"}})").status == 201);
  std::string token = w.ask("POST", url + "/token", "{}").json().path("status.token").str();
  CHECK(pki::verify_jwt(token, {pki::public_key_of(fresh).value()}).ok());
  CHECK(whoami(w, token).status == 201);
  Node claims = pki::verify_jwt(token, {pki::public_key_of(fresh).value()}).value();
  CHECK(whoami(w, pki::sign_jwt(claims, ApiWorld::key()).value()).status == 201);
  CHECK(whoami(w, pki::sign_jwt(claims, foreign).value()).status == 401);
  CHECK(w.ask("GET", "/openid/v1/jwks").json().get("keys").size() == 3);
}

TEST_CASE("authn: the issuer and audiences can be set, and an old issuer stays good") {
  ApiServerOptions options;
  options.issuers = {"https://new.example", "https://old.example"};
  options.audiences = {"k8s"};
  ApiWorld w(options);
  REQUIRE(w.ask("POST", "/api/v1/namespaces/default/serviceaccounts", R"({"metadata":{"name":"ci"}})").status == 201);
  std::string token =
      w.ask("POST", "/api/v1/namespaces/default/serviceaccounts/ci/token", "{}").json().path("status.token").str();
  Node claims = pki::verify_jwt(token, {pki::public_key_of(ApiWorld::key()).value()}).value();
  CHECK(claims.get("iss").str() == "https://new.example");
  CHECK(claims.get("aud").dump() == R"(["k8s"])");
  CHECK(w.ask("GET", "/.well-known/openid-configuration").json().get("issuer").str() == "https://new.example");
  for (auto [issuer, code] :
       {std::pair<const char*, int>{"https://old.example", 201}, {"https://other.example", 401}}) {
    claims.set("iss", issuer);
    CHECK(whoami(w, pki::sign_jwt(claims, ApiWorld::key()).value()).status == code);
  }
}

TEST_CASE("authn: what a request for a token may ask") {
  ApiServerOptions options;
  options.longest_token_seconds = 7200;
  ApiWorld w(options);
  REQUIRE(w.ask("POST", "/api/v1/namespaces/default/serviceaccounts", R"({"metadata":{"name":"ci"}})").status == 201);
  REQUIRE(w.ask("POST", "/api/v1/namespaces/default/secrets", R"({"metadata":{"name":"s"}})").status == 201);
  struct Row {
    const char* spec;
    int code;
    const char* says;
  };
  for (const Row& r :
       {Row{"{}", 201, ""},
        {R"({"expirationSeconds":600})", 201, ""},
        {R"({"expirationSeconds":599})", 422,
         "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 599: may not "
         "specify a duration less than 10 minutes"},
        {R"({"expirationSeconds":5000000000})", 422, "may not specify a duration larger than 2^32 seconds"},
        {R"({"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"no"}})", 404, "pods \"no\" not found"},
        {R"({"boundObjectRef":{"kind":"Secret","apiVersion":"v1","name":"s"}})", 201, ""},
        {R"({"boundObjectRef":{"kind":"Deployment","apiVersion":"apps/v1","name":"s"}})", 400,
         "cannot bind token for object of type apps/v1, Kind=Deployment"},
        {R"({"boundObjectRef":{"kind":"Secret","apiVersion":"v1","name":"s","uid":"other"}})", 409,
         "Operation cannot be fulfilled on Secret \"s\": the UID in the bound object reference (other) does not match "
         "the UID in record."}}) {
    CAPTURE(r.spec);
    auto a =
        w.ask("POST", "/api/v1/namespaces/default/serviceaccounts/ci/token", std::string(R"({"spec":)") + r.spec + "}");
    CHECK(a.status == r.code);
    CHECK(a.message().find(r.says) != std::string::npos);
  }
  CHECK(w.ask("POST", "/api/v1/namespaces/default/serviceaccounts/none/token", "{}").status == 404);
  auto shortened = w.ask("POST", "/api/v1/namespaces/default/serviceaccounts/ci/token",
                         R"({"spec":{"expirationSeconds":86400,"audiences":["vault"]}})");
  CHECK(shortened.headers.get("Warning") ==
        "299 - \"requested expiration of 86400 seconds shortened to 7200 seconds\"");
  CHECK(shortened.json().path("spec.expirationSeconds").int_or(0) == 7200);
  CHECK(shortened.json().path("spec.audiences").dump() == R"(["vault"])");
  CHECK(shortened.json().path("metadata.name").str() == "ci");
  std::string bound = w.ask("POST", "/api/v1/namespaces/default/serviceaccounts/ci/token",
                            R"({"spec":{"boundObjectRef":{"kind":"Secret","apiVersion":"v1","name":"s"}}})")
                          .json()
                          .path("status.token")
                          .str();
  CHECK(whoami(w, bound).status == 201);
  REQUIRE(w.ask("DELETE", "/api/v1/namespaces/default/secrets/s").status == 200);
  CHECK(whoami(w, bound).status == 401);
}
