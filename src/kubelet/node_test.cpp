// What a node says of itself, when several of its parts speak at the same time.
#include "kubelet/node.h"

#include <catch2/catch.hpp>
#include <condition_variable>
#include <thread>

namespace k8lite::kubelet {
namespace {

// A server with one node, whose first write of a status takes until it is let go.
struct SlowServer : machinery::Client {
  std::mutex mutex;
  std::condition_variable changed;
  bool held = true, waiting = false;
  json::Doc node = *json::Doc::parse(R"({"apiVersion":"v1","kind":"Node","metadata":{"name":"n"},"status":{}})");

  Result<json::Doc> get(const machinery::Path&) override {
    std::lock_guard lock(mutex);
    return node;
  }
  Result<json::Doc> patch(const machinery::Path&, machinery::PatchType, const std::string& body, const machinery::WriteOptions&) override {
    std::unique_lock lock(mutex);
    if (!waiting) {
      waiting = true;
      changed.notify_all();
      changed.wait(lock, [this] { return !held; });
    }
    node = *json::Doc::parse(body);
    return node;
  }
  Result<machinery::ListResult> list(const machinery::Path&, const machinery::ListOptions&) override { return bad_request("no"); }
  Result<json::Doc> create(const machinery::Path&, const json::Doc&, const machinery::WriteOptions&) override { return bad_request("no"); }
  Result<json::Doc> update(const machinery::Path&, const json::Doc&, const machinery::WriteOptions&) override { return bad_request("no"); }
  Result<json::Doc> remove(const machinery::Path&, const machinery::DeleteOptions&) override { return bad_request("no"); }
  Result<std::unique_ptr<machinery::WatchHandle>> watch(const machinery::Path&, const machinery::ListOptions&, std::function<void(machinery::WatchEvent)>) override { return bad_request("no"); }
  std::vector<Result<json::Doc>> submit(std::vector<machinery::Operation>) override { return {}; }
};

}  // namespace

TEST_CASE("node: pressure that is found while another report is on its way is not lost") {
  SlowServer server;
  ManualClock clock;
  NodeReporter reporter(server, clock, {});
  std::thread ready([&] { CHECK(reporter.report(true, "").ok()); });
  {
    std::unique_lock lock(server.mutex);
    server.changed.wait(lock, [&] { return server.waiting; });
  }
  std::thread pressed([&] {
    Pressure pressure;
    pressure.memory = true;
    CHECK(reporter.report_pressure(pressure).ok());
  });
  // Long enough for it to be written first where nothing holds it back.
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  {
    std::lock_guard lock(server.mutex);
    server.held = false;
    server.changed.notify_all();
  }
  ready.join();
  pressed.join();
  bool memory = false, is_ready = false;
  for (json::Value c : server.node.path("status.conditions").items()) {
    if (c["type"].equals("MemoryPressure")) memory = c["status"].equals("True");
    if (c["type"].equals("Ready")) is_ready = c["status"].equals("True");
  }
  CHECK(memory);
  CHECK(is_ready);
}

}  // namespace k8lite::kubelet
