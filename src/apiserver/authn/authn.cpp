#include "apiserver/authn/credentials.h"

#include <algorithm>

#include "base/strings.h"
#include "pki/jwt.h"
#include "pki/pki.h"

namespace k8lite::apiserver::authn {

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
  // A connection may outlive the certificate that it began with.
  bool ended = peer.certificate_until.us != 0 && peer.certificate_until < clock_.now();
  if (peer.has_certificate && !ended && !peer.common_name.empty()) {
    Identity id{{peer.common_name, peer.organizations}, {}, {}};
    if (!peer.certificate_sha256.empty()) id.extra["authentication.kubernetes.io/credential-id"] = {"X509SHA256=" + peer.certificate_sha256};
    return authenticated(std::move(id));
  }
  if (!authorization.empty()) {
    size_t space = authorization.find(' ');
    if (space == authorization.npos || !iequals(authorization.substr(0, space), "Bearer")) return unauthorized();
    return authenticate_token(trim(authorization.substr(space + 1)));
  }
  if (peer.bad_certificate || ended || !options_.anonymous) return unauthorized();
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
  Identity named;
  if (!found && is_bootstrap_token(token)) {
    TRY(named, bootstrap_token(token));
    found = &named;
  }
  if (!found) return service_account(token, wanted);
  // Such a token names no audience: it is meant for this server.
  std::vector<std::string> good = both(options_.audiences, wanted);
  if (good.empty()) return unauthorized();
  return ReviewedToken{authenticated(*found), std::move(good)};
}

}  // namespace k8lite::apiserver::authn
