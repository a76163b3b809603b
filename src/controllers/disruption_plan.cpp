#include "controllers/disruption_plan.h"

#include <algorithm>

#include "controllers/deployment_plan.h"

namespace k8lite::controllers {

using json::Doc;
using json::Node;

DisruptionPlan plan_disruption(const Doc& budget, const std::vector<Doc>& pods, int64_t expected, Instant now) {
  // An eviction that was granted and whose pod is still not going after this time did not happen.
  constexpr Duration kEvictionDeadline = seconds(120);
  DisruptionPlan plan;
  json::Value spec = budget["spec"], old = budget["status"];
  Node disrupted = Node::object();
  int64_t healthy = 0, there = 0;
  for (const Doc& p : pods) {
    std::string phase = p.path("status.phase").str();
    if (phase == "Succeeded" || phase == "Failed") continue;
    ++there;
    if (p.path("metadata.deletionTimestamp")) continue;
    if (auto since = parse_rfc3339(old["disruptedPods"][name_of(p)].str())) {
      Duration left = kEvictionDeadline - (now - *since);
      if (left.count() > 0) {
        disrupted.set(name_of(p), rfc3339(*since));
        plan.again = plan.again.count() ? std::min(plan.again, left) : left;
        continue;
      }
    }
    healthy += pod_is_ready(p.root());
  }
  int64_t desired = 0;
  if (spec["maxUnavailable"]) {
    desired = std::max<int64_t>(0, expected - int_or_percent(spec["maxUnavailable"], expected, true, 0));
  } else if (spec["minAvailable"].is_string()) {
    desired = int_or_percent(spec["minAvailable"], expected, true, 0);
  } else {
    desired = spec["minAvailable"].int_or(1);
    expected = there;
  }
  int64_t allowed = expected > 0 ? std::max<int64_t>(0, healthy - desired) : 0;
  Node conditions = old["conditions"].exists() ? old["conditions"].to_node() : Node::array();
  set_condition(conditions, old["conditions"], "DisruptionAllowed", allowed > 0 ? "True" : "False", allowed > 0 ? "SufficientPods" : "InsufficientPods", "", now);
  for (Node& c : conditions.items()) {
    if (!c.get("message").exists()) c.set("message", "");
    c.set("observedGeneration", budget.path("metadata.generation").int_or(0));
  }
  plan.status = Node::obj({{"observedGeneration", budget.path("metadata.generation").int_or(0)}, {"disruptionsAllowed", allowed}, {"currentHealthy", healthy}, {"desiredHealthy", desired}, {"expectedPods", expected}, {"conditions", std::move(conditions)}});
  if (disrupted.size()) plan.status.set("disruptedPods", std::move(disrupted));
  return plan;
}

Node failed_disruption(const Doc& budget, const std::string& why, Instant now) {
  Node status = budget["status"].exists() ? budget["status"].to_node() : Node::object();
  status.set("disruptionsAllowed", 0);
  Node conditions = budget.path("status.conditions").exists() ? budget.path("status.conditions").to_node() : Node::array();
  set_condition(conditions, budget.path("status.conditions"), "DisruptionAllowed", "False", "SyncFailed", why, now);
  for (Node& c : conditions.items()) c.set("observedGeneration", budget.path("metadata.generation").int_or(0));
  status.set("conditions", std::move(conditions));
  return status;
}

}  // namespace k8lite::controllers
