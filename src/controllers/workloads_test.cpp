// The plans of DaemonSets, StatefulSets, Jobs and CronJobs, by small simulated clusters: what a plan orders is done, and it plans again.
#include <catch2/catch.hpp>

#include "base/strings.h"
#include "controllers/cronjob_plan.h"
#include "controllers/daemonset_plan.h"
#include "controllers/history.h"
#include "controllers/job_plan.h"
#include "controllers/statefulset_plan.h"

using namespace k8lite;
using namespace k8lite::controllers;
using json::Doc;
using json::Node;

namespace {

const Instant kNow = *parse_rfc3339("2026-11-21T10:00:00Z");

Doc doc(std::string_view text) {
  std::string t;
  for (char c : text) t += c == '\'' ? '"' : c;
  auto d = Doc::parse(t);
  INFO(t);
  REQUIRE(d.ok());
  return *d;
}

Doc pod(const std::string& name, const std::string& phase, bool ready, Node labels = Node::object(), Node spec = Node::object()) {
  Node p = Node::obj({{"apiVersion", "v1"}, {"kind", "Pod"}, {"metadata", Node::obj({{"name", name}, {"namespace", "ns"}, {"uid", "uid-" + name}, {"labels", std::move(labels)}, {"creationTimestamp", "2026-11-21T09:00:00Z"}})}, {"spec", std::move(spec)},
                      {"status", Node::obj({{"phase", phase}})}});
  if (ready) p["status"].set("conditions", Node::arr({Node::obj({{"type", "Ready"}, {"status", "True"}, {"lastTransitionTime", "2026-11-21T09:00:00Z"}})}));
  return Doc::from(p);
}

Doc node(const char* name, const char* extra = "'spec':{}") { return doc(std::string("{'metadata':{'name':'") + name + "','labels':{'disk':'" + name + "'}}," + extra + "}"); }

}  // namespace

// ---- DaemonSet ----

TEST_CASE("daemonset: a pod on every node that fits, none elsewhere") {
  Doc set = doc("{'metadata':{'name':'d','generation':3},'spec':{'template':{'spec':{'containers':[]}}}}");
  std::vector<Doc> nodes = {node("a"), node("b", "'spec':{'unschedulable':true,'taints':[{'key':'node.kubernetes.io/unschedulable','effect':'NoSchedule'}]}"), node("c", "'spec':{'taints':[{'key':'x','effect':'NoSchedule'}]}"),
                            node("e", "'spec':{'taints':[{'key':'y','effect':'NoExecute'}]}")};
  auto plan = plan_daemon_set(set, nodes, {}, "h", kNow);
  CHECK(plan.create == std::vector<std::string>{"a", "b"});
  CHECK(plan.status.get("desiredNumberScheduled").int_or(-1) == 2);
  CHECK(plan.status.get("numberUnavailable").int_or(-1) == 2);
  Node on_c = Node::obj({{"nodeName", "c"}}), on_e = Node::obj({{"nodeName", "e"}}), on_gone = Node::obj({{"nodeName", "gone"}});
  plan = plan_daemon_set(set, nodes, {pod("p1", "Running", true, {}, on_c), pod("p2", "Running", true, {}, on_e), pod("p3", "Running", true, {}, on_gone)}, "h", kNow);
  CHECK(plan.remove == std::vector<std::string>{"p2"});  // a NoSchedule taint lets those stay that are there; of nodes not known nothing is
  Node waits = daemon_pod(set, Node::obj({{"metadata", Node::object()}, {"spec", Node::object()}}), "gone", "h").get("spec");
  plan = plan_daemon_set(set, nodes, {pod("p1", "Running", true, {}, on_c), pod("p4", "Pending", false, {}, waits)}, "h", kNow);
  CHECK(plan.remove == std::vector<std::string>{"p4"});  // but one that waits for a node that is gone
  CHECK(plan.status.get("numberMisscheduled").int_or(-1) == 1);
  Doc picky = doc("{'metadata':{'name':'d'},'spec':{'template':{'spec':{'nodeSelector':{'disk':'b'}}}}}");
  CHECK(plan_daemon_set(picky, nodes, {}, "h", kNow).create == std::vector<std::string>{"b"});
}

TEST_CASE("daemonset: its pods are bound by affinity and tolerate what nodes suffer") {
  Doc set = doc("{'metadata':{'name':'d','generation':3},'spec':{'template':{'spec':{'hostNetwork':true}}}}");
  Node p = daemon_pod(set, Node::obj({{"metadata", Node::object()}, {"spec", set.path("spec.template.spec").to_node()}}), "n7", "abc");
  CHECK(target_node(Doc::from(p).root()) == "n7");
  CHECK(p.path("metadata.labels.controller-revision-hash").str() == "abc");
  CHECK(p.path("spec.tolerations").size() == 7);
}

TEST_CASE("daemonset: a failed pod goes and is made anew only when it is gone") {
  Doc set = doc("{'metadata':{'name':'d'},'spec':{'template':{'spec':{}}}}");
  auto plan = plan_daemon_set(set, {node("a")}, {pod("p", "Failed", false, {}, Node::obj({{"nodeName", "a"}}))}, "h", kNow);
  CHECK(plan.remove == std::vector<std::string>{"p"});
  CHECK(plan.failed == std::vector<std::string>{"p"});
  CHECK(plan.create.empty());
}

TEST_CASE("daemonset: a rollout keeps its promise of availability and ends") {
  for (auto [unavailable, surge] : {std::pair{1, 0}, {3, 0}, {0, 1}, {0, 2}}) {
    CAPTURE(unavailable, surge);
    Doc set = doc("{'metadata':{'name':'d'},'spec':{'updateStrategy':{'type':'RollingUpdate','rollingUpdate':{'maxUnavailable':" + std::to_string(unavailable) + ",'maxSurge':" + std::to_string(surge) + "}},'template':{'spec':{}}}}");
    std::vector<Doc> nodes, pods;
    for (int i = 0; i < 6; ++i) {
      std::string n = "n" + std::to_string(i);
      nodes.push_back(node(n.c_str()));
      pods.push_back(pod("old" + std::to_string(i), "Running", true, Node::obj({{"controller-revision-hash", "1"}}), Node::obj({{"nodeName", n}})));
    }
    int made = 0;
    for (int round = 0; round < 60; ++round) {
      auto plan = plan_daemon_set(set, nodes, pods, "2", kNow);
      std::erase_if(pods, [&](const Doc& p) { return std::find(plan.remove.begin(), plan.remove.end(), name_of(p)) != plan.remove.end(); });
      int ready = 0;
      for (const Doc& p : pods) ready += pod_is_ready(p.root());
      CHECK(ready >= 6 - unavailable);
      CHECK(pods.size() + plan.create.size() <= static_cast<size_t>(6 + surge));
      for (Doc& p : pods)  // what was made in the round before is ready now
        if (!pod_is_ready(p.root())) p = pod(name_of(p), "Running", true, p.path("metadata.labels").to_node(), p["spec"].to_node());
      for (const auto& n : plan.create) pods.push_back(pod("new" + std::to_string(made++), "Pending", false, Node::obj({{"controller-revision-hash", "2"}}), Node::obj({{"nodeName", n}})));
    }
    CHECK(pods.size() == 6);
    for (const Doc& p : pods) CHECK(p["metadata"]["labels"]["controller-revision-hash"].equals("2"));
    CHECK(plan_daemon_set(set, nodes, pods, "2", kNow).status.get("updatedNumberScheduled").int_or(0) == 6);
  }
}

// ---- history ----

TEST_CASE("history: a template is stored once, a rollback bumps its revision, old ones are pruned") {
  auto owner = [](const char* image) { return doc(std::string("{'apiVersion':'apps/v1','kind':'DaemonSet','metadata':{'name':'d','namespace':'ns','uid':'u'},'spec':{'revisionHistoryLimit':1,'template':{'spec':{'containers':[{'name':'c','image':'") + image + "'}]}}}}"); };
  std::vector<Doc> revisions;
  for (const char* image : {"a", "b", "c"}) {
    auto plan = plan_history(owner(image), revisions, {});
    REQUIRE(plan.create);
    CHECK(plan.revision == static_cast<int64_t>(revisions.size()) + 1);
    revisions.push_back(Doc::from(*plan.create));
    CHECK(!plan_history(owner(image), revisions, {}).create);
  }
  auto plan = plan_history(owner("c"), revisions, {});
  CHECK(plan.remove == std::vector<std::string>{name_of(revisions[0])});
  CHECK(plan_history(owner("c"), revisions, {name_of(revisions[0])}).remove.empty());
  plan = plan_history(owner("a"), revisions, {});
  CHECK(plan.bump == name_of(revisions[0]));
  CHECK(plan.revision == 4);
}

// ---- StatefulSet ----

namespace {
// Runs plans against pods that become ready one round after they are made and vanish one round after they are ended.
struct StatefulWorld {
  Doc set;
  std::map<std::string, Doc> pods;
  std::string current, update = "r1";
  int64_t most = 0, least_ready = INT64_MAX;
  std::vector<std::string> log;

  void step() {
    std::vector<Doc> list;
    for (auto& [n, p] : pods) list.push_back(p);
    auto plan = plan_stateful_set(set, list, current, update, kNow);
    int64_t ready = 0;
    for (auto& [n, p] : pods) ready += pod_is_ready(p.root());
    for (auto& [n, p] : pods)
      if (!pod_is_ready(p.root()) && p.path("status.phase").equals("Pending")) p = pod(n, "Running", true, p.path("metadata.labels").to_node());
    for (const auto& n : plan.remove) {
      log.push_back("-" + n);
      pods.erase(n);
    }
    for (const auto& c : plan.create) {
      std::string n = "web-" + std::to_string(c.ordinal);
      log.push_back("+" + n);
      pods[n] = pod(n, "Pending", false, Node::obj({{"controller-revision-hash", c.current ? current : update}}));
    }
    most = std::max(most, static_cast<int64_t>(pods.size()));
    least_ready = std::min(least_ready, ready);
    current = plan.status.get("currentRevision").str();
    Node s = set.to_node();
    s.set("status", plan.status);
    set = Doc::from(s);
  }
  void spec(const char* field, Node value) {
    Node s = set.to_node();
    s["spec"].set(field, std::move(value));
    set = Doc::from(s);
  }
};
StatefulWorld world(int replicas, const char* policy = "OrderedReady") {
  return {doc("{'metadata':{'name':'web','namespace':'ns'},'spec':{'podManagementPolicy':'" + std::string(policy) + "','replicas':" + std::to_string(replicas) + ",'updateStrategy':{'type':'RollingUpdate','rollingUpdate':{'partition':0}}}}"), {}, "", "r1", 0, INT64_MAX, {}};
}
}  // namespace

TEST_CASE("statefulset: pods come in order, each after the one before is ready, and go in reverse") {
  auto w = world(3);
  w.step();
  CHECK(w.log == std::vector<std::string>{"+web-0"});
  w.step();  // web-0 is not ready yet
  CHECK(w.log.size() == 1);
  for (int i = 0; i < 8; ++i) w.step();
  CHECK(w.log == std::vector<std::string>{"+web-0", "+web-1", "+web-2"});
  w.log.clear();
  w.spec("replicas", 1);
  for (int i = 0; i < 4; ++i) w.step();
  CHECK(w.log == std::vector<std::string>{"-web-2", "-web-1"});
}

TEST_CASE("statefulset: in parallel all at once, from the first ordinal asked for") {
  auto w = world(3, "Parallel");
  w.spec("ordinals", Node::obj({{"start", 5}}));
  w.step();
  CHECK(w.log == std::vector<std::string>{"+web-5", "+web-6", "+web-7"});
}

TEST_CASE("statefulset: a rollout goes from the highest ordinal down, one at a time, and ends with the new revision current") {
  auto w = world(3);
  for (int i = 0; i < 10; ++i) w.step();
  w.log.clear();
  w.least_ready = 99;
  w.update = "r2";
  for (int i = 0; i < 20; ++i) w.step();
  CHECK(w.log == std::vector<std::string>{"-web-2", "+web-2", "-web-1", "+web-1", "-web-0", "+web-0"});
  CHECK(w.least_ready == 2);
  CHECK(w.current == "r2");
  CHECK(w.set.path("status.updatedReplicas").int_or(0) == 3);
}

TEST_CASE("statefulset: a partition keeps the lower ordinals on the old revision, also when they are made anew") {
  auto w = world(3);
  for (int i = 0; i < 10; ++i) w.step();
  w.spec("updateStrategy", Node::obj({{"type", "RollingUpdate"}, {"rollingUpdate", Node::obj({{"partition", 2}})}}));
  w.update = "r2";
  for (int i = 0; i < 20; ++i) w.step();
  CHECK(w.pods["web-2"]["metadata"]["labels"]["controller-revision-hash"].equals("r2"));
  CHECK(w.pods["web-1"]["metadata"]["labels"]["controller-revision-hash"].equals("r1"));
  CHECK(w.current == "r1");
  w.pods.erase("web-0");
  for (int i = 0; i < 5; ++i) w.step();
  CHECK(w.pods["web-0"]["metadata"]["labels"]["controller-revision-hash"].equals("r1"));
}

TEST_CASE("statefulset: OnDelete waits for the user, a finished pod is replaced, a pod with another name is left alone") {
  auto w = world(2);
  for (int i = 0; i < 10; ++i) w.step();
  w.log.clear();
  w.spec("updateStrategy", Node::obj({{"type", "OnDelete"}}));
  w.update = "r2";
  for (int i = 0; i < 5; ++i) w.step();
  CHECK(w.log.empty());
  w.pods["web-1"] = pod("web-1", "Failed", false);
  w.pods["web-x"] = pod("web-x", "Running", true);
  w.pods["web-01"] = pod("web-01", "Running", true);
  for (int i = 0; i < 5; ++i) w.step();
  CHECK(w.log == std::vector<std::string>{"-web-1", "+web-1"});
}

TEST_CASE("statefulset: a pod has its name, host name and claims") {
  Doc set = doc("{'apiVersion':'apps/v1','kind':'StatefulSet','metadata':{'name':'web','namespace':'ns','uid':'u'},'spec':{'serviceName':'svc','selector':{'matchLabels':{'a':'b'}},'volumeClaimTemplates':[{'metadata':{'name':'data'},'spec':{'accessModes':['ReadWriteOnce']}}]}}");
  Node p = stateful_pod(set, Node::obj({{"metadata", Node::obj({{"generateName", "web-"}})}, {"spec", Node::obj({{"volumes", Node::arr({Node::obj({{"name", "data"}, {"emptyDir", Node::object()}})})}})}}), 4, "web-abc");
  CHECK(p.path("metadata.name").str() == "web-4");
  CHECK(!p.path("metadata.generateName").exists());
  CHECK(p.path("metadata.labels").get("apps.kubernetes.io/pod-index").str() == "4");
  CHECK(p.path("spec.hostname").str() == "web-4");
  CHECK(p.path("spec.subdomain").str() == "svc");
  REQUIRE(p.path("spec.volumes").size() == 1);
  CHECK(p.path("spec.volumes").items()[0].path("persistentVolumeClaim.claimName").str() == "data-web-4");
  auto claims = claims_of(set, "web-4");
  REQUIRE(claims.size() == 1);
  CHECK(claims[0].path("metadata.name").str() == "data-web-4");
  CHECK(claims[0].path("metadata.labels.a").str() == "b");
}

// ---- Job ----

namespace {
// Applies plans to pods; `end` decides how each new pod ends. A crash between two writes is simulated by losing one of them.
struct JobWorld {
  Doc job;
  std::map<std::string, Doc> pods;
  Instant now = kNow;
  int made = 0;
  size_t most_active = 0;

  void set_status(const Node& status) {
    Node j = job.to_node();
    j.set("status", status);
    job = Doc::from(j);
  }
  JobPlan step(bool lose_release = false) {
    std::vector<Doc> list;
    for (auto& [n, p] : pods) list.push_back(p);
    JobPlan plan = plan_job(job, list, now);
    for (const auto& c : plan.create) {
      std::string n = "p" + std::to_string(made++);
      Node p = job_pod(job, pod(n, "Running", true).to_node(), c);
      pods[n] = Doc::from(p);
    }
    for (const auto& n : plan.remove) phase(n, "Failed");
    set_status(plan.status);
    if (!lose_release)
      for (const auto& n : plan.release)
        if (pods.contains(n)) {
          Node p = pods[n].to_node();
          p["metadata"].erase("finalizers");
          pods[n] = Doc::from(p);
        }
    size_t active = 0;
    for (auto& [n, p] : pods) active += p.path("status.phase").equals("Running");
    most_active = std::max(most_active, active);
    return plan;
  }
  void phase(const std::string& name, const char* phase, int code = 1) {
    Node p = pods[name].to_node();
    p["status"].set("phase", phase);
    p["status"].set("containerStatuses", Node::arr({Node::obj({{"name", "c"}, {"state", Node::obj({{"terminated", Node::obj({{"exitCode", phase[0] == 'S' ? 0 : code}, {"finishedAt", rfc3339(now)}})}})}})}));
    pods[name] = Doc::from(p);
  }
  void end_all(const char* how, int code = 1) {
    for (auto& [n, p] : pods)
      if (p.path("status.phase").equals("Running")) phase(n, how, code);
  }
  void settle(int rounds = 4) {
    for (int i = 0; i < rounds; ++i) step();
  }
  int64_t count(const char* field) { return job["status"][field].int_or(0); }
  std::string finished() {
    std::string_view how;
    return job_finished(job.root(), &how) ? std::string(how) : "";
  }
};
JobWorld job_world(const std::string& spec) { return {doc("{'apiVersion':'batch/v1','kind':'Job','metadata':{'name':'j','namespace':'ns','uid':'u'},'spec':{" + spec + ",'template':{'spec':{'restartPolicy':'Never','containers':[{'name':'c'}]}}}}"), {}, kNow, 0, 0}; }
}  // namespace

TEST_CASE("job: completions are reached with at most `parallelism` pods at a time, each counted once") {
  auto w = job_world("'completions':7,'parallelism':3,'backoffLimit':6");
  for (int i = 0; i < 30 && w.finished().empty(); ++i) {
    w.step(i % 2 == 0);  // every other time the finalizers stay, as after a crash
    w.end_all("Succeeded");
  }
  w.settle();
  CHECK(w.finished() == "Complete");
  CHECK(w.count("succeeded") == 7);
  CHECK(w.made == 7);
  CHECK(w.most_active == 3);
  for (auto& [n, p] : w.pods) CHECK(!p.path("metadata.finalizers"));
  CHECK(w.job.path("status.completionTime").exists());
}

TEST_CASE("job: without completions one success stops new pods, and all must end") {
  auto w = job_world("'parallelism':3");
  w.step();
  CHECK(w.made == 3);
  w.phase("p0", "Succeeded");
  w.settle();
  CHECK(w.made == 3);
  CHECK(w.finished().empty());
  w.end_all("Succeeded");
  w.settle();
  CHECK(w.finished() == "Complete");
}

TEST_CASE("job: failures back off, then the limit ends it") {
  auto w = job_world("'completions':1,'parallelism':1,'backoffLimit':2");
  w.step();
  for (int failures = 1; failures <= 2; ++failures) {
    w.end_all("Failed");
    w.step();
    auto plan = w.step();
    CHECK(plan.create.empty());
    CHECK(plan.again == seconds(10) * failures);  // 10 s, then 20 s
    w.now = w.now + seconds(10) * failures;
    w.step();
    CHECK(w.made == failures + 1);
  }
  w.end_all("Failed");
  w.settle();
  CHECK(w.finished() == "Failed");
  CHECK(w.count("failed") == 3);
  CHECK(w.job.path("status.conditions").at(0)["reason"].equals("BackoffLimitExceeded"));
}

TEST_CASE("job: the deadline ends it with its pods") {
  auto w = job_world("'completions':1,'parallelism':1,'activeDeadlineSeconds':30");
  auto plan = w.step();
  CHECK(plan.again == seconds(30));
  w.now = w.now + seconds(30);
  plan = w.step();
  CHECK(plan.remove == std::vector<std::string>{"p0"});
  w.settle();
  CHECK(w.finished() == "Failed");
}

TEST_CASE("job: suspended it ends its pods and starts its clock anew when resumed") {
  auto w = job_world("'completions':2,'parallelism':2");
  w.step();
  Node j = w.job.to_node();
  j["spec"].set("suspend", true);
  w.job = Doc::from(j);
  auto plan = w.step();
  CHECK(plan.remove.size() == 2);
  CHECK(!w.job.path("status.startTime").exists());
  w.pods.clear();
  j = w.job.to_node();
  j["spec"].set("suspend", false);
  w.job = Doc::from(j);
  w.now = w.now + seconds(100);
  w.step();
  CHECK(w.made == 4);
  CHECK(w.job.path("status.startTime").equals(rfc3339(w.now)));
}

TEST_CASE("job: indexed, every index succeeds once and a failed one is repeated with its index") {
  auto w = job_world("'completions':3,'parallelism':3,'completionMode':'Indexed','backoffLimit':6");
  w.step();
  w.phase("p0", "Succeeded");
  w.phase("p1", "Failed");
  w.phase("p2", "Succeeded");
  w.settle(2);
  CHECK(w.job.path("status.completedIndexes").equals("0,2"));
  w.now = w.now + seconds(10);
  w.settle(2);
  REQUIRE(w.made == 4);
  CHECK(w.pods["p3"]["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"].equals("1"));
  CHECK(w.pods["p3"].path("spec.hostname").equals("j-1"));
  w.end_all("Succeeded");
  w.settle();
  CHECK(w.finished() == "Complete");
  CHECK(w.job.path("status.completedIndexes").equals("0-2"));
}

TEST_CASE("job: back-off per index lets the others finish") {
  auto w = job_world("'completions':2,'parallelism':2,'completionMode':'Indexed','backoffLimit':100,'backoffLimitPerIndex':1");
  w.step();
  w.phase("p1", "Succeeded");
  for (int i = 0; i < 2; ++i) {
    w.end_all("Failed");
    w.settle(2);
    w.now = w.now + seconds(700);
    w.settle(2);
  }
  w.settle();
  CHECK(w.finished() == "Failed");
  CHECK(w.job.path("status.failedIndexes").equals("0"));
  CHECK(w.job.path("status.completedIndexes").equals("1"));
  CHECK(w.job.path("status.conditions").at(0)["reason"].equals("FailedIndexes"));
}

TEST_CASE("job: the failure policy fails the job or ignores the pod") {
  auto w = job_world("'completions':1,'parallelism':1,'backoffLimit':0,'podFailurePolicy':{'rules':[{'action':'Ignore','onExitCodes':{'operator':'In','values':[7]}},{'action':'FailJob','onExitCodes':{'operator':'NotIn','values':[7]}}]}");
  w.step();
  w.end_all("Failed", 7);
  w.settle(2);
  CHECK(w.count("failed") == 0);
  w.now = w.now + seconds(700);
  w.settle(2);
  CHECK(w.made == 2);
  w.end_all("Failed", 42);
  w.settle();
  CHECK(w.finished() == "Failed");
  CHECK(w.job.path("status.conditions").at(0)["reason"].equals("PodFailurePolicy"));
}

TEST_CASE("job: the success policy ends it early") {
  auto w = job_world("'completions':4,'parallelism':4,'completionMode':'Indexed','successPolicy':{'rules':[{'succeededIndexes':'0-1','succeededCount':1}]}");
  w.step();
  w.phase("p1", "Succeeded");
  w.settle();
  CHECK(w.finished() == "Complete");
  CHECK(w.made == 4);
}

TEST_CASE("job: gone when its time after the end is over") {
  auto w = job_world("'completions':1,'parallelism':1,'ttlSecondsAfterFinished':5");
  w.step();
  w.end_all("Succeeded");
  w.settle();
  REQUIRE(w.finished() == "Complete");
  CHECK(!w.step().remove_job);
  w.now = w.now + seconds(5);
  CHECK(w.step().remove_job);
}

TEST_CASE("job: lists of indexes read back as they were written") {
  for (auto* text : {"", "0", "0,1", "0-2", "0-2,5,7,8,10-20"}) CHECK(format_indexes(parse_indexes(text)) == text);
  CHECK(parse_indexes("x,3-,5").size() == 1);
  CHECK(parse_indexes("0-99999999").size() == 100'000);
}

// ---- CronJob ----

TEST_CASE("cronjob: the last missed time makes one job, with the name of its minute") {
  Doc cron = doc("{'metadata':{'name':'c','namespace':'ns','creationTimestamp':'2026-11-21T09:30:30Z'},'spec':{'schedule':'*/10 * * * *','jobTemplate':{'spec':{}}}}");
  auto plan = plan_cron_job(cron, {}, TimeZone::utc(), kNow);
  REQUIRE(plan.create);
  CHECK(rfc3339(*plan.create) == "2026-11-21T10:00:00Z");
  CHECK(cron_job_name(cron, *plan.create) == "c-" + std::to_string(kNow.us / 60'000'000));
  CHECK(plan.again > seconds(600));
  CHECK(!plan_cron_job(cron, {}, TimeZone::utc(), *parse_rfc3339("2026-11-21T09:31:00Z")).create);
}

TEST_CASE("cronjob: concurrency, suspension, deadline and history") {
  auto cron = [](const char* extra) { return doc(std::string("{'metadata':{'name':'c','namespace':'ns','creationTimestamp':'2026-11-21T09:00:00Z'},'spec':{'schedule':'*/10 * * * *','jobTemplate':{'spec':{}}") + extra + "}}"); };
  Doc running = doc("{'metadata':{'name':'c-1','namespace':'ns','uid':'u1'},'status':{}}");
  CHECK(plan_cron_job(cron(""), {running}, TimeZone::utc(), kNow).create);
  auto plan = plan_cron_job(cron(",'concurrencyPolicy':'Forbid'"), {running}, TimeZone::utc(), kNow);
  CHECK(!plan.create);
  REQUIRE(plan.events.size() == 1);
  CHECK(plan.events[0].reason == "JobAlreadyActive");
  plan = plan_cron_job(cron(",'concurrencyPolicy':'Replace'"), {running}, TimeZone::utc(), kNow);
  CHECK(plan.create);
  CHECK(plan.remove == std::vector<std::string>{"c-1"});
  CHECK(!plan_cron_job(cron(",'suspend':true"), {}, TimeZone::utc(), kNow).create);
  CHECK(!plan_cron_job(cron(",'startingDeadlineSeconds':60"), {}, TimeZone::utc(), kNow + seconds(300)).create);
  std::vector<Doc> done;
  for (int i = 0; i < 6; ++i)
    done.push_back(doc("{'metadata':{'name':'c-" + std::to_string(i) + "','namespace':'ns','uid':'u" + std::to_string(i) + "'},'status':{'startTime':'2026-11-21T09:0" + std::to_string(i) + ":00Z','completionTime':'2026-11-21T09:0" + std::to_string(i) +
                       ":30Z','conditions':[{'type':'" + (i < 4 ? "Complete" : "Failed") + "','status':'True'}]}}"));
  plan = plan_cron_job(cron(",'suspend':true"), done, TimeZone::utc(), kNow);
  CHECK(plan.remove == std::vector<std::string>{"c-0", "c-4"});
  CHECK(plan.status.get("lastSuccessfulTime").str() == "2026-11-21T09:03:30Z");
}

TEST_CASE("cronjob: years of missed times cost no years of walking") {
  Doc cron = doc("{'metadata':{'name':'c','namespace':'ns','creationTimestamp':'1970-01-01T00:00:00Z'},'spec':{'schedule':'* * * * *','jobTemplate':{'spec':{}}}}");
  auto plan = plan_cron_job(cron, {}, TimeZone::utc(), kNow);
  REQUIRE(plan.create);
  CHECK(rfc3339(*plan.create) == "2026-11-21T10:00:00Z");
  REQUIRE(!plan.events.empty());
  CHECK(plan.events[0].reason == "TooManyMissedTimes");
}
