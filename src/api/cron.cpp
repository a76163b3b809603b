#include "api/cron.h"

#include <algorithm>

#include "base/strings.h"

namespace k8lite::api {
namespace {

struct Field {
  const char* name;
  int low, high;
  std::string_view words;  // three letters each, from `low` on
};
constexpr Field kFields[] = {{"minute", 0, 59, ""}, {"hour", 0, 23, ""}, {"day of month", 1, 31, ""}, {"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"}, {"day of week", 0, 6, "sunmontuewedthufrisat"}};
constexpr std::pair<std::string_view, std::string_view> kNamed[] = {
    {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"}, {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"}, {"@midnight", "0 0 * * *"}, {"@hourly", "0 * * * *"},
};

std::optional<int> value_of(const Field& f, std::string_view text) {
  if (auto n = parse_int(text)) return *n >= 0 && *n <= 1000 ? std::optional<int>(static_cast<int>(*n)) : std::nullopt;
  if (text.size() != 3 || f.words.empty()) return {};
  std::string low = k8lite::lower(text);
  for (size_t i = 0; i < f.words.size(); i += 3)
    if (f.words.substr(i, 3) == low) return f.low + static_cast<int>(i / 3);
  return {};
}

Result<uint64_t> parse_field(const Field& f, std::string_view text, bool& any) {
  uint64_t bits = 0;
  any = false;
  auto bad = [&](const std::string& why) { return bad_request(std::string(f.name) + " " + std::string(text) + ": " + why); };
  for (auto part : split(text, ',')) {
    auto halves = split(part, '/');
    if (halves.size() > 2) return bad("too many slashes");
    auto bounds = split(halves[0], '-');
    if (bounds.size() > 2) return bad("too many hyphens");
    int from = f.low, to = f.high, step = 1;
    bool star = bounds[0] == "*" || bounds[0] == "?";
    if (star && bounds.size() == 2) return bad("a range of *");
    if (!star) {
      auto a = value_of(f, bounds[0]), b = bounds.size() == 2 ? value_of(f, bounds[1]) : a;
      if (!a || !b) return bad("not a number");
      from = *a;
      to = bounds.size() == 1 && halves.size() == 2 ? f.high : *b;
    } else if (halves.size() == 1) {
      any = true;
    }
    if (halves.size() == 2) {
      auto s = parse_int(halves[1]);
      if (!s || *s <= 0 || *s > 1000) return bad("the step must be a positive number");
      step = static_cast<int>(*s);
      if (star && step == 1) any = true;
    }
    if (from < f.low || to > f.high) return bad("must lie between " + std::to_string(f.low) + " and " + std::to_string(f.high));
    if (from > to) return bad("the range ends before it begins");
    for (int i = from; i <= to; i += step) bits |= uint64_t{1} << i;
  }
  return bits;
}

}  // namespace

Result<CronSchedule> CronSchedule::parse(std::string_view text) {
  CronSchedule s;
  if (text.starts_with("TZ=") || text.starts_with("CRON_TZ=")) return bad_request("cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
  if (text.starts_with("@every ")) {
    auto d = parse_go_duration(text.substr(7));
    if (!d || *d < seconds(1)) return bad_request("failed to parse duration " + std::string(text));
    s.every_ = *d;
    return s;
  }
  if (text.starts_with("@")) {
    for (auto [name, meaning] : kNamed)
      if (name == text) return parse(meaning);
    return bad_request("unrecognized descriptor: " + std::string(text));
  }
  std::vector<std::string_view> fields;
  for (auto f : split(text, ' '))
    if (!f.empty()) fields.push_back(f);
  if (fields.size() != 5) return bad_request("expected exactly 5 fields, found " + std::to_string(fields.size()) + ": " + std::string(text));
  bool any = false;
  uint64_t* targets[] = {&s.minutes_, &s.hours_, &s.days_, &s.months_, &s.weekdays_};
  for (size_t i = 0; i < 5; ++i) {
    TRY(*targets[i], parse_field(kFields[i], fields[i], any));
    if (i == 2) s.any_day_ = any;
    if (i == 4) s.any_weekday_ = any;
  }
  return s;
}

std::optional<Instant> CronSchedule::next(Instant after, const TimeZone& zone) const {
  if (every_.count() > 0) return Instant{(after.us / 1'000'000) * 1'000'000} + Duration(every_);
  int64_t t = (after.us / 60'000'000 + 1) * 60;  // whole minutes behind
  const int64_t limit = t + int64_t{5} * 366 * 86400, began = after.us / 1'000'000;
  while (t < limit) {
    int64_t offset = zone.offset_at(t);
    CivilTime c = civil_time(t + offset);
    auto to_local = [&](int64_t local) { t = std::max(t + 60, local - zone.offset_at(local - offset)); };
    if (!(months_ >> c.month & 1)) {
      to_local(days_from_civil(c.month == 12 ? c.year + 1 : c.year, c.month == 12 ? 1 : c.month + 1, 1) * 86400);
      continue;
    }
    bool day = days_ >> c.day & 1, weekday = weekdays_ >> c.weekday & 1;
    // Both restricted: either is enough, as cron has it.
    if (!(any_day_ || any_weekday_ ? day && weekday : day || weekday)) {
      to_local((days_from_civil(c.year, c.month, c.day) + 1) * 86400);
      continue;
    }
    if (!(hours_ >> c.hour & 1)) {
      t += (60 - c.minute) * 60;
      continue;
    }
    // The hour that a change of the clock repeats: what ran in its first pass does not run again.
    bool repeated = zone.offset_at(t - 3600) > offset && zone.offset_at(t - 3600) - offset == 3600 && civil_time(t - 3600 + zone.offset_at(t - 3600)).hour == c.hour;
    if (!(minutes_ >> c.minute & 1) || (repeated && hours_ != 0xffffff)) {
      t += 60;
      continue;
    }
    if (t > began) return Instant{t * 1'000'000};
    t += 60;
  }
  return {};
}

}  // namespace k8lite::api
