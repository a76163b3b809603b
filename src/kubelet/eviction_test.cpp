// Node pressure: thresholds and their times, whom it costs, and what is said of it.
#include "kubelet/eviction.h"

#include <catch2/catch.hpp>

#include "kubelet/kubelet_args.h"

using namespace k8lite;
using namespace k8lite::kubelet;

namespace {

constexpr int64_t kMi = 1 << 20;
json::Doc pod_of(const std::string& spec, const std::string& meta = "") {
  auto pod = json::Doc::parse(R"({"metadata":{"name":"p","uid":"u")" + meta + R"(},"spec":)" + spec + "}");
  REQUIRE(pod.ok());
  return *pod;
}
struct Node {
  KubeletArgs args;
  EvictionState state;
  Observations seen{};
  explicit Node(std::vector<std::string> list) {
    auto r = parse_kubelet_args(list);
    REQUIRE(r.ok());
    args = *r;
    seen[0] = {1000 * kMi, 2000 * kMi};
    seen[1] = {500, 1000};
  }
  EvictionDecision at(int64_t second, int64_t memory) {
    seen[0].available = memory * kMi;
    return decide_eviction(args.eviction, seen, state, seconds(second));
  }
};

}  // namespace

TEST_CASE("eviction: a hard threshold counts at once, and its condition stays for the transition period") {
  Node n({"eviction-hard=memory.available<100Mi", "eviction-pressure-transition-period=30s"});
  CHECK_FALSE(n.at(1, 100).pressure.any());
  auto low = n.at(10, 99);
  CHECK(low.pressure == Pressure{true, false, false});
  REQUIRE(low.reclaim);
  CHECK(low.reclaim->signal == Signal::MemoryAvailable);
  CHECK_FALSE(n.at(20, 500).reclaim);
  CHECK(n.at(39, 500).pressure.memory);
  CHECK_FALSE(n.at(40, 500).pressure.memory);
}

TEST_CASE("eviction: a soft threshold is acted upon after its grace period, its condition is there at once") {
  Node n({"eviction-hard=", "eviction-soft=memory.available<10%", "eviction-soft-grace-period=memory.available=1m30s"});
  auto first = n.at(10, 150);
  CHECK(first.pressure.memory);
  CHECK_FALSE(first.reclaim);
  CHECK_FALSE(n.at(99, 150).reclaim);
  auto later = n.at(100, 150);
  CHECK(later.reclaim);
  CHECK(later.soft_only);
  CHECK_FALSE(n.at(110, 250).reclaim);
  CHECK_FALSE(n.at(120, 150).reclaim);  // its time begins anew
}

TEST_CASE("eviction: a threshold once met holds until the minimum to reclaim is free as well") {
  Node n({"eviction-hard=nodefs.available<10%", "eviction-minimum-reclaim=nodefs.available=5%"});
  n.seen[1] = {99, 1000};
  CHECK(n.at(1, 1000).pressure.disk);
  n.seen[1] = {149, 1000};
  CHECK(n.at(2, 1000).reclaim);
  n.seen[1] = {150, 1000};
  CHECK_FALSE(n.at(3, 1000).reclaim);
  n.seen[1] = {149, 1000};
  CHECK_FALSE(n.at(4, 1000).reclaim);
}

TEST_CASE("eviction: those over their requests go first, then by priority, then by how much they take") {
  auto pod = [](const char* uid, int64_t priority, int64_t used, int64_t request) {
    PodUse p;
    p.uid = uid;
    p.priority = priority;
    p.memory = used;
    p.memory_request = request;
    return p;
  };
  CHECK(choose_victim(Signal::MemoryAvailable, {pod("within", 0, 90, 100), pod("over", 1000, 110, 100)}) == "over");
  CHECK(choose_victim(Signal::MemoryAvailable, {pod("high", 10, 900, 0), pod("low", 0, 5, 0)}) == "low");
  CHECK(choose_victim(Signal::MemoryAvailable,
                      {pod("little", 0, 110, 100), pod("much", 0, 150, 100), pod("more", 0, 200, 160)}) == "much");
  auto critical = pod("critical", 0, 900, 0);
  critical.critical = true;
  CHECK(choose_victim(Signal::MemoryAvailable, {critical}).empty());
  CHECK(choose_victim(Signal::MemoryAvailable, {critical, pod("other", 0, 1, 10)}) == "other");
}

TEST_CASE("eviction: under pressure of memory best-effort pods are refused, under others all but critical ones") {
  auto best_effort = pod_of(R"({"containers":[{"name":"c"}]})");
  auto burstable = pod_of(R"({"containers":[{"name":"c","resources":{"requests":{"cpu":"1"}}}]})");
  auto tolerant = pod_of(
      R"({"containers":[{"name":"c"}],"tolerations":[{"key":"node.kubernetes.io/memory-pressure","operator":"Exists","effect":"NoSchedule"}]})");
  auto critical = pod_of(R"({"priority":2000000000,"containers":[{"name":"c"}]})");
  auto fixed = pod_of(R"({"containers":[{"name":"c"}]})", R"(,"annotations":{"kubernetes.io/config.source":"file"})");
  Pressure none, memory{true, false, false}, disk{false, true, false};
  CHECK(refused_under(none, best_effort.root()).empty());
  CHECK(refused_under(memory, best_effort.root()) == "The node had condition: [MemoryPressure]. ");
  CHECK(refused_under(memory, burstable.root()).empty());
  CHECK(refused_under(memory, tolerant.root()).empty());
  CHECK(refused_under(disk, burstable.root()) == "The node had condition: [DiskPressure]. ");
  CHECK(refused_under(disk, critical.root()).empty());
  CHECK(refused_under(disk, fixed.root()).empty());
}

TEST_CASE("eviction: limits of emptyDir, container and pod on disk") {
  auto pod = pod_of(
      R"({"volumes":[{"name":"v","emptyDir":{"sizeLimit":"1Mi"}},{"name":"w","emptyDir":{}},{"name":"m","emptyDir":{"medium":"Memory","sizeLimit":"1Mi"}}],
    "containers":[{"name":"c","resources":{"limits":{"ephemeral-storage":"3Mi"}}}]})");
  CHECK(has_disk_limits(pod.root()));
  CHECK_FALSE(has_disk_limits(
      pod_of(
          R"({"volumes":[{"name":"m","emptyDir":{"medium":"Memory","sizeLimit":"1Mi"}}],"containers":[{"name":"c"}]})")
          .root()));
  auto said = [&pod](int64_t container, int64_t v, int64_t w) {
    return over_disk_limits(pod.root(), {{{"c", container}}, {{"v", v}, {"w", w}}});
  };
  CHECK(said(kMi, kMi, kMi).empty());
  CHECK(said(0, kMi + 1, 0) == "Usage of EmptyDir volume \"v\" exceeds the limit \"1Mi\". ");
  CHECK(said(2 * kMi, kMi, kMi) == "Pod ephemeral local storage usage exceeds the total limit of containers 3Mi. ");
  auto two = pod_of(
      R"({"containers":[{"name":"c","resources":{"limits":{"ephemeral-storage":"1Mi"}}},{"name":"d","resources":{"limits":{"ephemeral-storage":"9Mi"}}}]})");
  CHECK(over_disk_limits(two.root(), {{{"c", 2 * kMi}}, {}}) ==
        "Container c exceeded its local ephemeral storage limit \"1Mi\". ");
}

TEST_CASE("eviction: messages") {
  Threshold t{Signal::MemoryAvailable, {100 * kMi, 0}, false};
  CHECK(eviction_message(t, {50 * kMi, 1000 * kMi}) ==
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. ");
  CHECK(consumption_message("main", 300 * kMi, "0", Signal::MemoryAvailable) ==
        "Container main was using 300Mi, request is 0, has larger consumption of memory. ");
}

TEST_CASE("kubelet arguments: unknown names and mistakes") {
  auto r = parse_kubelet_args(
      {"feature-gates=A=true", "--max-pods=20", "kube-reserved=cpu=100m,memory=64Mi", "system-reserved=cpu=50m"});
  REQUIRE(r.ok());
  CHECK(r->unknown == std::vector<std::string>{"feature-gates"});
  CHECK(r->max_pods == 20);
  CHECK(r->reserved_cpu_milli == 150);
  CHECK(r->reserved_memory == 64 * kMi);
  for (const char* bad :
       {"eviction-hard=memory<1", "eviction-hard=memory.available=1", "eviction-hard=memory.available<x", "max-pods=0",
        "eviction-soft=memory.available<1Gi", "eviction-pressure-transition-period=5"})
    CHECK_FALSE(parse_kubelet_args({bad}).ok());
}
