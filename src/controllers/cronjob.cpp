#include "controllers/cronjob.h"

#include "controllers/cronjob_plan.h"

namespace k8lite::controllers {

using json::Doc;
using json::Node;
using machinery::Action;

CronJobController::CronJobController(Context& c) : Base(c, "cronjob-controller"), crons_(c.informer("batch", "cronjobs")), jobs_(c.informer("batch", "jobs")) {
  crons_.on_change([this](const Doc&, const Doc& after) {
    if (after) queue_.add(machinery::object_key(after.root()));
  });
  jobs_.on_change([this](const Doc& before, const Doc& after) {
    const Doc& job = after ? after : before;
    json::Value owner = controller_of(job.root());
    if (owner && owner["kind"].equals("CronJob")) queue_.add(machinery::object_key(namespace_of(job), owner["name"].str()));
  });
}

Result<Action> CronJobController::reconcile(const std::string& key) {
  Doc cron = crons_.get(key);
  if (!cron) return ledger_.forget(key), Action::wait_for_change();
  if (ledger_.is_behind(key, cron)) return Action::wait_for_change();
  TimeZone zone;
  if (!cron.path("spec.timeZone").empty()) {
    auto loaded = TimeZone::load(cron.path("spec.timeZone").str());
    if (!loaded.ok()) {
      context_.events.record(cron.root(), "Warning", "UnknownTimeZone", "invalid timeZone: " + json::quoted(cron.path("spec.timeZone").str()) + ": " + loaded.status().message());
      return Action::wait_for_change();
    }
    zone = std::move(*loaded);
  }
  std::string ns = namespace_of(cron);
  CronJobPlan plan = plan_cron_job(cron, jobs_.owned_by(uid_of(cron)), zone, context_.clock.now());
  for (const auto& name : plan.remove) {
    machinery::DeleteOptions options;
    options.propagation_policy = "Background";
    auto r = context_.client.remove({"batch", "v1", "jobs", ns, name, ""}, options);
    if (r.ok()) context_.events.record(cron.root(), "Normal", "SuccessfulDelete", "Deleted job " + name);
    else if (!r.status().is(Reason::NotFound)) return r.status();
  }
  if (plan.create) {
    auto r = context_.client.create({"batch", "v1", "jobs", ns, "", ""}, Doc::from(job_from_cron(cron, *plan.create)), as_manager());
    if (r.ok()) {
      context_.events.record(cron.root(), "Normal", "SuccessfulCreate", "Created job " + name_of(*r));
      plan.status["active"].append(Node::obj({{"apiVersion", "batch/v1"}, {"kind", "Job"}, {"name", name_of(*r)}, {"namespace", ns}, {"uid", uid_of(*r)}, {"resourceVersion", r->path("metadata.resourceVersion").str()}}));
    } else if (!r.status().is(Reason::AlreadyExists)) {
      context_.events.record(cron.root(), "Warning", "FailedCreate", "Error creating job: " + r.status().message());
      return r.status();
    }
  }
  Doc written;
  TRY_OK(write_status(context_.client, {"batch", "v1", "cronjobs", "", "", ""}, cron, plan.status, as_manager(), &written));
  if (written) ledger_.wrote(key, written);
  for (const auto& e : plan.events) context_.events.record(cron.root(), e.type, e.reason, e.message);
  return plan.again.count() ? Action::after(plan.again) : Action::wait_for_change();
}

}  // namespace k8lite::controllers
