// The prober with a fake exec: what belongs to one pod's container does not touch another's of the same name.
#include "kubelet/prober.h"

#include <catch2/catch.hpp>

#include <set>

using namespace k8lite;
using namespace k8lite::kubelet;

namespace {

struct World {
  async::Loop loop;
  std::mutex mutex;
  std::condition_variable changed;
  std::set<std::string> good_pods;                   // whose probes succeed
  std::map<std::string, int> asked;                  // by pod
  std::map<std::string, std::vector<std::string>> told;  // by pod: "startup good"
  std::optional<Prober> prober;

  World() {
    loop.start();
    prober.emplace(
        loop, system_clock(),
        [this](const ProbeTarget& t, const std::vector<std::string>&, Duration) -> Result<std::pair<int, std::string>> {
          std::lock_guard lock(mutex);
          ++asked[t.pod_uid];
          changed.notify_all();
          return std::pair{good_pods.count(t.pod_uid) ? 0 : 1, std::string()};
        },
        [this](const ProbeTarget& t, ProbeKind kind, bool good) {
          static constexpr const char* kNames[] = {"startup", "liveness", "readiness"};
          if (kind == ProbeKind::Startup) std::this_thread::sleep_for(std::chrono::milliseconds(50));  // who is told is slow: the order must hold
          std::lock_guard lock(mutex);
          told[t.pod_uid].push_back(std::string(kNames[static_cast<int>(kind)]) + (good ? " good" : " bad"));
          changed.notify_all();
        },
        [](const ProbeTarget&, ProbeKind, const std::string&) {});
  }
  ~World() {
    prober.reset();
    loop.stop();
  }
  void add(const std::string& uid, const std::string& probes) {
    auto pod = json::Doc::parse(R"({"spec":{"containers":[{"name":"main",)" + probes + "}]}}");
    REQUIRE(pod.ok());
    prober->add({uid, "default/" + uid, "main", "main-0", "127.0.0.1", *pod});
  }
  bool within(seconds limit, std::function<bool()> condition) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, limit, condition);
  }
};

}  // namespace

TEST_CASE("prober: the end of a container does not end the probes of another pod's") {
  World w;
  w.good_pods = {"b"};
  std::string readiness = R"("readinessProbe":{"exec":{"command":["x"]},"periodSeconds":1})";
  w.add("a", readiness);
  w.add("b", readiness);
  REQUIRE(w.within(seconds(15), [&] { return w.asked["a"] > 0 && w.asked["b"] > 0; }));
  w.prober->remove("a", "main-0");
  auto asked = [&](const std::string& pod) {
    std::lock_guard lock(w.mutex);
    return w.asked[pod];
  };
  int a = asked("a"), b = asked("b");
  CHECK(w.within(seconds(15), [&] { return w.asked["b"] > b + 1; }));
  CHECK(asked("a") <= a + 1);  // one may have been under way
}

TEST_CASE("prober: a startup probe that succeeds lets only its own container's other probes begin") {
  World w;
  w.good_pods = {"b"};
  std::string probes = R"("startupProbe":{"exec":{"command":["x"]},"periodSeconds":1,"failureThreshold":100},"readinessProbe":{"exec":{"command":["x"]},"periodSeconds":1})";
  w.add("a", probes);
  w.add("b", probes);
  REQUIRE(w.within(seconds(15), [&] { return w.told["b"].size() == 2; }));
  std::lock_guard lock(w.mutex);
  CHECK(w.told["b"] == std::vector<std::string>{"startup good", "readiness good"});
  CHECK(w.told["a"].empty());
}
