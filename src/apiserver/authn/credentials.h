// What the parts of the authenticator share.
#pragma once
#include "apiserver/authn/authn.h"

namespace k8lite::apiserver::authn {

inline Status unauthorized() { return Status(Reason::Unauthorized, "Unauthorized"); }
Identity authenticated(Identity identity);  // with the group system:authenticated
// Those wanted that are offered.
std::vector<std::string> both(const std::vector<std::string>& offered, const std::vector<std::string>& wanted);

}  // namespace k8lite::apiserver::authn
