// In-place resize: what is given, when, and how a container gets there.
#include "kubelet/resize.h"

#include <catch2/catch.hpp>

#include "kubelet/pod_plan.h"

using namespace k8lite;
using namespace k8lite::kubelet;

namespace {

json::Doc pod_of(const std::string& cpu, const std::string& memory, const std::string& status = "{}") {
  auto pod = json::Doc::parse(
      R"({"metadata":{"name":"p","uid":"u"},"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":")" + cpu +
      R"(","memory":")" + memory + R"("},"limits":{"memory":")" + memory +
      R"("}},"resizePolicy":[{"resourceName":"cpu","restartPolicy":"NotRequired"},{"resourceName":"memory","restartPolicy":"RestartContainer"}]}]},"status":)" +
      status + "}");
  REQUIRE(pod.ok());
  return *pod;
}

}  // namespace

TEST_CASE("resize: a pod goes on with what it was given until there is room for what it wants") {
  json::Doc old = pod_of("100m", "64Mi"), wanted = pod_of("200m", "64Mi");
  json::Doc given = with_resources(wanted, resources_of(old.root()));
  CHECK(find_container(given.root(), "c")["resources"]["requests"]["cpu"].equals("100m"));
  CHECK(find_container(given.root(), "c")["resizePolicy"].size() == 2);
  CHECK(with_resources(wanted, resources_of(wanted.root())) == wanted);
  CHECK(with_resources(wanted, resources_of(pod_of("0.2", "65536Ki").root())) == wanted);  // the same, said otherwise
  CHECK(judge_resize(wanted.root(), {1000, 1 << 30, 800, 0}).reason.empty());
  auto later = judge_resize(wanted.root(), {1000, 1 << 30, 801, 0});
  CHECK(later.reason == "Deferred");
  CHECK(later.message == "Node didn't have enough resource: cpu, requested: 200, used: 801, capacity: 1000");
  auto never = judge_resize(wanted.root(), {1000, 1 << 20, 0, 0});
  CHECK(never.reason == "Infeasible");
  CHECK(never.message == "Node didn't have enough capacity: memory, requested: 67108864, capacity: 1048576");
}

TEST_CASE("resize: after a restart of the node agent the status says what was given") {
  json::Doc pod = pod_of(
      "200m", "64Mi",
      R"({"containerStatuses":[{"name":"c","resources":{"requests":{"cpu":"100m","memory":"64Mi"},"limits":{"memory":"64Mi"}}}]})");
  CHECK(told_allocation(pod.root())["c"].path("requests.cpu").str() == "100m");
  CHECK(told_allocation(pod_of("200m", "64Mi").root())["c"].path("requests.cpu").str() == "200m");
}

TEST_CASE("resize: the policy of what changes says whether the container is started anew") {
  json::Doc pod = pod_of("100m", "64Mi");
  json::Value c = find_container(pod.root(), "c");
  auto of = [](const std::string& cpu, const std::string& memory) {
    return resources_of(pod_of(cpu, memory).root())["c"];
  };
  CHECK(resize_step(c, of("100m", "64Mi"), of("100m", "64Mi")) == ResizeStep::Nothing);
  CHECK(resize_step(c, of("100m", "64Mi"), of("200m", "64Mi")) == ResizeStep::Apply);
  CHECK(resize_step(c, of("100m", "64Mi"), of("200m", "65Mi")) == ResizeStep::Restart);
}

TEST_CASE("resize: the status tells what is allocated, what is there, and what is under way") {
  json::Doc pod = pod_of("200m", "64Mi");
  ContainerRun run;
  run.exists = run.current.running = run.started = run.ready = true;
  run.resources = resources_of(pod_of("100m", "64Mi").root())["c"];
  StatusInput in{"192.0.2.1", "10.42.0.2", {1'700'000'000'000'000}, true, "", ""};
  in.resizing = true;
  in.resize_error = "not yet";
  in.resize = {"Deferred", "no room"};
  auto status = pod_status(pod.root(), {{"c", run}}, in);
  auto c = status.get("containerStatuses").items()[0];
  CHECK(c.path("allocatedResources.cpu").str() == "200m");
  CHECK(c.path("resources.requests.cpu").str() == "100m");
  std::map<std::string, std::string> said;
  for (const auto& condition : status.get("conditions").items())
    said[condition.get("type").str()] = condition.get("reason").str() + "/" + condition.get("message").str();
  CHECK(said["PodResizePending"] == "Deferred/no room");
  CHECK(said["PodResizeInProgress"] == "Error/not yet");
}
