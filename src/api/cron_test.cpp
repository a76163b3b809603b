#include "api/cron.h"

#include <catch2/catch.hpp>

using namespace k8lite;
using api::CronSchedule;

namespace {
std::string next(const char* schedule, const char* after, const TimeZone& zone = TimeZone::utc()) {
  auto s = CronSchedule::parse(schedule);
  REQUIRE(s.ok());
  auto t = s->next(*parse_rfc3339(after), zone);
  return t ? rfc3339(*t) : "never";
}

// Berlin's rule alone, as a TZif file without transitions.
TimeZone berlin() {
  std::string block("TZif2", 5);
  block += std::string(15, '\0');
  auto number = [&block](uint32_t n) {
    for (int shift = 24; shift >= 0; shift -= 8) block += static_cast<char>(n >> shift & 0xff);
  };
  for (uint32_t n : {0, 0, 0, 0, 1, 4}) number(n);
  std::string header = block, body("\0\0\x0e\x10\0\0CET\0", 10);
  std::string file = header + body + header + body + "\nCET-1CEST,M3.5.0,M10.5.0/3\n";
  auto zone = TimeZone::parse(file);
  REQUIRE(zone.ok());
  return *zone;
}
}  // namespace

TEST_CASE("cron: the next time of a schedule") {
  struct Row { const char *schedule, *after, *next; };
  for (auto r : {Row{"* * * * *", "2026-11-21T10:00:00Z", "2026-11-21T10:01:00Z"}, {"* * * * *", "2026-11-21T10:00:59Z", "2026-11-21T10:01:00Z"}, {"*/15 * * * *", "2026-11-21T10:50:00Z", "2026-11-21T11:00:00Z"},
                 {"5,10-12 3 * * *", "2026-11-21T03:10:00Z", "2026-11-21T03:11:00Z"}, {"0 0 31 * *", "2026-11-21T00:00:00Z", "2026-12-31T00:00:00Z"}, {"0 0 29 2 *", "2026-11-21T00:00:00Z", "2028-02-29T00:00:00Z"},
                 {"0 9 * * mon-fri", "2026-11-21T00:00:00Z", "2026-11-23T09:00:00Z"}, {"0 0 13 * 5", "2026-11-21T00:00:00Z", "2026-11-27T00:00:00Z"}, {"0 0 */2 * 5", "2026-11-21T00:00:00Z", "2026-11-23T00:00:00Z"},
                 {"0 12 1 JAN ?", "2026-11-21T00:00:00Z", "2027-01-01T12:00:00Z"}, {"10/20 * * * *", "2026-11-21T10:31:00Z", "2026-11-21T10:50:00Z"}, {"0 0 30 2 *", "2026-11-21T00:00:00Z", "never"},
                 {"@hourly", "2026-11-21T10:00:00Z", "2026-11-21T11:00:00Z"}, {"@weekly", "2026-11-21T10:00:00Z", "2026-11-22T00:00:00Z"}, {"@yearly", "2026-11-21T10:00:00Z", "2027-01-01T00:00:00Z"}, {"@every 90s", "2026-11-21T10:00:00Z", "2026-11-21T10:01:30Z"}}) {
    CAPTURE(r.schedule, r.after);
    CHECK(next(r.schedule, r.after) == r.next);
  }
}

TEST_CASE("cron: what is no schedule says which field is wrong") {
  for (auto* bad : {"", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "5-1 * * * *", "*/0 * * * *", "a * * * *", "@never", "@every x", "TZ=UTC * * * * *", "1-2-3 * * * *", "1/2/3 * * * *", "-1 * * * *", "*-5 * * * *"}) {
    CAPTURE(bad);
    CHECK(!CronSchedule::parse(bad).ok());
  }
  CHECK(CronSchedule::parse("* 24 * * *").status().message() == "hour 24: must lie between 0 and 23");
}

TEST_CASE("cron: local time where the clock changes") {
  TimeZone zone = berlin();
  CHECK(zone.offset_at(parse_rfc3339("2026-01-15T00:00:00Z")->us / 1'000'000) == 3600);
  CHECK(zone.offset_at(parse_rfc3339("2026-07-15T00:00:00Z")->us / 1'000'000) == 7200);
  CHECK(zone.offset_at(parse_rfc3339("2026-03-29T00:59:59Z")->us / 1'000'000) == 3600);
  CHECK(zone.offset_at(parse_rfc3339("2026-03-29T01:00:00Z")->us / 1'000'000) == 7200);
  CHECK(zone.offset_at(parse_rfc3339("2026-10-25T00:59:59Z")->us / 1'000'000) == 7200);
  CHECK(zone.offset_at(parse_rfc3339("2026-10-25T01:00:00Z")->us / 1'000'000) == 3600);
  CHECK(next("0 9 * * *", "2026-07-01T08:00:00Z", zone) == "2026-07-02T07:00:00Z");
  CHECK(next("0 9 * * *", "2026-12-01T09:00:00Z", zone) == "2026-12-02T08:00:00Z");
  CHECK(next("30 2 * * *", "2026-03-28T12:00:00Z", zone) == "2026-03-30T00:30:00Z");  // 02:30 does not happen on the 29th
  CHECK(next("30 2 * * *", "2026-10-24T12:00:00Z", zone) == "2026-10-25T00:30:00Z");
  CHECK(next("30 2 * * *", "2026-10-25T00:30:00Z", zone) == "2026-10-26T01:30:00Z");  // and once on the day that has it twice
  CHECK(next("0 * * * *", "2026-10-25T00:00:00Z", zone) == "2026-10-25T01:00:00Z");
  CHECK(!TimeZone::parse("TZif").ok());
  CHECK(!TimeZone::load("../etc/passwd").ok());
  CHECK(!TimeZone::load("No/Where").ok());
}
