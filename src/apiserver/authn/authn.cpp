#include "apiserver/authn/authn.h"

#include <algorithm>

#include "base/strings.h"
#include "pki/jwt.h"
#include "pki/pki.h"

namespace k8lite::apiserver::authn {
namespace {

Status unauthorized() { return Status(Reason::Unauthorized, "Unauthorized"); }

Identity authenticated(Identity identity) {
  for (const auto& g : identity.user.groups)
    if (g == "system:authenticated") return identity;
  identity.user.groups.push_back("system:authenticated");
  return identity;
}

std::vector<std::string> both(const std::vector<std::string>& offered, const std::vector<std::string>& wanted) {
  std::vector<std::string> out;
  for (const auto& w : wanted)
    if (std::find(offered.begin(), offered.end(), w) != offered.end()) out.push_back(w);
  return out;
}

std::vector<std::string> claimed_audiences(const json::Node& claim) {
  if (claim.is_string()) return {claim.str()};
  std::vector<std::string> out;
  for (const auto& a : claim.items()) out.push_back(a.str());
  return out;
}

}  // namespace

json::Node user_info(const Identity& identity) {
  json::Node out = json::Node::object();
  out.set("username", identity.user.name);
  if (!identity.uid.empty()) out.set("uid", identity.uid);
  for (const auto& g : identity.user.groups) out["groups"].append(g);
  for (const auto& [key, values] : identity.extra)
    for (const auto& v : values) out["extra"][key].append(v);
  return out;
}

std::string service_account_issuer(const std::string& cluster_domain) { return "https://kubernetes.default.svc." + cluster_domain; }

Result<Identity> Authenticator::authenticate(const net::Peer& peer, std::string_view authorization) const {
  if (!authorization.empty()) {
    size_t space = authorization.find(' ');
    if (space == authorization.npos || !iequals(authorization.substr(0, space), "Bearer")) return unauthorized();
    return authenticate_token(trim(authorization.substr(space + 1)));
  }
  if (peer.bad_certificate) return unauthorized();
  if (peer.has_certificate && !peer.common_name.empty()) return authenticated({{peer.common_name, peer.organizations}, {}, {}});
  return Identity{{"system:anonymous", {"system:unauthenticated"}}, {}, {}};
}

Result<Identity> Authenticator::authenticate_token(std::string_view token, const std::vector<std::string>& audiences) const {
  TRY(ReviewedToken reviewed, review_token(token, audiences));
  return std::move(reviewed.identity);
}

Result<ReviewedToken> Authenticator::review_token(std::string_view token, const std::vector<std::string>& audiences) const {
  const auto& wanted = audiences.empty() ? options_.audiences : audiences;
  // Every known token is compared, so that the time taken tells nothing.
  const Identity* found = nullptr;
  for (const auto& [known, identity] : options_.tokens)
    if (pki::equal_constant_time(known, token)) found = &identity;
  if (!found) return service_account(token, wanted);
  // A static token names no audience: it is meant for this server.
  std::vector<std::string> good = both(options_.audiences, wanted);
  if (good.empty()) return unauthorized();
  return ReviewedToken{authenticated(*found), std::move(good)};
}

Result<ReviewedToken> Authenticator::service_account(std::string_view token, const std::vector<std::string>& audiences) const {
  auto claims = pki::verify_jwt(token, options_.service_account_keys);
  if (!claims.ok()) return unauthorized();
  std::vector<std::string> good = both(claimed_audiences(claims->get("aud")), audiences);
  if (claims->get("iss").str() != options_.issuer || good.empty()) return unauthorized();
  if (!pki::check_times(*claims, clock_.now()).ok()) return unauthorized();
  const json::Node& k = claims->get("kubernetes.io");
  std::string ns = k.get("namespace").str(), name = k.get("serviceaccount").get("name").str(), uid = k.get("serviceaccount").get("uid").str();
  auto still_there = [this](std::string_view resource, std::string_view in, const json::Node& ref) {
    json::Doc d = options_.lookup(resource, in, ref.get("name").str());
    return d && d.path("metadata.uid").equals(ref.get("uid").str());
  };
  if (ns.empty() || name.empty() || !still_there("serviceaccounts", ns, k.get("serviceaccount"))) return unauthorized();
  if (k.get("pod").exists() && !still_there("pods", ns, k.get("pod"))) return unauthorized();
  if (k.get("secret").exists() && !still_there("secrets", ns, k.get("secret"))) return unauthorized();
  // A pod's token only tells its node; one bound to the node itself ends with the node.
  if (k.get("node").exists() && !k.get("pod").exists() && !still_there("nodes", "", k.get("node"))) return unauthorized();
  Identity id;
  id.user.name = "system:serviceaccount:" + ns + ":" + name;
  if (claims->get("sub").str() != id.user.name) return unauthorized();
  id.user.groups = {"system:serviceaccounts", "system:serviceaccounts:" + ns};
  id.uid = uid;
  id.extra["authentication.kubernetes.io/credential-id"] = {"JTI=" + claims->get("jti").str()};
  if (k.get("pod").exists()) {
    id.extra["authentication.kubernetes.io/pod-name"] = {k.get("pod").get("name").str()};
    id.extra["authentication.kubernetes.io/pod-uid"] = {k.get("pod").get("uid").str()};
  }
  if (k.get("node").exists()) {
    id.extra["authentication.kubernetes.io/node-name"] = {k.get("node").get("name").str()};
    if (k.get("node").get("uid").exists()) id.extra["authentication.kubernetes.io/node-uid"] = {k.get("node").get("uid").str()};
  }
  return ReviewedToken{authenticated(std::move(id)), std::move(good)};
}

json::Node token_claims(const TokenRequest& r) {
  using json::Node;
  Node k = Node::obj({{"namespace", r.ns}, {"serviceaccount", Node::obj({{"name", r.service_account}, {"uid", r.service_account_uid}})}});
  if (!r.bound_kind.empty()) k.set(r.bound_kind, Node::obj({{"name", r.bound_name}, {"uid", r.bound_uid}}));
  if (!r.node_name.empty()) {
    k["node"].set("name", r.node_name);
    if (!r.node_uid.empty()) k["node"].set("uid", r.node_uid);
  }
  Node claims = Node::obj({{"iss", r.issuer}, {"sub", "system:serviceaccount:" + r.ns + ":" + r.service_account}, {"iat", r.issued_at}, {"nbf", r.issued_at}, {"exp", r.expires_at}, {"jti", r.id}});
  for (const auto& a : r.audiences) claims["aud"].append(a);
  claims.set("kubernetes.io", std::move(k));
  return claims;
}

}  // namespace k8lite::apiserver::authn
