// Streams in memory: their timeouts, and splice() between two of them.
#include <catch2/catch.hpp>

#include "net/stream.h"

using namespace k8lite;
using namespace k8lite::net;

namespace {

struct World {
  async::Loop loop;
  World() { loop.start(); }
  ~World() { loop.stop(); }
  template <class T>
  T run(Task<T> task) { return async::block_on(loop, std::move(task)); }
};

Task<Result<std::string>> read(StreamPtr s) {
  std::string buffer(100, '\0');
  CO_TRY(size_t n, co_await s->read_some({buffer.data(), buffer.size()}));
  buffer.resize(n);
  co_return buffer;
}
Task<Result<>> write(StreamPtr s, std::string text) { co_return co_await s->write_all(text); }

Task<void> splice_then_tell(StreamPtr a, StreamPtr b, std::shared_ptr<std::atomic<bool>> ended) {
  co_await splice(a, b);
  *ended = true;
}
Task<bool> turn_of(async::Loop& loop) { co_return co_await async::sleep_for(loop, milliseconds(30)); }

struct Spliced : World {
  StreamPtr left, left_inner, right, right_inner;
  std::shared_ptr<std::atomic<bool>> ended = std::make_shared<std::atomic<bool>>(false);
  Spliced() {
    std::tie(left, left_inner) = stream_pipe();
    std::tie(right, right_inner) = stream_pipe();
    async::spawn(loop, splice_then_tell(left_inner, right_inner, ended));
  }
  bool has_ended() {
    run(turn_of(loop));
    return *ended;
  }
};

}  // namespace

TEST_CASE("splice: ends when both directions have ended, not one") {
  Spliced s;
  REQUIRE(s.run(write(s.left, "question")).ok());
  CHECK(s.run(read(s.right)).value() == "question");
  s.left->shutdown_write();
  CHECK(s.run(read(s.right)).value() == "");
  CHECK_FALSE(s.has_ended());
  REQUIRE(s.run(write(s.right, "answer")).ok());
  CHECK(s.run(read(s.left)).value() == "answer");
  s.right->shutdown_write();
  CHECK(s.run(read(s.left)).value() == "");
  CHECK(s.has_ended());
}

TEST_CASE("splice: ends at once when either side breaks") {
  Spliced s;
  s.right->shutdown_write();
  CHECK(s.run(read(s.left)).value() == "");
  CHECK_FALSE(s.has_ended());
  s.right->close();
  REQUIRE(s.run(write(s.left, "nobody reads")).ok());
  CHECK(s.has_ended());
  CHECK_FALSE(s.run(write(s.left, "closed")).ok());
}

TEST_CASE("pipe: a read without data and a write without a reader time out and close it") {
  World w;
  auto [a, b] = stream_pipe();
  a->set_timeout(milliseconds(20));
  auto r = w.run(read(a));
  REQUIRE_FALSE(r.ok());
  CHECK(r.status().is(Reason::Timeout));
  CHECK(w.run(read(b)).value() == "");

  auto [c, d] = stream_pipe();
  c->set_timeout(milliseconds(20));
  auto written = w.run(write(c, std::string(1 << 20, 'x')));
  REQUIRE_FALSE(written.ok());
  CHECK(written.status().is(Reason::Timeout));
}

TEST_CASE("pipe: what comes in time is no timeout") {
  World w;
  auto [a, b] = stream_pipe();
  a->set_timeout(seconds(20));
  REQUIRE(w.run(write(b, "here")).ok());
  CHECK(w.run(read(a)).value() == "here");
  a->set_timeout(Duration{0});
  b->shutdown_write();
  CHECK(w.run(read(a)).value() == "");
}
