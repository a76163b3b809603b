// Tokens that live in Secrets: those of service accounts are written into Secrets of type
// kubernetes.io/service-account-token and go with the account; bootstrap tokens go when their time is over. (Kubernetes
// documentation, "Managing Service Accounts", "Bootstrap Tokens".)
#pragma once
#include <optional>

#include "controllers/context.h"

namespace k8lite::controllers {

// What a Secret of type kubernetes.io/service-account-token lacks, as a merge patch; nothing when it lacks nothing.
// `make_token` signs one for the account.
std::optional<json::Node> plan_token_secret(const json::Doc& secret, const json::Doc& account,
                                            const std::string& ca_pem, const std::function<std::string()>& make_token);

class TokenController : public Base {
 public:
  explicit TokenController(Context& context);
  Result<machinery::Action> reconcile(const std::string& key) override;

 private:
  machinery::Informer &secrets_, &accounts_;
};

class TokenCleaner : public Base {
 public:
  explicit TokenCleaner(Context& context);
  Result<machinery::Action> reconcile(const std::string& key) override;

 private:
  machinery::Informer& secrets_;
};

}  // namespace k8lite::controllers
