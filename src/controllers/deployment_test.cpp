// Deployments: the arithmetic of rollouts, and stories in which pods start slowly, never, or are counted anew half way.
#include "controllers/deployment.h"

#include <catch2/catch.hpp>

#include "controllers/deployment_plan.h"
#include "controllers/replicaset.h"
#include "support/controller_world.h"

using namespace k8lite;
using namespace k8lite::controllers;
using json::Doc;
using json::Node;
using machinery::Path;
using testing::ControllerWorld;

namespace {

Node deployment(int replicas, const char* image = "v1", Node surge = Node("25%"), Node unavailable = Node("25%"), const char* strategy = "RollingUpdate") {
  Node d = Node::obj({{"apiVersion", "apps/v1"}, {"kind", "Deployment"}, {"metadata", Node::obj({{"name", "web"}, {"namespace", "default"}})},
                      {"spec", Node::obj({{"replicas", replicas}, {"selector", Node::obj({{"matchLabels", Node::obj({{"app", "web"}})}})}, {"strategy", Node::obj({{"type", strategy}})},
                                          {"template", Node::obj({{"metadata", Node::obj({{"labels", Node::obj({{"app", "web"}})}})}, {"spec", Node::obj({{"containers", Node::arr({Node::obj({{"name", "c"}, {"image", image}})})}})}})}})}});
  if (std::string(strategy) == "RollingUpdate") d["spec"]["strategy"]["rollingUpdate"] = Node::obj({{"maxSurge", surge}, {"maxUnavailable", unavailable}});
  return d;
}

// A set of `replicas`, all but `missing` available, of an image, with the size the deployment had (0: no annotations).
Doc set(const char* name, const char* image, int replicas, int available, int desired = 0, int most = 0, int revision = 1) {
  Node rs = Node::obj({{"metadata", Node::obj({{"name", name}, {"creationTimestamp", "2026-01-01T00:00:0" + std::to_string(revision) + "Z"}})}, {"spec", Node::obj({{"replicas", replicas}, {"template", deployment(1, image).path("spec.template")}})},
                       {"status", Node::obj({{"replicas", replicas}, {"availableReplicas", available}, {"readyReplicas", available}})}});
  rs["metadata"]["annotations"].set("deployment.kubernetes.io/revision", std::to_string(revision));
  if (desired) rs["metadata"]["annotations"].set("deployment.kubernetes.io/desired-replicas", std::to_string(desired));
  if (most) rs["metadata"]["annotations"].set("deployment.kubernetes.io/max-replicas", std::to_string(most));
  return Doc::from(rs);
}

std::map<std::string, int64_t> sizes(const DeploymentPlan& p, const std::vector<Doc>& sets) {
  std::map<std::string, int64_t> out;
  for (const Doc& rs : sets) out[name_of(rs)] = rs.path("spec.replicas").int_or(0);
  for (const auto& [name, n] : p.scale) out[name] = n;
  if (p.create_new) out["new"] = p.new_replicas;
  return out;
}
using Sizes = std::map<std::string, int64_t>;
const Instant kNow{1'767'226'000'000'000};

struct World : ControllerWorld {
  World() {
    run<DeploymentController>();
    run<ReplicaSetController>();
  }
  Path sets() { return path("apps", "replicasets"); }
  Path at(const char* sub = "") {
    Path p = path("apps", "deployments", "web");
    p.subresource = sub;
    return p;
  }
  void put(const Node& d) {
    cluster.put(path("apps", "deployments"), d);
    settle();
  }
  void image(const std::string& image) {
    cluster.merge(at(), R"({"spec":{"template":{"spec":{"containers":[{"name":"c","image":")" + image + R"("}]}}}})");
    settle();
  }
  void finish() {  // every pod starts at once, for as long as it takes
    for (int i = 0; i < 100; ++i) {
      settle();
      start_pods();
      settle();
    }
  }
  Sizes by_image() {
    Sizes out;
    for (const Doc& rs : cluster.all(sets())) out[rs.path("spec.template.spec.containers").at(0)["image"].str()] += rs.path("spec.replicas").int_or(0);
    return out;
  }
  Doc set_of(const std::string& image) {
    for (const Doc& rs : cluster.all(sets()))
      if (rs.path("spec.template.spec.containers").at(0)["image"].equals(image)) return rs;
    return {};
  }
  std::string condition(const char* type) {
    auto d = cluster.at(at());
    for (json::Value c : d.path("status.conditions").items())
      if (c["type"].equals(type)) return c["status"].str() + "/" + c["reason"].str();
    return "";
  }
};

}  // namespace

TEST_CASE("deployment: percents round up for surge and down for unavailability") {
  struct Row { const char* value; int64_t total; bool up; int64_t want; };
  for (const Row& r : {Row{"\"25%\"", 10, true, 3}, {"\"25%\"", 10, false, 2}, {"\"25%\"", 4, true, 1}, {"\"25%\"", 3, false, 0}, {"\"0%\"", 5, true, 0}, {"\"100%\"", 5, false, 5}, {"\"1%\"", 1, true, 1}, {"3", 10, true, 3}, {"\"x\"", 10, true, 7}}) {
    CAPTURE(r.value, r.total);
    Doc d = Doc::parse(r.value).value();
    CHECK(int_or_percent(d.root(), r.total, r.up, 7) == r.want);
  }
}

TEST_CASE("deployment: one step of a rolling update") {
  struct Row {
    const char* why;
    Node d;
    std::vector<Doc> sets;
    Sizes want;
  };
  for (const Row& r : std::vector<Row>{
           {"starts with surge", deployment(10, "v2"), {set("old", "v1", 10, 10, 10, 13)}, {{"old", 8}, {"new", 3}}},
           {"no surge: takes first", deployment(4, "v2", 0, 1), {set("old", "v1", 4, 4, 4, 4)}, {{"old", 3}, {"new", 0}}},
           {"no surge: then gives", deployment(4, "v2", 0, 1), {set("old", "v1", 3, 3, 4, 4), set("new", "v2", 0, 0, 4, 4, 2)}, {{"old", 3}, {"new", 1}}},
           {"nothing while the new one is not available", deployment(4, "v2", 0, 1), {set("old", "v1", 3, 3, 4, 4), set("new", "v2", 1, 0, 4, 4, 2)}, {{"old", 3}, {"new", 1}}},
           {"goes on when it is", deployment(4, "v2", 0, 1), {set("old", "v1", 3, 3, 4, 4), set("new", "v2", 1, 1, 4, 4, 2)}, {{"old", 2}, {"new", 1}}},
           {"broken old pods go first", deployment(4, "v2", 1, 0), {set("old", "v1", 4, 3, 4, 5), set("new", "v2", 1, 1, 4, 5, 2)}, {{"old", 3}, {"new", 1}}},
           {"of several old sets the oldest", deployment(3, "v3", 1, 0), {set("a", "v1", 2, 2, 3, 4), set("b", "v2", 1, 1, 3, 4, 2), set("new", "v3", 1, 1, 3, 4, 3)}, {{"a", 1}, {"b", 1}, {"new", 1}}},
           {"both percents none: one unavailable", deployment(1, "v2", "0%", "0%"), {set("old", "v1", 1, 1, 1, 1)}, {{"old", 0}, {"new", 0}}},
           {"one replica with a quarter each: surge of one", deployment(1, "v2"), {set("old", "v1", 1, 1, 1, 2)}, {{"old", 1}, {"new", 1}}},
           {"too big is cut at once", deployment(2, "v1"), {set("new", "v1", 5, 5, 2, 3)}, {{"new", 2}}},
           {"recreate waits for the old pods", deployment(2, "v2", {}, {}, "Recreate"), {set("old", "v1", 2, 2, 2, 2)}, {{"old", 0}}},
       }) {
    CAPTURE(r.why);
    CHECK(sizes(plan_deployment(Doc::from(r.d), r.sets, kNow), r.sets) == r.want);
  }
}

TEST_CASE("deployment: a change of size in the middle of a rollout is shared in proportion") {
  struct Row {
    const char* why;
    Node d;
    std::vector<Doc> sets;
    Sizes want;
  };
  for (const Row& r : std::vector<Row>{
           // The example of Kubernetes' documentation: 10 replicas with surge 3 stood at 8 and 5; 15 replicas make 18 in all.
           {"documentation", deployment(15, "v2", 3, 2), {set("old", "v1", 8, 8, 10, 13), set("new", "v2", 5, 0, 10, 13, 2)}, {{"old", 11}, {"new", 7}}},
           {"down", deployment(5, "v2", 3, 2), {set("old", "v1", 8, 8, 10, 13), set("new", "v2", 5, 0, 10, 13, 2)}, {{"old", 5}, {"new", 3}}},
           {"to nothing", deployment(0, "v2", 3, 2), {set("old", "v1", 8, 8, 10, 13), set("new", "v2", 5, 0, 10, 13, 2)}, {{"old", 0}, {"new", 0}}},
           {"equal sets: the newest grows", deployment(5, "v2", 1, 0), {set("a", "v1", 2, 2, 4, 5), set("b", "v2", 3, 0, 4, 5, 2)}, {{"a", 2}, {"b", 4}}},
           {"a saturated new one ends the others", deployment(3, "v2", 1, 0), {set("old", "v1", 1, 1, 4, 5), set("new", "v2", 3, 3, 3, 4, 2)}, {{"old", 0}, {"new", 3}}},
       }) {
    CAPTURE(r.why);
    CHECK(sizes(plan_deployment(Doc::from(r.d), r.sets, kNow), r.sets) == r.want);
  }
}

TEST_CASE("deployment: paused, it scales and rolls nothing") {
  Node d = deployment(5, "v2");
  d["spec"].set("paused", true);
  std::vector<Doc> sets = {set("old", "v1", 3, 3, 3, 4)};
  CHECK(sizes(plan_deployment(Doc::from(d), sets, kNow), sets) == Sizes{{"old", 5}});
  sets = {set("older", "v0", 0, 0), set("old", "v1", 0, 0, 0, 0, 2)};
  CHECK(sizes(plan_deployment(Doc::from(d), sets, kNow), sets) == Sizes{{"older", 0}, {"old", 5}});
  CHECK(sizes(plan_deployment(Doc::from(d), {}, kNow), {}).empty());
}

TEST_CASE("deployment: status adds up and conditions tell the rollout") {
  World w;
  w.put(deployment(3));
  CHECK(w.condition("Available") == "False/MinimumReplicasUnavailable");
  auto status = [&w](const char* f) { return w.cluster.at(w.at()).path("status")[f].int_or(0); };
  CHECK(status("unavailableReplicas") == 3);
  CHECK(status("updatedReplicas") == 3);
  w.start_pods();
  w.settle();
  CHECK(w.condition("Available") == "True/MinimumReplicasAvailable");
  CHECK(w.condition("Progressing") == "True/NewReplicaSetAvailable");
  CHECK(status("availableReplicas") == 3);
  CHECK(status("unavailableReplicas") == 0);
  CHECK(status("observedGeneration") == 1);
  w.image("v2");
  CHECK(w.condition("Progressing").starts_with("True/"));
  CHECK(status("replicas") == 4);
  CHECK(status("unavailableReplicas") == 1);
  w.pass(seconds(599));
  CHECK(w.condition("Progressing").starts_with("True/"));
  w.pass(seconds(5));
  CHECK(w.condition("Progressing") == "False/ProgressDeadlineExceeded");
  CHECK(w.condition("Available") == "True/MinimumReplicasAvailable");
  w.finish();
  CHECK(w.condition("Progressing") == "True/NewReplicaSetAvailable");
}

// Property: whatever surge and unavailability, in any order of starting pods, a rollout stays within its bounds at every moment and ends.
TEST_CASE("deployment: rollouts stay within their bounds and end") {
  struct Row { int replicas; Node surge, unavailable; int most, least; };
  for (const Row& r : std::vector<Row>{{3, "25%", "25%", 4, 3}, {4, 0, 1, 4, 3}, {5, 2, 0, 7, 5}, {2, "100%", "50%", 4, 1}, {1, "0%", "0%", 1, 0}}) {
    CAPTURE(r.replicas, r.surge.dump(), r.unavailable.dump());
    World w;
    w.put(deployment(r.replicas, "v1", r.surge, r.unavailable));
    w.finish();
    REQUIRE(w.by_image() == Sizes{{"v1", r.replicas}});
    int most = 0, least = 1000;
    w.after_round = [&] {
      int pods = 0, ready = 0;
      for (const Doc& p : w.cluster.all(w.pods())) ++pods, ready += pod_is_ready(p.root());
      most = std::max(most, pods);
      least = std::min(least, ready);
    };
    w.image("v2");
    for (int i = 0; i < 60; ++i) {
      bool one = false;  // one pod at a time becomes ready
      w.start_pods([&one](const Doc&) { return !std::exchange(one, true); });
      w.settle();
    }
    CHECK(most <= r.most);
    CHECK(least >= r.least);
    CHECK(w.by_image() == Sizes{{"v1", 0}, {"v2", r.replicas}});
  }
}

TEST_CASE("deployment: recreate ends the old pods before it makes new ones") {
  World w;
  w.cluster.graceful_pods = true;
  w.put(deployment(2, "v1", {}, {}, "Recreate"));
  w.finish();
  w.image("v2");
  CHECK(w.by_image()["v1"] == 0);
  CHECK(w.by_image()["v2"] == 0);  // the old ones are still ending
  machinery::DeleteOptions now;
  now.grace_period_seconds = 0;
  for (const auto& name : w.cluster.names(w.pods())) (void)w.cluster.remove(w.pods(name), now);
  w.settle();
  CHECK(w.by_image()["v2"] == 2);
}

TEST_CASE("deployment: going back takes the old set again, with a new revision") {
  World w;
  w.put(deployment(2, "v1"));
  w.finish();
  w.image("v2");
  w.finish();
  auto revision = [&w](const char* image) { return w.set_of(image).path("metadata.annotations")["deployment.kubernetes.io/revision"].str(); };
  CHECK(revision("v1") == "1");
  CHECK(revision("v2") == "2");
  w.image("v1");
  w.finish();
  CHECK(w.cluster.all(w.sets()).size() == 2);
  CHECK(revision("v1") == "3");
  CHECK(w.cluster.at(w.at()).path("metadata.annotations")["deployment.kubernetes.io/revision"].equals("3"));
  CHECK(w.by_image() == Sizes{{"v1", 2}, {"v2", 0}});
}

TEST_CASE("deployment: history is kept up to its limit, and during a rollout") {
  World w;
  Node d = deployment(1, "v1");
  d["spec"].set("revisionHistoryLimit", 1);
  w.put(d);
  w.finish();
  for (const char* image : {"v2", "v3", "v4"}) {
    w.image(image);
    w.finish();
  }
  CHECK(w.by_image() == Sizes{{"v3", 0}, {"v4", 1}});
  w.cluster.merge(w.at(), R"({"spec":{"revisionHistoryLimit":0}})");
  w.image("broken");
  CHECK(w.by_image().count("v4"));  // nobody could undo otherwise
}

TEST_CASE("deployment: finds its sets again after they were orphaned, and another hash when the name is taken") {
  World w;
  w.put(deployment(2, "v1"));
  w.finish();
  std::string name = w.cluster.names(w.sets()).at(0);
  Path rs = w.path("apps", "replicasets", name);
  // Deleted with orphaned sets, made again.
  w.cluster.merge(rs, R"({"metadata":{"ownerReferences":null}})");
  (void)w.cluster.remove(w.at(), {});
  w.settle();
  w.put(deployment(2, "v1"));
  CHECK(w.cluster.names(w.sets()) == std::vector<std::string>{name});
  CHECK(controller_of(w.cluster.at(rs).root())["uid"].equals(w.cluster.at(w.at()).path("metadata.uid").str()));
  // The name belongs to somebody else.
  World v;
  v.cluster.put(v.sets(), Node::obj({{"metadata", Node::obj({{"name", name}, {"ownerReferences", Node::arr({Node::obj({{"uid", "other"}, {"controller", true}, {"kind", "X"}, {"name", "x"}})})}})}, {"spec", Node::obj({{"replicas", 0}})}}));
  v.put(deployment(2, "v1"));
  for (int i = 0; i < 3; ++i) v.pass(seconds(1));
  CHECK(v.cluster.all(v.sets()).size() == 2);
  CHECK(v.by_image()["v1"] == 2);
  CHECK(v.cluster.at(v.at()).path("status.collisionCount").int_or(0) == 1);
}

TEST_CASE("deployment: the hash is of the template alone") {
  Node a = deployment(1), b = deployment(5, "v1", 2, 2);
  CHECK(template_hash(Doc::from(a)) == template_hash(Doc::from(b)));
  CHECK(template_hash(Doc::from(a)) != template_hash(Doc::from(deployment(1, "v2"))));
  b["status"].set("collisionCount", 1);
  CHECK(template_hash(Doc::from(a)) != template_hash(Doc::from(b)));
}
