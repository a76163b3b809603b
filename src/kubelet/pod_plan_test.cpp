// What is started when, and what the status says of it, around postStart hooks.
#include "kubelet/pod_plan.h"

#include <catch2/catch.hpp>

using namespace k8lite;
using namespace k8lite::kubelet;

namespace {

json::Doc pod_of(const std::string& spec) {
  auto pod = json::Doc::parse(R"({"metadata":{"name":"p","namespace":"default","uid":"u"},"spec":)" + spec + "}");
  REQUIRE(pod.ok());
  return *pod;
}
ContainerRun running(const std::string& name) {
  ContainerRun run;
  run.exists = run.current.running = run.started = run.ready = true;
  run.current.id = name + "-0";
  return run;
}
json::Node status_of(const json::Doc& pod, const Runs& runs) { return pod_status(pod.root(), runs, {"192.0.2.1", "10.42.0.2", {1'700'000'000'000'000}, true, "", ""}); }

const char* kHooked = R"({"containers":[{"name":"a","image":"i","lifecycle":{"postStart":{"exec":{"command":["x"]}}}},{"name":"b","image":"i"}]})";

}  // namespace

TEST_CASE("plan: the next container starts when the hook of the one before has ended") {
  json::Doc pod = pod_of(kHooked);
  Runs runs;
  CHECK(plan_pod(pod.root(), runs, seconds(1)).start == std::vector<std::string>{"a"});
  runs["a"] = running("a");
  runs["a"].hooking = true;
  CHECK(plan_pod(pod.root(), runs, seconds(1)).start.empty());
  runs["a"].hooking = false;
  CHECK(plan_pod(pod.root(), runs, seconds(1)).start == std::vector<std::string>{"b"});
}

TEST_CASE("plan: a container in back-off holds nobody up, hook or not") {
  json::Doc pod = pod_of(kHooked);
  Runs runs;
  runs["a"] = running("a");
  runs["a"].current.running = false;
  runs["a"].not_before = seconds(10);
  auto actions = plan_pod(pod.root(), runs, seconds(1));
  CHECK(actions.start == std::vector<std::string>{"b"});
  CHECK(actions.wake_after == seconds(9));
}

TEST_CASE("status: a container whose hook runs waits") {
  json::Doc pod = pod_of(kHooked);
  Runs runs;
  runs["a"] = running("a");
  runs["a"].hooking = true;
  auto status = status_of(pod, runs);
  CHECK(status.get("phase").str() == "Pending");
  CHECK(status.get("containerStatuses").items()[0].path("state.waiting.reason").str() == "ContainerCreating");
  CHECK_FALSE(status.get("containerStatuses").items()[0].get("ready").bool_or(true));
  runs["a"].hooking = false;
  runs["b"] = running("b");
  CHECK(status_of(pod, runs).get("phase").str() == "Running");
}

TEST_CASE("plan: an ephemeral container runs once, and the pod does not wait for it") {
  json::Doc pod = pod_of(R"({"containers":[{"name":"a","image":"i"}],"ephemeralContainers":[{"name":"debug","image":"i"}]})");
  Runs runs;
  runs["a"] = running("a");
  CHECK(plan_pod(pod.root(), runs, seconds(1)).start == std::vector<std::string>{"debug"});
  runs["debug"] = running("debug");
  CHECK(plan_pod(pod.root(), runs, seconds(1)).start.empty());
  CHECK(status_of(pod, runs).get("ephemeralContainerStatuses").items()[0].path("state.running").exists());
  runs["debug"].current.running = false;
  CHECK(plan_pod(pod.root(), runs, seconds(1)).start.empty());
  auto status = status_of(pod, runs);
  CHECK(status.get("phase").str() == "Running");
  CHECK(status.get("ephemeralContainerStatuses").items()[0].path("state.terminated.reason").str() == "Completed");
}
