#include "async/async.h"

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
