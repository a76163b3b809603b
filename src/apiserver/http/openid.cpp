#include "apiserver/http/openid.h"

#include <algorithm>

#include "base/json.h"
#include "pki/jwt.h"

namespace k8lite::apiserver {

using json::Node;

Result<std::string> openid_configuration(const std::string& issuer, const std::string& server_address, const std::vector<std::string>& public_keys_pem) {
  Node algorithms = Node::array();
  for (const auto& pem : public_keys_pem) {
    TRY(Node key, pki::json_web_key(pem));
    const auto& known = algorithms.items();
    if (std::find(known.begin(), known.end(), key.get("alg")) == known.end()) algorithms.append(key.get("alg"));
  }
  return Node::obj({{"issuer", issuer},
                    {"jwks_uri", "https://" + server_address + std::string(kKeySetPath)},
                    {"response_types_supported", Node::arr({"id_token"})},
                    {"subject_types_supported", Node::arr({"public"})},
                    {"id_token_signing_alg_values_supported", std::move(algorithms)}})
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
