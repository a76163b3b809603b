#include "controllers/cronjob_plan.h"

#include <algorithm>

#include "api/cron.h"
#include "base/strings.h"
#include "controllers/job_plan.h"

namespace k8lite::controllers {

using json::Doc;
using json::Node;
using json::Value;

namespace {

constexpr int kMissedLimit = 100;  // then the clock has jumped or the cluster slept for long: told, and only the last one counts

Node reference(const Doc& job) {
  return Node::obj({{"apiVersion", "batch/v1"}, {"kind", "Job"}, {"name", name_of(job)}, {"namespace", namespace_of(job)}, {"uid", uid_of(job)}, {"resourceVersion", job.path("metadata.resourceVersion").str()}});
}

void trim_history(const Doc& cron, const std::vector<Doc>& jobs, CronJobPlan& plan) {
  for (auto [type, field, otherwise] : {std::tuple{"Complete", "successfulJobsHistoryLimit", 3}, {"Failed", "failedJobsHistoryLimit", 1}}) {
    std::vector<Doc> over;
    for (const Doc& j : jobs) {
      std::string_view how;
      if (job_finished(j.root(), &how) && how == type) over.push_back(j);
    }
    std::sort(over.begin(), over.end(), [](const Doc& a, const Doc& b) { return std::make_pair(a.path("status.startTime").str(), name_of(a)) < std::make_pair(b.path("status.startTime").str(), name_of(b)); });
    auto keep = static_cast<size_t>(std::max<int64_t>(0, cron["spec"][field].int_or(otherwise)));
    for (size_t i = 0; i + keep < over.size(); ++i) plan.remove.push_back(name_of(over[i]));
  }
}

}  // namespace

std::string cron_job_name(const Doc& cron, Instant scheduled) { return name_of(cron) + "-" + std::to_string(scheduled.us / 60'000'000); }

Node job_from_cron(const Doc& cron, Instant scheduled) {
  Value t = cron.path("spec.jobTemplate");
  Node job = Node::obj({{"apiVersion", "batch/v1"}, {"kind", "Job"}, {"metadata", Node::object()}, {"spec", t["spec"].to_node()}});
  for (const char* field : {"labels", "annotations"})
    if (t["metadata"][field]) job["metadata"].set(field, t["metadata"][field].to_node());
  job["metadata"].set("name", cron_job_name(cron, scheduled));
  job["metadata"].set("namespace", namespace_of(cron));
  job["metadata"]["annotations"].set("batch.kubernetes.io/cronjob-scheduled-timestamp", rfc3339(scheduled));
  job["metadata"]["ownerReferences"] = Node::arr({owner_reference(cron)});
  return job;
}

CronJobPlan plan_cron_job(const Doc& cron, const std::vector<Doc>& jobs, const TimeZone& zone, Instant now) {
  CronJobPlan plan;
  Value spec = cron["spec"], old = cron["status"];
  plan.status = old.exists() ? old.to_node() : Node::object();
  std::vector<Doc> active;
  for (const Doc& j : jobs) {
    std::string_view how;
    if (!job_finished(j.root(), &how)) {
      if (!j.path("metadata.deletionTimestamp")) active.push_back(j);
      continue;
    }
    for (Value listed : old["active"].items())
      if (listed["uid"].equals(uid_of(j))) plan.events.push_back({"Normal", "SawCompletedJob", "Saw completed job: " + name_of(j) + ", condition: " + std::string(how)});
    std::string end = j.path("status.completionTime").str();
    if (how == "Complete" && end > plan.status.get("lastSuccessfulTime").str()) plan.status.set("lastSuccessfulTime", end);
  }
  for (Value listed : old["active"].items())
    if (std::none_of(jobs.begin(), jobs.end(), [&](const Doc& j) { return listed["uid"].equals(uid_of(j)); })) plan.events.push_back({"Warning", "MissingJob", "Active job went missing: " + listed["name"].str()});
  trim_history(cron, jobs, plan);
  auto write_active = [&] {
    Node list = Node::array();
    for (const Doc& j : active) list.append(reference(j));
    if (list.size()) plan.status.set("active", std::move(list));
    else plan.status.erase("active");
  };
  write_active();
  auto schedule = api::CronSchedule::parse(spec["schedule"].str());
  if (!schedule.ok()) {
    plan.events.push_back({"Warning", "UnparseableSchedule", "unparseable schedule: " + json::quoted(spec["schedule"].str()) + " : " + schedule.status().message()});
    return plan;
  }
  if (cron.path("metadata.deletionTimestamp") || spec["suspend"].bool_or(false)) return plan;

  Instant from = parse_rfc3339(old["lastScheduleTime"].str()).value_or(parse_rfc3339(cron.path("metadata.creationTimestamp").str()).value_or(now));
  std::optional<Duration> deadline;
  if (spec["startingDeadlineSeconds"]) deadline = seconds(spec["startingDeadlineSeconds"].int_or(0));
  if (deadline) from = std::max(from, now - *deadline);
  std::optional<Instant> due, coming = schedule->next(from, zone);
  int missed = 0;
  while (coming && *coming <= now) {
    due = coming;
    // A long sleep must not cost a long walk: behind the limit go on shortly before now.
    if (++missed == kMissedLimit && now - *coming > seconds(3600)) {
      Instant jump = now - seconds(32 * 86400);
      if (jump > *coming)
        if (auto n = schedule->next(jump, zone); n && *n <= now) due = n;
    }
    coming = schedule->next(*due, zone);
    if (missed > 50'000) break;
  }
  if (missed > kMissedLimit) plan.events.push_back({"Warning", "TooManyMissedTimes", "too many missed start times: " + std::to_string(missed) + ". Set or decrease .spec.startingDeadlineSeconds or check clock skew"});
  if (coming && *coming > now) plan.again = *coming - now + milliseconds(100);
  if (!due) return plan;
  std::string name = cron_job_name(cron, *due);
  if (std::any_of(jobs.begin(), jobs.end(), [&](const Doc& j) { return name_of(j) == name; })) return plan;
  if (spec["concurrencyPolicy"].equals("Forbid") && !active.empty()) {
    plan.events.push_back({"Normal", "JobAlreadyActive", "Not starting job because prior execution is running and concurrency policy is Forbid"});
    return plan;
  }
  if (spec["concurrencyPolicy"].equals("Replace")) {
    for (const Doc& j : active) plan.remove.push_back(name_of(j));
    active.clear();
    write_active();
  }
  plan.create = due;
  plan.status.set("lastScheduleTime", rfc3339(*due));
  return plan;
}

}  // namespace k8lite::controllers
