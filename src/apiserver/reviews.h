// The questions about identity and permission that clients may ask: TokenReview, SelfSubjectReview, the SubjectAccessReview family and
// SelfSubjectRulesReview (authentication.k8s.io/v1, authorization.k8s.io/v1). Pure but for the functions it is given.
#pragma once
#include "apiserver/authn/authn.h"
#include "apiserver/authz/authorizer.h"

namespace k8lite::apiserver {

struct ReviewContext {
  const authn::Identity& caller;
  std::string ns;  // of the request: LocalSubjectAccessReview
  std::function<authz::Verdict(const authz::User& user, const RequestInfo& request)> decide;
  std::function<std::vector<authz::PolicyRule>(const authz::User& user, std::string_view ns)> rules_of;
  std::function<Result<authn::ReviewedToken>(std::string_view token, const std::vector<std::string>& audiences)> check_token;
};

// The object with its answer in status. Invalid with causes for a spec that asks nothing or two things, BadRequest for no token.
Result<json::Node> review(std::string_view kind, json::Node object, const ReviewContext& context);

}  // namespace k8lite::apiserver
