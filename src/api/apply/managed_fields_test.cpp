#include "api/apply/managed_fields.h"

#include <ctime>

#include <catch2/catch.hpp>

#include "api/wire/wire.h"

using namespace k8lite;
using namespace k8lite::api::apply;
using json::Node;

namespace {

Node parse(std::string_view text) { return Node::parse(text).value(); }
const api::schema::Type& type(const char* name) { return *api::schema::find_type(name); }

// One object and the writers who change it, a second apart.
struct Story {
  const char* kind = "core/v1.ConfigMap";
  std::string version = "v1";
  Instant now{1'700'000'000'000'000};
  Node object;  // null: absent

  Writer writer(const char* manager, const char* subresource = "") { return {manager, version, subresource, now = now + seconds(1)}; }

  Result<> applies(const char* manager, std::string_view config, bool force = false, const char* subresource = "") {
    Node c = parse(config);
    c["metadata"].set("name", "x");
    TRY(Node next, api::apply::apply(object.is_object() ? object : Node::object(), c, type(kind), writer(manager, subresource), force));
    next["metadata"].set("uid", "u");
    object = std::move(next);
    return {};
  }
  void updates(const char* manager, std::string_view body, const char* subresource = "") {
    Node after = parse(body);
    after["metadata"].set("name", "x");
    after["metadata"].set("uid", "u");
    track_update(object, after, type(kind), writer(manager, subresource));
    object = std::move(after);
  }
  // "manager operation fields" of each entry.
  std::vector<std::string> owners() const {
    std::vector<std::string> out;
    for (const Node& e : object.path("metadata.managedFields").items()) out.push_back(e.get("manager").str() + " " + e.get("operation").str() + " " + e.get("fieldsV1").dump());
    return out;
  }
  std::string data() const { return object.get("data").exists() ? object.get("data").dump() : "none"; }
};
using Owners = std::vector<std::string>;

}  // namespace

TEST_CASE("apply: an object is made of its first configuration") {
  Story s;
  REQUIRE(s.applies("m", R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"namespace":"n","labels":{"l":"1"}},"data":{"a":"1"}})").ok());
  CHECK(s.owners() == Owners{R"(m Apply {"f:data":{"f:a":{}},"f:metadata":{"f:labels":{"f:l":{}}}})"});
  const Node& entry = s.object.path("metadata.managedFields").items()[0];
  CHECK(entry.get("apiVersion").str() == "v1");
  CHECK(entry.get("fieldsType").str() == "FieldsV1");
  CHECK(entry.get("time").str() == "2023-11-14T22:13:21Z");
}

TEST_CASE("apply: the same configuration again changes nothing, not even the time") {
  Story s;
  REQUIRE(s.applies("m", R"({"data":{"a":"1"}})").ok());
  Node first = s.object;
  REQUIRE(s.applies("m", R"({"data":{"a":"1"}})").ok());
  CHECK(s.object == first);
}

TEST_CASE("apply: a field no longer applied goes, unless somebody else owns it") {
  Story s;
  REQUIRE(s.applies("m", R"({"data":{"a":"1","b":"2","c":"3"}})").ok());
  REQUIRE(s.applies("n", R"({"data":{"b":"2"}})").ok());
  CHECK(s.owners().size() == 2);
  REQUIRE(s.applies("m", R"({"data":{"a":"1"}})").ok());
  CHECK(s.data() == R"({"a":"1","b":"2"})");
  REQUIRE(s.applies("m", R"({})").ok());
  CHECK(s.data() == R"({"b":"2"})");
  CHECK(s.owners() == Owners{R"(n Apply {"f:data":{"f:b":{}}})"});
  REQUIRE(s.applies("n", R"({})").ok());
  CHECK(s.data() == "none");
  CHECK(s.owners().empty());
}

TEST_CASE("apply: what an update added to an applied map stays when its applier lets go") {
  Story s;
  REQUIRE(s.applies("m", R"({"data":{"a":"1"}})").ok());
  s.updates("u", s.object.dump().replace(s.object.dump().find(R"("a":"1")"), 7, R"("a":"1","z":"9")"));
  CHECK(s.owners() == Owners{R"(m Apply {"f:data":{"f:a":{}}})", R"(u Update {"f:data":{"f:z":{}}})"});
  REQUIRE(s.applies("m", R"({})").ok());
  CHECK(s.data() == R"({"z":"9"})");
}

TEST_CASE("apply: changing what others own is a conflict, with force it is taken over") {
  Story s{.kind = "apps/v1.Deployment", .version = "apps/v1", .object = {}};
  s.updates("kubectl-client-side-apply", R"({"spec":{"replicas":1}})");
  auto r = s.applies("m", R"({"spec":{"replicas":2}})");
  REQUIRE(r.status().is(Reason::Conflict));
  CHECK(r.status().message() == "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using apps/v1: .spec.replicas");
  CHECK(r.status().details().causes == std::vector<Cause>{{"FieldManagerConflict", "conflict with \"kubectl-client-side-apply\" using apps/v1", ".spec.replicas"}});
  // The same value may be owned by both.
  REQUIRE(s.applies("n", R"({"spec":{"replicas":1}})").ok());
  r = s.applies("m", R"({"spec":{"replicas":2}})");
  CHECK(r.status().message() == "Apply failed with 2 conflicts: conflicts with \"kubectl-client-side-apply\" using apps/v1:\n- .spec.replicas\nconflicts with \"n\":\n- .spec.replicas");
  REQUIRE(s.applies("m", R"({"spec":{"replicas":2}})", true).ok());
  CHECK(s.owners() == Owners{R"(m Apply {"f:spec":{"f:replicas":{}}})"});
}

TEST_CASE("apply: a subresource is a manager of its own") {
  Story s{.kind = "apps/v1.Deployment", .version = "apps/v1", .object = {}};
  REQUIRE(s.applies("m", R"({"spec":{"replicas":1}})").ok());
  REQUIRE(s.applies("m", R"({"status":{"replicas":1}})", false, "status").ok());
  CHECK(s.owners().size() == 2);
  CHECK(s.object.path("metadata.managedFields").items()[1].get("subresource").str() == "status");
  auto r = s.applies("o", R"({"spec":{"replicas":3}})", false, "scale");
  CHECK(r.status().message() == "Apply failed with 1 conflict: conflict with \"m\": .spec.replicas");
  r = s.applies("o", R"({"status":{"replicas":3}})", false, "status");
  CHECK(r.status().message() == "Apply failed with 1 conflict: conflict with \"m\" with subresource \"status\": .status.replicas");
}

TEST_CASE("apply: items of associative lists are owned by several keys, defaults included") {
  Story s{.kind = "core/v1.Service", .object = {}};
  REQUIRE(s.applies("m", R"({"spec":{"ports":[{"port":53,"protocol":"UDP","name":"u"},{"port":53,"name":"t"}]}})").ok());
  REQUIRE(s.applies("n", R"({"spec":{"ports":[{"port":53,"protocol":"TCP","nodePort":30053}]}})").ok());
  CHECK(s.object.path("spec.ports").dump() == R"([{"port":53,"protocol":"UDP","name":"u"},{"port":53,"name":"t","protocol":"TCP","nodePort":30053}])");
  REQUIRE(s.applies("m", R"({"spec":{"ports":[{"port":53,"protocol":"UDP","name":"u"}]}})").ok());
  CHECK(s.object.path("spec.ports").dump() == R"([{"port":53,"protocol":"UDP","name":"u"},{"port":53,"protocol":"TCP","nodePort":30053}])");
}

TEST_CASE("apply: what only looks different is no conflict, and a null takes away") {
  const api::schema::Type& t = type("core/v1.Pod");
  auto applied = [&t](const Node& live, const char* manager, const char* config) {
    return api::apply::apply(live, parse(config), t, {manager, "v1", "", {1}}, false, [&t](Node& o) -> Result<> {
      TRY_OK(api::schema::decode(o, t));
      api::schema::apply_defaults(o, t);
      return {};
    });
  };
  constexpr const char* kPod = R"({"metadata":{"name":"p","creationTimestamp":null},"spec":{"nodeName":null,"hostname":"h","containers":[{"name":"c","resources":{"limits":{"cpu":"1000m"}},"env":[{"name":"E","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}]}]}})";
  auto one = applied(Node::object(), "m", kPod);
  REQUIRE(one.ok());
  CHECK(one->path("spec.containers").items()[0].get("resources").dump() == R"({"limits":{"cpu":"1"}})");
  CHECK_FALSE(one->path("spec.nodeName").exists());
  CHECK(*applied(*one, "m", kPod) == *one);
  auto two = applied(*one, "n", kPod);
  REQUIRE(two.ok());
  CHECK(two->path("metadata.managedFields").size() == 2);
  auto taken = applied(*two, "o", R"({"metadata":{"name":"p"},"spec":{"hostname":null}})");
  CHECK(taken.status().message() == "Apply failed with 2 conflicts: conflicts with \"m\":\n- .spec.hostname\nconflicts with \"n\":\n- .spec.hostname");
}

TEST_CASE("apply: an object that nobody tracked belongs to before-first-apply") {
  Story s;
  s.object = parse(R"({"metadata":{"name":"x","uid":"u"},"data":{"a":"1"}})");
  auto r = s.applies("m", R"({"data":{"a":"2"}})");
  CHECK(r.status().message() == "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.a");
  REQUIRE(s.applies("m", R"({"data":{"b":"2"}})").ok());
  CHECK(s.owners() == Owners{R"(m Apply {"f:data":{"f:b":{}}})", R"(before-first-apply Update {"f:data":{".":{},"f:a":{}}})"});
}

TEST_CASE("apply: kubectl takes over what client-side apply set, and keeps its annotation up to date") {
  Story s;
  s.updates("kubectl-client-side-apply",
            R"({"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"data\":{\"a\":\"1\",\"b\":\"1\"}}"}},"data":{"a":"1","b":"other"}})");
  auto r = s.applies("kubectl", R"({"apiVersion":"v1","kind":"ConfigMap","data":{"a":"2","b":"2"}})");
  CHECK(r.status().message() == "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using v1: .data.b");
  CHECK_FALSE(s.applies("somebody", R"({"apiVersion":"v1","kind":"ConfigMap","data":{"a":"2"}})").ok());
  REQUIRE(s.applies("kubectl", R"({"kind":"ConfigMap","apiVersion":"v1","data":{"a":"2"}})").ok());
  CHECK(s.data() == R"({"a":"2","b":"other"})");
  CHECK(s.object.get("metadata").get("annotations").get("kubectl.kubernetes.io/last-applied-configuration").str() == "{\"apiVersion\":\"v1\",\"data\":{\"a\":\"2\"},\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"x\"}}\n");
}

TEST_CASE("managed fields: creates and updates give their writer what they change") {
  Story s;
  s.updates("a", R"({"metadata":{"labels":{"l":"1"}},"data":{"x":"1","y":"1"}})");
  CHECK(s.owners() == Owners{R"(a Update {"f:data":{".":{},"f:x":{},"f:y":{}},"f:metadata":{"f:labels":{".":{},"f:l":{}}}})"});
  s.updates("b", R"({"metadata":{"labels":{"l":"1"}},"data":{"x":"2"}})");
  CHECK(s.owners() == Owners{R"(a Update {"f:data":{},"f:metadata":{"f:labels":{".":{},"f:l":{}}}})", R"(b Update {"f:data":{"f:x":{}}})"});
  Node before = s.object;
  s.updates("c", R"({"metadata":{"labels":{"l":"1"}},"data":{"x":"2"}})");
  CHECK(s.object == before);
  s.updates("a", R"({"metadata":{"labels":{"l":"1"}},"data":{"x":"3"}})");
  CHECK(s.owners() == Owners{R"(a Update {"f:data":{".":{},"f:x":{}},"f:metadata":{"f:labels":{".":{},"f:l":{}}}})"});
}

TEST_CASE("managed fields: of a request they are taken when valid, reset by [] and [{}], else ignored") {
  struct {
    const char* sent;
    size_t entries;
    const char* manager;
  } table[] = {
      {"[]", 0, ""},
      {"[{}]", 0, ""},
      {"null", 1, "a"},
      {R"([{"manager":"z","operation":"Update","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:data":{"f:x":{}}}}])", 1, "z"},
      {R"([{"manager":"z","operation":"Bad","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{}}])", 1, "a"},
      {R"([{"manager":"z","operation":"Update","fieldsType":"FieldsV1","fieldsV1":{}}])", 1, "a"},
      {R"([{"manager":"z","operation":"Update","apiVersion":"v1","fieldsType":"FieldsV2","fieldsV1":{}}])", 1, "a"},
      {R"([{"manager":"z","operation":"Update","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"data":{}}}])", 1, "a"},
      {R"([{},{}])", 1, "a"},
  };
  for (const auto& row : table) {
    CAPTURE(row.sent);
    Story s;
    s.updates("a", R"({"data":{"x":"1"}})");
    s.updates("b", R"({"metadata":{"managedFields":)" + std::string(row.sent) + R"(},"data":{"x":"1"}})");
    const Node& managed = s.object.path("metadata.managedFields");
    REQUIRE(managed.size() == row.entries);
    if (row.entries) CHECK(managed.items()[0].get("manager").str() == row.manager);
    // An object without managers is tracked no more.
    size_t before = managed.size();
    s.updates("b", R"({"data":{"x":"1","y":"1"}})");
    CHECK((s.object.path("metadata.managedFields").size() > 0) == (before > 0));
  }
  Story s;
  s.updates("a", R"({"data":{"x":"1"}})");
  s.updates("b", R"({"metadata":{"managedFields":[]},"data":{"x":"1"}})", "status");
  CHECK(s.owners().size() == 1);
}

TEST_CASE("managed fields: more than ten updaters are merged, the oldest first") {
  Story s;
  Node data = Node::object();
  for (int i = 0; i < 15; ++i) {
    data.set("k" + std::to_string(i), "v");
    s.updates(("m" + std::to_string(i)).c_str(), Node::obj({{"data", data}}).dump());
  }
  const Node& managed = s.object.path("metadata.managedFields");
  REQUIRE(managed.size() == kMaxUpdateManagers);
  CHECK(managed.items()[0].get("manager").str() == "ancient-changes");
  CHECK(managed.items()[0].get("fieldsV1").dump() == R"({"f:data":{".":{},"f:k0":{},"f:k1":{},"f:k2":{},"f:k3":{},"f:k4":{},"f:k5":{}}})");
  CHECK(managed.items()[9].get("manager").str() == "m14");
}

TEST_CASE("managed fields: writes that differ in their times only are none") {
  Node a = parse(R"({"metadata":{"name":"x","managedFields":[{"manager":"m","time":"1"}]},"data":{}})"), b = a;
  b["metadata"]["managedFields"].items()[0].set("time", "2");
  CHECK(same_but_times(a, b));
  b["metadata"]["managedFields"].items()[0].set("manager", "o");
  CHECK_FALSE(same_but_times(a, b));
  b = a;
  b["data"].set("k", "v");
  CHECK_FALSE(same_but_times(a, b));
}

TEST_CASE("managed fields: a client without a manager's name is known by its user agent") {
  CHECK(manager_of_user_agent("kubectl/v1.32.4 (linux/amd64)") == "kubectl");
  CHECK(manager_of_user_agent("curl") == "curl");
  CHECK(manager_of_user_agent("") == "");
  CHECK(manager_of_user_agent(std::string(200, 'x')).size() == kMaxManagerName);
}

TEST_CASE("managed fields: they cross the wire as raw bytes") {
  Node object = parse(R"({"metadata":{"name":"x","managedFields":[{"manager":"m","operation":"Apply","apiVersion":"v1","time":"2023-11-14T22:13:21Z","fieldsType":"FieldsV1","fieldsV1":{"f:data":{"f:a":{}}},"subresource":"status"}]},"data":{"a":"1"}})");
  std::string bytes = api::wire::encode_message(object, type("core/v1.ConfigMap"));
  // ManagedFieldsEntry.fieldsV1 = 7, FieldsV1.Raw = 1.
  std::string raw = R"({"f:data":{"f:a":{}}})";
  CHECK(bytes.find(std::string("\x3a\x17\x0a\x15") + raw) != bytes.npos);
  CHECK(api::wire::decode_message(bytes, type("core/v1.ConfigMap")).value() == object);
}

TEST_CASE("managed fields: thousands of keys in any order take no time") {
  Story s;
  Node up = Node::object(), down = Node::object(), fields = Node::object();
  constexpr int kKeys = 20'000;
  for (int i = 0; i < kKeys; ++i) {
    up.members().emplace_back("k" + std::to_string(100'000 + i), "v");
    down.members().emplace_back("k" + std::to_string(100'000 + kKeys - i), "w");
    fields.members().emplace_back("f:k" + std::to_string(100'000 + kKeys - i), Node::object());
  }
  clock_t begin = clock();  // of this process's CPU: others may be busy
  s.updates("u", Node::obj({{"data", up}}).dump());
  s.updates("u", Node::obj({{"data", down}}).dump());
  REQUIRE(s.applies("m", Node::obj({{"data", up}}).dump(), true).ok());
  REQUIRE(s.applies("m", Node::obj({{"data", down}}).dump(), true).ok());
  CHECK(FieldSet::decode(fields)->entries().size() == kKeys);
  CHECK(s.object.get("data").size() == kKeys);
  // Without an index this would be minutes.
  CHECK((clock() - begin) / CLOCKS_PER_SEC < 60);
}
