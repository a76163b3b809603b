#include "machinery/courier.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <vector>

using namespace k8lite;
using machinery::Courier;

TEST_CASE("courier: functions run one after another in order, later ones when their time has come") {
  Courier courier;
  std::vector<int> seen;
  courier.after(milliseconds(20), [&seen] { seen.push_back(3); });
  courier.run([&seen] { seen.push_back(1); });
  courier.run_and_wait([&seen] { seen.push_back(2); });
  std::atomic<bool> done{false};
  courier.after(milliseconds(30), [&done] { done = true; });
  while (!done) std::this_thread::yield();
  courier.stop();
  CHECK(seen == std::vector<int>{1, 2, 3});
}

TEST_CASE("courier: waiting on its own thread runs at once, and so does waiting for one that was stopped or never began") {
  Courier never, courier;
  int n = 0;
  never.run_and_wait([&n] { ++n; });
  CHECK(n == 1);
  courier.run_and_wait([&n] { ++n; });
  courier.run([&courier, &n] { courier.run_and_wait([&n] { ++n; }); });
  courier.stop();  // what waits in line still runs
  CHECK(n == 3);
  courier.run([&n] { ++n; });
  courier.run_and_wait([&n] { ++n; });
  CHECK(n == 4);
}
