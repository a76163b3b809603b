// Who is tried next, and when again.
#include "scheduler/queue.h"

#include <catch2/catch.hpp>

using namespace k8lite;
using namespace k8lite::scheduler;
using json::Doc;

namespace {

PodPtr pod(const std::string& name, int priority = 0, const std::string& uid = "u") {
  auto d = Doc::parse(R"({"metadata":{"name":")" + name + R"(","namespace":"default","uid":")" + uid + R"("},"spec":{"priority":)" + std::to_string(priority) + "}}");
  REQUIRE(d.ok());
  return std::make_shared<PodInfo>(*d);
}

struct World {
  Profile profile;
  Queue queue{seconds(1), seconds(10)};
  Duration now{seconds(1000)};
  void put(const std::string& name, int priority = 0) { queue.put(pod(name, priority), &profile, now); }
  Waiting* take() { return queue.take(now); }
  std::string next() {
    Waiting* w = take();
    if (!w) return "";
    std::string key = w->pod->key.substr(8);
    queue.erase(w->pod->key);
    return key;
  }
  // Takes the next and says that this plugin refused it.
  void refuse(uint32_t by = bit(kNodeResourcesFit)) {
    Waiting* w = take();
    REQUIRE(w);
    queue.refused(*w, by, now);
  }
};

}  // namespace

TEST_CASE("queue: the most important first, of equals the one that came first") {
  World w;
  w.put("a");
  w.put("b", 5);
  w.put("c");
  w.put("d", 5);
  w.put("e", -1);
  std::string order;
  for (std::string n = w.next(); !n.empty(); n = w.next()) order += n;
  CHECK(order == "bdace");
  CHECK(w.queue.size() == 0);
  CHECK(w.queue.next_due(w.now) < Duration{0});
}

TEST_CASE("queue: one that fits nowhere waits for something that may help it, then for its back-off") {
  World w;
  w.put("a");
  w.refuse();
  CHECK(w.take() == nullptr);
  w.now += seconds(100);
  CHECK(w.take() == nullptr);  // time alone does not help
  w.queue.wake(bit(kNodeAffinity), w.now);
  CHECK(w.take() == nullptr);  // another plugin's matter
  w.queue.wake(bit(kNodeResourcesFit), w.now, [](const Waiting&) { return false; });
  CHECK(w.take() == nullptr);
  w.queue.wake(bit(kNodeResourcesFit), w.now);
  w.refuse();
  // Tried this moment: not again the next one, but before its back-off is over when nobody else waits.
  w.queue.wake(~0u, w.now);
  CHECK(w.take() == nullptr);
  CHECK(w.queue.next_due(w.now) == w.now + milliseconds(250));
  w.now += milliseconds(250);
  CHECK(w.next() == "a");
}

TEST_CASE("queue: while others wait the back-off holds, and it grows to its limit") {
  World w;
  Duration waited{0};
  for (int expected : {1, 2, 4, 8, 10, 10}) {
    w.put("a");
    Waiting* a = w.take();
    REQUIRE(a);
    w.queue.failed(*a, w.now);  // an error: nothing shortens its back-off
    w.queue.wake(~0u, w.now);
    w.now += seconds(expected) - milliseconds(1);
    CHECK(w.take() == nullptr);
    w.now += milliseconds(1);
    REQUIRE(w.take());
    waited += seconds(expected);
  }
  CHECK(waited == seconds(35));
}

TEST_CASE("queue: what nobody woke is tried after five minutes") {
  World w;
  w.put("a");
  w.refuse();
  CHECK(w.queue.next_due(w.now) == w.now + seconds(300));
  w.now += seconds(300);
  CHECK(w.next() == "a");
}

TEST_CASE("queue: a pod of the same name that is another one begins anew, a changed one is tried at once") {
  World w;
  w.put("a");
  w.refuse();
  w.queue.find("default/a")->told = "why";
  w.put("a");
  CHECK(w.queue.find("default/a")->told == "why");
  CHECK(w.take());
  w.queue.refused(*w.queue.find("default/a"), 1, w.now);
  w.queue.put(pod("a", 0, "other"), &w.profile, w.now);
  CHECK(w.queue.find("default/a")->told.empty());
  CHECK(w.next() == "a");
  // Its priority is not lost when only its status changed.
  w.put("x", 1);
  w.queue.refresh(pod("x", 1));
  w.put("y", 2);
  CHECK(w.next() == "y");
  CHECK(w.next() == "x");
}

TEST_CASE("queue: a pod that nothing refused in particular is woken by anything") {
  World w;
  w.put("a");
  w.refuse(0);
  w.now += seconds(5);
  w.queue.wake(bit(kNodeName), w.now);
  CHECK(w.next() == "a");
}
