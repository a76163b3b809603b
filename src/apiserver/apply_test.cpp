#include <catch2/catch.hpp>

#include "apiserver/rest.h"

using namespace k8lite;
using namespace k8lite::apiserver;
using json::Node;
using machinery::PatchType;

namespace {

struct World {
  async::Loop loop;
  ManualClock clock;
  SeededRandom random{1};
  std::unique_ptr<store::Store> store = store::open_store(store::memory_backend(), clock).value();
  ResourceTypes types;
  std::unique_ptr<authz::Authorizer> authorizer = authz::Authorizer::create(*store).value();
  std::unique_ptr<ServiceAddresses> addresses = ServiceAddresses::create({}, random).value();
  Rest rest{*store, clock, random, types, *authorizer, *addresses, {}};
  WriteParams params;

  World() {
    loop.start();
    params.caller.user = {"admin", {"system:masters"}};
    params.user_agent = "agent/1.0 (x)";
    REQUIRE(async::block_on(loop, rest.create(at("", "namespaces", "", ""), body(R"({"metadata":{"name":"a"}})"), params)).ok());
  }
  static Node body(std::string_view text) { return Node::parse(text).value(); }
  Target at(const char* group, const char* plural, const char* name, const char* ns = "a", const char* subresource = "") { return {types.find(group, "v1", plural), ns, name, subresource}; }
  Result<Node> done(Result<Answer> r) {
    clock.advance(seconds(1));
    if (!r.ok()) return std::move(r).status();
    created = r->created;
    return Node::parse(r->text());
  }
  Result<Node> applies(Target t, const char* manager, std::string_view text) {
    WriteParams p = params;
    p.field_manager = manager;
    p.warnings = nullptr;
    return done(async::block_on(loop, rest.patch(std::move(t), PatchType::Apply, body(text), p)));
  }
  Result<Node> patches(Target t, const char* manager, std::string_view text, PatchType type = PatchType::Merge) {
    WriteParams p = params;
    p.field_manager = manager;
    return done(async::block_on(loop, rest.patch(std::move(t), type, body(text), p)));
  }
  std::vector<std::string> owners(const Node& object) {
    std::vector<std::string> out;
    for (const Node& e : object.path("metadata.managedFields").items())
      out.push_back(e.get("manager").str() + " " + e.get("operation").str() + " " + e.get("apiVersion").str() + (e.get("subresource").exists() ? " " + e.get("subresource").str() : "") + " " + e.get("fieldsV1").dump());
    return out;
  }
  bool created = false;
};
using Owners = std::vector<std::string>;

constexpr const char* kMap = R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m"},"data":{"a":"1"}})";
constexpr const char* kDeployment =
    R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d"},"spec":{"replicas":1,"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i:1"}]}}}})";

}  // namespace

TEST_CASE("apply: an absent object is created, the second time nothing is written") {
  World w;
  auto made = w.applies(w.at("", "configmaps", "m"), "m", kMap);
  REQUIRE(made.ok());
  CHECK(w.created);
  auto again = w.applies(w.at("", "configmaps", "m"), "m", kMap);
  REQUIRE(again.ok());
  CHECK_FALSE(w.created);
  CHECK(*again == *made);
  w.params.dry_run = true;
  REQUIRE(w.applies(w.at("", "configmaps", "n"), "m", R"({"apiVersion":"v1","kind":"ConfigMap"})").ok());
  CHECK(w.created);
  CHECK_FALSE(w.rest.get(w.at("", "configmaps", "n")).ok());
}

TEST_CASE("apply: defaults and what admission adds belong to nobody") {
  World w;
  auto made = w.applies(w.at("apps", "deployments", "d"), "m", kDeployment);
  REQUIRE(made.ok());
  CHECK(made->path("spec.strategy.type").str() == "RollingUpdate");
  CHECK(w.owners(*made) == Owners{R"(m Apply apps/v1 {"f:spec":{"f:replicas":{},"f:selector":{},"f:template":{"f:metadata":{"f:labels":{"f:a":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:image":{},"f:name":{}}}}}}})"});
}

TEST_CASE("apply: requests that cannot be are refused as Kubernetes words it") {
  World w;
  Target t = w.at("", "configmaps", "m");
  struct {
    const char *manager, *text, *message;
    Reason reason;
  } table[] = {
      {"", kMap, "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch", Reason::Invalid},
      {"m\n", kMap, "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Invalid value: \"m\\n\": should only contain printable characters", Reason::Invalid},
      {"m", R"({"apiVersion":"v2","kind":"ConfigMap"})", "invalid object type: /v2, Kind=ConfigMap", Reason::BadRequest},
      {"m", R"({"apiVersion":"apps/v1","kind":"Deployment"})", "invalid object type: apps/v1, Kind=Deployment", Reason::BadRequest},
      {"m", R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"managedFields":[]}})", "metadata.managedFields must be nil", Reason::BadRequest},
      {"m", R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"o"}})", "the name of the object (o) does not match the name on the URL (m)", Reason::BadRequest},
      {"m", R"({"apiVersion":"v1","kind":"ConfigMap","date":{}})", "failed to create typed patch object (a/m; /v1, Kind=ConfigMap): .date: field not declared in schema", Reason::Unknown},
      {"m", R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"uid":"u"}})", "Operation cannot be fulfilled on configmaps \"m\": uid mismatch: the provided object specified uid u, and no existing object was found", Reason::Conflict},
  };
  for (const auto& row : table) {
    CAPTURE(row.text);
    auto r = w.applies(t, row.manager, row.text);
    REQUIRE_FALSE(r.ok());
    CHECK(r.status().message() == row.message);
    CHECK(r.status().reason() == row.reason);
  }
  REQUIRE(w.applies(t, "m", kMap).ok());
  CHECK(w.applies(t, "m", R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"uid":"u"}})").status().is(Reason::Conflict));
  CHECK(w.applies(t, "m", R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"resourceVersion":"1"}})").status().is(Reason::Conflict));
  w.params.force_given = true;
  CHECK(w.patches(t, "m", "{}").status().message() == "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch");
  w.params.caller.user = {"nobody", {}};
  CHECK(w.applies(w.at("", "configmaps", "other"), "m", R"({"apiVersion":"v1","kind":"ConfigMap"})").status().is(Reason::Forbidden));
}

TEST_CASE("apply: status and scale are owned apart from the object") {
  World w;
  REQUIRE(w.applies(w.at("apps", "deployments", "d"), "m", kDeployment).ok());
  auto status = w.applies(w.at("apps", "deployments", "d", "a", "status"), "s", R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d","labels":{"l":"v"}},"spec":{"replicas":9},"status":{"replicas":1}})");
  REQUIRE(status.ok());
  CHECK(status->path("spec.replicas").int_or(0) == 1);
  CHECK_FALSE(status->path("metadata.labels").exists());
  CHECK(w.owners(*status).back() == R"(s Apply apps/v1 status {"f:status":{"f:replicas":{}}})");
  // No status through the object itself.
  auto spec = w.applies(w.at("apps", "deployments", "d"), "o", R"({"apiVersion":"apps/v1","kind":"Deployment","status":{"replicas":7},"metadata":{"labels":{"x":"y"}}})");
  REQUIRE(spec.ok());
  CHECK(spec->path("status.replicas").int_or(0) == 1);
  CHECK(w.owners(*spec).size() == 3);
  constexpr const char* kScale = R"({"apiVersion":"autoscaling/v1","kind":"Scale","spec":{"replicas":3}})";
  auto scale = w.applies(w.at("apps", "deployments", "d", "a", "scale"), "h", kScale);
  CHECK(scale.status().message() == "Apply failed with 1 conflict: conflict with \"m\": .spec.replicas");
  w.params.force = true;
  scale = w.applies(w.at("apps", "deployments", "d", "a", "scale"), "h", kScale);
  REQUIRE(scale.ok());
  CHECK(scale->get("kind").str() == "Scale");
  CHECK(scale->path("spec.replicas").int_or(0) == 3);
  auto now = w.patches(w.at("apps", "deployments", "d"), "h", "{}");
  CHECK(w.owners(*now)[3] == R"(h Apply apps/v1 scale {"f:spec":{"f:replicas":{}}})");
  CHECK(w.applies(w.at("apps", "deployments", "gone", "a", "status"), "s", R"({"apiVersion":"apps/v1","kind":"Deployment"})").status().is(Reason::NotFound));
}

TEST_CASE("managed fields: every writer is known by its field manager or its user agent") {
  World w;
  auto made = w.done(async::block_on(w.loop, w.rest.create(w.at("", "configmaps", ""), World::body(kMap), w.params)));
  REQUIRE(made.ok());
  CHECK(w.owners(*made) == Owners{R"(agent Update v1 {"f:data":{".":{},"f:a":{}}})"});
  auto patched = w.patches(w.at("", "configmaps", "m"), "p", R"({"data":{"b":"1"}})");
  CHECK(w.owners(*patched) == Owners{R"(agent Update v1 {"f:data":{".":{},"f:a":{}}})", R"(p Update v1 {"f:data":{"f:b":{}}})"});
  // What changes nothing writes nothing, whoever sends it.
  auto none = w.patches(w.at("", "configmaps", "m"), "q", R"({"data":{"b":"1"}})");
  CHECK(*none == *patched);
  // A writer who changes its own field again gets a new time, and comes last.
  auto first = w.patches(w.at("", "configmaps", "m"), "agent", R"({"data":{"a":"2"}})");
  REQUIRE(w.owners(*first).size() == 2);
  CHECK(first->path("metadata.managedFields").items()[1].get("manager").str() == "agent");
  CHECK(first->path("metadata.managedFields").items()[1].get("time").str() == rfc3339(w.clock.now() - seconds(1)));
  auto reset = w.patches(w.at("", "configmaps", "m"), "r", R"([{"op":"replace","path":"/metadata/managedFields","value":[{}]}])", PatchType::Json);
  REQUIRE(reset.ok());
  CHECK_FALSE(reset->path("metadata.managedFields").exists());
  CHECK_FALSE(w.patches(w.at("", "configmaps", "m"), "r", R"({"data":{"a":"3"}})")->path("metadata.managedFields").exists());
}

TEST_CASE("managed fields: the status that an object begins with is nobody's") {
  World w;
  auto made = w.done(async::block_on(w.loop, w.rest.create(w.at("apps", "deployments", ""), World::body(kDeployment), w.params)));
  REQUIRE(made.ok());
  CHECK(made->get("status").dump() == "{}");
  for (const auto& owner : w.owners(*made)) CHECK(owner.find("f:status") == owner.npos);
  REQUIRE(w.patches(w.at("apps", "deployments", "d", "a", "status"), "c", R"({"status":{"replicas":1}})").ok());
  auto updated = w.patches(w.at("apps", "deployments", "d"), "agent", R"({"spec":{"replicas":2}})");
  REQUIRE(updated.ok());
  CHECK(updated->path("status.replicas").int_or(0) == 1);
}

TEST_CASE("managed fields: events and leases are tracked from their first apply on") {
  World w;
  Target lease = w.at("coordination.k8s.io", "leases", "l");
  auto made = w.done(async::block_on(w.loop, w.rest.create(w.at("coordination.k8s.io", "leases", ""), World::body(R"({"metadata":{"name":"l"},"spec":{"holderIdentity":"x"}})"), w.params)));
  REQUIRE(made.ok());
  CHECK_FALSE(made->path("metadata.managedFields").exists());
  CHECK_FALSE(w.patches(lease, "k", R"({"spec":{"leaseDurationSeconds":40}})")->path("metadata.managedFields").exists());
  auto applied = w.applies(lease, "m", R"({"apiVersion":"coordination.k8s.io/v1","kind":"Lease","spec":{"holderIdentity":"x"}})");
  REQUIRE(applied.ok());
  CHECK(w.owners(*applied) == Owners{R"(m Apply coordination.k8s.io/v1 {"f:spec":{"f:holderIdentity":{}}})", R"(before-first-apply Update coordination.k8s.io/v1 {"f:spec":{"f:holderIdentity":{},"f:leaseDurationSeconds":{}}})"});
}

TEST_CASE("managed fields: readers in process do not get them") {
  World w;
  auto made = w.applies(w.at("", "configmaps", "m"), "m", kMap);
  auto object = w.rest.get(w.at("", "configmaps", "m"));
  REQUIRE(object.ok());
  auto lean = Node::parse(served_lean(object->object->doc, object->object->revision, object->type->object));
  REQUIRE(lean.ok());
  Node wanted = *made;
  wanted["metadata"].erase("managedFields");
  CHECK(*lean == wanted);
}
