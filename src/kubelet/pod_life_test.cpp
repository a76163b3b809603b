// Sidecars, restart rules and back-off: what is started and stopped when, by table.
#include <catch2/catch.hpp>

#include "kubelet/pod_plan.h"

using namespace k8lite;
using namespace k8lite::kubelet;

namespace {

json::Doc pod_of(const std::string& spec) {
  auto pod = json::Doc::parse(R"({"metadata":{"name":"p","namespace":"default","uid":"u","generation":3},"spec":)" +
                              spec + "}");
  REQUIRE(pod.ok());
  return *pod;
}
ContainerRun running(const std::string& name) {
  ContainerRun run;
  run.exists = run.current.running = run.started = run.ready = true;
  run.current.id = name + "-0";
  return run;
}
ContainerRun ended(const std::string& name, int code) {
  ContainerRun run = running(name);
  run.current.running = run.started = run.ready = false;
  run.current.exit_code = code;
  return run;
}
using Names = std::vector<std::string>;
Names starts(const json::Doc& pod, const Runs& runs) { return plan_pod(pod.root(), runs, seconds(1)).start; }
json::Node status_of(const json::Doc& pod, const Runs& runs) {
  return pod_status(pod.root(), runs, {"192.0.2.1", "10.42.0.2", {1'700'000'000'000'000}, true, "", ""});
}
json::Node condition(const json::Node& status, const std::string& type) {
  for (const auto& c : status.get("conditions").items())
    if (c.get("type").str() == type) return c;
  return {};
}

// init "one", sidecars "s1" and "s2", init "two", main "main"
json::Doc with_sidecars(const std::string& policy = "Never") {
  return pod_of(
      R"({"restartPolicy":")" + policy +
      R"(","initContainers":[{"name":"one"},{"name":"s1","restartPolicy":"Always"},{"name":"s2","restartPolicy":"Always"},{"name":"two"}],"containers":[{"name":"main"}]})");
}

}  // namespace

TEST_CASE("sidecars: each waits for those before it to have started") {
  auto pod = with_sidecars();
  Runs runs;
  CHECK(starts(pod, runs) == Names{"one"});
  runs["one"] = ended("one", 0);
  CHECK(starts(pod, runs) == Names{"s1"});
  runs["s1"] = running("s1");
  runs["s1"].started = false;  // its startup probe has not passed
  CHECK(starts(pod, runs).empty());
  runs["s1"].started = true;
  CHECK(starts(pod, runs) == Names{"s2"});
  runs["s2"] = running("s2");
  CHECK(starts(pod, runs) == Names{"two"});
  runs["two"] = ended("two", 0);
  CHECK(starts(pod, runs) == Names{"main"});
}

TEST_CASE("sidecars: one that ends is started again, before and after the main containers run") {
  auto pod = with_sidecars();
  Runs runs{{"one", ended("one", 0)}, {"s1", ended("s1", 0)}, {"s2", running("s2")}};
  CHECK(starts(pod, runs) == Names{"s1"});  // and the second init container waits for it
  runs["two"] = ended("two", 0);
  runs["main"] = running("main");
  runs["s2"] = ended("s2", 1);
  CHECK(starts(pod, runs) == Names{"s1", "s2"});
  auto status = status_of(pod, runs);
  CHECK(status.get("phase").str() == "Running");
  CHECK(condition(status, "Initialized").get("status").str() == "True");
  CHECK(condition(status, "Ready").get("message").str() == "containers with unready status: [s1 s2]");
}

TEST_CASE(
    "sidecars: a pod whose main containers are over is finished in spite of them, and runs until they have ended") {
  auto pod = with_sidecars();
  Runs runs{{"one", ended("one", 0)},
            {"s1", running("s1")},
            {"s2", ended("s2", 3)},
            {"two", ended("two", 0)},
            {"main", ended("main", 0)}};
  auto actions = plan_pod(pod.root(), runs, seconds(1));
  CHECK(actions.finished);
  CHECK(actions.start.empty());
  CHECK(status_of(pod, runs).get("phase").str() == "Running");
  runs["s1"] = ended("s1", 137);
  CHECK(status_of(pod, runs).get("phase").str() == "Succeeded");
  runs["main"] = ended("main", 1);
  CHECK(status_of(pod, runs).get("phase").str() == "Failed");
}

TEST_CASE("sidecars: they are stopped last to first, after the main containers") {
  auto pod = with_sidecars();
  Runs runs{{"s1", running("s1")}, {"s2", running("s2")}, {"main", running("main")}};
  CHECK(may_stop(pod.root(), runs, "main"));
  CHECK_FALSE(may_stop(pod.root(), runs, "s2"));
  runs["main"] = ended("main", 0);
  CHECK(may_stop(pod.root(), runs, "s2"));
  CHECK_FALSE(may_stop(pod.root(), runs, "s1"));
  runs["s2"] = ended("s2", 0);
  CHECK(may_stop(pod.root(), runs, "s1"));
}

TEST_CASE(
    "init containers: a failure ends a pod that never restarts, and those done do not run again when a main one has "
    "started") {
  auto pod = with_sidecars();
  Runs runs{{"one", ended("one", 1)}};
  CHECK(plan_pod(pod.root(), runs, seconds(1)).finished);
  CHECK(status_of(pod, runs).get("phase").str() == "Failed");
  CHECK(condition(status_of(pod, runs), "Ready").get("reason").str() == "PodFailed");
  auto again = with_sidecars("Always");
  CHECK(starts(again, runs) == Names{"one"});
  auto status = status_of(again, {});
  CHECK(condition(status, "Initialized").get("message").str() == "containers with incomplete status: [one s1 s2 two]");
  CHECK(condition(status, "Initialized").get("observedGeneration").int_or(0) == 3);
  CHECK(status.get("initContainerStatuses").items()[0].path("state.waiting.reason").str() == "PodInitializing");
}

TEST_CASE("restart rules: the first that matches decides, then the container's policy, then the pod's") {
  struct Row {
    const char* pod_policy;
    const char* fields;
    int code;
    bool restarts;
  };
  const char* in =
      R"("restartPolicy":"Never","restartPolicyRules":[{"action":"Restart","exitCodes":{"operator":"In","values":[42,43]}}])";
  const char* not_in =
      R"("restartPolicy":"Never","restartPolicyRules":[{"action":"Restart","exitCodes":{"operator":"NotIn","values":[0]}}])";
  const Row rows[] = {{"Never", "", 1, false},
                      {"OnFailure", "", 1, true},
                      {"OnFailure", "", 0, false},
                      {"Always", "", 0, true},
                      {"Always", in, 42, true},
                      {"Always", in, 41, false},
                      {"Never", in, 43, true},
                      {"Never", not_in, 0, false},
                      {"Never", not_in, 7, true},
                      {"Never", R"("restartPolicy":"OnFailure")", 1, true},
                      {"Never", R"("restartPolicy":"Always")", 0, true}};
  for (const Row& row : rows) {
    INFO(row.pod_policy << " " << row.fields << " " << row.code);
    std::string fields = row.fields;
    auto pod = pod_of(std::string(R"({"restartPolicy":")") + row.pod_policy + R"(","containers":[{"name":"main")" +
                      (fields.empty() ? "" : "," + fields) + "}]}");
    CHECK(restarts(pod.root(), find_container(pod.root(), "main"), false, ended("main", row.code)) == row.restarts);
  }
}

TEST_CASE("restart rules: one may start the whole pod over, init containers first") {
  auto pod = pod_of(
      R"({"restartPolicy":"Never","initContainers":[{"name":"one"}],"containers":[{"name":"main","restartPolicy":"Never","restartPolicyRules":[{"action":"RestartAllContainers","exitCodes":{"operator":"In","values":[9]}}]},{"name":"other"}]})");
  Runs runs{{"one", ended("one", 0)}, {"main", ended("main", 1)}, {"other", running("other")}};
  CHECK_FALSE(restarts_all(pod.root(), runs));
  runs["main"] = ended("main", 9);
  CHECK(restarts_all(pod.root(), runs));
  runs["other"] = ended("other", 0);
  for (auto& [name, run] : runs) run.again = true;
  CHECK_FALSE(restarts_all(pod.root(), runs));
  CHECK(starts(pod, runs) == Names{"one"});
  runs["one"] = ended("one", 0);
  CHECK(starts(pod, runs) == Names{"main", "other"});
}

TEST_CASE(
    "back-off: none before the first restart, then 10 s doubled up to 5 min, and none again after 10 min of running") {
  ContainerRun run = ended("main", 1);
  std::vector<int64_t> pauses;
  for (int i = 0; i < 8; ++i) {
    pauses.push_back(pause_after(run).count() / 1'000'000);
    run.backoff = next_backoff(run.backoff);
  }
  CHECK(pauses == std::vector<int64_t>{0, 10, 20, 40, 80, 160, 300, 300});
  run.current.finished_us = run.current.started_us + 600'000'000;
  CHECK(pause_after(run) == Duration{0});
  run = ended("main", 1);
  run.backoff = seconds(160);
  run.not_before = seconds(100);
  auto pod = pod_of(R"({"containers":[{"name":"main"}]})");
  auto waiting = status_of(pod, {{"main", run}}).get("containerStatuses").items()[0].path("state.waiting");
  CHECK(waiting.get("reason").str() == "CrashLoopBackOff");
  CHECK(waiting.get("message").str() == "back-off 2m40s restarting failed container=main pod=p_default(u)");
}

TEST_CASE("status: a container that could not be started has ended with 128") {
  auto pod = pod_of(R"({"restartPolicy":"Never","containers":[{"name":"main"}]})");
  ContainerRun run = ended("main", 128);
  run.start_failed = true;
  run.termination_message = "exec: no such file";
  auto status = status_of(pod, {{"main", run}});
  CHECK(status.get("phase").str() == "Failed");
  CHECK(status.get("containerStatuses").items()[0].path("state.terminated.reason").str() == "StartError");
  CHECK(status.get("containerStatuses").items()[0].path("state.terminated.message").str() == "exec: no such file");
}

TEST_CASE("oom: a sidecar is spared as long as what it serves") {
  auto pod = pod_of(
      R"({"initContainers":[{"name":"s","restartPolicy":"Always"}],"containers":[{"name":"main","resources":{"requests":{"memory":"500Mi"}}}]})");
  int64_t node = 1000LL << 20;
  CHECK(oom_score_adj(pod.root(), find_container(pod.root(), "main"), node) == 500);
  CHECK(oom_score_adj(pod.root(), find_container(pod.root(), "s"), node) == 500);
}

TEST_CASE("termination message: the end of a log, without what the node adds to its lines") {
  CHECK(log_end("2026-01-01T00:00:00Z stdout F one\n2026-01-01T00:00:00Z stderr P two\n2026-01-01T00:00:00Z stderr F  "
                "three\n") == "one\ntwo three\n");
  std::string log, line = "t stdout F ";
  for (int i = 0; i < 100; ++i) log += line + std::to_string(i) + "\n";
  CHECK(log_end(log).starts_with("20\n"));
  CHECK(log_end(line + std::string(5000, 'x') + "\n").size() == 2048);
}

TEST_CASE("a pod that is deleted ends in a last phase, whatever had become of its containers") {
  auto pod = pod_of(R"({"restartPolicy":"Always","containers":[{"name":"a"},{"name":"b"}]})");
  auto over = [&](const Runs& runs) {
    StatusInput in{"192.0.2.1", "10.42.0.2", {1'700'000'000'000'000}, true, "", ""};
    in.over = true;
    return pod_status(pod.root(), runs, in);
  };
  auto state = [](const json::Node& status, size_t i) { return status.get("containerStatuses").items()[i].get("state"); };
  // One that never came to life.
  auto status = over({});
  CHECK(status.get("phase").str() == "Failed");
  CHECK(state(status, 0).path("terminated.reason").str() == "ContainerStatusUnknown");
  CHECK(state(status, 0).path("terminated.exitCode").dump() == "137");
  CHECK(condition(status, "Ready").get("reason").str() == "PodFailed");
  // A policy under which they would start again does not hide how they ended.
  status = over({{"a", ended("a", 0)}, {"b", ended("b", 143)}});
  CHECK(status.get("phase").str() == "Failed");
  CHECK(state(status, 0).path("terminated.reason").str() == "Completed");
  CHECK(state(status, 1).path("terminated.exitCode").dump() == "143");
  CHECK(over({{"a", ended("a", 0)}, {"b", ended("b", 0)}}).get("phase").str() == "Succeeded");
  // Not while something runs.
  status = over({{"a", ended("a", 0)}, {"b", running("b")}});
  CHECK(status.get("phase").str() == "Running");
  CHECK(!state(status, 0).path("waiting.reason").str().empty());
}

TEST_CASE("image: another one is seen against what was asked for last, but of no ephemeral container and only once") {
  auto pod = pod_of(
      R"({"containers":[{"name":"main","image":"web:2"}],"ephemeralContainers":[{"name":"debug","image":"busybox:2"}]})");
  ContainerRun run = running("main");
  CHECK_FALSE(has_other_image(pod.root(), "main", run));  // nobody knows
  run.asked_image = "web:1";
  CHECK(has_other_image(pod.root(), "main", run));
  run.owed = true;
  CHECK_FALSE(has_other_image(pod.root(), "main", run));
  run.owed = false;
  run.asked_image = "web:2";
  CHECK_FALSE(has_other_image(pod.root(), "main", run));
  run.asked_image = "busybox:1";
  CHECK_FALSE(has_other_image(pod.root(), "debug", run));
}
