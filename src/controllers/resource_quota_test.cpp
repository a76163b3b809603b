// The quota controller: the status follows what is there.
#include "controllers/resource_quota.h"

#include <catch2/catch.hpp>

#include "controllers/storage_protection.h"
#include "support/controller_world.h"

using namespace k8lite;
using namespace k8lite::controllers;
using json::Node;
using testing::ControllerWorld;

namespace {

struct World : ControllerWorld {
  World() {
    run<ResourceQuotaController>();
    run<StorageProtectionController>();
  }
  void quota(const std::string& hard) {
    cluster.put(path("", "resourcequotas"),
                Node::parse(R"({"metadata":{"name":"q"},"spec":{"hard":)" + hard + "}}").value());
  }
  void pod(const std::string& name, const std::string& cpu, const std::string& more = "") {
    cluster.put(pods(), Node::parse(R"({"metadata":{"name":")" + name +
                                    R"("},"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":")" + cpu +
                                    R"("}}}])" + more + "}}")
                            .value());
  }
  std::string used() { return cluster.at(path("", "resourcequotas", "q")).path("status.used").to_node().dump(); }
};

}  // namespace

TEST_CASE("quota status: counts what is there, zero for what is not") {
  World w;
  w.pod("a", "100m");
  w.pod("b", "200m");
  w.quota(
      R"({"pods":"5","requests.cpu":"1","services.nodeports":"2","count/configmaps":"3","count/widgets.example.com":"1"})");
  w.settle();
  CHECK(
      w.used() ==
      R"({"count/configmaps":"0","count/widgets.example.com":"0","pods":"2","requests.cpu":"300m","services.nodeports":"0"})");
  CHECK(w.cluster.at(World::path("", "resourcequotas", "q")).path("status.hard.pods").equals("5"));
}

TEST_CASE("quota status: what is deleted or over is given back at once") {
  World w;
  w.pod("a", "100m");
  w.pod("b", "200m");
  w.cluster.put(World::path("", "configmaps"), Node::parse(R"({"metadata":{"name":"m"}})").value());
  w.quota(R"({"pods":"5","requests.cpu":"1","count/configmaps":"3"})");
  w.settle();
  CHECK(w.used() == R"({"count/configmaps":"1","pods":"2","requests.cpu":"300m"})");
  REQUIRE(w.cluster.remove(World::pods("a"), {}).ok());
  w.settle();
  CHECK(w.used() == R"({"count/configmaps":"1","pods":"1","requests.cpu":"200m"})");
  w.set_status(w.cluster.at(World::pods("b")), false, "Succeeded");
  REQUIRE(w.cluster.remove(World::path("", "configmaps", "m"), {}).ok());
  w.settle();
  CHECK(w.used() == R"({"count/configmaps":"0","pods":"0","requests.cpu":"0"})");
}

TEST_CASE("quota status: a charge in between is never lost") {
  World w;
  w.quota(R"({"pods":"5"})");
  w.settle();
  w.pod("a", "1");
  bool once = false;
  w.cluster.on_call = [&](const std::string& what) {
    if (what != "update resourcequotas/status" || std::exchange(once, true)) return;
    w.cluster.merge(World::path("", "resourcequotas", "q"), R"({"metadata":{"annotations":{"charged":"meanwhile"}}})");
  };
  w.pass(seconds(30));
  w.pass(seconds(1));
  CHECK(once);
  CHECK(w.used() == R"({"pods":"1"})");
}

TEST_CASE("storage protection: a claim goes when the last pod that runs with it is gone") {
  World w;
  w.cluster.put(World::path("", "persistentvolumeclaims"),
                Node::parse(R"({"metadata":{"name":"v","finalizers":["kubernetes.io/pvc-protection"]}})").value());
  w.pod("a", "1", R"(,"nodeName":"n","volumes":[{"name":"x","persistentVolumeClaim":{"claimName":"v"}}])");
  w.settle();
  REQUIRE(w.cluster.remove(World::path("", "persistentvolumeclaims", "v"), {}).ok());
  w.settle();
  CHECK(w.cluster.names(World::path("", "persistentvolumeclaims")).size() == 1);
  REQUIRE(w.cluster.remove(World::pods("a"), {}).ok());
  w.settle();
  CHECK(w.cluster.names(World::path("", "persistentvolumeclaims")).empty());
}

TEST_CASE("storage protection: a volume goes when it is bound no more") {
  World w;
  machinery::Path volumes{"", "v1", "persistentvolumes", "", "", ""}, one{"", "v1", "persistentvolumes", "", "p", ""};
  w.cluster.put(
      volumes,
      Node::parse(
          R"({"metadata":{"name":"p","finalizers":["kubernetes.io/pv-protection"]},"status":{"phase":"Bound"}})")
          .value());
  w.settle();
  REQUIRE(w.cluster.remove(one, {}).ok());
  w.settle();
  CHECK(w.cluster.names(volumes).size() == 1);
  w.cluster.merge(one, R"({"status":{"phase":"Released"}})");
  w.settle();
  CHECK(w.cluster.names(volumes).empty());
}
