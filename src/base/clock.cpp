#include "base/clock.h"

#include <time.h>

#include <cstdio>

namespace k8lite {
namespace {

class SystemClock : public Clock {
 public:
  Instant now() const override { return {read(CLOCK_REALTIME)}; }
  Duration mono() const override { return Duration(read(CLOCK_BOOTTIME)); }

 private:
  static int64_t read(clockid_t id) {
    timespec ts{};
    clock_gettime(id, &ts);
    return int64_t{ts.tv_sec} * 1'000'000 + ts.tv_nsec / 1000;
  }
};

std::string format(Instant t, const char* fraction_format, int64_t scale_num) {
  int64_t s = t.us / 1'000'000, us = t.us % 1'000'000;
  if (us < 0) us += 1'000'000, --s;
  time_t tt = s;
  tm parts{};
  gmtime_r(&tt, &parts);
  char buf[64], frac[32] = "";
  if (fraction_format) snprintf(frac, sizeof frac, fraction_format, static_cast<long>(us * scale_num));
  snprintf(buf, sizeof buf, "%04d-%02d-%02dT%02d:%02d:%02d%sZ", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
           parts.tm_hour, parts.tm_min, parts.tm_sec, frac);
  return buf;
}

bool digits(std::string_view& s, int n, int& out) {
  if (s.size() < static_cast<size_t>(n)) return false;
  out = 0;
  for (int i = 0; i < n; ++i) {
    if (s[static_cast<size_t>(i)] < '0' || s[static_cast<size_t>(i)] > '9') return false;
    out = out * 10 + (s[static_cast<size_t>(i)] - '0');
  }
  s.remove_prefix(static_cast<size_t>(n));
  return true;
}

bool literal(std::string_view& s, char c) {
  if (s.empty() || s[0] != c) return false;
  s.remove_prefix(1);
  return true;
}

}  // namespace

Clock& system_clock() {
  static SystemClock clock;
  return clock;
}

std::string rfc3339(Instant t) { return format(t, nullptr, 0); }
std::string rfc3339_micro(Instant t) { return format(t, ".%06ld", 1); }
std::string rfc3339_nano(Instant t) { return format(t, ".%09ld", 1000); }

std::optional<Instant> parse_rfc3339(std::string_view s) {
  int y, mo, d, h, mi, sec;
  if (!digits(s, 4, y) || !literal(s, '-') || !digits(s, 2, mo) || !literal(s, '-') || !digits(s, 2, d)) return {};
  if (!literal(s, 'T') && !literal(s, 't')) return {};
  if (!digits(s, 2, h) || !literal(s, ':') || !digits(s, 2, mi) || !literal(s, ':') || !digits(s, 2, sec)) return {};
  if (mo < 1 || mo > 12 || d < 1 || d > 31 || h > 23 || mi > 59 || sec > 60) return {};
  int64_t us = 0;
  if (literal(s, '.')) {
    int64_t scale = 100'000;
    if (s.empty() || s[0] < '0' || s[0] > '9') return {};
    while (!s.empty() && s[0] >= '0' && s[0] <= '9') us += (s[0] - '0') * scale, scale /= 10, s.remove_prefix(1);
  }
  int offset = 0;
  if (!literal(s, 'Z') && !literal(s, 'z')) {
    if (s.empty() || (s[0] != '+' && s[0] != '-')) return {};
    int sign = s[0] == '-' ? -1 : 1, oh, om;
    s.remove_prefix(1);
    if (!digits(s, 2, oh) || !literal(s, ':') || !digits(s, 2, om)) return {};
    offset = sign * (oh * 3600 + om * 60);
  }
  if (!s.empty()) return {};
  tm parts{};
  parts.tm_year = y - 1900, parts.tm_mon = mo - 1, parts.tm_mday = d;
  parts.tm_hour = h, parts.tm_min = mi, parts.tm_sec = sec;
  return Instant{(int64_t{timegm(&parts)} - offset) * 1'000'000 + us};
}

std::optional<Duration> parse_go_duration(std::string_view s) {
  if (s == "0") return Duration(0);
  double sign = 1;
  if (!s.empty() && (s[0] == '-' || s[0] == '+')) sign = s[0] == '-' ? -1 : 1, s.remove_prefix(1);
  if (s.empty()) return {};
  double total = 0;
  while (!s.empty()) {
    double v = 0, scale = 1;
    bool any = false, dot = false;
    while (!s.empty() && ((s[0] >= '0' && s[0] <= '9') || (s[0] == '.' && !dot))) {
      if (s[0] == '.') dot = true;
      else if (dot) scale /= 10, v += (s[0] - '0') * scale, any = true;
      else v = v * 10 + (s[0] - '0'), any = true;
      s.remove_prefix(1);
    }
    if (!any) return {};
    struct Unit { std::string_view name; double us; };
    static constexpr Unit kUnits[] = {{"ns", 0.001}, {"us", 1}, {"µs", 1}, {"ms", 1000}, {"s", 1e6}, {"m", 60e6}, {"h", 3600e6}};
    const Unit* found = nullptr;
    for (const auto& u : kUnits)
      if (s.starts_with(u.name) && (!found || u.name.size() > found->name.size())) found = &u;
    if (!found) return {};
    s.remove_prefix(found->name.size());
    total += v * found->us;
  }
  if (total > 9e18) return {};
  return Duration(static_cast<int64_t>(sign * total));
}

std::string human_duration(Duration d) {
  int64_t s = d.count() / 1'000'000;
  if (s < -1) return "<invalid>";
  if (s < 0) return "0s";
  auto n = [](int64_t v, const char* unit) { return std::to_string(v) + unit; };
  auto pair = [&](int64_t big, const char* bu, int64_t small, const char* su) {
    return n(big, bu) + (small ? n(small, su) : "");
  };
  if (s < 120) return n(s, "s");
  int64_t m = s / 60;
  if (m < 10) return pair(m, "m", s % 60, "s");
  if (m < 180) return n(m, "m");
  int64_t h = m / 60;
  if (h < 8) return pair(h, "h", m % 60, "m");
  if (h < 48) return n(h, "h");
  if (h < 24 * 8) return pair(h / 24, "d", h % 24, "h");
  if (h < 24 * 365 * 2) return n(h / 24, "d");
  if (h < 24 * 365 * 8) return pair(h / 24 / 365, "y", (h / 24) % 365, "d");
  return n(h / 24 / 365, "y");
}

}  // namespace k8lite
