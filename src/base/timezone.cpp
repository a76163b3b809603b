#include "base/timezone.h"

#include <cstdio>
#include <cstdlib>

#include <algorithm>

namespace k8lite {
namespace {

constexpr int64_t kDay = 86400;

int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }
bool leap(int64_t y) { return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0; }
int month_days(int64_t y, int m) {
  constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return m == 2 && leap(y) ? 29 : kDays[m - 1];
}

// Big-endian integers behind a bounds check; once something is missing everything reads as 0 and ok() is false.
class Bytes {
 public:
  explicit Bytes(std::string_view data) : data_(data) {}
  int64_t number(size_t n) {
    if (data_.size() < n) return ok_ = false, 0;
    uint64_t v = (static_cast<unsigned char>(data_[0]) & 0x80) ? ~uint64_t{0} : 0;
    for (size_t i = 0; i < n; ++i) v = v << 8 | static_cast<unsigned char>(data_[i]);
    data_.remove_prefix(n);
    return static_cast<int64_t>(v);
  }
  void skip(int64_t n) {
    if (n < 0 || static_cast<uint64_t>(n) > data_.size()) ok_ = false, data_ = {};
    else data_.remove_prefix(static_cast<size_t>(n));
  }
  std::string_view rest() const { return data_; }
  bool ok() const { return ok_; }

 private:
  std::string_view data_;
  bool ok_ = true;
};

struct Header {
  int64_t utc_count, standard_count, leap_count, time_count, type_count, char_count;
};
bool read_header(Bytes& in, Header& h) {
  if (!in.rest().starts_with("TZif")) return false;
  in.skip(20);
  for (int64_t* n : {&h.utc_count, &h.standard_count, &h.leap_count, &h.time_count, &h.type_count, &h.char_count}) *n = in.number(4);
  for (int64_t n : {h.utc_count, h.standard_count, h.leap_count, h.time_count, h.type_count, h.char_count})
    if (n < 0 || n > 100'000) return false;
  return in.ok();
}

// The pieces of a POSIX TZ string.
bool take_name(std::string_view& t) {
  size_t n = 0;
  if (t.starts_with('<')) {
    n = t.find('>');
    if (n == t.npos) return false;
    ++n;
  } else {
    while (n < t.size() && ((t[n] >= 'A' && t[n] <= 'Z') || (t[n] >= 'a' && t[n] <= 'z'))) ++n;
  }
  if (n < 3) return false;
  t.remove_prefix(n);
  return true;
}
bool take_int(std::string_view& t, int64_t& out) {
  size_t n = 0;
  out = 0;
  while (n < t.size() && n < 5 && t[n] >= '0' && t[n] <= '9') out = out * 10 + (t[n++] - '0');
  t.remove_prefix(n);
  return n > 0;
}
bool take_time(std::string_view& t, int64_t& out) {  // [+-]h[:m[:s]]
  int64_t sign = 1, part = 0;
  if (t.starts_with('-')) sign = -1;
  if (t.starts_with('-') || t.starts_with('+')) t.remove_prefix(1);
  if (!take_int(t, part)) return false;
  out = part * 3600;
  for (int64_t unit : {60, 1}) {
    if (!t.starts_with(':')) break;
    t.remove_prefix(1);
    if (!take_int(t, part)) return false;
    out += part * unit;
  }
  out *= sign;
  return true;
}

}  // namespace

int64_t days_from_civil(int64_t y, int month, int day) {
  y -= month <= 2;
  int64_t era = floor_div(y, 400), yoe = y - era * 400, doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1, doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
  return era * 146097 + doe - 719468;
}

CivilTime civil_time(int64_t s) {
  CivilTime c;
  int64_t days = floor_div(s, kDay), rest = s - days * kDay, z = days + 719468, era = floor_div(z, 146097), doe = z - era * 146097;
  int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
  c.day = static_cast<int>(doy - (153 * mp + 2) / 5 + 1);
  c.month = static_cast<int>(mp < 10 ? mp + 3 : mp - 9);
  c.year = yoe + era * 400 + (c.month <= 2);
  c.hour = static_cast<int>(rest / 3600);
  c.minute = static_cast<int>(rest / 60 % 60);
  c.second = static_cast<int>(rest % 60);
  c.weekday = static_cast<int>(((days + 4) % 7 + 7) % 7);
  return c;
}

Result<TimeZone> TimeZone::load(const std::string& name) {
  if (name == "UTC" || name == "Etc/UTC") return utc();
  if (name.empty() || name.size() > 100 || name[0] == '/' || name.find("..") != name.npos) return not_found("unknown time zone " + name);
  const char* own = getenv("ZONEINFO");
  for (std::string folder : {std::string(own ? own : ""), std::string("/usr/share/zoneinfo"), std::string("/usr/lib/zoneinfo"), std::string("/usr/share/lib/zoneinfo")}) {
    if (folder.empty()) continue;
    FILE* f = fopen((folder + "/" + name).c_str(), "re");
    if (!f) continue;
    std::string data(256 * 1024, '\0');
    data.resize(fread(data.data(), 1, data.size(), f));
    fclose(f);
    auto zone = parse(data);
    if (!zone.ok()) return bad_request("time zone " + name + ": " + zone.status().message());
    return zone;
  }
  return not_found("unknown time zone " + name + " (is the package tzdata installed?)");
}

Result<TimeZone> TimeZone::parse(std::string_view tzif) {
  const Status damaged = bad_request("not a time zone file");
  Bytes in(tzif);
  Header h{};
  char version = tzif.size() > 4 ? tzif[4] : '\0';
  if (!read_header(in, h)) return damaged;
  size_t width = 4;
  if (version >= '2') {  // the first block repeats the second one in 32 bits
    in.skip(h.time_count * 5 + h.type_count * 6 + h.char_count + h.leap_count * 8 + h.standard_count + h.utc_count);
    if (!in.ok() || !read_header(in, h)) return damaged;
    width = 8;
  }
  TimeZone zone;
  for (int64_t i = 0; i < h.time_count; ++i) zone.transitions_.push_back({in.number(width), 0});
  std::vector<int64_t> kinds, offsets;
  for (int64_t i = 0; i < h.time_count; ++i) kinds.push_back(in.number(1) & 0xff);
  for (int64_t i = 0; i < h.type_count; ++i) {
    offsets.push_back(in.number(4));
    in.skip(2);
  }
  in.skip(h.char_count + h.leap_count * static_cast<int64_t>(width + 4) + h.standard_count + h.utc_count);
  if (!in.ok() || offsets.empty()) return damaged;
  for (size_t i = 0; i < kinds.size(); ++i) {
    if (static_cast<size_t>(kinds[i]) >= offsets.size()) return damaged;
    zone.transitions_[i].offset = offsets[static_cast<size_t>(kinds[i])];
  }
  zone.first_offset_ = offsets[0];
  std::string_view footer = in.rest();
  if (footer.starts_with('\n')) {
    footer.remove_prefix(1);
    zone.has_rule_ = parse_rule(footer.substr(0, footer.find('\n')), zone.rule_);
  }
  return zone;
}

bool TimeZone::parse_rule(std::string_view t, Rule& rule) {
  int64_t west = 0;
  if (!take_name(t) || !take_time(t, west)) return false;
  rule.standard = -west;
  if (t.empty()) return true;
  rule.has_summer = true;
  rule.summer = rule.standard + 3600;
  if (!take_name(t)) return false;
  if (!t.starts_with(',')) {
    if (!take_time(t, west)) return false;
    rule.summer = -west;
  }
  for (Rule::Day* d : {&rule.start, &rule.end}) {
    int64_t a = 0, b = 0, c = 0;
    if (!t.starts_with(',')) return false;
    t.remove_prefix(1);
    if (t.starts_with('M')) {
      t.remove_prefix(1);
      if (!take_int(t, a) || !t.starts_with('.')) return false;
      t.remove_prefix(1);
      if (!take_int(t, b) || !t.starts_with('.')) return false;
      t.remove_prefix(1);
      if (!take_int(t, c) || a < 1 || a > 12 || b < 1 || b > 5 || c > 6) return false;
      d->month = static_cast<int>(a), d->week = static_cast<int>(b), d->day = static_cast<int>(c);
    } else {
      d->kind = t.starts_with('J') ? 'J' : '0';
      if (d->kind == 'J') t.remove_prefix(1);
      if (!take_int(t, a) || a > 366) return false;
      d->day = static_cast<int>(a);
    }
    if (!t.starts_with('/')) continue;
    t.remove_prefix(1);
    if (!take_time(t, d->time)) return false;
  }
  return true;
}

int64_t TimeZone::rule_day(const Rule::Day& d, int64_t year) {
  if (d.kind == 'J') return (days_from_civil(year, 1, 1) + d.day - 1 + (leap(year) && d.day >= 60)) * kDay + d.time;
  if (d.kind == '0') return (days_from_civil(year, 1, 1) + d.day) * kDay + d.time;
  int64_t first = days_from_civil(year, d.month, 1), weekday = ((first + 4) % 7 + 7) % 7;
  int64_t day = (d.day - weekday + 7) % 7 + (d.week - 1) * 7;
  while (day >= month_days(year, d.month)) day -= 7;
  return (first + day) * kDay + d.time;
}

int64_t TimeZone::offset_at(int64_t utc) const {
  if (transitions_.empty() || utc < transitions_.front().at) {
    if (!transitions_.empty() || !has_rule_) return first_offset_;
  } else if (!has_rule_ || utc < transitions_.back().at) {
    auto it = std::upper_bound(transitions_.begin(), transitions_.end(), utc, [](int64_t t, const Transition& x) { return t < x.at; });
    return std::prev(it)->offset;
  }
  if (!rule_.has_summer) return rule_.standard;
  int64_t year = civil_time(utc + rule_.standard).year;
  int64_t start = rule_day(rule_.start, year) - rule_.standard, end = rule_day(rule_.end, year) - rule_.summer;
  bool summer = start < end ? utc >= start && utc < end : utc < end || utc >= start;
  return summer ? rule_.summer : rule_.standard;
}

}  // namespace k8lite
