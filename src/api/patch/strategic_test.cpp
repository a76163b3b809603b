// Strategic merge patches: the directives one by one, and random patches against a model that knows nothing of the
// implementation.
#include <catch2/catch.hpp>
#include <map>
#include <random>

#include "api/kinds.h"

using namespace k8lite;
using json::Node;

namespace {

const api::schema::Type* deployment() { return api::schema::find_type("apps/v1.Deployment"); }
Node node(const std::string& text) {
  auto n = Node::parse(text);
  INFO(text);
  REQUIRE(n.ok());
  return *n;
}
Node pod_spec(const std::string& inner) { return node(R"({"spec":{"template":{"spec":)" + inner + "}}}"); }
std::string patched(const std::string& before, const std::string& patch) {
  auto r = api::apply_strategic_merge(pod_spec(before), pod_spec(patch), deployment());
  return r.ok() ? r->path("spec.template.spec").dump() : r.status().message();
}

// ---- the model: containers are a map from name to image, in no order ----
using Model = std::map<std::string, std::string>;

Node containers(const Model& m) {
  Node list = Node::array();
  for (const auto& [name, image] : m) list.append(Node::obj({{"name", name}, {"image", image}}));
  return Node::obj(
      {{"spec", Node::obj({{"template", Node::obj({{"spec", Node::obj({{"containers", std::move(list)}})}})}})}});
}
Model model_of(const Node& object) {
  Model m;
  for (const Node& c : object.path("spec.template.spec.containers").items())
    m[c.get("name").str()] = c.get("image").str();
  return m;
}

}  // namespace

TEST_CASE("strategic merge: lists merge by their key, and directives say otherwise") {
  const std::string two =
      R"({"containers":[{"name":"a","image":"1","env":[{"name":"X","value":"1"}]},{"name":"b","image":"1"}],"nodeSelector":{"k":"v"}})";
  struct Row {
    const char *patch, *want;
  };
  for (
      const Row& r : {
          Row{R"({"containers":[{"name":"b","image":"2"}]})",
              R"({"containers":[{"name":"a","image":"1","env":[{"name":"X","value":"1"}]},{"name":"b","image":"2"}],"nodeSelector":{"k":"v"}})"},
          {R"({"containers":[{"name":"a","$patch":"delete"}]})",
           R"({"containers":[{"name":"b","image":"1"}],"nodeSelector":{"k":"v"}})"},
          {R"({"containers":[{"name":"none","$patch":"delete"}],"nodeSelector":null})",
           R"({"containers":[{"name":"a","image":"1","env":[{"name":"X","value":"1"}]},{"name":"b","image":"1"}]})"},
          {R"({"containers":[{"name":"c","image":"3"},{"$patch":"replace"}]})",
           R"({"containers":[{"name":"c","image":"3"}],"nodeSelector":{"k":"v"}})"},
          {R"({"nodeSelector":{"$patch":"replace","n":"w"}})",
           R"({"containers":[{"name":"a","image":"1","env":[{"name":"X","value":"1"}]},{"name":"b","image":"1"}],"nodeSelector":{"n":"w"}})"},
          {R"({"nodeSelector":{"$patch":"delete"},"containers":[{"name":"a","env":[{"name":"X","value":null}]}]})",
           R"({"containers":[{"name":"a","image":"1","env":[{"name":"X"}]},{"name":"b","image":"1"}],"nodeSelector":{}})"},
          {R"({"$setElementOrder/containers":[{"name":"b"},{"name":"c"},{"name":"a"}],"containers":[{"name":"c","image":"3"}]})",
           R"({"containers":[{"name":"b","image":"1"},{"name":"c","image":"3"},{"name":"a","image":"1","env":[{"name":"X","value":"1"}]}],"nodeSelector":{"k":"v"}})"},
          {R"({"containers":[{"image":"3"}]})", R"(map: {"image":"3"} does not contain declared merge key: name)"},
      }) {
    CAPTURE(r.patch);
    CHECK(node("[" +
               std::string(patched(two, r.patch).starts_with("{") ? patched(two, r.patch)
                                                                  : json::quoted(patched(two, r.patch))) +
               "]") == node("[" + std::string(r.want[0] == '{' ? r.want : json::quoted(r.want)) + "]"));
  }
}

TEST_CASE("strategic merge: keys to be retained, items of plain lists") {
  auto run = [](const std::string& before, const std::string& patch) {
    return api::apply_strategic_merge(node(before), node(patch), deployment());
  };
  CHECK(run(R"({"spec":{"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":1}}}})",
            R"({"spec":{"strategy":{"$retainKeys":["type"],"type":"Recreate"}}})")
            ->dump() == R"({"spec":{"strategy":{"type":"Recreate"}}})");
  CHECK(
      run(R"({"spec":{"strategy":{}}})", R"({"spec":{"strategy":{"$retainKeys":["rollingUpdate"],"type":"Recreate"}}})")
          .status()
          .is(Reason::BadRequest));
  CHECK(run(R"({"metadata":{"finalizers":["a","b"]}})", R"({"metadata":{"finalizers":["b","c"]}})")->dump() ==
        R"({"metadata":{"finalizers":["a","b","c"]}})");
  CHECK(run(R"({"metadata":{"finalizers":["a","b"]}})", R"({"metadata":{"$deleteFromPrimitiveList/finalizers":["a"]}})")
            ->dump() == R"({"metadata":{"finalizers":["b"]}})");
  CHECK(run(R"({"metadata":{"finalizers":["a","b"]}})",
            R"({"metadata":{"$setElementOrder/finalizers":["c","b","a"],"finalizers":["c"]}})")
            ->dump() == R"({"metadata":{"finalizers":["c","b","a"]}})");
  CHECK(run(R"({"metadata":{}})", R"({"metadata":{"$patch":"sideways"}})").status().is(Reason::BadRequest));
}

TEST_CASE("strategic merge: random patches of lists do what a plain map does, and doing them again changes nothing") {
  std::mt19937 rng(7);
  for (int round = 0; round < 3000; ++round) {
    Model before, want, named;
    for (char c = 'a'; c < 'g'; ++c)
      if (rng() % 2) before[std::string(1, c)] = std::to_string(rng() % 3);
    want = before;
    Node items = Node::array();
    for (char c = 'a'; c < 'g'; ++c) {
      std::string name(1, c), image = std::to_string(rng() % 3);
      switch (rng() % 3) {
        case 0:
          items.append(Node::obj({{"name", name}, {"image", image}})), want[name] = named[name] = image;
          break;
        case 1:
          items.append(Node::obj({{"$patch", "delete"}, {"name", name}})), want.erase(name);
          break;
        default:
          break;
      }
    }
    if (rng() % 8 == 0) items.append(Node::obj({{"$patch", "replace"}})), want = named;
    Node patch = containers({});
    patch["spec"]["template"]["spec"]["containers"] = items;
    CAPTURE(containers(before).dump(), patch.dump());
    auto once = api::apply_strategic_merge(containers(before), patch, deployment());
    REQUIRE(once.ok());
    REQUIRE(model_of(*once) == want);
    auto twice = api::apply_strategic_merge(*once, patch, deployment());
    REQUIRE(twice.ok());
    REQUIRE(*twice == *once);
    REQUIRE(once->dump().find("$patch") == std::string::npos);
  }
}
