// Properties of apply over random objects of real types.
#include <catch2/catch.hpp>

#include "api/apply/managed_fields.h"
#include "base/random.h"

using namespace k8lite;
using namespace k8lite::api;
using namespace k8lite::api::apply;
using json::Node;
using schema::Base;
using schema::Shape;

namespace {

const schema::Type& type(const char* name) { return *schema::find_type(name); }

// A random object of a type: every shape and list kind comes up, items have distinct keys.
struct Maker {
  SeededRandom random;
  uint64_t pick(uint64_t n) { return random.next() % n; }
  std::string word() { return std::string(1, static_cast<char>('a' + pick(6))); }

  Node one(const schema::Field& f, int depth, size_t index) {
    switch (f.base) {
      case Base::Bool: return pick(2) == 0;
      case Base::Int32:
      case Base::Int64: return static_cast<int64_t>(pick(5) + index * 10);
      case Base::Double: return 0.5;
      case Base::Object: return object(*f.type, depth + 1, index);
      case Base::Raw: return Node::obj({{word(), word()}});
      case Base::IntOrString: return pick(2) ? Node(static_cast<int64_t>(pick(9))) : Node(word());
      default: return word() + std::to_string(index);
    }
  }
  Node object(const schema::Type& t, int depth, size_t index = 0) {
    Node out = Node::object();
    for (const schema::Field& f : t.fields) {
      if (f.name == "managedFields") continue;
      bool key = f.name == "name" || f.name == "uid" || f.name == "type" || f.name == "ip" || f.name == "port" || f.name == "containerPort" || f.name == "mountPath" || f.name == "devicePath" || f.name == "topologyKey" ||
                 f.name == "whenUnsatisfiable" || f.name == "driver" || f.name == "device" || f.name == "pool" || f.name == "shareID" || f.name == "resourceID" || f.name == "rule";
      if (!key && (depth > 7 || pick(4) == 0)) continue;
      if (f.shape == Shape::Single) {
        out.set(f.name, one(f, depth, index));
      } else if (f.shape == Shape::List) {
        Node list = Node::array();
        for (size_t i = 0, n = 1 + pick(2); i < n; ++i) list.append(one(f, depth, i));
        out.set(f.name, std::move(list));
      } else {
        Node map = Node::object();
        for (size_t i = 0, n = 1 + pick(2); i < n; ++i) map.set(word(), f.base == Base::Raw ? Node::arr({word()}) : one(f, depth, i));
        out.set(f.name, std::move(map));
      }
    }
    return out;
  }
};

constexpr const char* kKinds[] = {"apps/v1.Deployment", "core/v1.Pod", "core/v1.Service", "core/v1.ConfigMap", "core/v1.Node", "networking/v1.Ingress", "rbac/v1.ClusterRole", "batch/v1.CronJob"};

Node first_managed(const Node& object, const schema::Type& t) {
  Node o = object;
  o["metadata"] = Node::obj({{"name", "x"}});
  track_update(Node(), o, t, {"u", "v1", "", {1}});
  return o.path("metadata.managedFields").exists() ? o.path("metadata.managedFields") : Node::array();
}

// Puts something else somewhere, mostly of a wrong kind.
void spoil(Node& n, Maker& maker, int depth = 0) {
  if (depth > 0 && maker.pick(4) == 0) {
    switch (maker.pick(7)) {
      case 0: n = Node(); return;
      case 1: n = Node::array(); return;
      case 2: n = Node::object(); return;
      case 3: n = 7; return;
      case 4: n = Node::arr({Node(), Node::arr({Node()}), Node::obj({{"name", Node::array()}}), "x", "x", 1}); return;
      case 5: n = Node::obj({{"", Node()}, {".", 1}, {"f:x", Node::obj({{"k:{}", Node::object()}, {"v:", 1}})}}); return;
      default: n = "x"; return;
    }
  }
  if (n.is_array() && n.size() > 0) {
    spoil(n.items()[maker.pick(n.size())], maker, depth + 1);
    if (maker.pick(3) == 0) n.append(n.items()[0]);
  } else if (n.is_object() && n.size() > 0) {
    spoil(n.members()[maker.pick(n.size())].second, maker, depth + 1);
  } else if (depth > 0) {
    n = Node::obj({{"x", n}});
  }
}

}  // namespace

TEST_CASE("apply: objects of any shape are gone through without harm") {
  for (const char* name : kKinds)
    for (uint64_t seed = 1; seed <= 40; ++seed) {
      const schema::Type& t = type(name);
      Maker maker{SeededRandom(seed)};
      Node a = maker.object(t, 0), b = a;
      for (int i = 0; i < 4; ++i) spoil(a, maker), spoil(b, maker);
      (void)mistakes_of(a, t);
      Changes c = compare(a, b, t);
      CHECK(compare(b, b, t).empty());
      (void)without(a, c.removed.united(fields_of(b, t)), t);
      Node both = merge(a, b, t);
      CHECK(merge(both, b, t).is_object());
      Node managed = first_managed(b, t);
      spoil(managed, maker);
      a["metadata"] = Node::obj({{"name", "x"}, {"uid", "u"}, {"managedFields", managed}});
      b["metadata"] = Node::obj({{"name", "x"}, {"uid", "u"}, {"managedFields", managed}});
      auto applied = api::apply::apply(a, b, t, {"m", "v1", "", {1}}, seed % 2 == 0);
      if (applied.ok()) CHECK(applied->is_object());
      track_update(a, b, t, {"m", "v1", "", {1}});
      CHECK(b.get("metadata").is_object());
    }
}

TEST_CASE("apply: what holds for comparing and merging any objects") {
  for (const char* name : kKinds)
    for (uint64_t seed = 1; seed <= 12; ++seed) {
      CAPTURE(name, seed);
      const schema::Type& t = type(name);
      Maker maker{SeededRandom(seed)};
      Node a = maker.object(t, 0), b = maker.object(t, 0), none = Node::object();
      REQUIRE(mistakes_of(a, t).empty());
      FieldSet fields = fields_of(a, t);
      CHECK(FieldSet::decode(fields.encode()).value() == fields);
      CHECK(fitted(fields, t) == fields);
      CHECK(compare(a, a, t).empty());
      CHECK(merge(a, a, t) == a);
      CHECK(merge(a, none, t) == a);
      CHECK(merge(none, a, t) == a);
      CHECK(without(a, with_structs(fields, t), t).size() == 0);
      CHECK(without(a, {}, t) == a);
      Node both = merge(a, b, t);
      CHECK(merge(both, b, t) == both);
      CHECK(compare(b, both, t).removed.empty());
      CHECK(compare(b, both, t).modified.empty());
      CHECK(compare(a, both, t).removed.empty());
      Changes there = compare(a, b, t), back = compare(b, a, t);
      CHECK(there.modified == back.modified);
      CHECK(there.added == back.removed);
      CHECK(there.added.shared(there.modified).empty());
      CHECK(there.added.shared(there.removed).empty());
    }
}

TEST_CASE("apply: what holds for applying any configurations") {
  for (const char* name : kKinds)
    for (uint64_t seed = 1; seed <= 12; ++seed) {
      CAPTURE(name, seed);
      const schema::Type& t = type(name);
      Maker maker{SeededRandom(seed)};
      Node one = maker.object(t, 0), two = maker.object(t, 0), none = Node::object();
      for (Node* n : {&one, &two})
        for (const auto& p : never_owned().paths())
          if (p.size() == 2) (*n)["metadata"].erase(p[1].substr(2));
      for (Node* n : {&one, &two}) n->set("apiVersion", "v1"), n->set("kind", "K"), (*n)["metadata"].set("name", "x");
      auto applied = [&t](const Node& live, const Node& config, const char* manager, int64_t second) {
        return api::apply::apply(live, config, t, {manager, "v1", "", {second * 1'000'000}}, true).value();
      };
      Node first = applied(none, one, "m", 1);
      CHECK(first.path("metadata.managedFields").size() == 1);
      CHECK(applied(first, one, "m", 2) == first);
      CHECK(decode_managers(first.path("metadata.managedFields"))->at(0).fields == fields_of(one, t).minus(never_owned()));
      // A new configuration leaves nothing of the old one, though items keep their places.
      Node second = applied(first, two, "m", 3);
      Node bare = second;
      bare["metadata"].erase("managedFields");
      Changes left = compare(two, bare, t);
      CAPTURE(left.removed.encode().dump(), left.modified.encode().dump(), left.added.encode().dump());
      CHECK(left.empty());
      // Where somebody else applied the same, nothing goes.
      Node shared = applied(applied(first, one, "n", 2), two, "m", 3);
      CHECK(compare(first, shared, t).removed.empty());
      // What was made by an update is never taken by an apply that does not name it.
      Node updated = one;
      track_update(Node(), updated, t, {"u", "v1", "", {1}});
      Node minimal = Node::obj({{"apiVersion", "v1"}, {"kind", "K"}, {"metadata", Node::obj({{"name", "x"}})}});
      Node kept = applied(updated, minimal, "m", 4);
      CHECK(same_but_times(kept, updated));
    }
}
