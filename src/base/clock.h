// Time comes in through a Clock handed by constructor; only base/ calls the system's clock.
// `Instant` is wall time in microseconds since the epoch, `mono` never jumps and is for durations and deadlines.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace k8lite {

using Duration = std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

struct Instant {
  int64_t us = 0;  // since 1970-01-01T00:00:00Z
  auto operator<=>(const Instant&) const = default;
  Instant operator+(Duration d) const { return {us + d.count()}; }
  Instant operator-(Duration d) const { return {us - d.count()}; }
  Duration operator-(Instant o) const { return Duration(us - o.us); }
};

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Instant now() const = 0;
  virtual Duration mono() const = 0;
};

Clock& system_clock();  // the real one; for composition roots and main()

class ManualClock : public Clock {
 public:
  explicit ManualClock(Instant start = {1'700'000'000'000'000}) : now_(start.us) {}
  Instant now() const override { return {now_}; }
  Duration mono() const override { return Duration(mono_); }
  void advance(Duration d) { now_ += d.count(), mono_ += d.count(); }
  void set_wall(Instant t) { now_ = t.us; }

 private:
  std::atomic<int64_t> now_, mono_{1'000'000};
};

std::string rfc3339(Instant t);        // metav1.Time: 2026-01-02T03:04:05Z
std::string rfc3339_micro(Instant t);  // metav1.MicroTime: 2026-01-02T03:04:05.000006Z
std::string rfc3339_nano(Instant t);   // CRI log lines: 2026-01-02T03:04:05.000006000Z
std::optional<Instant> parse_rfc3339(std::string_view text);
// Go's time.Duration: "1h30m", "250ms", "-1.5s".
std::optional<Duration> parse_go_duration(std::string_view text);
// As kubectl prints ages: 5s, 2m10s, 3h5m, 4d2h, 30d, 2y100d.
std::string human_duration(Duration d);

}  // namespace k8lite
