// When a CronJob makes its next Job, which ones it ends, and its status. Pure. (Kubernetes documentation, "CronJob".)
#pragma once
#include <optional>

#include "base/timezone.h"
#include "controllers/context.h"

namespace k8lite::controllers {

struct CronJobPlan {
  std::optional<Instant> create;    // the scheduled time of the Job to make
  std::vector<std::string> remove;  // names of Jobs: replaced ones and old history
  json::Node status;
  Duration again{0};
  struct Event {
    std::string type, reason, message;
  };
  std::vector<Event> events;
};
// `jobs`: those it controls.
CronJobPlan plan_cron_job(const json::Doc& cron, const std::vector<json::Doc>& jobs, const TimeZone& zone, Instant now);
std::string cron_job_name(const json::Doc& cron, Instant scheduled);
json::Node job_from_cron(const json::Doc& cron, Instant scheduled);

}  // namespace k8lite::controllers
