// Namespaces: what every new one gets, and an end that leaves nothing. Cluster roles that gather others.
#include "controllers/namespaces.h"

#include <catch2/catch.hpp>

#include "controllers/cluster_roles.h"
#include "controllers/garbage.h"
#include "support/controller_world.h"

using namespace k8lite;
using namespace k8lite::controllers;
using json::Doc;
using json::Node;
using machinery::Path;
using testing::ControllerWorld;

namespace {

struct World : ControllerWorld {
  World() {
    run<NamespaceController>();
    run<ServiceAccountController>();
  }
  Path ns(const char* name = "") { return path("", "namespaces", name, ""); }
  void put(const char* name) {
    cluster.put(ns(), Node::obj({{"metadata", Node::obj({{"name", name}})}, {"spec", Node::obj({{"finalizers", Node::arr({"kubernetes"})}})}}));
    settle();
  }
  Path in(const char* group, const char* plural, const char* name = "") { return path(group, plural, name, "app"); }
};

Node role(const char* name, const char* label, const char* resource, const char* gathers = nullptr) {
  Node r = Node::obj({{"metadata", Node::obj({{"name", name}})}});
  if (*label) r["metadata"]["labels"].set(label, "true");
  if (*resource) r["rules"] = Node::arr({Node::obj({{"verbs", Node::arr({"get"})}, {"apiGroups", Node::arr({""})}, {"resources", Node::arr({resource})}})});
  if (gathers) r["aggregationRule"]["clusterRoleSelectors"] = Node::arr({Node::obj({{"matchLabels", Node::obj({{gathers, "true"}})}})});
  return r;
}

}  // namespace

TEST_CASE("namespaces: each gets its service account and the cluster's CA, and gets them back") {
  World w;
  w.put("app");
  Path account = w.in("", "serviceaccounts", "default"), ca = w.in("", "configmaps", "kube-root-ca.crt");
  CHECK(w.cluster.at(account));
  CHECK(w.cluster.at(ca)["data"]["ca.crt"].equals("CA"));
  (void)w.cluster.remove(account, {});
  w.cluster.merge(ca, R"({"data":{"ca.crt":"forged"}})");
  w.settle();
  CHECK(w.cluster.at(account));
  CHECK(w.cluster.at(ca)["data"]["ca.crt"].equals("CA"));
}

TEST_CASE("namespaces: deletion empties it of every kind, waits for what needs time, and then it is gone") {
  World w;
  w.cluster.graceful_pods = true;
  w.put("app");
  w.put("other");
  Path kinds[] = {w.in("", "configmaps"), w.in("", "secrets"), w.in("apps", "deployments"), w.in("batch", "jobs"), w.in("networking.k8s.io", "ingresses"), w.in("rbac.authorization.k8s.io", "rolebindings"), w.in("coordination.k8s.io", "leases"), w.in("", "pods"), w.in("", "events")};
  for (const Path& kind : kinds) w.cluster.put(kind, Node::obj({{"metadata", Node::obj({{"name", "x"}})}}));
  w.cluster.put(w.in("", "configmaps"), Node::obj({{"metadata", Node::obj({{"name", "held"}, {"finalizers", Node::arr({"example.org/hold"})}})}}));
  w.cluster.put(w.path("", "configmaps", "", "other"), Node::obj({{"metadata", Node::obj({{"name", "neighbour"}})}}));
  w.settle();
  (void)w.cluster.remove(w.ns("app"), {});
  w.settle();
  for (int i = 0; i < 5; ++i) w.pass(seconds(1));
  // A pod in its grace and a finalizer hold it; the rest is gone, and the service account is not made anew.
  REQUIRE(w.cluster.at(w.ns("app")));
  CHECK(w.cluster.names(w.in("", "configmaps")) == std::vector<std::string>{"held"});
  CHECK(w.cluster.all(w.in("", "serviceaccounts")).empty());
  CHECK(w.cluster.all(w.in("apps", "deployments")).empty());
  CHECK(w.cluster.all(w.in("", "pods")).size() == 1);
  auto condition = [&w](const char* type) {
    Doc ns = w.cluster.at(w.ns("app"));
    for (json::Value c : ns.path("status.conditions").items())
      if (c["type"].equals(type)) return c["status"].str() + " " + c["message"].str();
    return std::string();
  };
  CHECK(condition("NamespaceContentRemaining") == "True Some resources are remaining: configmaps. has 1 resource instances, pods. has 1 resource instances");
  CHECK(condition("NamespaceFinalizersRemaining") == "True Some content in the namespace has finalizers remaining: example.org/hold in 1 resource instances");
  machinery::DeleteOptions now;
  now.grace_period_seconds = 0;
  (void)w.cluster.remove(w.in("", "pods", "x"), now);
  for (int i = 0; i < 3; ++i) w.pass(seconds(1));
  CHECK(w.cluster.at(w.ns("app")));
  w.cluster.merge(w.in("", "configmaps", "held"), R"({"metadata":{"finalizers":null}})");
  for (int i = 0; i < 3; ++i) w.pass(seconds(1));
  CHECK_FALSE(w.cluster.at(w.ns("app")));
  for (const Path& kind : kinds) CHECK(w.cluster.all(kind).empty());
  CHECK(w.cluster.at(w.path("", "configmaps", "neighbour", "other")));
}

TEST_CASE("namespaces: what was let in at the last moment goes too") {
  World w;
  w.put("app");
  // It was on its way when the namespace was found empty, and is written before the controller's next write.
  bool put = false;
  w.cluster.on_call = [&](const std::string& what) {
    if (what == "patch namespaces/status" && !std::exchange(put, true)) w.cluster.put(w.in("", "secrets"), Node::obj({{"metadata", Node::obj({{"name", "late"}})}}));
  };
  (void)w.cluster.remove(w.ns("app"), {});
  w.settle();
  for (int i = 0; i < 4; ++i) w.pass(seconds(1));
  CHECK(put);
  CHECK_FALSE(w.cluster.at(w.ns("app")));
  CHECK(w.cluster.all(w.in("", "secrets")).empty());
}

TEST_CASE("namespaces: an API that fails half way only delays the end") {
  World w;
  w.put("app");
  w.cluster.put(w.in("", "secrets"), Node::obj({{"metadata", Node::obj({{"name", "s"}})}}));
  w.cluster.fail_next("list ", unavailable("down"), 3);
  w.cluster.fail_next("delete secrets", Status(Reason::Conflict, "busy"), 1);
  (void)w.cluster.remove(w.ns("app"), {});
  for (int i = 0; i < 6; ++i) w.pass(seconds(2));
  CHECK_FALSE(w.cluster.at(w.ns("app")));
}

TEST_CASE("cluster roles: the rules of a gathering role, each once, by name") {
  std::vector<Doc> all;
  for (const Node& r : {role("b", "to-view", "pods"), role("a", "to-view", "services"), role("c", "to-view", "pods"), role("d", "to-edit", "secrets"), role("view", "to-view", "", "to-view")}) all.push_back(Doc::from(r));
  auto rules = plan_aggregation(all[4], all);
  REQUIRE(rules);
  REQUIRE(rules->size() == 2);
  CHECK(rules->items()[0].get("resources").items()[0].str() == "services");
  CHECK(rules->items()[1].get("resources").items()[0].str() == "pods");
  Node filled = all[4].to_node();
  filled.set("rules", *rules);
  CHECK_FALSE(plan_aggregation(Doc::from(filled), all));
  CHECK_FALSE(plan_aggregation(all[0], all));
}

TEST_CASE("cluster roles: chains are filled, labels come and go, hands off what does not gather") {
  ControllerWorld w;
  w.run<ClusterRoleController>();
  Path roles = w.path("rbac.authorization.k8s.io", "clusterroles", "", "");
  for (const Node& r : {role("admin", "", "", "to-admin"), role("edit", "to-admin", "", "to-edit"), role("view", "to-edit", "", "to-view"), role("base", "to-view", "pods")}) w.cluster.put(roles, r);
  w.settle();
  auto resources = [&w](const char* name) {
    std::set<std::string> out;
    Doc d = w.cluster.at(w.path("rbac.authorization.k8s.io", "clusterroles", name, ""));
    for (json::Value r : d["rules"].items()) out.insert(r["resources"].at(0).str());
    return out;
  };
  CHECK(resources("admin") == std::set<std::string>{"pods"});
  w.cluster.put(roles, role("more", "to-edit", "secrets"));
  w.settle();
  CHECK(resources("admin") == std::set<std::string>{"pods", "secrets"});
  CHECK(resources("view") == std::set<std::string>{"pods"});
  w.cluster.merge(w.path("rbac.authorization.k8s.io", "clusterroles", "more", ""), R"({"metadata":{"labels":null}})");
  (void)w.cluster.remove(w.path("rbac.authorization.k8s.io", "clusterroles", "base", ""), {});
  w.settle();
  CHECK(resources("admin").empty());
}
