// Jobs and cron jobs.
#include "base/strings.h"
#include "kubectl/describe/describe.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

std::string number(const Node& n, std::string_view suffix = "") { return std::to_string(n.int_or(0)) + std::string(suffix); }

constexpr size_t kMostIndexes = 50;

}  // namespace

void describe_job(Page& page, const Subject& s) {
  const Node &j = s.object, &spec = j["spec"], &status = j["status"];
  put_name(page, j);
  if (spec["selector"].is_object()) page.field(0, "Selector", selector_of(spec["selector"]));
  put_labels(page, "Labels", j.path("metadata.labels"));
  put_annotations(page, "Annotations", j.path("metadata.annotations"));
  put_controller(page, j);
  if (spec["parallelism"].is_number()) page.field(0, "Parallelism", number(spec["parallelism"]));
  page.field(0, "Completions", spec["completions"].is_number() ? number(spec["completions"]) : "<unset>");
  if (spec["completionMode"].is_string()) page.field(0, "Completion Mode", spec["completionMode"].str());
  if (spec["suspend"].is_bool()) page.field(0, "Suspend", spec["suspend"].bool_or(false) ? "true" : "false");
  if (spec["backoffLimit"].is_number()) page.field(0, "Backoff Limit", number(spec["backoffLimit"]));
  if (spec["ttlSecondsAfterFinished"].is_number()) page.field(0, "TTL Seconds After Finished", number(spec["ttlSecondsAfterFinished"]));
  if (status["startTime"].is_string()) page.field(0, "Start Time", long_time(status["startTime"]));
  if (status["completionTime"].is_string()) page.field(0, "Completed At", long_time(status["completionTime"]));
  auto from = parse_rfc3339(status["startTime"].str()), to = parse_rfc3339(status["completionTime"].str());
  if (from && to) page.field(0, "Duration", human_duration(*to - *from));
  if (spec["activeDeadlineSeconds"].is_number()) page.field(0, "Active Deadline Seconds", number(spec["activeDeadlineSeconds"], "s"));
  std::string ready = status["ready"].is_number() ? " (" + number(status["ready"]) + " Ready)" : "";
  page.field(0, "Pods Statuses", number(status["active"]) + " Active" + ready + " / " + number(status["succeeded"]) + " Succeeded / " + number(status["failed"]) + " Failed");
  if (spec["completionMode"].str() == "Indexed") {
    std::string indexes = status["completedIndexes"].str();
    if (indexes.size() > kMostIndexes) {
      size_t comma = indexes.rfind(',', kMostIndexes);
      indexes = (comma == std::string::npos ? "" : indexes.substr(0, comma + 1)) + "...";
    }
    page.field(0, "Completed Indexes", indexes.empty() ? "<none>" : indexes);
  }
  put_pod_template(page, spec["template"]);
}

void describe_cron_job(Page& page, const Subject& s) {
  const Node &c = s.object, &spec = c["spec"], &job = spec.path("jobTemplate.spec"), &status = c["status"];
  put_metadata(page, c);
  page.field(0, "Schedule", spec["schedule"].str());
  if (spec["timeZone"].is_string()) page.field(0, "Time Zone", spec["timeZone"].str());
  page.field(0, "Concurrency Policy", spec["concurrencyPolicy"].str());
  page.field(0, "Suspend", true_false(spec["suspend"]));
  page.field(0, "Successful Job History Limit", spec["successfulJobsHistoryLimit"].is_number() ? number(spec["successfulJobsHistoryLimit"]) : "<unset>");
  page.field(0, "Failed Job History Limit", spec["failedJobsHistoryLimit"].is_number() ? number(spec["failedJobsHistoryLimit"]) : "<unset>");
  page.field(0, "Starting Deadline Seconds", spec["startingDeadlineSeconds"].is_number() ? number(spec["startingDeadlineSeconds"], "s") : "<unset>");
  page.field(0, "Selector", job["selector"].is_object() ? selector_of(job["selector"]) : "<unset>");
  page.field(0, "Parallelism", job["parallelism"].is_number() ? number(job["parallelism"]) : "<unset>");
  page.field(0, "Completions", job["completions"].is_number() ? number(job["completions"]) : "<unset>");
  if (job["activeDeadlineSeconds"].is_number()) page.field(0, "Active Deadline Seconds", number(job["activeDeadlineSeconds"], "s"));
  put_pod_template(page, job["template"]);
  page.field(0, "Last Schedule Time", status["lastScheduleTime"].is_string() ? long_time(status["lastScheduleTime"]) : "<unset>");
  std::vector<std::string> active;
  for (const Node& a : status["active"].items()) active.push_back(a["name"].str());
  page.field(0, "Active Jobs", active.empty() ? "<none>" : join(active, ", "));
}

}  // namespace k8lite::kubectl
