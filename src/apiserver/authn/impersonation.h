// Acting as somebody else: the Impersonate-* headers, every part of which needs the caller's permission.
// (Kubernetes documentation, "User Impersonation".) Pure.
#pragma once
#include <functional>
#include <optional>

#include "apiserver/authn/authn.h"
#include "net/http.h"

namespace k8lite::apiserver::authn {

using MayFunction = std::function<bool(const authz::User& user, const RequestInfo& request)>;

// The identity that headers ask for, nothing when none does; Forbidden names the first part that is not allowed, BadRequest is for
// groups, a uid or extras without a user.
Result<std::optional<Identity>> impersonate(const Identity& caller, const net::Headers& headers, const MayFunction& may);
// Headers that must never reach another server, which would apply them again.
bool is_impersonation_header(std::string_view name);

}  // namespace k8lite::apiserver::authn
