// Cluster IPs and node ports: chosen, wanted, refused, given back, read in again at start; never two owners of one.
#include "apiserver/service_addresses.h"

#include <catch2/catch.hpp>
#include <set>
#include <thread>

#include "support/api_world.h"

using namespace k8lite;
using namespace k8lite::apiserver;
using json::Doc;
using json::Node;

namespace {

struct World {
  SeededRandom random{7};
  std::unique_ptr<ServiceAddresses> addresses;
  explicit World(ServiceNetwork n = {"10.43.0.0/28", 30000, 30003}) { addresses = ServiceAddresses::create(n, random).value(); }
  struct Made {
    Result<ServiceAddresses::Reservation> held;
    Node service;
    std::string ip() const { return service.path("spec.clusterIP").str(); }
    int64_t port(size_t i = 0) const { return service.path("spec.ports").items()[i].get("nodePort").int_or(0); }
  };
  Made allocate(const std::string& owner, const char* spec, const Doc* old = nullptr) {
    Node service = Node::obj({{"spec", *Node::parse(spec)}});
    auto held = addresses->allocate(service, old, owner);
    return {std::move(held), std::move(service)};
  }
  // Allocated, written, settled.
  Made store(const std::string& owner, const char* spec, const Doc* old = nullptr) {
    Made m = allocate(owner, spec, old);
    REQUIRE(m.held.ok());
    Doc doc = Doc::from(m.service);
    addresses->settle(owner, &doc);
    m.held = ServiceAddresses::Reservation();
    return m;
  }
};

constexpr const char* kPlain = R"({"type":"ClusterIP","ports":[{"port":80,"protocol":"TCP"}]})";
constexpr const char* kNodePort = R"({"type":"NodePort","ports":[{"port":80,"protocol":"TCP"}]})";

}  // namespace

TEST_CASE("service addresses: every Service gets one of its own until the range is full, and gives it back") {
  World w;
  std::set<std::string> seen;
  std::vector<std::string> owners;
  for (;;) {
    std::string owner = "n/s" + std::to_string(owners.size());
    auto m = w.allocate(owner, kPlain);
    if (!m.held.ok()) {
      CHECK(m.held.status().message() == "Internal error occurred: failed to allocate a serviceIP: range is full");
      break;
    }
    Doc doc = Doc::from(m.service);
    w.addresses->settle(owner, &doc);
    CHECK(seen.insert(m.ip()).second);
    owners.push_back(owner);
    REQUIRE(owners.size() < 16);
  }
  CHECK(owners.size() >= 13);
  CHECK_FALSE(seen.count("10.43.0.0"));
  CHECK_FALSE(seen.count("10.43.0.15"));
  w.addresses->settle(owners[3], nullptr);
  CHECK(w.allocate("n/new", kPlain).held.ok());
}

TEST_CASE("service addresses: what a failed write took goes back") {
  World w;
  std::string ip;
  {
    auto m = w.allocate("n/a", kNodePort);
    REQUIRE(m.held.ok());
    ip = m.ip();
    CHECK(w.addresses->taken(ip));
    CHECK(w.addresses->taken("TCP:" + std::to_string(m.port())));
  }
  CHECK_FALSE(w.addresses->taken(ip));
  for (int port = 30000; port <= 30003; ++port) CHECK_FALSE(w.addresses->taken("TCP:" + std::to_string(port)));
  // Refused half way: the address was there, the port was not.
  w.store("n/b", R"({"type":"NodePort","clusterIP":"10.43.0.4","ports":[{"port":80,"protocol":"TCP","nodePort":30001}]})");
  auto m = w.allocate("n/c", R"({"type":"NodePort","clusterIP":"10.43.0.9","ports":[{"port":80,"protocol":"TCP","nodePort":30001}]})");
  CHECK_FALSE(m.held.ok());
  CHECK_FALSE(w.addresses->taken("10.43.0.9"));
}

TEST_CASE("service addresses: a failed attempt takes nothing away from another of the same name") {
  World w;
  auto first = w.allocate("n/a", R"({"type":"ClusterIP","clusterIP":"10.43.0.9"})");
  {
    auto second = w.allocate("n/a", R"({"type":"ClusterIP","clusterIP":"10.43.0.9"})");
    CHECK(second.held.ok());
  }
  CHECK(w.addresses->taken("10.43.0.9"));
  Doc doc = Doc::from(first.service);
  w.addresses->settle("n/a", &doc);
  first.held = ServiceAddresses::Reservation();
  CHECK(w.addresses->taken("10.43.0.9"));
}

TEST_CASE("service addresses: wishes are granted or refused in upstream's words") {
  World w;
  w.store("n/a", R"({"type":"NodePort","clusterIP":"10.43.0.5","ports":[{"port":80,"protocol":"TCP","nodePort":30001}]})");
  struct Row { const char *spec, *why; };
  for (const Row& r : {Row{R"({"clusterIP":"10.43.0.5"})", R"(spec.clusterIPs: Invalid value: ["10.43.0.5"]: failed to allocate IP 10.43.0.5: provided IP is already allocated)"},
                       {R"({"clusterIP":"10.44.0.1"})", R"(spec.clusterIPs: Invalid value: ["10.44.0.1"]: failed to allocate IP 10.44.0.1: the provided IP is not in the valid range. The range of valid IPs is 10.43.0.0/28)"},
                       {R"({"clusterIP":"nonsense"})", R"(spec.clusterIPs[0]: Invalid value: "nonsense": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff))"},
                       {R"({"type":"NodePort","ports":[{"port":80,"protocol":"TCP","nodePort":30001}]})", "spec.ports[0].nodePort: Invalid value: 30001: provided port is already allocated"},
                       {R"({"type":"NodePort","ports":[{"port":80,"protocol":"TCP","nodePort":29999}]})", "spec.ports[0].nodePort: Invalid value: 29999: provided port is not in the valid range. The range of valid ports is 30000-30003"},
                       {R"({"type":"NodePort","ports":[{"port":80,"protocol":"TCP","nodePort":30002},{"port":81,"protocol":"TCP","nodePort":30002}]})", "spec.ports[1].nodePort: Duplicate value: 30002"}}) {
    CAPTURE(r.spec);
    auto m = w.allocate("n/b", r.spec);
    REQUIRE_FALSE(m.held.ok());
    CHECK(m.held.status().message() == r.why);
  }
  CHECK(w.allocate("n/b", R"({"type":"NodePort","ports":[{"port":80,"protocol":"UDP","nodePort":30001}]})").held.ok());  // another protocol
  CHECK(w.allocate("n/a", R"({"clusterIP":"10.43.0.5"})").held.ok());                                                   // its own
}

TEST_CASE("service addresses: an update keeps what it does not mention, and may not change the address") {
  World w;
  auto made = w.store("n/a", R"({"type":"NodePort","ports":[{"name":"a","port":80,"protocol":"TCP"},{"name":"b","port":81,"protocol":"TCP"}]})");
  Doc old = Doc::from(made.service);
  auto again = w.store("n/a", R"({"type":"NodePort","ports":[{"name":"b","port":81,"protocol":"TCP"},{"name":"c","port":82,"protocol":"TCP"}]})", &old);
  CHECK(again.ip() == made.ip());
  CHECK(again.port(0) == made.port(1));
  CHECK_FALSE(w.addresses->taken("TCP:" + std::to_string(made.port(0))) == (again.port(1) != made.port(0)));
  Doc now = Doc::from(again.service);
  CHECK_FALSE(w.allocate("n/a", R"({"type":"ClusterIP","clusterIP":"10.43.0.3"})", &now).held.ok());
  auto plain = w.store("n/a", kPlain, &now);
  CHECK(plain.port() == 0);
  for (int port = 30000; port <= 30003; ++port) CHECK_FALSE(w.addresses->taken("TCP:" + std::to_string(port)));
  Doc was = Doc::from(plain.service);
  auto name = w.store("n/a", R"({"type":"ExternalName","externalName":"x.org"})", &was);
  CHECK_FALSE(name.service.path("spec.clusterIP").exists());
  CHECK_FALSE(w.addresses->taken(plain.ip()));
}

TEST_CASE("service addresses: headless Services take no address, wanted node ports win over chosen ones") {
  World w;
  CHECK(w.store("n/h", R"({"clusterIP":"None"})").ip() == "None");
  for (int i = 0; i < 20; ++i) {
    World v;
    auto m = v.allocate("n/a", R"({"type":"NodePort","ports":[{"port":80,"protocol":"TCP"},{"port":81,"protocol":"TCP"},{"port":82,"protocol":"TCP"},{"port":83,"protocol":"TCP","nodePort":30002}]})");
    REQUIRE(m.held.ok());
    CHECK(std::set<int64_t>{m.port(0), m.port(1), m.port(2), m.port(3)} == std::set<int64_t>{30000, 30001, 30002, 30003});
  }
}

TEST_CASE("service addresses: an address stored twice is free when both are gone") {
  World w;
  Doc twice = Doc::parse(R"({"spec":{"clusterIP":"10.43.0.5"}})").value();
  w.addresses->settle("n/a", &twice);
  w.addresses->settle("n/b", &twice);
  w.addresses->settle("n/a", nullptr);
  CHECK(w.addresses->taken("10.43.0.5"));
  CHECK_FALSE(w.allocate("n/c", R"({"clusterIP":"10.43.0.5"})").held.ok());
  w.addresses->settle("n/b", nullptr);
  CHECK(w.allocate("n/c", R"({"clusterIP":"10.43.0.5"})").held.ok());
}

// Property: after any sequence of writes that succeed, fail or delete, exactly what the stored Services use is taken.
TEST_CASE("service addresses: random lives leave nothing behind and share nothing") {
  World w({"10.43.0.0/26", 30000, 30020});
  std::map<std::string, Doc> stored;
  SeededRandom random(99);
  const char* specs[] = {kPlain, kNodePort, R"({"clusterIP":"None"})", R"({"type":"ExternalName"})", R"({"clusterIP":"10.43.0.40"})", R"({"type":"NodePort","ports":[{"port":80,"protocol":"TCP","nodePort":30005},{"port":80,"protocol":"UDP"}]})"};
  for (int step = 0; step < 3000; ++step) {
    std::string owner = "n/s" + std::to_string(random.next() % 12);
    auto it = stored.find(owner);
    if (it != stored.end() && random.next() % 3 == 0) {
      stored.erase(it);
      w.addresses->settle(owner, nullptr);
      continue;
    }
    auto m = w.allocate(owner, specs[random.next() % std::size(specs)], it == stored.end() ? nullptr : &it->second);
    if (!m.held.ok() || random.next() % 4 == 0) continue;  // refused, or the write failed
    stored[owner] = Doc::from(m.service);
    w.addresses->settle(owner, &stored[owner]);
    m.held = ServiceAddresses::Reservation();
    std::set<std::string> used;
    for (const auto& [name, doc] : stored) {
      std::string ip = doc.path("spec.clusterIP").str();
      if (!ip.empty() && ip != "None") REQUIRE(used.insert(ip).second);
      for (json::Value p : doc.path("spec.ports").items())
        if (p["nodePort"]) REQUIRE(used.insert(p["protocol"].str() + ":" + std::to_string(p["nodePort"].int_or(0))).second);
    }
    for (int i = 0; i < 64; ++i) REQUIRE(w.addresses->taken("10.43.0." + std::to_string(i)) == used.contains("10.43.0." + std::to_string(i)));
    for (int p = 30000; p <= 30020; ++p)
      for (const char* protocol : {"TCP:", "UDP:"}) REQUIRE(w.addresses->taken(protocol + std::to_string(p)) == used.contains(protocol + std::to_string(p)));
  }
}

TEST_CASE("service addresses: many at once get different ones") {
  World w({"10.43.0.0/20", 30000, 32767});
  std::vector<std::thread> threads;
  std::vector<std::vector<std::string>> got(4);
  for (size_t t = 0; t < got.size(); ++t)
    threads.emplace_back([&w, &got, t] {
      for (int i = 0; i < 200; ++i) {
        std::string owner = std::to_string(t) + "/" + std::to_string(i);
        Node service = Node::obj({{"spec", *Node::parse(kNodePort)}});
        auto held = w.addresses->allocate(service, nullptr, owner);
        if (!held.ok()) return;
        Doc doc = Doc::from(service);
        w.addresses->settle(owner, &doc);
        got[t].push_back(service.path("spec.clusterIP").str());
        got[t].push_back(std::to_string(service.path("spec.ports").items()[0].get("nodePort").int_or(0)));
      }
    });
  for (auto& t : threads) t.join();
  std::set<std::string> all;
  for (const auto& g : got) all.insert(g.begin(), g.end());
  CHECK(all.size() == 4 * 200 * 2);
}

TEST_CASE("service addresses: over the API, dry runs and refused Services leave no trace, deletes and a restart keep the books") {
  testing::ApiWorld w;
  std::string url = "/api/v1/namespaces/default/services";
  auto service = [](const char* name, const char* spec) { return R"({"metadata":{"name":")" + std::string(name) + R"("},"spec":)" + spec + "}"; };
  const char* wanted = R"({"type":"NodePort","clusterIP":"10.43.7.7","ports":[{"port":80,"nodePort":30777}]})";
  CHECK(w.ask("POST", url + "?dryRun=All", service("a", wanted)).status == 201);
  CHECK(w.ask("POST", url, service("bad", R"({"type":"NodePort","clusterIP":"10.43.7.7","ports":[{"port":0,"nodePort":30777}]})")).status == 422);
  CHECK(w.ask("POST", url, service("a", wanted)).status == 201);
  auto taken = w.ask("POST", url, service("b", wanted));
  CHECK(taken.status == 422);
  CHECK(w.ask("POST", url, service("a", R"({"ports":[{"port":80}]})")).status == 409);
  CHECK(w.ask("DELETE", url + "/a").status == 200);
  CHECK(w.ask("POST", url, service("b", wanted)).status == 201);
  // Another server over the same store knows what is taken.
  apiserver::ApiServerOptions options;
  options.service_account_key_pem = testing::ApiWorld::key();
  auto second = apiserver::ApiServer::create(w.loop, *w.store, w.clock, w.random, options).value();
  auto client = second->client({{"admin", {"system:masters"}}, {}, {}}, "test");
  CHECK(client->create({"", "v1", "services", "default", "", ""}, Doc::parse(service("c", wanted)).value(), {}).status().is(Reason::Invalid));
}
