// The schema walker, the kinds table and the per-kind rules.
#include "api/kinds.h"

#include <catch2/catch.hpp>

using namespace k8lite;
using namespace k8lite::api;
using json::Node;

namespace {
Node node(std::string_view text) { return Node::parse(text).value(); }

std::vector<std::string> causes_of(std::string_view group, std::string_view plural, Node object, const Node* old = nullptr) {
  auto kind = find_builtin(group, "v1", plural);
  REQUIRE(kind);
  REQUIRE(schema::decode(object, *kind->type).ok());
  if (!object.path("metadata.name").exists()) object["metadata"].set("name", "x");
  apply_defaults(*kind, object);
  std::vector<Cause> causes = validate(*kind, object, old);
  std::vector<std::string> out;
  for (const Cause& c : causes) out.push_back(c.field + ": " + c.message);
  return out;
}
}  // namespace

TEST_CASE("schema: every type it names exists and every kind has one") {
  CHECK(builtin_kinds().size() == 70);
  for (const schema::Type* t : schema::all_types())
    for (const schema::Field& f : t->fields) {
      CAPTURE(t->name, f.name);
      if (f.base == schema::Base::Object) CHECK(!f.type->fields.empty() == (schema::find_type(f.type->name) != nullptr && !f.type->fields.empty()));
    }
  for (const KindPtr& k : builtin_kinds()) {
    CAPTURE(k->plural);
    REQUIRE(k->type);
    CHECK(k->type->find("metadata"));
    CHECK(!k->columns.empty());
  }
  auto deployments = find_builtin("apps", "v1", "deployments");
  REQUIRE(deployments);
  CHECK(deployments->status);
  CHECK(deployments->scale);
  CHECK(deployments->short_names == std::vector<std::string>{"deploy"});
  const schema::Field* containers = schema::find_type("core/v1.PodSpec")->find("containers");
  REQUIRE(containers);
  CHECK(containers->merge_key == "name");
  CHECK(containers->required);
}

TEST_CASE("schema: decoding prunes, reports and refuses") {
  const schema::Type& type = *schema::find_type("apps/v1.Deployment");
  Node d = node(R"({"spec":{"replica":3,"replicas":2,"template":{"spec":{"containers":[{"name":"a","imag":"b","image":null}]}}}})");
  std::vector<std::string> issues;
  REQUIRE(schema::decode(d, type, &issues).ok());
  CHECK(issues == std::vector<std::string>{"unknown field \"spec.replica\"", "unknown field \"spec.template.spec.containers[0].imag\""});
  CHECK(d == node(R"({"spec":{"replicas":2,"template":{"spec":{"containers":[{"name":"a"}]}}}})"));
  for (const char* bad : {R"({"spec":{"replicas":"2"}})", R"({"spec":{"replicas":2.5}})", R"({"spec":{"replicas":99999999999}})", R"({"spec":[]})",
                          R"({"metadata":{"labels":{"a":1}}})", R"({"metadata":{"creationTimestamp":"yesterday"}})", R"([])",
                          R"({"spec":{"template":{"spec":{"containers":[{"resources":{"limits":{"cpu":"lots"}}}]}}}})"}) {
    CAPTURE(bad);
    Node n = node(bad);
    CHECK(!schema::decode(n, type).ok());
  }
  Node wrong = node(R"({"spec":{"replicas":"2"}})");
  CHECK(schema::decode(wrong, type).status().message() ==
        "Deployment in version \"v1\" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field Deployment" "Spec.spec.replicas of type int32");
}

TEST_CASE("rules: a pod gets upstream's defaults") {
  auto kind = find_builtin("", "v1", "pods");
  Node pod = node(R"({"metadata":{"name":"p"},"spec":{"containers":[{"name":"a","image":"nginx","ports":[{"containerPort":80}],"livenessProbe":{"httpGet":{"port":80}},
                     "resources":{"limits":{"cpu":"1000m"}}},{"name":"b","image":"x:1.0"}],"volumes":[{"name":"v"},{"name":"s","secret":{"secretName":"s"}}]}})");
  REQUIRE(schema::decode(pod, *kind->type).ok());
  apply_defaults(*kind, pod);
  CHECK(pod.path("spec.restartPolicy").str() == "Always");
  CHECK(pod.path("status.phase").str() == "Pending");
  const Node& a = pod.path("spec.containers").items()[0];
  CHECK(a.get("imagePullPolicy").str() == "Always");
  CHECK(a.path("resources.requests.cpu").str() == "1");
  CHECK(a.path("livenessProbe.periodSeconds").int_or(0) == 10);
  CHECK(a.path("livenessProbe.httpGet.path").str() == "/");
  CHECK(a.get("ports").items()[0].get("protocol").str() == "TCP");
  CHECK(pod.path("spec.containers").items()[1].get("imagePullPolicy").str() == "IfNotPresent");
  CHECK(pod.path("spec.volumes").items()[0].get("emptyDir").is_object());
  CHECK(pod.path("spec.volumes").items()[1].path("secret.defaultMode").int_or(0) == 420);
}

TEST_CASE("rules: mistakes are named as Kubernetes names them") {
  using V = std::vector<std::string>;
  CHECK(causes_of("", "pods", node(R"({"spec":{"containers":[{"image":"x:1"}]}})")) == V{"spec.containers[0].name: Required value"});
  CHECK(causes_of("", "pods", node(R"({"spec":{"containers":[{"name":"a"}]}})")) == V{"spec.containers[0].image: Required value"});
  CHECK(causes_of("", "pods", node(R"({"spec":{"containers":[{"name":"a","image":"b:1","volumeMounts":[{"name":"v","mountPath":"/x"}]}]}})")) ==
        V{"spec.containers[0].volumeMounts[0].name: Not found: \"v\""});
  CHECK(causes_of("apps", "deployments", node(R"({"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"c"}},"spec":{"containers":[{"name":"a","image":"b:1"}]}}}})")) ==
        V{"spec.template.metadata.labels: Invalid value: {\"a\":\"c\"}: `selector` does not match template `labels`"});
  CHECK(causes_of("", "services", node(R"({"spec":{}})")) == V{"spec.ports: Required value"});
  CHECK(causes_of("", "services", node(R"({"spec":{"ports":[{"port":80},{"port":81}]}})")).size() == 2);
}

TEST_CASE("strategic merge: lists merge by key, directives are obeyed") {
  const schema::Type* type = schema::find_type("apps/v1.Deployment");
  Node d = node(R"({"spec":{"template":{"spec":{"containers":[{"name":"a","image":"1","env":[{"name":"X","value":"1"}]},{"name":"b","image":"2"}],"tolerations":[{"key":"k"}]}}}})");
  struct Row {
    const char *patch, *path, *wanted;
  };
  for (const Row& row : {
           Row{R"({"containers":[{"name":"b","image":"3"}]})", "containers", R"([{"name":"a","image":"1","env":[{"name":"X","value":"1"}]},{"name":"b","image":"3"}])"},
           {R"({"containers":[{"name":"a","$patch":"delete"}]})", "containers", R"([{"name":"b","image":"2"}])"},
           {R"({"containers":[{"name":"c","image":"4"}],"$setElementOrder/containers":[{"name":"c"},{"name":"a"},{"name":"b"}]})", "containers",
            R"([{"name":"c","image":"4"},{"name":"a","image":"1","env":[{"name":"X","value":"1"}]},{"name":"b","image":"2"}])"},
           {R"({"containers":[{"$patch":"replace"},{"name":"z","image":"9"}]})", "containers", R"([{"name":"z","image":"9"}])"},
           {R"({"tolerations":[{"key":"z"}]})", "tolerations", R"([{"key":"z"}])"},
           {R"({"containers":[{"name":"a","env":[{"name":"Y","value":"2"},{"name":"X","$patch":"delete"}]}]})", "containers",
            R"([{"name":"a","image":"1","env":[{"name":"Y","value":"2"}]},{"name":"b","image":"2"}])"},
           {R"({"nodeSelector":{"a":"b"}})", "nodeSelector", R"({"a":"b"})"},
           {R"({"tolerations":null})", "tolerations", nullptr},
       }) {
    CAPTURE(row.patch);
    Node patch = node(std::string(R"({"spec":{"template":{"spec":)") + row.patch + "}}}");
    auto r = apply_strategic_merge(d, patch, type);
    REQUIRE(r.ok());
    const Node& got = r->path("spec.template.spec").get(row.path);
    if (!row.wanted) CHECK(!got.exists());
    else CHECK(got == node(row.wanted));
  }
  Node strategy = node(R"({"spec":{"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":1}}}})");
  auto r = apply_strategic_merge(strategy, node(R"({"spec":{"strategy":{"$retainKeys":["type"],"type":"Recreate"}}})"), type);
  REQUIRE(r.ok());
  CHECK(*r == node(R"({"spec":{"strategy":{"type":"Recreate"}}})"));
  CHECK(!apply_strategic_merge(d, node(R"({"spec":{"template":{"spec":{"containers":[{"image":"x"}]}}}})"), type).ok());
}

TEST_CASE("namespace: its finalizer is a default, but not of one that is being deleted") {
  auto kind = find_builtin("", "v1", "namespaces");
  REQUIRE(kind);
  Node fresh = node(R"({"metadata":{"name":"red"}})"), dying = node(R"({"metadata":{"name":"red","deletionTimestamp":"2026-01-01T00:00:00Z"},"spec":{}})");
  apply_defaults(*kind, fresh);
  apply_defaults(*kind, dying);
  CHECK(fresh.path("spec.finalizers") == node(R"(["kubernetes"])"));
  CHECK(!dying.path("spec.finalizers").exists());
}

TEST_CASE("openapi: the protobuf form has the document's definitions, paths and extensions") {
  Node document = node(R"({"swagger":"2.0","info":{"title":"T","version":"1"},"paths":{"/a":{"get":{"operationId":"o","responses":{}}}},)"
                       R"("definitions":{"D":{"type":"object","properties":{"p":{"type":"array","items":{"$ref":"r"}}},"x-e":[1]}}})");
  std::string got = openapi_v2_protobuf(document);
  CHECK(got.substr(0, 3) == std::string("\x0a\x03" "2"));
  CHECK_THAT(got, Catch::Contains("\x2a\x01o"));
  // definitions{D{type, properties{p{type, items{ref}}}, x-e}}
  CHECK_THAT(got, Catch::Contains("\xba\x01\x05\x0a\x03\x0a\x01r"));
  CHECK_THAT(got, Catch::Contains("\xfa\x01\x0c\x0a\x03x-e\x12\x05\x12\x03[1]"));
  CHECK(openapi_v2_protobuf(openapi_v2(builtin_kinds())).size() > 10'000);
}
