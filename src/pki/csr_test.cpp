// Certificate signing requests: what is read from one, and what a signed one holds.
#include "pki/csr.h"

#include <catch2/catch.hpp>

#include "support/csr.h"

using namespace k8lite;
using testing::make_request;

namespace {
const Instant kNow{1'800'000'000'000'000};
const pki::KeyPair& ca() {
  static const pki::KeyPair made = pki::create_ca("test-ca", kNow, seconds(3 * 24 * 3600)).value();
  return made;
}
}  // namespace

TEST_CASE("csr: the subject and every alternative name are read") {
  auto made = make_request("ann", {"dev", "ops"}, "DNS:a.example,IP:10.0.0.1,IP:fd00::1,email:x@y.z,URI:https://u");
  auto r = pki::parse_request(made.request_pem);
  REQUIRE(r.ok());
  CHECK(r->common_name == "ann");
  CHECK(r->organizations == std::vector<std::string>{"dev", "ops"});
  CHECK(r->dns_names == std::vector<std::string>{"a.example"});
  CHECK(r->addresses == std::vector<std::string>{"10.0.0.1", "fd00::1"});
  CHECK(r->emails == std::vector<std::string>{"x@y.z"});
  CHECK(r->uris == std::vector<std::string>{"https://u"});
}

TEST_CASE("csr: what is no request is refused") {
  CHECK(pki::parse_request("").status().message() == "PEM block type must be CERTIFICATE REQUEST");
  CHECK(pki::parse_request(ca().certificate_pem).status().is(Reason::BadRequest));
  CHECK(pki::parse_request("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n")
            .status()
            .is(Reason::BadRequest));
}

TEST_CASE("csr: a signed certificate has the request's names, the policy's usages and life, and is no CA") {
  auto made = make_request("system:node:edge", {"system:nodes"}, "DNS:edge,IP:10.0.0.1");
  auto pem = pki::sign_request(ca(), made.request_pem, {{"digital signature", "server auth"}, seconds(3600)}, kNow);
  REQUIRE(pem.ok());
  auto info = pki::read_certificate(*pem);
  REQUIRE(info.ok());
  CHECK(info->common_name == "system:node:edge");
  CHECK(info->organizations == std::vector<std::string>{"system:nodes"});
  CHECK(info->dns_names == std::vector<std::string>{"edge"});
  CHECK(info->addresses == std::vector<std::string>{"10.0.0.1"});
  CHECK_FALSE(info->is_ca);
  CHECK(info->not_after == kNow + seconds(3600));
  CHECK(info->not_before < kNow);
  CHECK(pki::verify(*pem, ca().certificate_pem, kNow).ok());
  CHECK_FALSE(pki::verify(*pem, ca().certificate_pem, kNow + seconds(3601)).ok());
}

TEST_CASE("csr: no certificate outlives its CA") {
  auto pem =
      pki::sign_request(ca(), make_request("ann").request_pem, {{"client auth"}, seconds(365 * 24 * 3600)}, kNow);
  REQUIRE(pem.ok());
  CHECK(pki::read_certificate(*pem)->not_after == pki::read_certificate(ca().certificate_pem)->not_after);
}

TEST_CASE("csr: usages go by the API's names") {
  for (const char* good : {"client auth", "server auth", "digital signature", "key encipherment", "any", "s/mime"})
    CHECK(pki::is_key_usage(good));
  for (const char* bad : {"", "clientAuth", "root"}) CHECK_FALSE(pki::is_key_usage(bad));
}
