#include "apiserver/http/openid.h"

#include "base/json.h"
#include "pki/jwt.h"

namespace k8lite::apiserver {

using json::Node;

std::string openid_configuration(const std::string& issuer, const std::string& server_address) {
  return Node::obj({{"issuer", issuer},
                    {"jwks_uri", "https://" + server_address + std::string(kKeySetPath)},
                    {"response_types_supported", Node::arr({"id_token"})},
                    {"subject_types_supported", Node::arr({"public"})},
                    {"id_token_signing_alg_values_supported", Node::arr({"ES256"})}})
      .dump();
}

Result<std::string> key_set(const std::vector<std::string>& public_keys_pem) {
  Node keys = Node::array();
  for (const auto& pem : public_keys_pem) {
    TRY(Node key, pki::json_web_key(pem));
    keys.append(std::move(key));
  }
  return Node::obj({{"keys", std::move(keys)}}).dump();
}

}  // namespace k8lite::apiserver
