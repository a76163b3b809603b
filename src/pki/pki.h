// Keys, certificates and cluster tokens on OpenSSL. Keys are ECDSA P-256. Times come from the caller: a Pi without a clock starts in
// 1970, so certificates are backdated, those of a clock that was never set live long, and nothing here reads the system's clock.
// PEM in and out.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace k8lite::pki {

struct KeyPair {
  std::string certificate_pem, key_pem;
};

struct CertificateRequest {
  std::string common_name;
  std::vector<std::string> organizations;
  std::vector<std::string> dns_names;
  std::vector<std::string> addresses;  // numeric IPv4 or IPv6
  bool server = false, client = false;  // extended key usage
  Duration valid_for = seconds(365 * 24 * 3600);
};

Result<KeyPair> create_ca(const std::string& common_name, Instant now, Duration valid_for);
Result<KeyPair> issue(const KeyPair& ca, const CertificateRequest& request, Instant now);

struct CertificateInfo {
  std::string common_name;
  std::vector<std::string> organizations, dns_names, addresses;
  Instant not_before, not_after;
  bool is_ca = false;
};
Result<CertificateInfo> read_certificate(std::string_view pem);
// Was the certificate signed by this CA and is it valid at `now`? Errors say which of it is not so.
Result<> verify(std::string_view certificate_pem, std::string_view ca_pem, Instant now);

std::string sha256(std::string_view bytes);                              // 32 raw bytes
std::string hmac_sha256(std::string_view key, std::string_view bytes);   // 32 raw bytes
bool equal_constant_time(std::string_view a, std::string_view b);

// The join token: "K10<sha256 of the CA's DER in hex>::server:<secret>" pins the CA; a plain secret does not.
struct ClusterToken {
  std::string ca_hash;  // hex, "" for a short token
  std::string user = "server";
  std::string secret;
  std::string text() const;
};
Result<ClusterToken> parse_token(std::string_view text);
Result<std::string> ca_hash(std::string_view ca_pem);

}  // namespace k8lite::pki
