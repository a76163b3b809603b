// OpenID Connect discovery for service account tokens: what a relying party needs to check them without asking this server
// (OpenID Connect Discovery 1.0 §4, RFC 7517; Kubernetes documentation, "ServiceAccount token issuer discovery").
#pragma once
#include <string>
#include <vector>

#include "base/result.h"

namespace k8lite::apiserver {

inline constexpr std::string_view kOpenidConfigurationPath = "/.well-known/openid-configuration", kKeySetPath = "/openid/v1/jwks";

// JSON; the address is host:port, the algorithms are those of the keys.
Result<std::string> openid_configuration(const std::string& issuer, const std::string& server_address, const std::vector<std::string>& public_keys_pem);
Result<std::string> key_set(const std::vector<std::string>& public_keys_pem);                       // JSON Web Key Set

}  // namespace k8lite::apiserver
