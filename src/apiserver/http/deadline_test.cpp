#include "apiserver/http/deadline.h"

#include <catch2/catch.hpp>

#include "support/api_world.h"

using namespace k8lite;
using namespace k8lite::apiserver;

namespace {

struct World {
  async::Loop loop;
  async::Notify release;
  Result<> late;
  bool patient = false;  // waits for `release`; else until the answer was given by another
  World() { loop.start(); }
  ~World() { loop.stop(); }

  static async::Task<void> slow(World* self, net::ResponseWriter* response) {
    if (self->patient) co_await self->release.wait();
    while (!self->patient && !response->started()) co_await async::sleep_for(self->loop, milliseconds(2));
    self->late = co_await response->send(200, {}, "done");
  }
  static async::Task<bool> drive(net::Handler handler, testing::FakeWriter* writer) {
    testing::FakeRequest request("POST", "/x", {}, "", {});
    co_await handler(request, *writer);
    co_return true;
  }
};

}  // namespace

TEST_CASE("deadline: who has no answer in time gets 504, and the late answer is dropped") {
  World w;
  testing::FakeWriter writer;
  async::block_on(w.loop,
                  World::drive(with_deadline(
                                   w.loop, [&w](net::Request&, net::ResponseWriter& r) { return World::slow(&w, &r); },
                                   milliseconds(20)),
                               &writer));
  CHECK(writer.answer.status == 504);
  CHECK(writer.answer.json().get("reason").str() == "Timeout");
  CHECK_FALSE(w.late.ok());
}

TEST_CASE("deadline: an answer in time passes, and one that has begun may take as long as it likes") {
  World w;
  w.patient = true;
  w.release.notify();
  testing::FakeWriter writer;
  auto handler = with_deadline(
      w.loop, [&w](net::Request&, net::ResponseWriter& r) { return World::slow(&w, &r); }, seconds(60));
  async::block_on(w.loop, World::drive(handler, &writer));
  CHECK(writer.answer.status == 200);

  struct Long {
    static async::Task<void> go(World* w, net::ResponseWriter* r) {
      (void)co_await r->start(200, {});
      co_await async::sleep_for(w->loop, milliseconds(100));
      w->late = co_await r->write("on");
      (void)co_await r->finish();
    }
  };
  testing::FakeWriter streamed;
  async::block_on(w.loop,
                  World::drive(with_deadline(
                                   w.loop, [&w](net::Request&, net::ResponseWriter& r) { return Long::go(&w, &r); },
                                   milliseconds(10)),
                               &streamed));
  CHECK(streamed.answer.body == "on");
  CHECK(w.late.ok());
}
