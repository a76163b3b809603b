// Cron schedules as CronJobs write them: five fields or @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually, @every D.
// Pure. (Kubernetes documentation, "CronJob: schedule syntax".)
#pragma once
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "base/timezone.h"

namespace k8lite::api {

class CronSchedule {
 public:
  // BadRequest naming the field that is wrong.
  static Result<CronSchedule> parse(std::string_view text);
  // The first time behind `after` in this zone; nothing where none comes within five years (as on February 30th). Local times that a
  // change of the clock skips do not happen; those it repeats happen once.
  std::optional<Instant> next(Instant after, const TimeZone& zone) const;

 private:
  uint64_t minutes_ = 0, hours_ = 0, days_ = 0, months_ = 0, weekdays_ = 0;  // bit sets
  bool any_day_ = true, any_weekday_ = true;
  Duration every_{0};
};

}  // namespace k8lite::api
