// Tokens of service accounts: bound ones (KEP-1205), which end with their object, and those that live in Secrets.
// Nothing of what a token says is believed beyond its signature: the account and what it is bound to are looked up
// every time.
#include "apiserver/authn/credentials.h"
#include "base/strings.h"
#include "pki/jwt.h"
#include "pki/pki.h"

namespace k8lite::apiserver::authn {
namespace {

using json::Node;

constexpr std::string_view kExtra = "authentication.kubernetes.io/";
constexpr std::string_view kSecretClaim = "kubernetes.io/serviceaccount/";

std::vector<std::string> claimed_audiences(const Node& claim) {
  if (claim.is_string()) return {claim.str()};
  std::vector<std::string> out;
  for (const auto& a : claim.items()) out.push_back(a.str());
  return out;
}

Identity account_identity(const std::string& ns, const std::string& name, const std::string& uid) {
  Identity id;
  id.user.name = "system:serviceaccount:" + ns + ":" + name;
  id.user.groups = {"system:serviceaccounts", "system:serviceaccounts:" + ns};
  id.uid = uid;
  return id;
}

}  // namespace

Authenticator::Claims Authenticator::signed_claims(std::string_view token) const {
  constexpr size_t kMostRemembered = 1024;
  std::string key(token.size() <= pki::kMaxTokenBytes ? token : "");
  {
    std::lock_guard lock(mutex_);
    if (auto it = signed_.find(key); it != signed_.end()) return it->second;
  }
  auto claims = pki::verify_jwt(token, options_.service_account_keys);
  if (!claims.ok()) return nullptr;
  auto shared = std::make_shared<const Node>(std::move(claims).value());
  std::lock_guard lock(mutex_);
  if (signed_.size() >= kMostRemembered) signed_.clear();
  signed_[key] = shared;
  return shared;
}

bool Authenticator::same_object(std::string_view resource, std::string_view ns, const Node& reference) const {
  json::Doc d = options_.lookup(resource, ns, reference.get("name").str());
  return d && d.path("metadata.uid").equals(reference.get("uid").str());
}

Result<ReviewedToken> Authenticator::service_account(std::string_view token,
                                                     const std::vector<std::string>& audiences) const {
  Claims claims = signed_claims(token);
  if (!claims || !pki::check_times(*claims, clock_.now()).ok()) return unauthorized();
  if (claims->get("iss").str() == kSecretTokenIssuer) return secret_token(token, *claims, audiences);
  return bound_token(*claims, audiences);
}

Result<ReviewedToken> Authenticator::bound_token(const Node& claims, const std::vector<std::string>& audiences) const {
  std::vector<std::string> good = both(claimed_audiences(claims.get("aud")), audiences),
                           issuers = both(options_.issuers, {claims.get("iss").str()});
  if (issuers.empty() || good.empty()) return unauthorized();
  const Node& k = claims.get("kubernetes.io");
  std::string ns = k.get("namespace").str(), name = k.get("serviceaccount").get("name").str();
  if (ns.empty() || name.empty() || !same_object("serviceaccounts", ns, k.get("serviceaccount"))) return unauthorized();
  if (k.get("pod").exists() && !same_object("pods", ns, k.get("pod"))) return unauthorized();
  if (k.get("secret").exists() && !same_object("secrets", ns, k.get("secret"))) return unauthorized();
  // A pod's token only tells its node; one bound to the node itself ends with the node.
  if (k.get("node").exists() && !k.get("pod").exists() && !same_object("nodes", "", k.get("node")))
    return unauthorized();
  Identity id = account_identity(ns, name, k.get("serviceaccount").get("uid").str());
  if (claims.get("sub").str() != id.user.name) return unauthorized();
  auto tell = [&id](std::string_view key, const Node& value) {
    if (!value.str().empty()) id.extra[std::string(kExtra) + std::string(key)] = {value.str()};
  };
  if (!claims.get("jti").str().empty()) tell("credential-id", "JTI=" + claims.get("jti").str());
  tell("pod-name", k.path("pod.name"));
  tell("pod-uid", k.path("pod.uid"));
  tell("node-name", k.path("node.name"));
  tell("node-uid", k.path("node.uid"));
  return ReviewedToken{authenticated(std::move(id)), std::move(good)};
}

Result<ReviewedToken> Authenticator::secret_token(std::string_view token, const Node& claims,
                                                  const std::vector<std::string>& audiences) const {
  std::vector<std::string> good = both(options_.audiences, audiences);
  auto claim = [&claims](std::string_view name) {
    return claims.get(std::string(kSecretClaim) + std::string(name)).str();
  };
  std::string ns = claim("namespace"), secret = claim("secret.name"), account = claim("service-account.name"),
              uid = claim("service-account.uid");
  if (good.empty() || ns.empty() || secret.empty() || account.empty()) return unauthorized();
  json::Doc stored = options_.lookup("secrets", ns, secret), owner = options_.lookup("serviceaccounts", ns, account);
  if (!stored || stored.path("metadata.deletionTimestamp") || !owner || owner.path("metadata.deletionTimestamp") ||
      !owner.path("metadata.uid").equals(uid))
    return unauthorized();
  if (!pki::equal_constant_time(base64_decode(stored["data"]["token"].str()).value_or(""), token))
    return unauthorized();
  Identity id = account_identity(ns, account, uid);
  if (claims.get("sub").str() != id.user.name) return unauthorized();
  return ReviewedToken{authenticated(std::move(id)), std::move(good)};
}

Node token_claims(const TokenRequest& r) {
  Node k = Node::obj({{"namespace", r.ns},
                      {"serviceaccount", Node::obj({{"name", r.service_account}, {"uid", r.service_account_uid}})}});
  if (!r.bound_kind.empty()) k.set(r.bound_kind, Node::obj({{"name", r.bound_name}, {"uid", r.bound_uid}}));
  if (!r.node_name.empty()) {
    k["node"].set("name", r.node_name);
    if (!r.node_uid.empty()) k["node"].set("uid", r.node_uid);
  }
  Node claims = Node::obj({{"iss", r.issuer},
                           {"sub", "system:serviceaccount:" + r.ns + ":" + r.service_account},
                           {"iat", r.issued_at},
                           {"nbf", r.issued_at},
                           {"exp", r.expires_at},
                           {"jti", r.id}});
  for (const auto& a : r.audiences) claims["aud"].append(a);
  claims.set("kubernetes.io", std::move(k));
  return claims;
}

Node secret_token_claims(const std::string& ns, const std::string& secret, const std::string& account,
                         const std::string& account_uid) {
  std::string p(kSecretClaim);
  return Node::obj({{"iss", std::string(kSecretTokenIssuer)},
                    {p + "namespace", ns},
                    {p + "secret.name", secret},
                    {p + "service-account.name", account},
                    {p + "service-account.uid", account_uid},
                    {"sub", "system:serviceaccount:" + ns + ":" + account}});
}

}  // namespace k8lite::apiserver::authn
