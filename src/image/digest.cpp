#include "image/digest.h"

#include <openssl/evp.h>

namespace k8lite::image {

Digester::Digester() : context_(EVP_MD_CTX_new()) { EVP_DigestInit_ex(static_cast<EVP_MD_CTX*>(context_), EVP_sha256(), nullptr); }
Digester::~Digester() { EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context_)); }
void Digester::update(std::string_view data) { EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_), data.data(), data.size()); }
std::string Digester::finish() {
  unsigned char sum[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_DigestFinal_ex(static_cast<EVP_MD_CTX*>(context_), sum, &size);
  return "sha256:" + to_hex({reinterpret_cast<char*>(sum), size});
}

std::string digest_of(std::string_view data) {
  Digester d;
  d.update(data);
  return d.finish();
}

}  // namespace k8lite::image
