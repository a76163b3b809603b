// Who is asking: client certificates, bearer tokens (static, node, service accounts), or nobody (system:anonymous).
// (Kubernetes documentation, "Authenticating".) Pure but for the lookups it is given.
#pragma once
#include <functional>
#include <map>
#include <string>
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
  std::vector<std::string> service_account_keys;     // public keys, PEM
  std::string issuer = "https://kubernetes.default.svc.cluster.local";
  std::vector<std::string> audiences = {"https://kubernetes.default.svc.cluster.local"};
  // The stored object, empty when there is none: for tokens bound to service accounts, pods, secrets and nodes.
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
  // Unauthorized for credentials that are there and wrong; anonymous when there are none.
  Result<Identity> authenticate(const net::Peer& peer, std::string_view authorization) const;
  Result<Identity> authenticate_token(std::string_view token, const std::vector<std::string>& audiences = {}) const;
  Result<ReviewedToken> review_token(std::string_view token, const std::vector<std::string>& audiences) const;

 private:
  Result<ReviewedToken> service_account(std::string_view token, const std::vector<std::string>& audiences) const;
  const Clock& clock_;
  const AuthenticatorOptions options_;
};

// Claims of a service account's token (Kubernetes' bound tokens, KEP-1205). `bound` is {"pod", name, uid} or empty.
struct TokenRequest {
  std::string issuer, ns, service_account, service_account_uid;
  std::vector<std::string> audiences;
  std::string bound_kind, bound_name, bound_uid, node_name, node_uid;
  int64_t issued_at = 0, expires_at = 0;
  std::string id;
};
json::Node token_claims(const TokenRequest& request);

}  // namespace k8lite::apiserver::authn
