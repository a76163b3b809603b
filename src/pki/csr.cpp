#include "pki/csr.h"

#include <arpa/inet.h>
#include <openssl/err.h>
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
  void operator()(T* p) const {
    fn(p);
  }
};
using Bio = std::unique_ptr<BIO, Free<BIO_free>>;
using Request = std::unique_ptr<X509_REQ, Free<X509_REQ_free>>;
using Cert = std::unique_ptr<X509, Free<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;

struct Usage {
  const char* name;  // of the API
  const char* key;   // OpenSSL's name of the key usage, or
  const char* extended;
};
constexpr Usage kUsages[] = {
    {"signing", "digitalSignature", nullptr},
    {"digital signature", "digitalSignature", nullptr},
    {"content commitment", "nonRepudiation", nullptr},
    {"key encipherment", "keyEncipherment", nullptr},
    {"key agreement", "keyAgreement", nullptr},
    {"data encipherment", "dataEncipherment", nullptr},
    {"cert sign", "keyCertSign", nullptr},
    {"crl sign", "cRLSign", nullptr},
    {"encipher only", "encipherOnly", nullptr},
    {"decipher only", "decipherOnly", nullptr},
    {"any", nullptr, "anyExtendedKeyUsage"},
    {"server auth", nullptr, "serverAuth"},
    {"client auth", nullptr, "clientAuth"},
    {"code signing", nullptr, "codeSigning"},
    {"email protection", nullptr, "emailProtection"},
    {"s/mime", nullptr, "emailProtection"},
    {"ipsec end system", nullptr, "ipsecEndSystem"},
    {"ipsec tunnel", nullptr, "ipsecTunnel"},
    {"ipsec user", nullptr, "ipsecUser"},
    {"timestamping", nullptr, "timeStamping"},
    {"ocsp signing", nullptr, "OCSPSigning"},
    {"microsoft sgc", nullptr, "msSGC"},
    {"netscape sgc", nullptr, "nsSGC"},
};

const Usage* find_usage(std::string_view name) {
  for (const Usage& u : kUsages)
    if (name == u.name) return &u;
  return nullptr;
}

Status ssl_error(const std::string& what) {
  char text[256] = "unknown error";
  if (unsigned long code = ERR_get_error()) ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return internal_error(what + ": " + text);
}

Result<Request> read_request(std::string_view pem) {
  constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE REQUEST-----";
  if (pem.find(kBegin) == pem.npos) return bad_request("PEM block type must be CERTIFICATE REQUEST");
  Bio in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  Request request(PEM_read_bio_X509_REQ(in.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  if (!request) return bad_request("the PEM block holds no certificate request");
  return request;
}

std::vector<std::string> names(X509_NAME* subject, int nid) {
  std::vector<std::string> out;
  for (int i = -1; (i = X509_NAME_get_index_by_NID(subject, nid, i)) >= 0;) {
    unsigned char* text = nullptr;
    int n = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i)));
    if (n >= 0) out.emplace_back(reinterpret_cast<char*>(text), static_cast<size_t>(n));
    OPENSSL_free(text);
  }
  return out;
}

struct Extensions {
  STACK_OF(X509_EXTENSION) * list;
  explicit Extensions(X509_REQ* r) : list(X509_REQ_get_extensions(r)) { ERR_clear_error(); }
  ~Extensions() { sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free); }
  Extensions(const Extensions&) = delete;
};

void read_name(const GENERAL_NAME* n, ParsedRequest& out) {
  const ASN1_STRING* s = n->type == GEN_DNS     ? n->d.dNSName
                         : n->type == GEN_IPADD ? n->d.iPAddress
                         : n->type == GEN_EMAIL ? n->d.rfc822Name
                         : n->type == GEN_URI   ? n->d.uniformResourceIdentifier
                                                : nullptr;
  if (!s) return;
  const unsigned char* data = ASN1_STRING_get0_data(s);
  int size = ASN1_STRING_length(s);
  std::string text(reinterpret_cast<const char*>(data), static_cast<size_t>(size));
  if (n->type == GEN_DNS)
    out.dns_names.push_back(text);
  else if (n->type == GEN_EMAIL)
    out.emails.push_back(text);
  else if (n->type == GEN_URI)
    out.uris.push_back(text);
  else if (char address[INET6_ADDRSTRLEN]; size == 4 || size == 16) {
    inet_ntop(size == 4 ? AF_INET : AF_INET6, data, address, sizeof address);
    out.addresses.emplace_back(address);
  }
}

bool add_extension(X509* cert, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
  X509_EXTENSION* e = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  bool ok = e && X509_add_ext(cert, e, -1);
  X509_EXTENSION_free(e);
  return ok;
}

// The key usages and extended key usages of the policy, as OpenSSL writes them.
bool add_usages(X509* cert, X509* ca, const std::vector<std::string>& usages) {
  std::string key, extended;
  for (const auto& name : usages) {
    const Usage* u = find_usage(name);
    if (!u) continue;
    std::string& list = u->key ? key : extended;
    std::string text = u->key ? u->key : u->extended;
    if (("," + list + ",").find("," + text + ",") == std::string::npos) list += (list.empty() ? "" : ",") + text;
  }
  return (key.empty() || add_extension(cert, ca, NID_key_usage, "critical," + key)) &&
         (extended.empty() || add_extension(cert, ca, NID_ext_key_usage, extended));
}

bool copy_alternative_names(X509* cert, const Extensions& from) {
  int at = from.list ? X509v3_get_ext_by_NID(from.list, NID_subject_alt_name, -1) : -1;
  return at < 0 || X509_add_ext(cert, X509v3_get_ext(from.list, at), -1);
}

bool set_times(X509* cert, const X509* ca, Duration valid_for, Instant now) {
  constexpr Duration kBackdate = seconds(300);
  time_t from = std::max<int64_t>(0, (now - kBackdate).us / 1'000'000), to = (now + valid_for).us / 1'000'000;
  if (!ASN1_TIME_set(X509_getm_notBefore(cert), from) || !ASN1_TIME_set(X509_getm_notAfter(cert), to)) return false;
  return ASN1_TIME_compare(X509_get0_notAfter(cert), X509_get0_notAfter(ca)) <= 0 ||
         X509_set1_notAfter(cert, X509_get0_notAfter(ca));
}

}  // namespace

bool is_key_usage(std::string_view name) { return find_usage(name) != nullptr; }

Result<ParsedRequest> parse_request(std::string_view pem) {
  TRY(Request request, read_request(pem));
  ParsedRequest out;
  X509_NAME* subject = X509_REQ_get_subject_name(request.get());
  auto cn = names(subject, NID_commonName);
  if (!cn.empty()) out.common_name = cn.back();
  out.organizations = names(subject, NID_organizationName);
  Extensions extensions(request.get());
  if (!extensions.list) return out;
  auto* list = static_cast<GENERAL_NAMES*>(X509V3_get_d2i(extensions.list, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(list); ++i) read_name(sk_GENERAL_NAME_value(list, i), out);
  GENERAL_NAMES_free(list);
  return out;
}

Result<std::string> sign_request(const KeyPair& ca, std::string_view request_pem, const SigningPolicy& policy,
                                 Instant now) {
  Bio in(BIO_new_mem_buf(ca.certificate_pem.data(), static_cast<int>(ca.certificate_pem.size()))),
      key_in(BIO_new_mem_buf(ca.key_pem.data(), static_cast<int>(ca.key_pem.size())));
  Cert issuer(PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr));
  Key key(PEM_read_bio_PrivateKey(key_in.get(), nullptr, nullptr, nullptr));
  if (!issuer || !key) return ssl_error("CA");
  TRY(Request request, read_request(request_pem));
  EVP_PKEY* subject_key = X509_REQ_get0_pubkey(request.get());
  if (!subject_key || X509_REQ_verify(request.get(), subject_key) != 1) {
    ERR_clear_error();
    return bad_request("unable to verify certificate request signature");
  }
  Cert cert(X509_new());
  unsigned char serial[16];
  RAND_bytes(serial, sizeof serial);
  serial[0] &= 0x7f;  // positive, RFC 5280 §4.1.2.2
  std::unique_ptr<BIGNUM, Free<BN_free>> number(BN_bin2bn(serial, sizeof serial, nullptr));
  Extensions extensions(request.get());
  bool ok = cert && X509_set_version(cert.get(), X509_VERSION_3) &&
            BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(cert.get())) &&
            X509_set_subject_name(cert.get(), X509_REQ_get_subject_name(request.get())) &&
            X509_set_issuer_name(cert.get(), X509_get_subject_name(issuer.get())) &&
            X509_set_pubkey(cert.get(), subject_key) && set_times(cert.get(), issuer.get(), policy.valid_for, now) &&
            add_extension(cert.get(), issuer.get(), NID_basic_constraints, "critical,CA:FALSE") &&
            add_extension(cert.get(), issuer.get(), NID_authority_key_identifier, "keyid") &&
            add_usages(cert.get(), issuer.get(), policy.usages) && copy_alternative_names(cert.get(), extensions) &&
            X509_sign(cert.get(), key.get(), EVP_sha256());
  if (!ok) return ssl_error("sign certificate request");
  Bio out(BIO_new(BIO_s_mem()));
  if (!PEM_write_bio_X509(out.get(), cert.get())) return ssl_error("write PEM");
  char* data = nullptr;
  long n = BIO_get_mem_data(out.get(), &data);
  return std::string(data, static_cast<size_t>(n));
}

}  // namespace k8lite::pki
