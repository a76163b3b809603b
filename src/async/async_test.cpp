#include "async/together.h"

#include <catch2/catch.hpp>

using namespace k8lite;
using namespace k8lite::async;

namespace {
Task<int> add(int a, int b) { co_return a + b; }
Task<Result<int>> twice(Pool* pool, int n) {
  int v = co_await offload<int>(*pool, [n] { return n * 2; });
  int w = co_await add(v, 0);
  co_return w;
}
Task<bool> wait_on(Notify* n, Loop* loop, Duration d) { co_return co_await n->wait_for(*loop, d); }
}  // namespace

TEST_CASE("async: a task crosses threads and comes back") {
  Loop loop;
  Pool pool(2);
  loop.start();
  for (int i = 0; i < 100; ++i) CHECK(*block_on(loop, twice(&pool, i)) == 2 * i);
}

TEST_CASE("async: notify wakes, a timeout gives up") {
  Loop loop;
  loop.start();
  Notify n;
  CHECK_FALSE(block_on(loop, wait_on(&n, &loop, milliseconds(5))));
  n.notify();
  CHECK(block_on(loop, wait_on(&n, &loop, seconds(5))));
}

TEST_CASE("async: what is posted together runs in order, after the last of it was posted") {
  Loop loop;
  loop.start();
  std::mutex mutex;
  std::condition_variable done;
  std::vector<int> seen;
  bool posted_all = false, early = false;
  {
    PostTogether together;
    for (int i = 0; i < 3; ++i)
      loop.post([&, i] {
        std::lock_guard lock(mutex);
        early |= !posted_all;
        seen.push_back(i);
        done.notify_all();
      });
    std::lock_guard lock(mutex);
    posted_all = true;
  }
  std::unique_lock lock(mutex);
  CHECK(done.wait_for(lock, std::chrono::seconds(15), [&seen] { return seen.size() == 3; }));
  CHECK(seen == std::vector<int>{0, 1, 2});
  CHECK_FALSE(early);
}
