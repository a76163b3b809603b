#include "controllers/job.h"

#include "controllers/job_plan.h"

namespace k8lite::controllers {

using json::Doc;
using json::Node;
using machinery::Action;

JobController::JobController(Context& c) : Base(c, "job-controller"), jobs_(c.informer("batch", "jobs")), pods_(c.informer("", "pods")), control_(c, pods_) {
  jobs_.on_change([this](const Doc& before, const Doc& after) { queue_.add(machinery::object_key((after ? after : before).root())); });
  pods_.on_change([this](const Doc& before, const Doc& after) {
    const Doc& pod = after ? after : before;
    json::Value owner = controller_of(pod.root());
    if (owner && owner["kind"].equals("Job")) queue_.add(machinery::object_key(namespace_of(pod), owner["name"].str()));
  });
}

Result<> JobController::release(const Doc& pod) {
  Node rest = Node::array();
  bool held = false;
  for (json::Value f : pod.path("metadata.finalizers").items()) {
    if (f.equals(kJobFinalizer)) held = true;
    else rest.append(f.to_node());
  }
  if (!held) return {};
  Node patch = Node::object();
  patch["metadata"].set("uid", uid_of(pod));
  patch["metadata"].set("finalizers", rest.size() ? std::move(rest) : Node());
  auto r = context_.client.patch({"", "v1", "pods", namespace_of(pod), name_of(pod), ""}, machinery::PatchType::Merge, patch.dump(), as_manager());
  if (!r.ok() && !r.status().is(Reason::NotFound)) return r.status();
  return {};
}

Result<Action> JobController::reconcile(const std::string& key) {
  Doc job = jobs_.get(key);
  if (!job) {
    control_.forget(key);
    ledger_.forget(key);
    // Pods of a Job that is gone must not wait for its counters.
    auto [ns, name] = machinery::split_key(key);
    for (const Doc& p : pods_.list(ns)) {
      json::Value owner = controller_of(p.root());
      if (owner && owner["kind"].equals("Job") && owner["name"].equals(name)) TRY_OK(release(p));
    }
    return Action::wait_for_change();
  }
  if (job.path("spec.managedBy") && !job.path("spec.managedBy").equals("kubernetes.io/job-controller")) return Action::wait_for_change();
  if (ledger_.is_behind(key, job)) return Action::wait_for_change();
  if (!control_.settled(key)) return Action::after(kExpectationLimit);
  TRY(auto selector, api::LabelSelector::from_object(job.path("spec.selector")));
  TRY(auto pods, control_.claim(job, selector));
  bool deleting = static_cast<bool>(job.path("metadata.deletionTimestamp"));
  JobPlan plan = plan_job(job, pods, context_.clock.now());
  if (plan.remove_job) {
    machinery::DeleteOptions options;
    options.uid = uid_of(job);
    options.propagation_policy = "Foreground";
    auto r = context_.client.remove({"batch", "v1", "jobs", namespace_of(job), name_of(job), ""}, options);
    if (!r.ok() && !r.status().is(Reason::NotFound)) return r.status();
    return Action::wait_for_change();
  }
  Status failure;
  if (!deleting) {
    PodOrders orders;
    orders.remove = plan.remove;
    for (const auto& c : plan.create) orders.create.push_back(job_pod(job, pod_from_template(job, job.path("spec.template")), c));
    failure = control_.carry_out(key, job, std::move(orders));
    // The ledger is written before any finalizer goes: a crash in between counts no pod twice and loses none.
    if (!(plan.status == job["status"].to_node())) {
      // On this version of the Job only: counters decided on an older one would count twice.
      Node next = job.to_node();
      next.set("status", plan.status);
      auto r = context_.client.update({"batch", "v1", "jobs", namespace_of(job), name_of(job), "status"}, Doc::from(next), as_manager());
      if (!r.ok() && (r.status().is(Reason::Conflict) || r.status().is(Reason::NotFound))) return Action::wait_for_change();
      if (!r.ok()) return r.status();
      ledger_.wrote(key, *r);
    }
    for (const auto& e : plan.events) context_.events.record(job.root(), e.type, e.reason, e.message);
  }
  for (const Doc& p : pods) {
    bool listed = deleting && p.path("metadata.deletionTimestamp");
    for (const auto& name : plan.release) listed |= name == name_of(p);
    if (listed) TRY_OK(release(p));
  }
  if (!failure.ok()) return failure;
  return plan.again.count() ? Action::after(plan.again) : Action::wait_for_change();
}

}  // namespace k8lite::controllers
