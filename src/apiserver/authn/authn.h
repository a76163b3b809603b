// Who is asking: client certificates, bearer tokens (static, node, service accounts), or nobody (system:anonymous).
// (Kubernetes documentation, "Authenticating".) Pure but for the lookups it is given.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "apiserver/authz/rbac.h"
#include "base/clock.h"
#include "base/json.h"
#include "net/http.h"

namespace k8lite::apiserver::authn {

struct Identity {
  authz::User user;
  std::string uid;
  std::map<std::string, std::vector<std::string>> extra;
};
json::Node user_info(const Identity& identity);  // authentication.k8s.io UserInfo

std::string service_account_issuer(const std::string& cluster_domain);

struct AuthenticatorOptions {
  std::map<std::string, Identity> tokens;            // by token
  std::vector<std::string> service_account_keys;     // public keys, PEM; any of them may have signed
  bool anonymous = true;                             // who shows nothing is system:anonymous
  std::vector<std::string> issuers = {"https://kubernetes.default.svc.cluster.local"};
  std::vector<std::string> audiences = {"https://kubernetes.default.svc.cluster.local"};
  // The stored object, empty when there is none: service accounts and what tokens are bound to; secrets with tokens in them.
  std::function<json::Doc(std::string_view resource, std::string_view ns, std::string_view name)> lookup;
};

// A token that is good for some of the audiences that were asked for (a server's own when none were).
struct ReviewedToken {
  Identity identity;
  std::vector<std::string> audiences;
};

class Authenticator {
 public:
  Authenticator(const Clock& clock, AuthenticatorOptions options) : clock_(clock), options_(std::move(options)) {}
  // By certificate, then by token. Unauthorized for credentials that are there and wrong; anonymous when there are none.
  Result<Identity> authenticate(const net::Peer& peer, std::string_view authorization) const;
  Result<Identity> authenticate_token(std::string_view token, const std::vector<std::string>& audiences = {}) const;
  Result<ReviewedToken> review_token(std::string_view token, const std::vector<std::string>& audiences) const;

 private:
  using Claims = std::shared_ptr<const json::Node>;
  Claims signed_claims(std::string_view token) const;
  Result<ReviewedToken> service_account(std::string_view token, const std::vector<std::string>& audiences) const;
  bool same_object(std::string_view resource, std::string_view ns, const json::Node& reference) const;
  // service_account_tokens.cpp
  Result<ReviewedToken> bound_token(const json::Node& claims, const std::vector<std::string>& audiences) const;
  Result<ReviewedToken> secret_token(std::string_view token, const json::Node& claims, const std::vector<std::string>& audiences) const;
  // bootstrap_tokens.cpp
  Result<Identity> bootstrap_token(std::string_view token) const;

  const Clock& clock_;
  const AuthenticatorOptions options_;
  // Signatures that were found good lately: checking one costs more than the whole rest of a small request. All else about a token is
  // looked at anew each time.
  mutable std::mutex mutex_;
  mutable std::unordered_map<std::string, Claims> signed_;
};

// Lines of a static token file: token,user,uid[,"group1,group2"]. Errors name the line, never the token.
Result<std::map<std::string, Identity>> parse_token_file(std::string_view text, const std::string& where);
// "abcdef.0123456789abcdef"
bool is_bootstrap_token(std::string_view token);

// Claims of a service account's token (Kubernetes' bound tokens, KEP-1205). `bound` is {"pod", name, uid} or empty.
struct TokenRequest {
  std::string issuer, ns, service_account, service_account_uid;
  std::vector<std::string> audiences;
  std::string bound_kind, bound_name, bound_uid, node_name, node_uid;
  int64_t issued_at = 0, expires_at = 0;
  std::string id;
};
json::Node token_claims(const TokenRequest& request);
// Of a token that lives in a Secret of type kubernetes.io/service-account-token: no end, no audience.
inline constexpr std::string_view kSecretTokenIssuer = "kubernetes/serviceaccount";
json::Node secret_token_claims(const std::string& ns, const std::string& secret, const std::string& account, const std::string& account_uid);

}  // namespace k8lite::apiserver::authn
