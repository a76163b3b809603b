// Hooks against a fake container: exec, httpGet and sleep, what fails, what takes too long and what is overtaken by the container's end.
#include "kubelet/hooks.h"

#include <catch2/catch.hpp>
#include <condition_variable>
#include <mutex>

#include "net/http.h"

using namespace k8lite;
using namespace k8lite::kubelet;

namespace {

net::Handler counting(std::atomic<int>& count, std::string& path) {
  struct Serve {
    static async::Task<void> go(std::atomic<int>& count, std::string& path, net::Request& q, net::ResponseWriter& r) {
      path = q.target;
      ++count;
      (void)co_await r.send(500, {}, "any answer will do");
    }
  };
  return [&count, &path](net::Request& q, net::ResponseWriter& r) { return Serve::go(count, path, q, r); };
}

struct World {
  async::Loop loop;
  std::mutex mutex;
  std::condition_variable told;
  std::optional<std::string> said;
  std::vector<std::string> commands;
  std::function<void(int)> finish_command;
  std::atomic<int> killed{0};
  std::optional<Hooks> hooks;

  World() {
    loop.start();
    hooks.emplace(loop, [this](const HookTarget& t, const std::vector<std::string>& command, std::function<void(int)> done, Hooks::EndExec& end) -> Result<> {
      if (command[0] == "absent") return bad_request("no such command");
      std::lock_guard lock(mutex);
      commands.push_back(t.container + ": " + command[0]);
      end = [this] { ++killed; };
      if (command[0] == "slow") finish_command = done;
      else done(command[0] == "good" ? 0 : 1);
      told.notify_all();
      return {};
    });
  }
  ~World() {
    hooks.reset();
    loop.stop();
  }
  void run(const std::string& handler, Duration limit = Duration{0}) {
    said.reset();
    auto pod = json::Doc::parse(R"({"spec":{"containers":[{"name":"main","ports":[{"name":"web","containerPort":80}],"lifecycle":{"preStop":)" + handler + "}}]}}");
    REQUIRE(pod.ok());
    HookTarget t{"uid", "127.0.0.1", "main", "main-0", *pod};
    hooks->run(t, t.pod.path("spec.containers").at(0)["lifecycle"]["preStop"], limit, [this](Result<> r) {
      std::lock_guard lock(mutex);
      said = r.ok() ? "ok" : std::string(reason_name(r.status().reason()));
      told.notify_all();
    });
  }
  std::string outcome() {
    std::unique_lock lock(mutex);
    return told.wait_for(lock, seconds(10), [this] { return said.has_value(); }) ? *said : "nothing";
  }
  void wait_for_command() {
    std::unique_lock lock(mutex);
    REQUIRE(told.wait_for(lock, seconds(10), [this] { return finish_command != nullptr; }));
  }
};

}  // namespace

TEST_CASE("hooks: a command's exit code decides") {
  World w;
  w.run(R"({"exec":{"command":["good"]}})");
  CHECK(w.outcome() == "ok");
  w.run(R"({"exec":{"command":["bad"]}})");
  CHECK(w.outcome() == "InternalError");
  w.run(R"({"exec":{"command":["absent"]}})");
  CHECK(w.outcome() == "BadRequest");
  CHECK(w.commands == std::vector<std::string>{"main: good", "main: bad"});
  CHECK(w.killed == 0);
}

TEST_CASE("hooks: a command that takes too long is killed") {
  World w;
  w.run(R"({"exec":{"command":["slow"]}})", milliseconds(50));
  CHECK(w.outcome() == "Timeout");
  CHECK(w.killed == 1);
}

TEST_CASE("hooks: the container's end is the hook's") {
  World w;
  w.run(R"({"exec":{"command":["slow"]}})");
  w.wait_for_command();
  w.hooks->container_ended("other", "main-0");
  w.hooks->container_ended("uid", "main-1");
  CHECK_FALSE(w.said);
  w.hooks->container_ended("uid", "main-0");
  CHECK(w.outcome() == "ok");
  CHECK(w.killed == 1);
}

TEST_CASE("hooks: sleep sleeps, and no longer than it may") {
  World w;
  Duration before = system_clock().mono();
  w.run(R"({"sleep":{"seconds":1}})", seconds(5));
  CHECK(w.outcome() == "ok");
  CHECK(system_clock().mono() - before >= milliseconds(950));
  w.run(R"({"sleep":{"seconds":100}})", milliseconds(30));
  CHECK(w.outcome() == "Timeout");
}

TEST_CASE("hooks: httpGet asks the pod, by default, and takes any answer") {
  World w;
  std::atomic<int> asked{0};
  std::string path;
  net::HttpServerOptions options;
  options.listen.address = "127.0.0.1";
  auto server = net::serve_http(w.loop, options, counting(asked, path));
  REQUIRE(server.ok());
  std::string port = std::to_string((*server)->port());
  w.run(R"({"httpGet":{"path":"bye?x=1","port":)" + port + "}}", seconds(5));
  CHECK(w.outcome() == "ok");
  CHECK(asked == 1);
  CHECK(path == "/bye?x=1");
  (*server)->stop();
  w.run(R"({"httpGet":{"port":1}})", seconds(5));
  CHECK(w.outcome() == "ServiceUnavailable");
  w.run(R"({"httpGet":{"port":"nosuchname"}})", seconds(5));
  CHECK(w.outcome() == "BadRequest");
}

TEST_CASE("hooks: tcpSocket fails, and stop() ends what runs without a word") {
  World w;
  w.run(R"({"tcpSocket":{"port":80}})");
  CHECK(w.outcome() == "BadRequest");
  w.run(R"({"exec":{"command":["slow"]}})");
  w.wait_for_command();
  w.hooks->stop();
  CHECK_FALSE(w.said);
  w.run(R"({"sleep":{"seconds":1}})");
}
