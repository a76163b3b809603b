#include "pki/jwt.h"

#include <catch2/catch.hpp>

#include "base/strings.h"

using namespace k8lite;
using namespace k8lite::pki;

TEST_CASE("jwt: what was signed is read back, what was changed or signed by others is refused") {
  std::string key = create_signing_key().value(), other = create_signing_key().value();
  std::string pub = public_key_of(key).value();
  json::Node claims = json::Node::obj({{"sub", "x"}, {"exp", 2000}, {"nbf", 1000}});
  std::string token = sign_jwt(claims, key).value();
  CHECK(verify_jwt(token, {public_key_of(other).value(), pub}).value() == claims);
  CHECK(!verify_jwt(token, {public_key_of(other).value()}).ok());
  for (size_t i = 0; i < token.size(); i += 7) {
    std::string changed = token;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    CHECK(!verify_jwt(changed, {pub}).ok());
  }
  auto parts = split(token, '.');
  std::string none = base64url_encode(R"({"alg":"none"})") + "." + std::string(parts[1]) + ".";
  CHECK(!verify_jwt(none, {pub}).ok());
  CHECK(!verify_jwt("a.b.c", {pub}).ok());
  CHECK(check_times(claims, {1'500'000'000}).ok());
  CHECK(!check_times(claims, {3'000'000'000}).ok());
  CHECK(!check_times(claims, {500'000'000}).ok());
  json::Node jwk = json_web_key(pub).value();
  CHECK(jwk.get("kid").str() == key_id(pub).value());
  CHECK(base64_decode(jwk.get("x").str())->size() == 32);
}
