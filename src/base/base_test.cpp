#include <catch2/catch.hpp>

#include "base/clock.h"
#include "base/gunzip.h"
#include "base/quantity.h"
#include "base/random.h"
#include "base/result.h"
#include "base/strings.h"

using namespace k8lite;

TEST_CASE("quantity: canonical text and values") {
  struct Row { const char *in, *out; int64_t value, milli; };
  for (auto row : {Row{"100m", "100m", 1, 100}, {"0.1", "100m", 1, 100}, {"1", "1", 1, 1000}, {"1.5Gi", "1536Mi", 1610612736, 1610612736000},
                   {"1024Ki", "1Mi", 1048576, 1048576000}, {"2e3", "2e3", 2000, 2000000}, {"1000k", "1M", 1000000, 1000000000},
                   {"0", "0", 0, 0}, {"-5", "-5", -5, -5000}, {"1500m", "1500m", 2, 1500}, {"128Mi", "128Mi", 134217728, 134217728000},
                   {"1n", "1n", 1, 1}, {"512", "512", 512, 512000}}) {
    auto q = Quantity::parse(row.in);
    CAPTURE(row.in);
    REQUIRE(q);
    CHECK(q->str() == row.out);
    CHECK(q->value() == row.value);
    CHECK(q->milli_value() == row.milli);
  }
  for (auto* bad : {"", "m", "1x", "1.2.3", "Gi", "1e", "--1", "1 Gi"}) CHECK_FALSE(Quantity::parse(bad));
}

TEST_CASE("clock: times and durations in Kubernetes' forms") {
  auto t = parse_rfc3339("2026-11-21T01:02:03.5+01:00");
  REQUIRE(t);
  CHECK(rfc3339(*t) == "2026-11-21T00:02:03Z");
  CHECK(rfc3339_micro(*t) == "2026-11-21T00:02:03.500000Z");
  CHECK_FALSE(parse_rfc3339("2026-11-21 01:02:03Z"));
  CHECK(parse_go_duration("1h30m") == Duration(5400'000'000));
  CHECK(parse_go_duration("250ms") == Duration(250'000));
  CHECK_FALSE(parse_go_duration("5"));
  CHECK(human_duration(seconds(119)) == "119s");
  CHECK(human_duration(seconds(130)) == "2m10s");
  CHECK(human_duration(seconds(3600 * 50)) == "2d2h");
}

TEST_CASE("strings: base64, url and name rules") {
  CHECK(base64_encode("ab") == "YWI=");
  CHECK(base64url_encode("\xff\xfe") == "__4");
  CHECK(base64_decode("YWI=") == "ab");
  CHECK(base64_decode("__4") == "\xff\xfe");
  CHECK_FALSE(base64_decode("a*b"));
  CHECK(url_decode("a%2Fb%zz") == "a/b%zz");
  CHECK(is_dns_label("web-1"));
  CHECK_FALSE(is_dns_label("Web"));
  CHECK_FALSE(is_dns_label("-a"));
  CHECK(is_dns_subdomain("a.b-c.d"));
  CHECK(is_qualified_name("app.kubernetes.io/name"));
  CHECK_FALSE(is_qualified_name("a/b/c"));
  SeededRandom r(7);
  CHECK(new_uuid(r).size() == 36);
}

TEST_CASE("result: TRY hands the error on with its context") {
  auto inner = []() -> Result<int> { return Status::from_errno("open /x", 2).within("pod default/web"); };
  auto outer = [&]() -> Result<std::string> {
    TRY(int n, inner());
    return std::to_string(n);
  };
  CHECK(outer().status().message() == "pod default/web: open /x: No such file or directory");
  CHECK(outer().status().sys_errno() == 2);
}

TEST_CASE("gunzip: whole, cut, damaged and oversized data") {
  const std::string packed("\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\x48\xcd\xc9\xc9\x57\xc8\x00\x91\x00\x40\xa6\x2d\x01\x0b\x00\x00\x00", 28);
  REQUIRE(gunzip(packed, 11).ok());
  CHECK(*gunzip(packed, 11) == "hello hello");
  CHECK(!gunzip(packed, 10).ok());
  for (size_t n = 0; n < packed.size(); n++) CHECK(!gunzip(std::string_view(packed).substr(0, n), 100).ok());
  std::string damaged = packed;
  damaged[21] ^= 1;
  CHECK(!gunzip(damaged, 100).ok());
}
