// Certificate signing requests (PKCS#10, RFC 2986): reading one, and signing one with the cluster's CA. Keys of
// requests may be RSA, ECDSA or Ed25519. PEM in and out.
#pragma once
#include "pki/pki.h"

namespace k8lite::pki {

struct ParsedRequest {
  std::string common_name;
  std::vector<std::string> organizations, dns_names, addresses, emails, uris;
};
// BadRequest unless it is one PEM block "CERTIFICATE REQUEST" with a request in it; the signature is not looked at.
Result<ParsedRequest> parse_request(std::string_view pem);

// A usage as the API names it ("client auth", "digital signature"); false: it names none.
bool is_key_usage(std::string_view name);

struct SigningPolicy {
  std::vector<std::string> usages;  // as the API names them
  Duration valid_for = seconds(365 * 24 * 3600);
};
// A certificate for the request's subject, key and alternative names; never a CA, and nothing else that the request
// asks for. It is not valid for longer than the CA. BadRequest when the request's own signature is wrong.
Result<std::string> sign_request(const KeyPair& ca, std::string_view request_pem, const SigningPolicy& policy,
                                 Instant now);

}  // namespace k8lite::pki
