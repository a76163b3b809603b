// Cells of the kinds that make pods: deployments, sets, jobs (Kubernetes' server-side printing).
#include "api/columns.h"
#include "api/selector.h"
#include "base/strings.h"

namespace k8lite::api::print {

namespace {

// As it is written: nothing for everything.
std::string whole_selector(Value selector) {
  auto s = LabelSelector::from_object(selector);
  return s.ok() ? s->text() : "<invalid>";
}

}  // namespace

Cells deployment_cells(Value d, Instant now) {
  Value s = d["status"];
  return {name(d), std::to_string(s["readyReplicas"].int_or(0)) + "/" + std::to_string(d.path("spec.replicas").int_or(0)), s["updatedReplicas"].int_or(0),
          s["availableReplicas"].int_or(0), age(d, now), containers(d["spec"]["template"], "name"), containers(d["spec"]["template"], "image"), whole_selector(d["spec"]["selector"])};
}
Cells replica_set_cells(Value r, Instant now) {
  Value s = r["status"];
  return {name(r), r.path("spec.replicas").int_or(0), s["replicas"].int_or(0), s["readyReplicas"].int_or(0), age(r, now),
          containers(r["spec"]["template"], "name"), containers(r["spec"]["template"], "image"), selector_text(r["spec"]["selector"])};
}
Cells replication_controller_cells(Value r, Instant now) {
  Cells c = replica_set_cells(r, now);
  c.back() = map_text(r["spec"]["selector"]);
  return c;
}
Cells stateful_set_cells(Value s, Instant now) {
  return {name(s), std::to_string(s.path("status.readyReplicas").int_or(0)) + "/" + std::to_string(s.path("spec.replicas").int_or(0)), age(s, now),
          containers(s["spec"]["template"], "name"), containers(s["spec"]["template"], "image")};
}
Cells daemon_set_cells(Value d, Instant now) {
  Value s = d["status"];
  return {name(d), s["desiredNumberScheduled"].int_or(0), s["currentNumberScheduled"].int_or(0), s["numberReady"].int_or(0), s["updatedNumberScheduled"].int_or(0),
          s["numberAvailable"].int_or(0), map_text(d.path("spec.template.spec.nodeSelector")), age(d, now), containers(d["spec"]["template"], "name"),
          containers(d["spec"]["template"], "image"), selector_text(d["spec"]["selector"])};
}

static std::string job_status(Value job) {
  for (std::string_view ended : {"Complete", "Failed"})
    if (has_condition(job, ended)) return std::string(ended);
  if (job.path("metadata.deletionTimestamp")) return "Terminating";
  for (std::string_view on_its_way : {"Suspended", "FailureTarget"})
    if (has_condition(job, on_its_way)) return std::string(on_its_way);
  return "Running";
}
Cells job_cells(Value job, Instant now) {
  std::string succeeded = std::to_string(job.path("status.succeeded").int_or(0)), completions;
  if (job["spec"]["completions"]) completions = succeeded + "/" + std::to_string(job.path("spec.completions").int_or(0));
  else if (int64_t p = job.path("spec.parallelism").int_or(0); p > 1) completions = succeeded + "/1 of " + std::to_string(p);
  else completions = succeeded + "/1";
  std::string duration;
  if (auto start = parse_rfc3339(job.path("status.startTime").str())) {
    auto end = parse_rfc3339(job.path("status.completionTime").str());
    duration = human_duration((end ? *end : now) - *start);
  }
  return {name(job), job_status(job), completions, duration, age(job, now), containers(job["spec"]["template"], "name"), containers(job["spec"]["template"], "image"),
          selector_text(job["spec"]["selector"])};
}
Cells cron_job_cells(Value c, Instant now) {
  std::string last = c.path("status.lastScheduleTime").str();
  Value t = c["spec"]["jobTemplate"]["spec"]["template"];
  return {name(c), c.path("spec.schedule").str(), or_none(c.path("spec.timeZone").str()), !c.path("spec.suspend") ? "<unset>" : c.path("spec.suspend").bool_or(false) ? "True" : "False", c.path("status.active").size(),
          last.empty() ? "<none>" : age_of(last, now), age(c, now), containers(t, "name"), containers(t, "image"), selector_text(c["spec"]["jobTemplate"]["spec"]["selector"])};
}

}  // namespace k8lite::api::print
