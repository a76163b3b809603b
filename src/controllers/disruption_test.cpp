// How many pods a PodDisruptionBudget lets go.
#include <catch2/catch.hpp>

#include "controllers/disruption_plan.h"

using namespace k8lite;
using namespace k8lite::controllers;
using json::Doc;
using json::Node;

namespace {
const Instant kNow = *parse_rfc3339("2026-11-21T10:00:00Z");

Doc budget(const char* field, Node value) { return Doc::from(Node::obj({{"metadata", Node::obj({{"name", "b"}, {"generation", 2}})}, {"spec", Node::obj({{field, std::move(value)}})}})); }
Doc pod(int i, bool ready) {
  return Doc::from(Node::obj({{"metadata", Node::obj({{"name", "p" + std::to_string(i)}})}, {"status", Node::obj({{"phase", "Running"}, {"conditions", Node::arr({Node::obj({{"type", "Ready"}, {"status", ready ? "True" : "False"}})})}})}}));
}
std::vector<Doc> pods(int ready, int broken) {
  std::vector<Doc> out;
  for (int i = 0; i < ready + broken; ++i) out.push_back(pod(i, i < ready));
  return out;
}
}  // namespace

TEST_CASE("disruption: minimum available and maximum unavailable, in numbers and percents") {
  struct Row {
    const char* field;
    Node value;
    int ready, broken;
    int64_t expected, desired, allowed;
  };
  for (const Row& r : {Row{"minAvailable", 2, 3, 0, 3, 2, 1}, {"minAvailable", 3, 3, 0, 3, 3, 0}, {"minAvailable", 2, 1, 2, 3, 2, 0}, {"minAvailable", "50%", 5, 0, 5, 3, 2}, {"minAvailable", "100%", 5, 0, 5, 5, 0}, {"minAvailable", 1, 0, 0, 0, 1, 0},
                       {"maxUnavailable", 1, 3, 0, 3, 2, 1}, {"maxUnavailable", 1, 2, 1, 3, 2, 0}, {"maxUnavailable", "30%", 10, 0, 10, 7, 3}, {"maxUnavailable", 0, 3, 0, 3, 3, 0}, {"maxUnavailable", 5, 3, 0, 3, 0, 3}}) {
    CAPTURE(r.field, r.value.dump(), r.ready, r.broken);
    auto plan = plan_disruption(budget(r.field, r.value), pods(r.ready, r.broken), r.expected, kNow);
    CHECK(plan.status.get("desiredHealthy").int_or(-1) == r.desired);
    CHECK(plan.status.get("currentHealthy").int_or(-1) == r.ready);
    CHECK(plan.status.get("disruptionsAllowed").int_or(-1) == r.allowed);
    CHECK(plan.status.get("observedGeneration").int_or(-1) == 2);
    CHECK(plan.status.path("conditions").items()[0].get("status").str() == (r.allowed > 0 ? "True" : "False"));
  }
}

TEST_CASE("disruption: a granted eviction counts until its pod goes or two minutes are over") {
  Node b = budget("minAvailable", 2).to_node();
  b["status"]["disruptedPods"].set("p0", rfc3339(kNow - seconds(100)));
  b["status"]["disruptedPods"].set("p1", rfc3339(kNow - seconds(121)));
  auto plan = plan_disruption(Doc::from(b), pods(4, 0), 4, kNow);
  CHECK(plan.status.get("currentHealthy").int_or(-1) == 3);
  CHECK(plan.status.path("disruptedPods").size() == 1);
  CHECK(plan.again == seconds(20));
  std::vector<Doc> left = pods(4, 0);
  left.erase(left.begin());
  plan = plan_disruption(Doc::from(b), left, 4, kNow);
  CHECK(!plan.status.get("disruptedPods").exists());
  CHECK(plan.status.get("disruptionsAllowed").int_or(-1) == 1);
}
