// Tokens of service accounts with everything that ends them, and impersonation.
#include "apiserver/authn/authn.h"

#include <catch2/catch.hpp>
#include <set>

#include "apiserver/authn/impersonation.h"
#include "pki/jwt.h"

using namespace k8lite;
using namespace k8lite::apiserver;
using authn::Identity;
using json::Doc;
using json::Node;

namespace {

const std::string& key() {
  static const std::string k = pki::create_signing_key().value();
  return k;
}

struct World {
  ManualClock clock;
  std::map<std::string, std::string> uids{{"serviceaccounts/app/web", "sa-1"}, {"pods/app/web-0", "pod-1"}, {"nodes//edge", "node-1"}, {"secrets/app/s", "secret-1"}};
  authn::AuthenticatorOptions options() {
    authn::AuthenticatorOptions o;
    o.service_account_keys = {pki::public_key_of(key()).value()};
    o.tokens["static-token"] = Identity{{"ann", {"dev"}}, "7", {}};
    o.lookup = [this](std::string_view resource, std::string_view ns, std::string_view name) {
      auto it = uids.find(std::string(resource) + "/" + std::string(ns) + "/" + std::string(name));
      return it == uids.end() ? Doc() : Doc::from(Node::obj({{"metadata", Node::obj({{"uid", it->second}})}}));
    };
    return o;
  }
  authn::Authenticator authenticator{clock, options()};

  authn::TokenRequest request() {
    authn::TokenRequest r;
    r.issuer = "https://kubernetes.default.svc.cluster.local";
    r.audiences = {r.issuer};
    r.ns = "app";
    r.service_account = "web";
    r.service_account_uid = "sa-1";
    r.issued_at = clock.now().us / 1'000'000;
    r.expires_at = r.issued_at + 3600;
    r.id = "j1";
    return r;
  }
  Result<Identity> ask(const Node& claims) { return authenticator.authenticate_token(pki::sign_jwt(claims, key()).value()); }
  Result<Identity> ask(const authn::TokenRequest& r) { return ask(authn::token_claims(r)); }
};

authn::TokenRequest bound(authn::TokenRequest r, const char* kind, const char* name, const char* uid) {
  r.bound_kind = kind, r.bound_name = name, r.bound_uid = uid;
  return r;
}

}  // namespace

TEST_CASE("authn: a service account's token names it, its groups and its pod") {
  World w;
  auto r = bound(w.request(), "pod", "web-0", "pod-1");
  r.node_name = "edge", r.node_uid = "node-1";
  auto id = w.ask(r);
  REQUIRE(id.ok());
  CHECK(id->user.name == "system:serviceaccount:app:web");
  CHECK(id->user.groups == std::vector<std::string>{"system:serviceaccounts", "system:serviceaccounts:app", "system:authenticated"});
  CHECK(id->uid == "sa-1");
  CHECK(id->extra["authentication.kubernetes.io/pod-name"] == std::vector<std::string>{"web-0"});
  CHECK(id->extra["authentication.kubernetes.io/node-name"] == std::vector<std::string>{"edge"});
}

TEST_CASE("authn: a token ends with what it is bound to") {
  struct Case {
    const char *kind, *name, *key;
  };
  for (Case c : {Case{"pod", "web-0", "pods/app/web-0"}, {"secret", "s", "secrets/app/s"}, {"node", "edge", "nodes//edge"}}) {
    CAPTURE(c.kind);
    World w;
    auto r = bound(w.request(), c.kind, c.name, w.uids[c.key].c_str());
    CHECK(w.ask(r).ok());
    w.uids[c.key] = "another";  // deleted and made again
    CHECK(w.ask(r).status().is(Reason::Unauthorized));
    w.uids.erase(c.key);
    CHECK(w.ask(r).status().is(Reason::Unauthorized));
  }
  World w;
  auto r = w.request();
  w.uids["serviceaccounts/app/web"] = "sa-2";
  CHECK(w.ask(r).status().is(Reason::Unauthorized));
  w.uids.erase("serviceaccounts/app/web");
  CHECK(w.ask(r).status().is(Reason::Unauthorized));
}

TEST_CASE("authn: a pod's token outlives its node's object") {
  World w;
  auto r = bound(w.request(), "pod", "web-0", "pod-1");
  r.node_name = "edge", r.node_uid = "node-1";
  w.uids.erase("nodes//edge");
  CHECK(w.ask(r).ok());
}

TEST_CASE("authn: the subject must be the service account of the claims") {
  World w;
  Node claims = authn::token_claims(w.request());
  CHECK(w.ask(claims).ok());
  claims.set("sub", "system:serviceaccount:kube-system:admin");
  CHECK(w.ask(claims).status().is(Reason::Unauthorized));
  claims.erase("sub");
  CHECK(w.ask(claims).status().is(Reason::Unauthorized));
}

TEST_CASE("authn: audience, issuer and times are looked at") {
  World w;
  auto r = w.request();
  r.audiences = {"vault"};
  CHECK(w.ask(r).status().is(Reason::Unauthorized));
  CHECK(w.authenticator.authenticate_token(pki::sign_jwt(authn::token_claims(r), key()).value(), {"vault"}).ok());
  r = w.request();
  r.issuer = "https://elsewhere";
  CHECK_FALSE(w.ask(r).ok());
  r = w.request();
  CHECK(w.ask(r).ok());
  w.clock.advance(seconds(3600 + 60));
  CHECK_FALSE(w.ask(r).ok());
  r = w.request();
  r.issued_at += 3600;
  r.expires_at += 7200;
  CHECK_FALSE(w.ask(r).ok());
}

TEST_CASE("authn: garbage and strange keys are refused") {
  World w;
  std::string good = pki::sign_jwt(authn::token_claims(w.request()), key()).value();
  std::string other = pki::sign_jwt(authn::token_claims(w.request()), pki::create_signing_key().value()).value();
  std::string none = "eyJhbGciOiJub25lIn0" + good.substr(good.find('.'), good.rfind('.') + 1 - good.find('.'));
  for (const std::string& t : {std::string(), std::string("x"), std::string("a.b.c"), std::string("..."), good.substr(0, good.size() - 4), good + "x", std::string(100000, 'a'), other, none}) CHECK_FALSE(w.authenticator.authenticate_token(t).ok());
  CHECK(w.authenticator.authenticate_token(good).ok());
}

TEST_CASE("authn: a bad credential is an error, none is anonymous") {
  World w;
  net::Peer peer;
  CHECK(w.authenticator.authenticate(peer, "")->user.name == "system:anonymous");
  CHECK(w.authenticator.authenticate(peer, "")->user.groups == std::vector<std::string>{"system:unauthenticated"});
  auto ann = w.authenticator.authenticate(peer, "bearer  static-token");
  REQUIRE(ann.ok());
  CHECK(ann->user.groups == std::vector<std::string>{"dev", "system:authenticated"});
  CHECK_FALSE(w.authenticator.authenticate(peer, "Bearer static-tokeN").ok());
  CHECK_FALSE(w.authenticator.authenticate(peer, "Basic YTpi").ok());
  peer.has_certificate = true;
  peer.common_name = "system:node:edge";
  peer.organizations = {"system:nodes"};
  CHECK(w.authenticator.authenticate(peer, "")->user.name == "system:node:edge");
  // A certificate comes before a token, one that has ended since the handshake is none, and one that is wrong leaves the token.
  CHECK(w.authenticator.authenticate(peer, "Bearer static-token")->user.name == "system:node:edge");
  peer.certificate_sha256 = "abcd";
  CHECK(w.authenticator.authenticate(peer, "")->extra["authentication.kubernetes.io/credential-id"] == std::vector<std::string>{"X509SHA256=abcd"});
  peer.certificate_until = w.clock.now() + seconds(60);
  CHECK(w.authenticator.authenticate(peer, "").ok());
  w.clock.advance(seconds(61));
  CHECK_FALSE(w.authenticator.authenticate(peer, "").ok());
  peer.has_certificate = false;
  peer.bad_certificate = true;
  CHECK_FALSE(w.authenticator.authenticate(peer, "").ok());
  CHECK(w.authenticator.authenticate(peer, "Bearer static-token")->user.name == "ann");
}

TEST_CASE("impersonation: every part needs its own permission") {
  Identity admin{{"admin", {"system:masters"}}, "1", {}};
  net::Headers headers{{"Impersonate-User", "ann"}, {"Impersonate-Group", "dev"}, {"Impersonate-Uid", "u-1"}, {"Impersonate-Extra-Scopes", "view"}, {"impersonate-extra-acme.com%2Fproject", "p"}};
  std::vector<std::string> asked;
  auto all = [&asked](const authz::User&, const RequestInfo& r) {
    CHECK(r.verb == "impersonate");
    asked.push_back(r.group + "|" + r.resource + "|" + r.subresource + "|" + r.name);
    return true;
  };
  auto id = authn::impersonate(admin, headers, all);
  REQUIRE(id.ok());
  CHECK((*id)->user.name == "ann");
  CHECK((*id)->uid == "u-1");
  CHECK((*id)->user.groups == std::vector<std::string>{"dev", "system:authenticated"});
  CHECK((*id)->extra["scopes"] == std::vector<std::string>{"view"});
  CHECK((*id)->extra["acme.com/project"] == std::vector<std::string>{"p"});
  std::set<std::string> parts(asked.begin(), asked.end());
  CHECK(parts == std::set<std::string>{"|users||ann", "|groups||dev", "authentication.k8s.io|uids||u-1", "authentication.k8s.io|userextras|scopes|view", "authentication.k8s.io|userextras|acme.com/project|p"});
  for (const std::string& refused : parts) {
    CAPTURE(refused);
    auto most = [&](const authz::User&, const RequestInfo& r) { return refused != r.group + "|" + r.resource + "|" + r.subresource + "|" + r.name; };
    CHECK(authn::impersonate(admin, headers, most).status().is(Reason::Forbidden));
  }
}

TEST_CASE("impersonation: nothing asked keeps the caller, and parts without a user are refused") {
  Identity bob{{"bob", {"dev"}}, "1", {}};
  auto never = [](const authz::User&, const RequestInfo&) { return false; };
  CHECK_FALSE(authn::impersonate(bob, {{"Accept", "*/*"}}, never)->has_value());
  for (const char* h : {"Impersonate-Group", "Impersonate-Uid", "Impersonate-Extra-x", "Impersonate-User"}) {
    bool user = std::string(h) == "Impersonate-User";
    CHECK(authn::impersonate(bob, {{h, user ? "" : "v"}}, [](const authz::User&, const RequestInfo&) { return true; }).status().is(Reason::BadRequest));
  }
  CHECK(authn::is_impersonation_header("impersonate-EXTRA-a"));
  CHECK_FALSE(authn::is_impersonation_header("Accept"));
}

TEST_CASE("impersonation: service accounts and anonymous get their groups") {
  Identity admin{{"admin", {}}, "", {}};
  auto may = [](const authz::User&, const RequestInfo& r) { return r.resource != "users" || r.name == "system:anonymous"; };
  auto sa = authn::impersonate(admin, {{"Impersonate-User", "system:serviceaccount:app:web"}}, may);
  REQUIRE(sa.ok());
  CHECK((*sa)->user.groups == std::vector<std::string>{"system:serviceaccounts", "system:serviceaccounts:app", "system:authenticated"});
  CHECK(authn::impersonate(admin, {{"Impersonate-User", "system:anonymous"}}, may).value()->user.groups == std::vector<std::string>{"system:unauthenticated"});
}
