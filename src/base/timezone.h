// Local time by the machine's time zone database (TZif, RFC 8536), without touching the process-wide TZ.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace k8lite {

class TimeZone {
 public:
  // "Europe/Berlin", "UTC"; from $ZONEINFO or the usual folders. NotFound where the name is unknown or the machine has no database.
  static Result<TimeZone> load(const std::string& name);
  static Result<TimeZone> parse(std::string_view tzif);
  static TimeZone utc() { return {}; }
  // Seconds east of UTC at this moment (seconds since 1970).
  int64_t offset_at(int64_t utc) const;

 private:
  struct Transition {
    int64_t at, offset;
  };
  // The rule for times behind the last transition: "CET-1CEST,M3.5.0,M10.5.0/3".
  struct Rule {
    bool has_summer = false;
    int64_t standard = 0, summer = 0;
    struct Day {
      char kind = 'M';  // M month.week.day, J 1…365 without leap day, 0 0…365
      int month = 0, week = 0, day = 0;
      int64_t time = 7200;
    } start, end;
  };
  static bool parse_rule(std::string_view text, Rule& rule);
  static int64_t rule_day(const Rule::Day& day, int64_t year);  // seconds since 1970, local standard of the caller
  int64_t first_offset_ = 0;
  std::vector<Transition> transitions_;
  bool has_rule_ = false;
  Rule rule_;
};

struct CivilTime {
  int64_t year = 1970;
  int month = 1, day = 1, hour = 0, minute = 0, second = 0, weekday = 4;  // Sunday is 0
};
CivilTime civil_time(int64_t seconds);  // of seconds since 1970 in the same zone
int64_t days_from_civil(int64_t year, int month, int day);

}  // namespace k8lite
