// Certificate signing requests for tests, as openssl req makes them.
#pragma once
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <string>
#include <vector>

namespace k8lite::testing {

struct MadeRequest {
  std::string key_pem, request_pem;
};

// `alternatives` as OpenSSL writes them: "DNS:a,IP:10.0.0.1,email:x@y,URI:https://z".
inline MadeRequest make_request(const std::string& common_name, const std::vector<std::string>& organizations = {},
                                const std::string& alternatives = "") {
  auto text = [](BIO* bio) {
    char* data = nullptr;
    long n = BIO_get_mem_data(bio, &data);
    std::string out(data, static_cast<size_t>(n));
    BIO_free(bio);
    return out;
  };
  auto add = [](X509_NAME* name, const char* field, const std::string& value) {
    X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(value.data()),
                               static_cast<int>(value.size()), -1, 0);
  };
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509_REQ* request = X509_REQ_new();
  X509_NAME* subject = X509_REQ_get_subject_name(request);
  for (const auto& o : organizations) add(subject, "O", o);
  add(subject, "CN", common_name);
  if (!alternatives.empty()) {
    STACK_OF(X509_EXTENSION)* list = sk_X509_EXTENSION_new_null();
    sk_X509_EXTENSION_push(list, X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, alternatives.c_str()));
    X509_REQ_add_extensions(request, list);
    sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
  }
  X509_REQ_set_pubkey(request, key);
  X509_REQ_sign(request, key, EVP_sha256());
  BIO *key_out = BIO_new(BIO_s_mem()), *request_out = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(key_out, key, nullptr, nullptr, 0, nullptr, nullptr);
  PEM_write_bio_X509_REQ(request_out, request);
  X509_REQ_free(request);
  EVP_PKEY_free(key);
  return {text(key_out), text(request_out)};
}

}  // namespace k8lite::testing
