// CustomResourceDefinitions: names for who asks first, conditions in Kubernetes' words, objects gone before their definition; and custom
// resources among those that the garbage collector and the end of a namespace see.
#include "controllers/crd.h"

#include <catch2/catch.hpp>

#include "controllers/garbage.h"
#include "controllers/namespaces.h"
#include "support/controller_world.h"

using namespace k8lite;
using namespace k8lite::controllers;
using json::Doc;
using json::Node;
using machinery::Path;
using testing::ControllerWorld;

namespace {

const Path kDefinitions{"apiextensions.k8s.io", "v1", "customresourcedefinitions", "", "", ""};
constexpr Instant kNow{1'700'000'000'000'000};

Node definition(const char* plural, const char* kind, std::vector<const char*> shorts = {}, const char* group = "example.org") {
  Node names = Node::obj({{"plural", plural}, {"singular", std::string(plural) + "-one"}, {"kind", kind}, {"listKind", std::string(kind) + "List"}});
  for (auto s : shorts) names["shortNames"].append(s);
  return Node::obj({{"metadata", Node::obj({{"name", std::string(plural) + "." + group}})},
                    {"spec", Node::obj({{"group", group}, {"scope", "Namespaced"}, {"names", names},
                                        {"versions", Node::arr({Node::obj({{"name", "v1"}, {"served", true}, {"storage", true}})})}})}});
}

// "NamesAccepted=True(NoConflicts) Established=False(Installing)"
std::string conditions(json::Value d) {
  std::string out;
  for (json::Value c : d["status"]["conditions"].items()) out += (out.empty() ? "" : " ") + c["type"].str() + "=" + c["status"].str() + "(" + c["reason"].str() + ")";
  return out;
}

Doc with_status(const Node& d, const Node& status) {
  Node n = d;
  n.set("status", status);
  return Doc::from(n);
}

struct World : ControllerWorld {
  World() { run<DefinitionController>(); }
  Doc crd(const char* name) {
    Path p = kDefinitions;
    p.name = name;
    return cluster.at(p);
  }
  void define(const Node& d) {
    cluster.put(kDefinitions, d);
    settle();
  }
  Path things(const char* name = "") { return {"example.org", "v1", "things", "default", name, ""}; }
  Doc put_thing(const char* name, std::vector<Node> owners = {}, std::vector<const char*> finalizers = {}) {
    Node n = Node::obj({{"apiVersion", "example.org/v1"}, {"kind", "Thing"}, {"metadata", Node::obj({{"name", name}})}});
    for (auto& o : owners) n["metadata"]["ownerReferences"].append(o);
    for (auto f : finalizers) n["metadata"]["finalizers"].append(f);
    return cluster.put(things(), n);
  }
  template <class Fn>
  bool comes(Fn holds) {  // dynamic informers are not among those that settle() knows
    for (int i = 0; i < 3000; ++i) {
      settle();
      if (holds()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }
};

}  // namespace

TEST_CASE("definitions: names are accepted first, and the resource is established by a second look") {
  Node d = definition("things", "Thing", {"th"});
  auto first = plan_names(Doc::from(d), {}, kNow);
  REQUIRE(first);
  CHECK(conditions(with_status(d, *first).root()) == "NamesAccepted=True(NoConflicts) Established=False(Installing)");
  CHECK(first->get("acceptedNames") == d.path("spec.names"));
  auto second = plan_names(with_status(d, *first), {}, kNow);
  REQUIRE(second);
  CHECK(conditions(with_status(d, *second).root()) == "NamesAccepted=True(NoConflicts) Established=True(InitialNamesAccepted)");
  CHECK_FALSE(plan_names(with_status(d, *second), {}, kNow));
}

TEST_CASE("definitions: a name that another definition of the group has is not given twice") {
  Node first = definition("things", "Thing", {"th"});
  Doc other = with_status(first, Node::obj({{"acceptedNames", first.path("spec.names")}}));
  struct Row { const char *plural, *kind; std::vector<const char*> shorts; const char *reason, *message; };
  for (const Row& r : std::vector<Row>{{"widgets", "Thing", {}, "ListKindConflict", "\"ThingList\" is already in use"},
                                       {"th", "Widget", {}, "PluralConflict", "\"th\" is already in use"},
                                       {"widgets", "Widget", {"w", "th"}, "ShortNamesConflict", "\"th\" is already in use"},
                                       {"widgets", "Widget", {"things", "th"}, "ShortNamesConflict", "[\"things\" is already in use, \"th\" is already in use]"}}) {
    Node d = definition(r.plural, r.kind, r.shorts);
    auto status = plan_names(Doc::from(d), {other}, kNow);
    REQUIRE(status);
    const Node& c = status->get("conditions").items().at(0);
    CHECK(c.get("status").str() == "False");
    CHECK(c.get("reason").str() == r.reason);
    CHECK(c.get("message").str() == r.message);
    CHECK(status->get("conditions").items().at(1).get("reason").str() == "NotAccepted");
  }
}

TEST_CASE("definitions: who waits for a name gets it when it is free") {
  World w;
  w.define(definition("things", "Thing", {"th"}));
  CHECK(conditions(w.crd("things.example.org").root()) == "NamesAccepted=True(NoConflicts) Established=True(InitialNamesAccepted)");
  w.define(definition("others", "Thing"));
  CHECK(conditions(w.crd("others.example.org").root()) == "NamesAccepted=False(ListKindConflict) Established=False(NotAccepted)");
  w.define(definition("others", "Thing", {}, "example.com"));
  CHECK(conditions(w.crd("others.example.com").root()) == "NamesAccepted=True(NoConflicts) Established=True(InitialNamesAccepted)");
  Path p = kDefinitions;
  p.name = "things.example.org";
  REQUIRE(w.cluster.remove(p, {}).ok());
  w.settle();
  CHECK(conditions(w.crd("others.example.org").root()) == "NamesAccepted=True(NoConflicts) Established=True(InitialNamesAccepted)");
}

TEST_CASE("definitions: one that is being deleted goes after all its objects") {
  World w;
  Node d = definition("things", "Thing");
  d["metadata"]["finalizers"].append("customresourcecleanup.apiextensions.k8s.io");
  w.define(d);
  w.put_thing("a");
  w.put_thing("held", {}, {"example.org/hold"});
  Path p = kDefinitions;
  p.name = "things.example.org";
  REQUIRE(w.cluster.remove(p, {}).ok());
  w.settle();
  CHECK(w.cluster.names(w.things()) == std::vector<std::string>{"held"});
  REQUIRE(w.crd("things.example.org"));
  CHECK(conditions(w.crd("things.example.org").root()).ends_with("Terminating=True(InstanceDeletionInProgress)"));
  w.cluster.merge(w.things("held"), R"({"metadata":{"finalizers":null}})");
  w.pass(seconds(2));
  CHECK_FALSE(w.crd("things.example.org"));
}

TEST_CASE("definitions: the garbage collector follows custom resources as owners and as dependents") {
  World w;
  w.run<GarbageCollector>();
  w.define(definition("things", "Thing"));
  Doc owner = w.put_thing("owner");
  auto by = [](const Doc& o) { return Node::obj({{"apiVersion", "example.org/v1"}, {"kind", "Thing"}, {"name", name_of(o)}, {"uid", uid_of(o)}, {"controller", true}}); };
  Node map = Node::obj({{"metadata", Node::obj({{"name", "m"}, {"ownerReferences", Node::arr({by(owner)})}})}});
  w.cluster.put(w.path("", "configmaps"), map);
  w.put_thing("child", {by(owner)});
  w.settle();
  CHECK(w.cluster.at(w.path("", "configmaps", "m")));
  REQUIRE(w.cluster.remove(w.things("owner"), {}).ok());
  CHECK(w.comes([&] { return !w.cluster.at(w.path("", "configmaps", "m")) && !w.cluster.at(w.things("child")); }));
}

TEST_CASE("definitions: a namespace that ends takes its custom resources with it") {
  World w;
  w.run<NamespaceController>();
  w.define(definition("things", "Thing"));
  w.put_thing("a");
  w.cluster.put({"", "v1", "namespaces", "", "", ""}, Node::obj({{"metadata", Node::obj({{"name", "default"}, {"finalizers", Node::arr({"test/hold"})}})}}));
  w.settle();
  REQUIRE(w.cluster.remove({"", "v1", "namespaces", "", "default", ""}, {}).ok());
  w.settle();
  CHECK(w.cluster.names(w.things()).empty());
}

TEST_CASE("definitions: what custom resources owned goes also when their definition is gone before it is looked at") {
  World w;
  w.run<GarbageCollector>();
  Node d = definition("things", "Thing");
  d["metadata"]["finalizers"].append("customresourcecleanup.apiextensions.k8s.io");
  w.define(d);
  auto owned = [&w](const char* name, const Doc& owner) {
    Node by = Node::obj({{"apiVersion", "example.org/v1"}, {"kind", "Thing"}, {"name", name_of(owner)}, {"uid", uid_of(owner)}});
    w.cluster.put(w.path("", "configmaps"), Node::obj({{"metadata", Node::obj({{"name", name}, {"ownerReferences", Node::arr({by})}})}}));
    w.settle();
  };
  // The collector follows the kind from when the first dependent went.
  owned("first", w.put_thing("probe"));
  REQUIRE(w.cluster.remove(w.things("probe"), {}).ok());
  CHECK(w.comes([&] { return !w.cluster.at(w.path("", "configmaps", "first")); }));
  owned("m", w.put_thing("owner"));
  Path p = kDefinitions;
  p.name = "things.example.org";
  REQUIRE(w.cluster.remove(p, {}).ok());
  CHECK(w.comes([&] {
    w.clock.advance(seconds(2));  // it looks again at what is still there
    return !w.crd("things.example.org") && !w.cluster.at(w.path("", "configmaps", "m"));
  }));
}
