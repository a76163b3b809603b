// Whole stories of controllers on a fake cluster with a clock that the test moves: hours in milliseconds, writes that fail the first time,
// and caches of different ages.
#include <catch2/catch.hpp>

#include "controllers/cronjob.h"
#include "controllers/daemonset.h"
#include "controllers/deployment.h"
#include "controllers/disruption.h"
#include "controllers/job.h"
#include "controllers/mirroring.h"
#include "controllers/replicaset.h"
#include "controllers/statefulset.h"
#include "support/controller_world.h"

using namespace k8lite;
using namespace k8lite::controllers;
using json::Doc;
using json::Node;
using machinery::Path;
using testing::ControllerWorld;

namespace {

Node parse(std::string text) {
  std::replace(text.begin(), text.end(), '\'', '"');
  auto n = Node::parse(text);
  CAPTURE(text);
  REQUIRE(n.ok());
  return *n;
}
Node workload(const std::string& api, const std::string& kind, const std::string& more, const char* version = "1") {
  Node n = parse("{'apiVersion':'" + api + "','kind':'" + kind + "','metadata':{'name':'web'},'spec':{'selector':{'matchLabels':{'app':'web'}},'template':{'metadata':{'labels':{'app':'web'}},'spec':{'containers':[{'name':'c','image':'app:" + version + "'}]}}" + more + "}}");
  n["metadata"].set("namespace", "default");
  return n;
}

struct World : ControllerWorld {
  World() {
    after_round = [this] { start_pods(); };
  }
  // Seconds pass, one after the other.
  void live(int n) {
    for (int i = 0; i < n; ++i) pass(seconds(1));
  }
  size_t running(const std::string& image) {
    size_t n = 0;
    for (const Doc& p : cluster.all(pods())) n += pod_is_ready(p.root()) && p.path("spec.containers").at(0)["image"].equals(image);
    return n;
  }
  void end_pods(const char* phase) {
    for (const Doc& p : cluster.all(pods()))
      if (!p.path("status.phase").equals("Succeeded") && !p.path("status.phase").equals("Failed") && !p.path("metadata.deletionTimestamp")) set_status(p, false, phase);
  }
  int64_t status(const Path& p, const char* field) { return cluster.at(p)["status"][field].int_or(0); }
};

}  // namespace

TEST_CASE("world: a Deployment rolls out and keeps its promise though every write fails the first time") {
  World w;
  w.run<DeploymentController>();
  w.run<ReplicaSetController>();
  w.cluster.fail_each_write_once();
  Path all = w.path("apps", "deployments"), one = w.path("apps", "deployments", "web");
  w.cluster.put(all, workload("apps/v1", "Deployment", ",'replicas':4,'strategy':{'type':'RollingUpdate','rollingUpdate':{'maxSurge':1,'maxUnavailable':1}}"));
  w.live(40);
  CHECK(w.running("app:1") == 4);
  size_t least = 4, most = 0;
  w.after_round = [&] {
    w.start_pods();
    size_t there = 0;  // of what is asked for: a pod whose end was refused is still there
    for (const Doc& rs : w.cluster.all(w.path("apps", "replicasets"))) there += static_cast<size_t>(rs.path("spec.replicas").int_or(0));
    least = std::min(least, w.running("app:1") + w.running("app:2"));
    most = std::max(most, there);
  };
  w.cluster.merge(one, R"({"spec":{"template":{"spec":{"containers":[{"name":"c","image":"app:2"}]}}}})");
  w.live(60);
  CHECK(w.running("app:2") == 4);
  CHECK(w.running("app:1") == 0);
  CHECK(least >= 3);
  CHECK(most <= 5);
  CHECK(w.status(one, "updatedReplicas") == 4);
}

TEST_CASE("world: a StatefulSet makes each pod and claim once, in order, though every write fails the first time") {
  World w;
  w.run<StatefulSetController>();
  w.cluster.fail_each_write_once();
  Path one = w.path("apps", "statefulsets", "web");
  w.cluster.put(w.path("apps", "statefulsets"), workload("apps/v1", "StatefulSet", ",'replicas':3,'ordinals':{'start':2},'serviceName':'s','persistentVolumeClaimRetentionPolicy':{'whenScaled':'Delete'},'volumeClaimTemplates':[{'metadata':{'name':'data'},'spec':{}}]"));
  w.live(60);
  CHECK(w.cluster.names(w.pods()) == std::vector<std::string>{"web-2", "web-3", "web-4"});
  CHECK(w.cluster.names(w.path("", "persistentvolumeclaims")) == std::vector<std::string>{"data-web-2", "data-web-3", "data-web-4"});
  w.cluster.merge(one, R"({"spec":{"replicas":1}})");
  w.live(40);
  CHECK(w.cluster.names(w.pods()) == std::vector<std::string>{"web-2"});
  // The claims of those that went belong to them: the collector takes them along.
  CHECK(w.cluster.at(w.path("", "persistentvolumeclaims", "data-web-4")).path("metadata.ownerReferences").at(0)["kind"].equals("Pod"));
  CHECK_FALSE(w.cluster.at(w.path("", "persistentvolumeclaims", "data-web-2")).path("metadata.ownerReferences"));
  w.cluster.merge(one, R"({"spec":{"template":{"spec":{"containers":[{"name":"c","image":"app:2"}]}}}})");
  w.live(40);
  CHECK(w.running("app:2") == 1);
  CHECK(w.cluster.at(one).path("status.currentRevision").str() == w.cluster.at(one).path("status.updateRevision").str());
}

TEST_CASE("world: a claim that went before its pod was started is made again") {
  World w;
  w.after_round = nullptr;  // nobody starts them
  w.run<StatefulSetController>();
  w.cluster.put(w.path("apps", "statefulsets"), workload("apps/v1", "StatefulSet", ",'replicas':1,'volumeClaimTemplates':[{'metadata':{'name':'data'},'spec':{}}]"));
  w.settle();
  w.set_status(w.cluster.at(w.pods("web-0")), false, "Pending");
  (void)w.cluster.remove(w.path("", "persistentvolumeclaims", "data-web-0"), {});
  w.settle();
  w.cluster.merge(w.pods("web-0"), R"({"metadata":{"annotations":{"a":"b"}}})");
  w.settle();
  CHECK(w.cluster.at(w.path("", "persistentvolumeclaims", "data-web-0")));
}

TEST_CASE("world: a DaemonSet has one pod a node, before, during and after a rollout, though every write fails the first time") {
  World w;
  w.run<DaemonSetController>();
  w.cluster.fail_each_write_once();
  for (const char* n : {"a", "b", "c"}) w.cluster.put(w.path("", "nodes", "", ""), Node::obj({{"metadata", Node::obj({{"name", n}})}}));
  w.cluster.put(w.path("apps", "daemonsets"), workload("apps/v1", "DaemonSet", ",'updateStrategy':{'type':'RollingUpdate','rollingUpdate':{'maxUnavailable':1}}"));
  w.live(30);
  CHECK(w.running("app:1") == 3);
  size_t most = 0;
  w.after_round = [&] {
    w.start_pods();
    most = std::max(most, w.cluster.all(w.pods()).size());
  };
  w.cluster.merge(w.path("apps", "daemonsets", "web"), R"({"spec":{"template":{"spec":{"containers":[{"name":"c","image":"app:2"}]}}}})");
  w.live(60);
  CHECK(w.running("app:2") == 3);
  CHECK(most == 3);
}

TEST_CASE("world: an indexed Job runs every index once though every write fails the first time") {
  World w;
  w.run<JobController>();
  w.cluster.fail_each_write_once();
  std::multiset<std::string> ran;
  w.after_round = [&] {
    for (const Doc& p : w.cluster.all(w.pods())) {
      if (p.path("status.phase").exists() || p.path("metadata.deletionTimestamp")) continue;
      ran.insert(p["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"].str());
      Path path = w.pods(name_of(p));
      path.subresource = "status";
      w.cluster.merge(path, parse("{'status':{'phase':'Succeeded','containerStatuses':[{'name':'c','state':{'terminated':{'exitCode':0}}}]}}").dump());
    }
  };
  w.cluster.put(w.path("batch", "jobs"), parse("{'apiVersion':'batch/v1','kind':'Job','metadata':{'name':'j','namespace':'default'},'spec':{'completions':5,'parallelism':2,'completionMode':'Indexed','backoffLimit':6,'selector':{'matchLabels':{'job':'j'}},'template':{'metadata':{'labels':{'job':'j'}},'spec':{'restartPolicy':'Never','containers':[{'name':'c'}]}}}}"));
  w.live(60);
  Doc job = w.cluster.at(w.path("batch", "jobs", "j"));
  CHECK(job.path("status.succeeded").int_or(0) == 5);
  CHECK(job.path("status.completedIndexes").equals("0-4"));
  CHECK(ran == std::multiset<std::string>{"0", "1", "2", "3", "4"});
}

TEST_CASE("world: a Job whose own cache is behind that of its pods makes no pod twice") {
  World w;
  w.after_round = nullptr;
  w.run<JobController>();
  w.cluster.put(w.path("batch", "jobs"), parse("{'apiVersion':'batch/v1','kind':'Job','metadata':{'name':'j','namespace':'default'},'spec':{'completions':2,'parallelism':1,'backoffLimit':6,'selector':{'matchLabels':{'job':'j'}},'template':{'metadata':{'labels':{'job':'j'}},'spec':{'restartPolicy':'Never','containers':[{'name':'c'}]}}}}"));
  w.settle();
  REQUIRE(w.cluster.calls("create pods") == 1);
  w.cluster.hold("batch", "jobs");
  w.end_pods("Succeeded");
  w.live(5);
  std::string first = w.cluster.names(w.pods()).at(0);
  (void)w.cluster.remove(w.pods(first), {});
  w.live(5);
  CHECK(w.cluster.calls("create pods") <= 2);
  w.cluster.release();
  w.live(5);
  CHECK(w.cluster.calls("create pods") == 2);
  w.end_pods("Succeeded");
  w.live(5);
  CHECK(w.status(w.path("batch", "jobs", "j"), "succeeded") == 2);
  CHECK(w.cluster.calls("create pods") == 2);
}

TEST_CASE("world: hours of a CronJob make each Job once, though every write fails the first time") {
  World w;
  w.run<CronJobController>();
  w.cluster.fail_each_write_once();
  std::set<std::string> made;
  w.after_round = [&] {
    for (const Doc& j : w.cluster.all(w.path("batch", "jobs"))) {
      if (!made.insert(name_of(j)).second) continue;
      Path path = w.path("batch", "jobs", name_of(j));
      path.subresource = "status";
      Node done = Node::obj({{"status", Node::obj({{"startTime", rfc3339(w.clock.now())}, {"completionTime", rfc3339(w.clock.now())}, {"conditions", Node::arr({Node::obj({{"type", "Complete"}, {"status", "True"}})})}})}});
      w.cluster.merge(path, done.dump());
    }
  };
  w.cluster.put(w.path("batch", "cronjobs"), parse("{'apiVersion':'batch/v1','kind':'CronJob','metadata':{'name':'c','namespace':'default'},'spec':{'schedule':'*/5 * * * *','successfulJobsHistoryLimit':2,'jobTemplate':{'spec':{}}}}"));
  w.settle();
  for (int i = 0; i < 3 * 60; ++i) w.pass(seconds(60));
  w.live(3);
  CHECK(made.size() == 36);
  CHECK(w.cluster.all(w.path("batch", "jobs")).size() == 2);
  CHECK(w.cluster.calls("create jobs") == 36 + 1);
}

TEST_CASE("world: a CronJob whose own cache is behind starts no Job again that is over and gone") {
  World w;
  w.run<CronJobController>();
  w.cluster.put(w.path("batch", "cronjobs"), parse("{'apiVersion':'batch/v1','kind':'CronJob','metadata':{'name':'c','namespace':'default'},'spec':{'schedule':'*/5 * * * *','jobTemplate':{'spec':{}}}}"));
  w.settle();
  w.cluster.hold("batch", "cronjobs");
  for (int i = 0; i < 6 && w.cluster.all(w.path("batch", "jobs")).empty(); ++i) w.pass(seconds(60));
  REQUIRE(w.cluster.all(w.path("batch", "jobs")).size() == 1);
  (void)w.cluster.remove(w.path("batch", "jobs", w.cluster.names(w.path("batch", "jobs")).at(0)), {});
  w.live(3);
  CHECK(w.cluster.all(w.path("batch", "jobs")).empty());
  w.cluster.release();
  w.live(3);
  CHECK(w.cluster.all(w.path("batch", "jobs")).empty());
  for (int i = 0; i < 5; ++i) w.pass(seconds(60));
  CHECK(w.cluster.all(w.path("batch", "jobs")).size() == 1);
}

TEST_CASE("world: budgets count what controllers want, allow nobody to go when they cannot, and name pods nobody manages") {
  World w;
  w.run<DisruptionController>();
  w.run<ReplicaSetController>();
  w.cluster.fail_each_write_once();
  w.cluster.put(w.path("policy", "poddisruptionbudgets"), parse("{'apiVersion':'policy/v1','kind':'PodDisruptionBudget','metadata':{'name':'b','namespace':'default'},'spec':{'maxUnavailable':1,'selector':{'matchLabels':{'app':'web'}}}}"));
  w.cluster.put(w.path("apps", "replicasets"), workload("apps/v1", "ReplicaSet", ",'replicas':3"));
  w.live(20);
  Path b = w.path("policy", "poddisruptionbudgets", "b");
  CHECK(w.status(b, "expectedPods") == 3);
  CHECK(w.status(b, "currentHealthy") == 3);
  CHECK(w.status(b, "disruptionsAllowed") == 1);
  w.cluster.put(w.pods(), parse("{'metadata':{'name':'of-a-job','labels':{'app':'web'},'ownerReferences':[{'kind':'Job','name':'j','uid':'x','controller':true}]},'status':{'phase':'Running'}}"));
  w.live(5);
  CHECK(w.status(b, "disruptionsAllowed") == 0);
  CHECK(w.cluster.at(b).path("status.conditions").at(0)["reason"].equals("SyncFailed"));
  (void)w.cluster.remove(w.pods("of-a-job"), {});
  (void)w.cluster.remove(w.pods("of-a-job"), {});
  for (int i = 0; i < 10; ++i) w.pass(seconds(10));
  CHECK(w.status(b, "disruptionsAllowed") == 1);
}

TEST_CASE("mirroring: Endpoints of a Service without a selector become slices, and go with them") {
  World w;
  w.run<MirroringController>();
  w.cluster.fail_each_write_once();
  Path slices = w.path("discovery.k8s.io", "endpointslices"), all = w.path("", "endpoints");
  auto endpoints = [&](const char* name, const char* labels) {
    w.cluster.put(all, parse("{'metadata':{'name':'" + std::string(name) + "','namespace':'default','labels':" + labels + "},'subsets':[{'addresses':[{'ip':'10.0.0.1'},{'ip':'fd00::1'}],'notReadyAddresses':[{'ip':'10.0.0.2'}],'ports':[{'port':80}]}]}"));
  };
  w.cluster.put(w.path("", "services"), parse("{'metadata':{'name':'db'},'spec':{'ports':[{'port':80}]}}"));
  w.cluster.put(w.path("", "services"), parse("{'metadata':{'name':'own'},'spec':{'selector':{'a':'b'}}}"));
  w.cluster.put(w.path("", "services"), parse("{'metadata':{'name':'skipped'},'spec':{}}"));
  endpoints("db", "{'team':'x'}");
  endpoints("own", "{}");
  endpoints("skipped", "{'endpointslice.kubernetes.io/skip-mirror':'true'}");
  endpoints("serviceless", "{}");
  w.live(10);
  auto made = w.cluster.all(slices);
  REQUIRE(made.size() == 2);
  size_t ready = 0, addresses = 0;
  for (const Doc& s : made) {
    CHECK(s["metadata"]["labels"]["kubernetes.io/service-name"].equals("db"));
    CHECK(s["metadata"]["labels"]["team"].equals("x"));
    CHECK(controller_of(s.root())["kind"].equals("Endpoints"));
    for (json::Value e : s["endpoints"].items()) {
      ++addresses;
      ready += e["conditions"]["ready"].bool_or(false);
      CHECK(s["addressType"].equals(e["addresses"].at(0).str().find(':') == std::string::npos ? "IPv4" : "IPv6"));
    }
  }
  CHECK(addresses == 3);
  CHECK(ready == 2);
  w.cluster.merge(w.path("", "endpoints", "db"), R"({"subsets":[{"addresses":[{"ip":"10.0.0.9"}],"ports":[{"port":80}]}]})");
  w.live(10);
  REQUIRE(w.cluster.all(slices).size() == 1);
  CHECK(w.cluster.all(slices)[0]["endpoints"].at(0)["addresses"].at(0).equals("10.0.0.9"));
  w.cluster.merge(w.path("", "services", "db"), R"({"spec":{"selector":{"a":"b"}}})");
  w.live(10);
  CHECK(w.cluster.all(slices).empty());
}
