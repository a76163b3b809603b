#include "pki/jwt.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>

#include "base/strings.h"
#include "pki/pki.h"

namespace k8lite::pki {
namespace {

template <auto Fn>
struct Free {
  template <class T>
  void operator()(T* p) const { Fn(p); }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using BioPtr = std::unique_ptr<BIO, Free<BIO_free>>;
using MdPtr = std::unique_ptr<EVP_MD_CTX, Free<EVP_MD_CTX_free>>;
using SigPtr = std::unique_ptr<ECDSA_SIG, Free<ECDSA_SIG_free>>;

constexpr int kHalf = 32;  // bytes of r and of s

KeyPtr private_key(std::string_view pem) {
  BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  return KeyPtr(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
}
KeyPtr public_key(std::string_view pem) {
  BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  return KeyPtr(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
}
std::string text_of(BIO* bio) {
  char* p = nullptr;
  long n = BIO_get_mem_data(bio, &p);
  return std::string(p, static_cast<size_t>(n));
}
Status bad_key() {
  ERR_clear_error();
  return bad_request("the signing key is not a readable ECDSA P-256 key in PEM");
}

Status refused(std::string why) { return Status(Reason::Unauthorized, "token: " + std::move(why)); }

bool verifies(EVP_PKEY* key, std::string_view signed_text, const unsigned char* signature, size_t size) {
  MdPtr md(EVP_MD_CTX_new());
  bool good = EVP_DigestVerifyInit(md.get(), nullptr, EVP_sha256(), nullptr, key) == 1 &&
              EVP_DigestVerify(md.get(), signature, size, reinterpret_cast<const unsigned char*>(signed_text.data()), signed_text.size()) == 1;
  ERR_clear_error();
  return good;
}

bool is_rsa(EVP_PKEY* key) { return EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA; }

bool signature_is_good(EVP_PKEY* key, bool rs256, std::string_view signed_text, const std::string& raw) {
  if (is_rsa(key) != rs256) return false;
  if (rs256) return verifies(key, signed_text, reinterpret_cast<const unsigned char*>(raw.data()), raw.size());
  if (raw.size() != 2 * kHalf) return false;
  SigPtr sig(ECDSA_SIG_new());
  auto* bytes = reinterpret_cast<const unsigned char*>(raw.data());
  ECDSA_SIG_set0(sig.get(), BN_bin2bn(bytes, kHalf, nullptr), BN_bin2bn(bytes + kHalf, kHalf, nullptr));
  unsigned char* der = nullptr;
  int n = i2d_ECDSA_SIG(sig.get(), &der);
  if (n <= 0) return false;
  bool good = verifies(key, signed_text, der, static_cast<size_t>(n));
  OPENSSL_free(der);
  return good;
}

}  // namespace

Result<std::string> create_signing_key() {
  KeyPtr key(EVP_EC_gen("P-256"));
  BioPtr bio(BIO_new(BIO_s_mem()));
  if (!key || PEM_write_bio_PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) return internal_error("create a signing key: OpenSSL failed");
  return text_of(bio.get());
}

Result<std::string> public_key_of(std::string_view private_key_pem) {
  KeyPtr key = private_key(private_key_pem);
  BioPtr bio(BIO_new(BIO_s_mem()));
  if (!key || PEM_write_bio_PUBKEY(bio.get(), key.get()) != 1) return bad_key();
  return text_of(bio.get());
}

Result<std::vector<std::string>> public_keys_in(std::string_view pem) {
  std::vector<std::string> out;
  constexpr std::string_view kBegin = "-----BEGIN ", kEnd = "-----END ";
  for (size_t at = pem.find(kBegin); at != pem.npos;) {
    size_t end = pem.find(kEnd, at), next = pem.find(kBegin, at + 1);
    if (end == pem.npos || end > next) return bad_key();
    std::string_view block = pem.substr(at, pem.find('\n', end) - at);
    KeyPtr key = public_key(block);
    if (!key) key = private_key(block);
    BioPtr bio(BIO_new(BIO_s_mem()));
    if (!key || PEM_write_bio_PUBKEY(bio.get(), key.get()) != 1) return bad_key();
    out.push_back(text_of(bio.get()));
    at = next;
  }
  ERR_clear_error();
  if (out.empty()) return bad_key();
  return out;
}

Result<std::string> key_id(std::string_view public_key_pem) {
  KeyPtr key = public_key(public_key_pem);
  unsigned char* der = nullptr;
  int n = key ? i2d_PUBKEY(key.get(), &der) : 0;
  if (n <= 0) return bad_key();
  std::string id = base64url_encode(sha256({reinterpret_cast<char*>(der), static_cast<size_t>(n)}));
  OPENSSL_free(der);
  return id;
}

Result<json::Node> json_web_key(std::string_view public_key_pem) {
  KeyPtr key = public_key(public_key_pem);
  if (!key) return bad_key();
  TRY(std::string id, key_id(public_key_pem));
  json::Node out = json::Node::obj({{"use", "sig"}, {"kid", id}});
  auto number = [&key, &out](const char* member, const char* parameter, size_t bytes) {
    BIGNUM* n = nullptr;
    if (EVP_PKEY_get_bn_param(key.get(), parameter, &n) == 1) {
      std::string raw(bytes ? bytes : static_cast<size_t>(BN_num_bytes(n)), '\0');
      BN_bn2binpad(n, reinterpret_cast<unsigned char*>(raw.data()), static_cast<int>(raw.size()));
      out.set(member, base64url_encode(raw));
    }
    BN_free(n);
  };
  bool rsa = is_rsa(key.get());
  out.set("kty", rsa ? "RSA" : "EC");
  out.set("alg", rsa ? "RS256" : "ES256");
  if (rsa) {
    number("n", OSSL_PKEY_PARAM_RSA_N, 0);
    number("e", OSSL_PKEY_PARAM_RSA_E, 0);
  } else {
    out.set("crv", "P-256");
    number("x", OSSL_PKEY_PARAM_EC_PUB_X, kHalf);
    number("y", OSSL_PKEY_PARAM_EC_PUB_Y, kHalf);
  }
  return out;
}

Result<std::string> sign_jwt(const json::Node& claims, std::string_view private_key_pem) {
  KeyPtr key = private_key(private_key_pem);
  if (!key || is_rsa(key.get())) return bad_key();
  TRY(std::string public_pem, public_key_of(private_key_pem));
  TRY(std::string id, key_id(public_pem));
  std::string text = base64url_encode(json::Node::obj({{"alg", "ES256"}, {"kid", id}}).dump()) + "." + base64url_encode(claims.dump());
  MdPtr md(EVP_MD_CTX_new());
  unsigned char der[128];
  size_t n = sizeof der;
  if (EVP_DigestSignInit(md.get(), nullptr, EVP_sha256(), nullptr, key.get()) != 1 ||
      EVP_DigestSign(md.get(), der, &n, reinterpret_cast<const unsigned char*>(text.data()), text.size()) != 1)
    return bad_key();
  const unsigned char* p = der;
  SigPtr sig(d2i_ECDSA_SIG(nullptr, &p, static_cast<long>(n)));
  if (!sig) return bad_key();
  std::string raw(2 * kHalf, '\0');
  auto* bytes = reinterpret_cast<unsigned char*>(raw.data());
  BN_bn2binpad(ECDSA_SIG_get0_r(sig.get()), bytes, kHalf);
  BN_bn2binpad(ECDSA_SIG_get0_s(sig.get()), bytes + kHalf, kHalf);
  return text + "." + base64url_encode(raw);
}

Result<json::Node> verify_jwt(std::string_view token, const std::vector<std::string>& public_keys_pem) {
  if (token.size() > kMaxTokenBytes) return refused("longer than " + std::to_string(kMaxTokenBytes) + " bytes");
  auto parts = split(token, '.');
  if (parts.size() != 3) return refused("not a JSON web token");
  auto header = base64_decode(parts[0]), body = base64_decode(parts[1]), raw = base64_decode(parts[2]);
  if (!header || !body || !raw) return refused("not a JSON web token");
  auto head = json::Node::parse(*header);
  bool rs256 = head.ok() && head->get("alg").str() == "RS256";
  if (!head.ok() || (!rs256 && head->get("alg").str() != "ES256")) return refused("its signing algorithm is neither ES256 nor RS256");
  std::string_view signed_text = token.substr(0, parts[0].size() + 1 + parts[1].size());
  for (const std::string& pem : public_keys_pem) {
    KeyPtr key = public_key(pem);
    if (!key || !signature_is_good(key.get(), rs256, signed_text, *raw)) continue;
    auto claims = json::Node::parse(*body);
    if (!claims.ok() || !claims->is_object()) return refused("its claims are not a JSON object");
    return claims;
  }
  ERR_clear_error();
  return refused("invalid signature: it was not signed by this cluster");
}

Result<> check_times(const json::Node& claims, Instant now, Duration leeway) {
  int64_t t = now.us / 1'000'000, slack = std::chrono::duration_cast<seconds>(leeway).count();
  if (claims.get("exp").exists() && claims.get("exp").int_or(0) + slack < t) return refused("it has expired");
  if (claims.get("nbf").exists() && claims.get("nbf").int_or(0) - slack > t) return refused("it is not valid yet");
  return {};
}

}  // namespace k8lite::pki
