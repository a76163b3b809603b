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

TEST_CASE("jwt: a token that an RSA key of another distribution signed can be checked") {
  const std::string key =
    "-----BEGIN PUBLIC KEY-----\n"
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAi+giZWbJLru2SpT+pDGc\n"
    "dH5En9JIx5yOuNdjkRWiOPVATEO5P0iWpv2UuWl2vUZry9yo6QxG0OSZkwObX3qq\n"
    "35wM7yl2PGOXcyHiHdMOk8hoICrM5uonnhalQT1A50+bculdGOmsbm2IlNnUrnew\n"
    "7kck6yXOtPSvuiLURi6KGpgbPXb96fhSAuij7dAKgrXRIlEZQDIPKknHT/YQWkj5\n"
    "6l538LPDSBw7RrYnQ15HO7tinEUoWHtqZYQKH+fTwNYMNdTHu71B9d56c+t9QD26\n"
    "gXycQB25KZj9NlWLbQcVOlEcYjcjkmnnYj6qF5REzN6simqjLLahzVHdE+0RqSWf\n"
    "eQIDAQAB\n"
    "-----END PUBLIC KEY-----\n";
  const std::string token =
      "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.eyJpc3MiOiJrdWJlcm5ldGVzL3NlcnZpY2VhY2NvdW50Iiwic3ViIjoic3lzdGVtOnNlcnZpY2VhY2NvdW50OmRlZmF1bHQ6Y2kifQ.dZvKs9a821Eyx33rWVeSkVJ3xkhWIsBeLq5Hjg3iBAWC1CuKb_G8Cqu3c52KJDqb_ZKdzNPl-J1Q0GxMjxbLEXsAn8xxmAvghNfPOxcrhv7oIVqUbbDnI0ySDJvXkv1uZnMIjrTZUkdnXWuFZZBqOKwsVmjgmpp50URf_PEkwoFlsnxl5LX0qgVk8OqsncbuhcEFjfG5BSb4acz_I5tBjtRlWnb7V5qu7sK5ogHehRJAams_0J2TEefUG-q42xA0HYFDwFO9v22QC3rpv-XLtBk_MCbbsUFCzV6ehQUwvFZiJnkd7i3qbzOUXdUSI7wP75DEpmzLmpho4zbrK3r0EQ";
  auto claims = pki::verify_jwt(token, {pki::public_key_of(pki::create_signing_key().value()).value(), key});
  REQUIRE(claims.ok());
  CHECK(claims->get("sub").str() == "system:serviceaccount:default:ci");
  CHECK_FALSE(pki::verify_jwt(token.substr(0, token.size() - 8) + "AAAAAAAA", {key}).ok());
  CHECK(pki::json_web_key(key)->get("kty").str() == "RSA");
  CHECK(pki::json_web_key(key)->get("e").str() == "AQAB");
}

TEST_CASE("jwt: a file of several keys gives each one's public key") {
  std::string a = pki::create_signing_key().value(), b = pki::create_signing_key().value(), c = pki::public_key_of(pki::create_signing_key().value()).value();
  auto keys = pki::public_keys_in(a + "# the one before\n" + b + c);
  REQUIRE(keys.ok());
  CHECK(*keys == std::vector<std::string>{pki::public_key_of(a).value(), pki::public_key_of(b).value(), c});
  for (const char* bad : {"", "no key", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"}) CHECK_FALSE(pki::public_keys_in(bad).ok());
}
