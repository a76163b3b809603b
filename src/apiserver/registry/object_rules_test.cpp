#include "apiserver/registry/object_rules.h"

#include <catch2/catch.hpp>

using namespace k8lite;
using namespace k8lite::apiserver;
using json::Doc;
using json::Node;

namespace {
const ObjectKind kDeployment{.group = "apps", .version = "v1", .kind = "Deployment", .resource = "deployments", .has_status = true};
const ObjectKind kService{.group = "", .version = "v1", .kind = "Service", .resource = "services", .has_status = true, .name_is_label = true};
const CreateContext kContext{.ns = "a", .now = {1'700'000'000'000'000}, .uid = "u-1", .suffix = "x7k2p"};

Node node(const char* text) {
  auto n = Node::parse(text);
  REQUIRE(n.ok());
  return *n;
}
Doc created(const char* text, const ObjectKind& kind = kDeployment) {
  Node n = node(text);
  auto r = prepare_create(n, kind, kContext);
  INFO(r.status().message());
  REQUIRE(r.ok());
  return Doc::from(n);
}
}  // namespace

TEST_CASE("object rules: create gives identity and drops what only the server decides") {
  Doc d = created(R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"generateName":"web-","uid":"mine","generation":9},"spec":{},"status":{"replicas":3}})");
  CHECK(d.bytes() == R"({"metadata":{"generateName":"web-","namespace":"a","name":"web-x7k2p","uid":"u-1","creationTimestamp":"2023-11-14T22:13:20Z","generation":1},"spec":{}})");
  CHECK(served(d, 42, kDeployment).starts_with(R"({"kind":"Deployment","apiVersion":"apps/v1","metadata":{"resourceVersion":"42","generateName":"web-")"));
  CHECK(Node::parse(served(d, 42, kDeployment)).ok());
}

TEST_CASE("object rules: create refuses what cannot be stored, naming the field") {
  struct Row { const char *body; Reason reason; const char* part; };
  for (auto r : {Row{R"({"metadata":{}})", Reason::Invalid, "metadata.name: Required value"},
                 {R"({"metadata":{"name":"a/b"}})", Reason::Invalid, "Service \"a/b\" is invalid: metadata.name: Invalid value: \"a/b\": a lowercase RFC 1123 label must"},
                 {R"({"metadata":{"name":"a","namespace":"b"}})", Reason::BadRequest, "does not match the namespace"},
                 {R"({"metadata":{"name":"a","resourceVersion":"1"}})", Reason::BadRequest, "resourceVersion should not be set"},
                 {R"({"metadata":7})", Reason::BadRequest, "metadata"},
                 {R"([1])", Reason::BadRequest, "not a JSON object"}}) {
    CAPTURE(r.body);
    Node n = node(r.body);
    auto got = prepare_create(n, kService, kContext);
    REQUIRE_FALSE(got.ok());
    CHECK(got.status().is(r.reason));
    CHECK_THAT(got.status().message(), Catch::Contains(r.part));
  }
}

TEST_CASE("object rules: update keeps identity, isolates status and counts spec changes") {
  Doc old = created(R"({"metadata":{"name":"web"},"spec":{"replicas":1}})");
  Node same = node(R"({"metadata":{"name":"web","resourceVersion":"5","labels":{"a":"b"}},"spec":{"replicas":1},"status":{"replicas":9}})");
  REQUIRE(prepare_update(same, old, 5, kDeployment, "").ok());
  CHECK(same.path("metadata.generation").int_or(0) == 1);
  CHECK(same.path("metadata.uid").str() == "u-1");
  CHECK_FALSE(same.find("status"));

  Node changed = node(R"({"metadata":{"name":"web"},"spec":{"replicas":2}})");
  REQUIRE(prepare_update(changed, old, 5, kDeployment, "").ok());
  CHECK(changed.path("metadata.generation").int_or(0) == 2);

  Node status = node(R"({"metadata":{"name":"web","labels":{"x":"y"}},"spec":{"replicas":7},"status":{"replicas":1}})");
  REQUIRE(prepare_update(status, old, 5, kDeployment, "status").ok());
  CHECK(status.path("spec.replicas").int_or(0) == 1);
  CHECK(status.path("status.replicas").int_or(0) == 1);
  CHECK_FALSE(status.path("metadata.labels").exists());

  Node stale = node(R"({"metadata":{"name":"web","resourceVersion":"4"},"spec":{}})");
  auto r = prepare_update(stale, old, 5, kDeployment, "");
  REQUIRE_FALSE(r.ok());
  CHECK(r.status().message() == "Operation cannot be fulfilled on deployments.apps \"web\": the object has been modified; please apply your changes to the latest version and try again");
}

TEST_CASE("object rules: deletion waits for grace and finalizers, and only gets shorter") {
  Instant now{1'700'000'000'000'000};
  using Step = DeletePlan::Step;
  Doc plain = created(R"({"metadata":{"name":"web"},"spec":{}})");
  CHECK(plan_delete(plain, 1, kDeployment, {}, 0, now)->step == Step::Remove);
  auto graceful = plan_delete(plain, 1, kDeployment, {}, 30, now);
  REQUIRE(graceful.ok());
  CHECK(graceful->step == Step::Update);
  CHECK(graceful->object.path("metadata.deletionTimestamp").str() == "2023-11-14T22:13:50Z");
  CHECK_FALSE(is_finished(graceful->object));
  Doc dying = Doc::from(graceful->object);
  CHECK(plan_delete(dying, 1, kDeployment, {.grace_seconds = 60}, 30, now)->step == Step::Nothing);
  CHECK(plan_delete(dying, 1, kDeployment, {.grace_seconds = 0}, 30, now)->step == Step::Remove);

  Doc held = created(R"({"metadata":{"name":"web","finalizers":["x/y"]},"spec":{}})");
  auto plan = plan_delete(held, 1, kDeployment, {.propagation = "Foreground"}, 0, now);
  REQUIRE(plan.ok());
  CHECK(plan->object.path("metadata.finalizers").dump() == R"(["x/y","foregroundDeletion"])");
  Node more = plan->object;
  more["metadata"]["finalizers"].append("z/z");
  CHECK_FALSE(prepare_update(more, Doc::from(plan->object), 1, kDeployment, "").ok());
  Node done = plan->object;
  done["metadata"].erase("finalizers");
  REQUIRE(prepare_update(done, Doc::from(plan->object), 1, kDeployment, "").ok());
  CHECK(is_finished(done));
  CHECK(plan_delete(held, 1, kDeployment, {.uid = "other"}, 0, now).status().is(Reason::Conflict));
}
