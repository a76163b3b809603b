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

bool signature_is_good(EVP_PKEY* key, std::string_view signed_text, const std::string& raw) {
  SigPtr sig(ECDSA_SIG_new());
  auto* bytes = reinterpret_cast<const unsigned char*>(raw.data());
  ECDSA_SIG_set0(sig.get(), BN_bin2bn(bytes, kHalf, nullptr), BN_bin2bn(bytes + kHalf, kHalf, nullptr));
  unsigned char* der = nullptr;
  int n = i2d_ECDSA_SIG(sig.get(), &der);
  if (n <= 0) return false;
  MdPtr md(EVP_MD_CTX_new());
  bool good = EVP_DigestVerifyInit(md.get(), nullptr, EVP_sha256(), nullptr, key) == 1 &&
              EVP_DigestVerify(md.get(), der, static_cast<size_t>(n), reinterpret_cast<const unsigned char*>(signed_text.data()), signed_text.size()) == 1;
  OPENSSL_free(der);
  ERR_clear_error();
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
  auto coordinate = [&key](const char* name) {
    BIGNUM* n = nullptr;
    std::string out(kHalf, '\0');
    if (EVP_PKEY_get_bn_param(key.get(), name, &n) == 1) BN_bn2binpad(n, reinterpret_cast<unsigned char*>(out.data()), kHalf);
    BN_free(n);
    return base64url_encode(out);
  };
  TRY(std::string id, key_id(public_key_pem));
  return json::Node::obj({{"use", "sig"}, {"kty", "EC"}, {"kid", id}, {"crv", "P-256"}, {"alg", "ES256"},
                          {"x", coordinate(OSSL_PKEY_PARAM_EC_PUB_X)}, {"y", coordinate(OSSL_PKEY_PARAM_EC_PUB_Y)}});
}

Result<std::string> sign_jwt(const json::Node& claims, std::string_view private_key_pem) {
  KeyPtr key = private_key(private_key_pem);
  if (!key) return bad_key();
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
  if (!header || !body || !raw || raw->size() != 2 * kHalf) return refused("not a JSON web token");
  auto head = json::Node::parse(*header);
  if (!head.ok() || head->get("alg").str() != "ES256") return refused("its signing algorithm is not ES256");
  std::string_view signed_text = token.substr(0, parts[0].size() + 1 + parts[1].size());
  for (const std::string& pem : public_keys_pem) {
    KeyPtr key = public_key(pem);
    if (!key || !signature_is_good(key.get(), signed_text, *raw)) continue;
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
