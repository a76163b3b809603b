#include "controllers/daemonset.h"

#include <algorithm>
#include <set>

#include "controllers/daemonset_plan.h"
#include "controllers/history.h"

namespace k8lite::controllers {

using json::Doc;
using json::Node;
using machinery::Action;

DaemonSetController::DaemonSetController(Context& c)
    : Base(c, "daemonset-controller"), sets_(c.informer("apps", "daemonsets")), pods_(c.informer("", "pods")), nodes_(c.informer("", "nodes")), revisions_(c.informer("apps", "controllerrevisions")), control_(c, pods_) {
  sets_.on_change([this](const Doc& before, const Doc& after) { queue_.add(machinery::object_key((after ? after : before).root())); });
  pods_.on_change([this](const Doc& before, const Doc& after) {
    const Doc& pod = after ? after : before;
    json::Value owner = controller_of(pod.root());
    if (owner && owner["kind"].equals("DaemonSet")) queue_.add(machinery::object_key(namespace_of(pod), owner["name"].str()));
  });
  nodes_.on_change([this](const Doc& before, const Doc& after) {
    // Heartbeats change nothing here: labels, taints and the set of nodes do.
    if (before && after && before["spec"].raw() == after["spec"].raw() && before["metadata"]["labels"].raw() == after["metadata"]["labels"].raw()) return;
    for (const Doc& set : sets_.list()) queue_.add(machinery::object_key(set.root()));
  });
}

Result<Action> DaemonSetController::reconcile(const std::string& key) {
  Doc set = sets_.get(key);
  if (!set) {
    control_.forget(key);
    std::erase_if(failures_, [&key](const auto& f) { return f.first.starts_with(key + "|"); });
    return Action::wait_for_change();
  }
  if (set.path("metadata.deletionTimestamp")) return Action::wait_for_change();
  if (!control_.settled(key)) return Action::after(kExpectationLimit);
  TRY(auto selector, api::LabelSelector::from_object(set.path("spec.selector")));
  if (selector.empty()) return Action::wait_for_change();
  TRY(auto pods, control_.claim(set, selector));
  std::set<std::string> live;
  for (const Doc& p : pods) live.insert(p["metadata"]["labels"]["controller-revision-hash"].str());
  HistoryPlan history = plan_history(set, revisions_.owned_by(uid_of(set)), live);
  TRY_OK(write_history(context_.client, set, history, as_manager()));
  Instant now = context_.clock.now();
  DaemonSetPlan plan = plan_daemon_set(set, nodes_.list(), pods, history.hash, now);

  Duration again{0}, mono = context_.clock.mono();
  auto later = [&again](Duration d) { again = again.count() == 0 ? d : std::min(again, d); };
  for (const auto& name : plan.failed)
    for (const Doc& p : pods) {
      if (name_of(p) != name) continue;
      std::string node = target_node(p.root());
      Failures& f = failures_[key + "|" + node];
      Duration wait = seconds(std::min<int64_t>(15 * 60, int64_t{1} << std::min(f.count, 10)));
      if (f.count > 0 && mono - f.last < wait) {
        std::erase(plan.remove, name);
        later(wait - (mono - f.last));
        continue;
      }
      if (mono - f.last > seconds(30 * 60)) f.count = 0;
      ++f.count;
      f.last = mono;
      context_.events.record(set.root(), "Warning", "FailedDaemonPod", "Found failed daemon pod " + namespace_of(p) + "/" + name + " on node " + node + ", will try to kill it");
    }
  PodOrders orders;
  orders.remove = plan.remove;
  for (const auto& node : plan.create) orders.create.push_back(daemon_pod(set, pod_from_template(set, set.path("spec.template")), node, history.hash));
  Status failure = control_.carry_out(key, set, std::move(orders));
  TRY_OK(write_status(context_.client, {"apps", "v1", "daemonsets", "", "", ""}, set, plan.status, as_manager()));
  if (!failure.ok()) return failure;
  int64_t min_ready = set.path("spec.minReadySeconds").int_or(0);
  if (min_ready > 0 && plan.status.get("numberReady").int_or(0) > plan.status.get("numberAvailable").int_or(0)) later(seconds(min_ready));
  return again.count() ? Action::after(again) : Action::wait_for_change();
}

}  // namespace k8lite::controllers
