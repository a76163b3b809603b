// JSON Web Tokens (RFC 7519) signed with ES256 (RFC 7518 §3.4), as service accounts carry them. Keys are ECDSA P-256 in PEM; tokens that
// RSA keys signed (RS256, §3.3; other distributions' clusters have such) can be checked too.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"

namespace k8lite::pki {

inline constexpr size_t kMaxTokenBytes = 16 * 1024;

Result<std::string> create_signing_key();                            // PEM of a private key
Result<std::string> public_key_of(std::string_view private_key_pem);  // PEM
// The public keys of every private or public key in a text of PEM blocks, in order: the first signs, the others are those of before.
Result<std::vector<std::string>> public_keys_in(std::string_view pem);
// The key's id: the base64url SHA-256 of its public DER.
Result<std::string> key_id(std::string_view public_key_pem);
Result<json::Node> json_web_key(std::string_view public_key_pem);  // RFC 7517

Result<std::string> sign_jwt(const json::Node& claims, std::string_view private_key_pem);
// The claims, when one of the keys signed them. Unauthorized otherwise. Times are not looked at: see check_times().
Result<json::Node> verify_jwt(std::string_view token, const std::vector<std::string>& public_keys_pem);
// exp and nbf against the clock, with `leeway` for clocks that differ.
Result<> check_times(const json::Node& claims, Instant now, Duration leeway = seconds(10));

}  // namespace k8lite::pki
