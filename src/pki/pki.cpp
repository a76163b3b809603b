#include "pki/pki.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>

#include "base/strings.h"

namespace k8lite::pki {
namespace {

template <auto fn>
struct Free {
  template <class T>
  void operator()(T* p) const { fn(p); }
};
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using Cert = std::unique_ptr<X509, Free<X509_free>>;
using Bio = std::unique_ptr<BIO, Free<BIO_free>>;

constexpr Duration kBackdate = seconds(3600);  // clocks of nodes may lag this far behind the server's

Status ssl_error(std::string what) {
  char text[256] = "unknown error";
  if (unsigned long code = ERR_get_error()) ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return internal_error(what + ": " + text);
}

std::string drain(BIO* bio) {
  char* data = nullptr;
  long n = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<size_t>(n));
}

Result<Cert> parse_cert(std::string_view pem) {
  Bio in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  Cert cert(PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  if (!cert) return bad_request("not a PEM certificate");
  return cert;
}

Result<Key> parse_key(std::string_view pem) {
  Bio in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  Key key(PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  if (!key) return bad_request("not a PEM private key");
  return key;
}

Result<KeyPair> to_pem(X509* cert, EVP_PKEY* key) {
  Bio c(BIO_new(BIO_s_mem())), k(BIO_new(BIO_s_mem()));
  if (!PEM_write_bio_X509(c.get(), cert) || !PEM_write_bio_PrivateKey(k.get(), key, nullptr, nullptr, 0, nullptr, nullptr))
    return ssl_error("write PEM");
  return KeyPair{drain(c.get()), drain(k.get())};
}

bool add_extension(X509* cert, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
  X509_EXTENSION* e = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  bool ok = e && X509_add_ext(cert, e, -1);
  X509_EXTENSION_free(e);
  return ok;
}

bool add_name(X509_NAME* name, const char* field, const std::string& value) {
  return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(value.data()), static_cast<int>(value.size()), -1, 0);
}

// A clock before this was never set: a Pi has none of its own until the network tells it the time. What such a clock signs must not be
// out of date as soon as it is set right.
constexpr Instant kClockIsSet{1'700'000'000'000'000};  // November 2023
constexpr Duration kUnknownLife = seconds(int64_t{25} * 365 * 24 * 3600);

Instant end_of_life(Instant now, Duration valid_for) { return now < kClockIsSet ? kClockIsSet + kUnknownLife : now + valid_for; }

// A certificate with everything but extensions and signature.
Result<Cert> blank(EVP_PKEY* key, const std::string& common_name, const std::vector<std::string>& organizations, Instant now, Duration valid_for) {
  Cert cert(X509_new());
  unsigned char serial[16];
  RAND_bytes(serial, sizeof serial);
  serial[0] &= 0x7f;  // positive, RFC 5280 §4.1.2.2
  std::unique_ptr<BIGNUM, Free<BN_free>> number(BN_bin2bn(serial, sizeof serial, nullptr));
  Instant from{std::max<int64_t>(0, (now - kBackdate).us)};
  bool ok = cert && X509_set_version(cert.get(), X509_VERSION_3) && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(cert.get())) &&
            ASN1_TIME_set(X509_getm_notBefore(cert.get()), from.us / 1'000'000) &&
            ASN1_TIME_set(X509_getm_notAfter(cert.get()), end_of_life(now, valid_for).us / 1'000'000) && X509_set_pubkey(cert.get(), key);
  X509_NAME* subject = ok ? X509_get_subject_name(cert.get()) : nullptr;
  for (const auto& o : organizations) ok = ok && add_name(subject, "O", o);
  ok = ok && add_name(subject, "CN", common_name);
  if (!ok) return ssl_error("certificate for " + common_name);
  return cert;
}

Result<Instant> to_instant(const ASN1_TIME* t) {
  tm parts{};
  if (!ASN1_TIME_to_tm(t, &parts)) return bad_request("the certificate has no valid time");
  return Instant{int64_t{timegm(&parts)} * 1'000'000};
}

std::vector<std::string> names(X509* cert, int nid) {
  std::vector<std::string> out;
  X509_NAME* subject = X509_get_subject_name(cert);
  for (int i = -1; (i = X509_NAME_get_index_by_NID(subject, nid, i)) >= 0;) {
    const ASN1_STRING* s = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i));
    out.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(s)), static_cast<size_t>(ASN1_STRING_length(s)));
  }
  return out;
}

void read_alternative_names(X509* cert, CertificateInfo& info) {
  auto* list = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(cert, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(list); ++i) {
    const GENERAL_NAME* n = sk_GENERAL_NAME_value(list, i);
    const ASN1_STRING* s = n->type == GEN_DNS ? n->d.dNSName : n->type == GEN_IPADD ? n->d.iPAddress : nullptr;
    if (!s) continue;
    int size = ASN1_STRING_length(s);
    if (n->type == GEN_DNS) {
      info.dns_names.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(s)), static_cast<size_t>(size));
    } else if (char text[INET6_ADDRSTRLEN]; size == 4 || size == 16) {
      inet_ntop(size == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(s), text, sizeof text);
      info.addresses.emplace_back(text);
    }
  }
  GENERAL_NAMES_free(list);
}

}  // namespace

Result<KeyPair> create_ca(const std::string& common_name, Instant now, Duration valid_for) {
  Key key(EVP_EC_gen("P-256"));
  if (!key) return ssl_error("create key");
  TRY(Cert cert, blank(key.get(), common_name, {}, now, valid_for));
  X509_set_issuer_name(cert.get(), X509_get_subject_name(cert.get()));
  bool ok = add_extension(cert.get(), cert.get(), NID_basic_constraints, "critical,CA:TRUE") &&
            add_extension(cert.get(), cert.get(), NID_key_usage, "critical,digitalSignature,keyCertSign,cRLSign") &&
            add_extension(cert.get(), cert.get(), NID_subject_key_identifier, "hash") && X509_sign(cert.get(), key.get(), EVP_sha256());
  if (!ok) return ssl_error("create CA " + common_name);
  return to_pem(cert.get(), key.get());
}

Result<KeyPair> issue(const KeyPair& ca, const CertificateRequest& request, Instant now) {
  TRY(Cert ca_cert, parse_cert(ca.certificate_pem).within("CA"));
  TRY(Key ca_key, parse_key(ca.key_pem).within("CA"));
  if (X509_check_private_key(ca_cert.get(), ca_key.get()) != 1) {
    ERR_clear_error();
    return bad_request("CA: the key does not belong to the certificate");
  }
  std::string alternatives;
  auto add = [&alternatives](const char* kind, const std::string& v) { alternatives.append(alternatives.empty() ? "" : ",").append(kind).append(v); };
  for (const auto& d : request.dns_names) {
    if (!is_dns_subdomain(d.starts_with("*.") ? std::string_view(d).substr(2) : d)) return bad_request("\"" + d + "\" is no DNS name");
    add("DNS:", d);
  }
  for (const auto& a : request.addresses) {
    unsigned char raw[16];
    if (inet_pton(AF_INET, a.c_str(), raw) != 1 && inet_pton(AF_INET6, a.c_str(), raw) != 1) return bad_request("\"" + a + "\" is no IP address");
    add("IP:", a);
  }
  std::string usage = request.server && request.client ? "serverAuth,clientAuth" : request.server ? "serverAuth" : request.client ? "clientAuth" : "";

  Key key(EVP_EC_gen("P-256"));
  if (!key) return ssl_error("create key");
  TRY(Cert cert, blank(key.get(), request.common_name, request.organizations, now, request.valid_for));
  X509_set_issuer_name(cert.get(), X509_get_subject_name(ca_cert.get()));
  bool ok = add_extension(cert.get(), ca_cert.get(), NID_basic_constraints, "critical,CA:FALSE") &&
            add_extension(cert.get(), ca_cert.get(), NID_key_usage, "critical,digitalSignature") &&
            add_extension(cert.get(), ca_cert.get(), NID_authority_key_identifier, "keyid") &&
            (usage.empty() || add_extension(cert.get(), ca_cert.get(), NID_ext_key_usage, usage)) &&
            (alternatives.empty() || add_extension(cert.get(), ca_cert.get(), NID_subject_alt_name, alternatives)) &&
            X509_sign(cert.get(), ca_key.get(), EVP_sha256());
  if (!ok) return ssl_error("certificate for " + request.common_name);
  return to_pem(cert.get(), key.get());
}

Result<CertificateInfo> read_certificate(std::string_view pem) {
  TRY(Cert cert, parse_cert(pem));
  CertificateInfo info;
  auto cn = names(cert.get(), NID_commonName);
  if (!cn.empty()) info.common_name = cn.back();
  info.organizations = names(cert.get(), NID_organizationName);
  read_alternative_names(cert.get(), info);
  TRY(info.not_before, to_instant(X509_get0_notBefore(cert.get())));
  TRY(info.not_after, to_instant(X509_get0_notAfter(cert.get())));
  info.is_ca = X509_check_ca(cert.get()) == 1;
  return info;
}

Result<> verify(std::string_view certificate_pem, std::string_view ca_pem, Instant now) {
  TRY(Cert cert, parse_cert(certificate_pem));
  TRY(Cert ca, parse_cert(ca_pem).within("CA"));
  std::unique_ptr<X509_STORE, Free<X509_STORE_free>> store(X509_STORE_new());
  std::unique_ptr<X509_STORE_CTX, Free<X509_STORE_CTX_free>> context(X509_STORE_CTX_new());
  X509_STORE_add_cert(store.get(), ca.get());
  if (!X509_STORE_CTX_init(context.get(), store.get(), cert.get(), nullptr)) return ssl_error("verify");
  X509_STORE_CTX_set_time(context.get(), 0, now.us / 1'000'000);
  if (X509_verify_cert(context.get()) == 1) return {};
  int code = X509_STORE_CTX_get_error(context.get());
  ERR_clear_error();
  return Status(Reason::Unauthorized, std::string("certificate: ") + X509_verify_cert_error_string(code));
}

std::string sha256(std::string_view bytes) {
  unsigned char out[32];
  unsigned n = sizeof out;
  EVP_Digest(bytes.data(), bytes.size(), out, &n, EVP_sha256(), nullptr);
  return std::string(reinterpret_cast<char*>(out), n);
}

std::string hmac_sha256(std::string_view key, std::string_view bytes) {
  unsigned char out[32];
  unsigned n = sizeof out;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), out, &n);
  return std::string(reinterpret_cast<char*>(out), n);
}

bool equal_constant_time(std::string_view a, std::string_view b) { return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0; }

Result<std::string> ca_hash(std::string_view ca_pem) {
  TRY(Cert cert, parse_cert(ca_pem).within("CA"));
  unsigned char* der = nullptr;
  int n = i2d_X509(cert.get(), &der);
  if (n <= 0) return ssl_error("CA");
  std::string hash = to_hex(sha256({reinterpret_cast<char*>(der), static_cast<size_t>(n)}));
  OPENSSL_free(der);
  return hash;
}

std::string ClusterToken::text() const { return ca_hash.empty() ? secret : "K10" + ca_hash + "::" + user + ":" + secret; }

Result<ClusterToken> parse_token(std::string_view text) {
  text = trim(text);
  ClusterToken token;
  if (!text.starts_with("K10")) {
    if (text.empty()) return bad_request("the token is empty");
    if (text.find_first_of(" \t\r\n:") != text.npos) return bad_request("the token has a space or a \":\"; a full one begins with \"K10\"");
    token.secret = text;
    return token;
  }
  size_t end = text.find("::");
  std::string_view hash = text.substr(3, end == text.npos ? 0 : end - 3);
  if (hash.size() != 64 || hash.find_first_not_of("0123456789abcdef") != hash.npos)
    return bad_request("the token is cut short or changed: \"K10\" is followed by 64 hexadecimal digits and \"::\"");
  text.remove_prefix(end + 2);
  size_t colon = text.find(':');
  if (colon == text.npos || colon == 0 || colon + 1 == text.size()) return bad_request("the token is cut short: \"::\" is followed by \"user:secret\"");
  token.ca_hash = hash;
  token.user = text.substr(0, colon);
  token.secret = text.substr(colon + 1);
  return token;
}

}  // namespace k8lite::pki
