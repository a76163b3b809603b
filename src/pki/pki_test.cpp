#include "pki/pki.h"

#include <catch2/catch.hpp>

#include "base/strings.h"

using namespace k8lite;
using namespace k8lite::pki;

namespace {
constexpr Instant kNow{1'700'000'000'000'000};
constexpr Duration kYear = seconds(365 * 24 * 3600);
}  // namespace

TEST_CASE("pki: an issued certificate says who it is for and is believed by its CA alone") {
  auto ca = create_ca("k8lite-server-ca", kNow, kYear * 10), other = create_ca("k8lite-server-ca", kNow, kYear * 10);
  REQUIRE(ca.ok());
  REQUIRE(other.ok());
  CertificateRequest request;
  request.common_name = "system:node:n1";
  request.organizations = {"system:nodes", "x"};
  request.dns_names = {"n1", "*.local"};
  request.addresses = {"10.0.0.1", "fd00::1"};
  request.server = request.client = true;
  auto pair = issue(*ca, request, kNow);
  INFO(pair.status().message());
  REQUIRE(pair.ok());
  auto info = read_certificate(pair->certificate_pem);
  REQUIRE(info.ok());
  CHECK(info->common_name == "system:node:n1");
  CHECK(info->organizations == request.organizations);
  CHECK(info->dns_names == request.dns_names);
  CHECK(info->addresses == request.addresses);
  CHECK(info->not_after == kNow + kYear);
  CHECK(info->not_before == kNow - seconds(3600));
  CHECK_FALSE(info->is_ca);
  CHECK(read_certificate(ca->certificate_pem)->is_ca);

  CHECK(verify(pair->certificate_pem, ca->certificate_pem, kNow).ok());
  CHECK_FALSE(verify(pair->certificate_pem, other->certificate_pem, kNow).ok());
  CHECK_THAT(verify(pair->certificate_pem, ca->certificate_pem, kNow + kYear + seconds(1)).status().message(), Catch::Contains("expired"));
}

TEST_CASE("pki: what a clock of 1970 signs is still believed when the clock is set right") {
  Instant unset{5'000'000};
  auto ca = create_ca("ca", unset, kYear);
  REQUIRE(ca.ok());
  CHECK(read_certificate(ca->certificate_pem)->not_before.us == 0);
  CertificateRequest request;
  request.common_name = "x";
  request.server = true;
  auto pair = issue(*ca, request, unset);
  REQUIRE(pair.ok());
  CHECK(verify(pair->certificate_pem, ca->certificate_pem, unset).ok());
  CHECK(verify(pair->certificate_pem, ca->certificate_pem, kNow + kYear * 5).ok());
}

TEST_CASE("pki: nonsense is refused by name") {
  auto ca = create_ca("ca", kNow, kYear), other = create_ca("ca", kNow, kYear);
  CertificateRequest request;
  request.common_name = "x";
  request.addresses = {"10.0.0"};
  CHECK(issue(*ca, request, kNow).status().message() == "\"10.0.0\" is no IP address");
  request.addresses.clear();
  request.dns_names = {"a,IP:1.2.3.4"};
  CHECK_FALSE(issue(*ca, request, kNow).ok());
  request.dns_names.clear();
  CHECK(issue({ca->certificate_pem, other->key_pem}, request, kNow).status().message() == "CA: the key does not belong to the certificate");
  CHECK(read_certificate("garbage").status().message() == "not a PEM certificate");
}

TEST_CASE("pki: tokens pin the CA, and broken ones say how") {
  auto ca = create_ca("ca", kNow, kYear);
  auto hash = ca_hash(ca->certificate_pem);
  REQUIRE(hash.ok());
  ClusterToken token{*hash, "server", "s3cret"};
  auto again = parse_token(" " + token.text() + "\n");
  REQUIRE(again.ok());
  CHECK(again->ca_hash == *hash);
  CHECK(again->secret == "s3cret");
  CHECK(parse_token("short")->ca_hash.empty());
  for (const std::string& bad : {std::string(""), std::string("two words"), token.text().substr(0, 40), "K10" + *hash + "::server", "K10" + *hash + "::server:"})
    CHECK_FALSE(parse_token(bad).ok());
}

TEST_CASE("pki: digests are those of the standards") {
  CHECK(to_hex(sha256("abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(to_hex(hmac_sha256("Jefe", "what do ya want for nothing?")) == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  CHECK(equal_constant_time("a", "a"));
  CHECK_FALSE(equal_constant_time("a", "b"));
  CHECK_FALSE(equal_constant_time("a", "ab"));
}
