// Runners and event recorders: errors back off and are forgotten, repeats are joined, and a flood is held back.
#include "machinery/controller.h"

#include <catch2/catch.hpp>

#include "support/fake_cluster.h"

using namespace k8lite;
using namespace k8lite::machinery;
using json::Doc;
using json::Node;
using testing::FakeCluster;

namespace {

struct Counting : Controller {
  ManualClock& clock;
  WorkQueue work{clock};
  std::map<std::string, int> seen;
  std::function<Result<Action>(const std::string&)> answer = [](const std::string&) { return Action::wait_for_change(); };
  explicit Counting(ManualClock& c) : clock(c) {}
  std::string_view name() const override { return "counting"; }
  WorkQueue& queue() override { return work; }
  Result<Action> reconcile(const std::string& key) override {
    ++seen[key];
    return answer(key);
  }
};

}  // namespace

TEST_CASE("runner: errors come back later and later, success ends that, actions come back when they say") {
  ManualClock clock;
  Counting c(clock);
  bool failing = true;
  c.answer = [&failing](const std::string&) -> Result<Action> { return failing ? Result<Action>(unavailable("no")) : Result<Action>(Action::wait_for_change()); };
  c.work.add("a");
  CHECK(Runner::drain({&c}) == 1);
  CHECK(Runner::drain({&c}) == 0);
  for (int i = 0; i < 4; ++i) {
    clock.advance(milliseconds(5 << i) - Duration(1));
    CHECK(Runner::drain({&c}) == 0);
    clock.advance(Duration(1));
    CHECK(Runner::drain({&c}) == 1);
  }
  CHECK(c.work.failures("a") == 5);
  failing = false;
  clock.advance(seconds(10));
  CHECK(Runner::drain({&c}) == 1);
  CHECK(c.work.failures("a") == 0);
  clock.advance(seconds(1000));
  CHECK(Runner::drain({&c}) == 0);
  c.answer = [](const std::string&) { return Action::after(seconds(7)); };
  c.work.add("b");
  Runner::drain({&c});
  clock.advance(seconds(6));
  CHECK(Runner::drain({&c}) == 0);
  clock.advance(seconds(1));
  CHECK(Runner::drain({&c}) == 1);
}

TEST_CASE("runner: work goes on beside a controller that only fails, and a loop is bounded") {
  ManualClock clock;
  Counting bad(clock), good(clock), loop(clock);
  bad.answer = [](const std::string&) -> Result<Action> { return unavailable("no"); };
  loop.answer = [&loop](const std::string& key) {
    loop.work.add(key);
    return Action::wait_for_change();
  };
  bad.work.add("x");
  good.work.add("y");
  loop.work.add("z");
  CHECK(Runner::drain({&bad, &good, &loop}, 100) == 100);
  CHECK(good.seen["y"] == 1);
}

TEST_CASE("runner: threads work off everything and stop cleanly, twice") {
  ManualClock clock;
  Counting c(clock);
  std::atomic<int> done{0};
  c.answer = [&done](const std::string&) {
    ++done;
    return Action::wait_for_change();
  };
  Runner runner({&c});
  runner.start();
  for (int i = 0; i < 200; ++i) c.work.add("k" + std::to_string(i));
  CHECK(testing::eventually([&] { return done == 200; }));
  runner.stop();
  runner.stop();
}

TEST_CASE("work queue: takes in the order of adding, and stops handing out when shut down") {
  ManualClock clock;
  WorkQueue q(clock);
  for (const char* k : {"c", "a", "b"}) q.add(k);
  q.add_after("d", seconds(1));
  CHECK(q.try_take() == "c");
  CHECK(q.try_take() == "a");
  q.shut_down();
  CHECK_FALSE(q.take());
  q.add("e");
  q.add_after("f", seconds(0));
}

// Property: whatever is added, delayed and failed, no key is lost, and none is handed out while it is being worked on.
TEST_CASE("work queue: random use loses nothing") {
  ManualClock clock;
  WorkQueue q(clock, {.first = milliseconds(5), .most = milliseconds(100)});
  SeededRandom random(4);
  std::set<std::string> working, wanted;
  for (int i = 0; i < 20'000; ++i) {
    std::string key(1, static_cast<char>('a' + random.next() % 8));
    switch (random.next() % 6) {
      case 0: q.add(key), wanted.insert(key); break;
      case 1: q.add_after(key, milliseconds(static_cast<int64_t>(random.next() % 50))), wanted.insert(key); break;
      case 2: q.add_failed(key), wanted.insert(key); break;
      case 3: clock.advance(milliseconds(static_cast<int64_t>(random.next() % 20))); break;
      case 4:
        if (auto k = q.try_take()) {
          REQUIRE(working.insert(*k).second);
          wanted.erase(*k);
        }
        break;
      default:
        if (!working.empty()) {
          q.done(*working.begin());
          working.erase(working.begin());
        }
    }
  }
  for (const auto& k : working) q.done(k);
  clock.advance(seconds(10));
  while (auto k = q.try_take()) {
    wanted.erase(*k);
    q.done(*k);
  }
  CHECK(wanted == std::set<std::string>{});
  CHECK(q.size() == 0);
}

TEST_CASE("events: say what happened to whom, once, with a count") {
  ManualClock clock;
  SeededRandom random(2);
  FakeCluster c(clock);
  EventRecorder events(c, clock, random, "test-controller", "host");
  Doc pod = Doc::parse(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"app","uid":"u"}})").value();
  for (int i = 0; i < 3; ++i) {
    events.record(pod.root(), "Warning", "BackOff", "again", "spec.containers{c}");
    clock.advance(seconds(1));
  }
  events.record(pod.root(), "Normal", "Started", "started");
  events.flush();
  auto all = c.all({"", "v1", "events", "app", "", ""});
  REQUIRE(all.size() == 2);
  const Doc& repeated = all[0]["reason"].equals("BackOff") ? all[0] : all[1];
  CHECK(repeated["count"].int_or(0) == 3);
  CHECK(repeated["involvedObject"]["uid"].equals("u"));
  CHECK(repeated["involvedObject"]["fieldPath"].equals("spec.containers{c}"));
  CHECK(repeated["source"]["component"].equals("test-controller"));
  CHECK(repeated["firstTimestamp"].str() < repeated["lastTimestamp"].str());
  // Its event expired in the meantime: a new one begins.
  for (const auto& e : all) (void)c.remove({"", "v1", "events", "app", e.path("metadata.name").str(), ""}, {});
  events.record(pod.root(), "Warning", "BackOff", "again", "spec.containers{c}");
  events.flush();
  CHECK(c.all({"", "v1", "events", "app", "", ""}).size() == 1);
}

TEST_CASE("events: a flood of one object is held back, others are not") {
  ManualClock clock;
  SeededRandom random(2);
  FakeCluster c(clock);
  EventRecorder events(c, clock, random, "test");
  Doc noisy = Doc::parse(R"({"kind":"Pod","metadata":{"name":"noisy","namespace":"app","uid":"1"}})").value(), quiet = Doc::parse(R"({"kind":"Node","metadata":{"name":"n","uid":"2"}})").value();
  for (int i = 0; i < 100; ++i) events.record(noisy.root(), "Normal", "R" + std::to_string(i), "m");
  events.record(quiet.root(), "Normal", "R", "m");
  events.flush();
  CHECK(c.all({"", "v1", "events", "app", "", ""}).size() == 25);
  CHECK(c.all({"", "v1", "events", "default", "", ""}).size() == 1);
  clock.advance(seconds(600));
  for (int i = 0; i < 100; ++i) events.record(noisy.root(), "Normal", "S" + std::to_string(i), "m");
  events.flush();
  CHECK(c.all({"", "v1", "events", "app", "", ""}).size() == 27);
}

TEST_CASE("events: who stops the recorder waits for the event that is being sent, and later ones are dropped") {
  struct Slow : FakeCluster {
    using FakeCluster::FakeCluster;
    Result<Doc> create(const Path& path, const Doc& body, const WriteOptions& options) override {
      {
        std::unique_lock lock(gate);
        entered = true;
        changed.notify_all();
        changed.wait(lock, [this] { return open; });
      }
      auto r = FakeCluster::create(path, body, options);
      sent = true;
      return r;
    }
    std::mutex gate;
    std::condition_variable changed;
    bool entered = false, open = false;
    std::atomic<bool> sent{false};
  };
  ManualClock clock;
  SeededRandom random(2);
  Slow c(clock);
  EventRecorder events(c, clock, random, "test");
  Doc node = Doc::parse(R"({"kind":"Node","metadata":{"name":"n","uid":"2"}})").value();
  events.record(node.root(), "Normal", "One", "m");
  {
    std::unique_lock lock(c.gate);
    c.changed.wait(lock, [&c] { return c.entered; });
  }
  std::thread letting_go([&c] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::lock_guard lock(c.gate);
    c.open = true;
    c.changed.notify_all();
  });
  events.stop();
  CHECK(c.sent);
  letting_go.join();
  events.record(node.root(), "Normal", "Two", "m");
  events.stop();
  CHECK(c.all({"", "v1", "events", "default", "", ""}).size() == 1);
}
