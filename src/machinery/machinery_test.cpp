#include <atomic>
#include <catch2/catch.hpp>
#include <map>
#include <thread>
#include <vector>

#include "base/random.h"
#include "machinery/client.h"
#include "machinery/work_queue.h"

using namespace k8lite;
using namespace k8lite::machinery;

TEST_CASE("path: a URL names what the fields say") {
  CHECK(Path{"apps", "v1", "deployments", "default", "web", "status"}.url() == "/apis/apps/v1/namespaces/default/deployments/web/status");
  CHECK(Path{"", "v1", "nodes", "", "", ""}.url() == "/api/v1/nodes");
  CHECK(Path{"", "v1", "nodes", "", "a/b", ""}.url() == "/api/v1/nodes/a%2Fb");
}

TEST_CASE("work queue: a key waits once and is never worked on twice at a time") {
  ManualClock clock;
  WorkQueue q(clock);
  q.add("a");
  q.add("a");
  q.add("b");
  CHECK(q.size() == 2);
  CHECK(q.try_take() == "a");
  q.add("a");
  CHECK(q.try_take() == "b");
  CHECK_FALSE(q.try_take());
  q.done("a");
  CHECK(q.try_take() == "a");
  q.done("a");
  CHECK_FALSE(q.try_take());
}

TEST_CASE("work queue: failures back off, double and are forgotten") {
  ManualClock clock;
  WorkQueue q(clock, {.first = milliseconds(5), .most = milliseconds(15)});
  for (int64_t want : {5, 10, 15, 15}) {
    q.add_failed("a");
    CHECK_FALSE(q.try_take());
    clock.advance(milliseconds(want) - Duration(1));
    CHECK_FALSE(q.try_take());
    clock.advance(Duration(1));
    CHECK(q.try_take() == "a");
    q.done("a");
  }
  CHECK(q.failures("a") == 4);
  q.forget("a");
  q.add_failed("a");
  clock.advance(milliseconds(5));
  CHECK(q.try_take() == "a");
}

TEST_CASE("work queue: of several delays the earliest counts") {
  ManualClock clock;
  WorkQueue q(clock);
  q.add_after("a", seconds(10));
  q.add_after("a", seconds(3));
  q.add_after("a", seconds(20));
  CHECK(q.size() == 1);
  clock.advance(seconds(3));
  CHECK(q.try_take() == "a");
  CHECK_FALSE(q.next_due());
}

TEST_CASE("work queue: many workers lose nothing and overlap on no key") {
  WorkQueue q(system_clock());
  constexpr int kKeys = 20, kRounds = 200;
  std::map<std::string, std::atomic<int>> busy, seen;
  for (int k = 0; k < kKeys; ++k) busy["k" + std::to_string(k)] = 0, seen["k" + std::to_string(k)] = 0;
  std::atomic<bool> overlap{false};
  std::vector<std::thread> workers;
  for (int w = 0; w < 4; ++w)
    workers.emplace_back([&q, &busy, &seen, &overlap] {
      while (auto key = q.take()) {
        if (busy.at(*key)++ != 0) overlap = true;
        ++seen.at(*key);
        --busy.at(*key);
        q.done(*key);
      }
    });
  for (int r = 0; r < kRounds; ++r)
    for (int k = 0; k < kKeys; ++k) q.add("k" + std::to_string(k));
  while (q.size() > 0) std::this_thread::yield();
  q.shut_down();
  for (auto& t : workers) t.join();
  CHECK_FALSE(overlap);
  for (auto& [key, n] : seen) CHECK(n > 0);
}

TEST_CASE("work queue: tells what waits, what is worked on, and for how long") {
  ManualClock clock;
  WorkQueue q(clock);
  q.add("a");
  q.add("a");
  q.add("b");
  clock.advance(seconds(2));
  CHECK(q.take() == "a");
  clock.advance(seconds(3));
  auto f = q.figures();
  CHECK(f.added == 2);
  CHECK(f.depth == 1);
  CHECK(f.unfinished == 3);
  CHECK(f.longest == 3);
  q.add_failed("a");
  q.done("a");
  CHECK(q.figures().retried == 1);
  CHECK(q.figures().unfinished == 0);
  std::string out;
  write_queue_figures(out, {{"web", &q}});
  for (const char* line : {"workqueue_adds_total{name=\"web\"} 2\n", "workqueue_depth{name=\"web\"} 1\n", "workqueue_queue_duration_seconds_sum{name=\"web\"} 2\n", "workqueue_work_duration_seconds_bucket{name=\"web\",le=\"1\"} 0\n",
                           "workqueue_work_duration_seconds_bucket{name=\"web\",le=\"10\"} 1\n"}) {
    CAPTURE(line, out);
    CHECK(out.find(line) != out.npos);
  }
}
