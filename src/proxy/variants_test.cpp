// The choice of an iptables among what a machine has installed.
#include "proxy/variants.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "os/files.h"
#include "proxy/health.h"
#include "net/http.h"

using namespace k8lite;
using namespace k8lite::proxy;

namespace {

// A folder of pretended programs: each prints its version, and `works` says whether --test succeeds.
struct Programs {
  std::string dir;
  Programs() {
    char name[] = "/tmp/k8lite-iptables-XXXXXX";
    dir = mkdtemp(name);
  }
  ~Programs() { std::filesystem::remove_all(dir); }
  void add(const std::string& kind, const std::string& version, bool works) {
    for (const char* what : {"-restore", "-save"}) {
      std::string path = dir + "/iptables" + kind + what;
      REQUIRE(os::write_file(path, "#!/bin/sh\n[ \"$1\" = --version ] && { echo 'iptables " + version + "'; exit 0; }\n" + (works ? "exit 0\n" : "echo 'cannot initialize: Protocol not supported' >&2; exit 3\n"), 0755, false).ok());
    }
  }
  auto find() { return find_iptables({dir}); }
};

}  // namespace

TEST_CASE("iptables: where there is none, the error says what to install") {
  Programs p;
  auto r = p.find();
  REQUIRE(!r.ok());
  CHECK(r.status().message().find("apt install iptables") != std::string::npos);
}

TEST_CASE("iptables: the plain name is taken first, another kind where that one does not work") {
  Programs p;
  p.add("-legacy", "v1.8.9 (legacy)", true);
  auto only = p.find();
  REQUIRE(only.ok());
  CHECK(only->legacy);
  p.add("", "v1.8.9 (nf_tables)", true);
  auto plain = p.find();
  REQUIRE(plain.ok());
  CHECK(plain->restore == p.dir + "/iptables-restore");
  CHECK(!plain->legacy);
  p.add("", "v1.8.9 (nf_tables)", false);
  auto other = p.find();
  REQUIRE(other.ok());
  CHECK(other->restore == p.dir + "/iptables-legacy-restore");
  p.add("-legacy", "v1.8.9 (legacy)", false);
  auto none = p.find();
  REQUIRE(!none.ok());
  CHECK(none.status().message().find("Protocol not supported") != std::string::npos);
}

TEST_CASE("iptables: an old version that names no kind is legacy") {
  Programs p;
  p.add("", "v1.6.1", true);
  CHECK(p.find().value().legacy);
}

namespace {

struct Said {
  int status = 0;
  std::string weight, body;
};
async::Task<Said> fetch(async::Loop* loop, int port) {
  auto client = net::make_http_client(*loop, {.host = "127.0.0.1", .port = port, .tls = nullptr});
  net::ClientRequest request;
  request.target = "/healthz";
  auto response = co_await client->send(std::move(request));
  if (!response.ok()) co_return Said{};
  auto body = co_await (*response)->read_body(4096);
  co_return Said{(*response)->status, std::string((*response)->headers.get("X-Load-Balancing-Endpoint-Weight")), body.ok() ? *body : ""};
}

}  // namespace

TEST_CASE("health checks: counted by pod, served while wanted") {
  ServicePort http{.name = "default/web:http", .protocol = "tcp", .cluster_ip = "10.43.0.5", .external_ips = {}, .balancer_ips = {}, .source_ranges = {}, .cluster_endpoints = {}, .local_endpoints = {}, .health_port = 31999, .ready_here = {"10.42.0.2", "10.42.0.3"}};
  ServicePort https = http, other{};
  https.name = "default/web:https";
  other.name = "default/other";
  auto checks = health_checks({http, https, other});
  REQUIRE(checks.size() == 1);
  CHECK(checks[0] == HealthCheck{"default", "web", 31999, 2});

  async::Loop loop;
  loop.start();
  {
    HealthServers servers(loop);
    checks[0].port = 31997;
    servers.set(checks);
    Said here = async::block_on(loop, fetch(&loop, 31997));
    CHECK(here.status == 200);
    CHECK(here.weight == "2");
    CHECK(here.body.find("\"localEndpoints\":2") != std::string::npos);
    checks[0].endpoints = 0;
    servers.set(checks);
    CHECK(async::block_on(loop, fetch(&loop, 31997)).status == 503);
    servers.set({});
    CHECK(async::block_on(loop, fetch(&loop, 31997)).status == 0);
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // connections that were just closed end on the loop
  loop.stop();
}
