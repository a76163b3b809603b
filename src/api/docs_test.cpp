#include "api/docs.h"

#include <catch2/catch.hpp>
#include <set>

#include "api/kinds.h"
#include "base/strings.h"

using namespace k8lite;
using namespace k8lite::api;

TEST_CASE("docs: every field of every type is described") {
  Docs docs;
  size_t fields = 0;
  for (const schema::Type* type : schema::all_types())
    for (const schema::Field& f : type->fields) {
      CAPTURE(type->name, f.name);
      std::string_view text = docs.of(type->name, f.name);
      CHECK(text.size() > 4);
      if (text.empty()) continue;
      CHECK(text.back() == '.');
      CHECK(text.size() < 110);
      ++fields;
    }
  CHECK(fields > 2400);
  for (const KindPtr& kind : builtin_kinds()) {
    CAPTURE(kind->kind);
    CHECK(!docs.of(kind->type->name, "").empty());
  }
}

TEST_CASE("docs: a type's own words come before shared ones, and one type may speak for another") {
  Docs docs;
  CHECK(docs.of("core/v1.Pod", "spec") == "What the pod should run and how.");
  CHECK(docs.of("core/v1.EphemeralContainer", "image") == docs.of("core/v1.Container", "image"));
  CHECK(docs.of("core/v1.PodCondition", "reason") == docs.of("batch/v1.JobCondition", "reason"));
  CHECK(docs.of("autoscaling/v2.HorizontalPodAutoscalerCondition", "type") == "Which condition this is.");
  CHECK(docs.of("core/v1.PodList", "metadata") != docs.of("core/v1.Pod", "metadata"));
  CHECK(docs.of("core/v1.Pod", "nothing").empty());
}

TEST_CASE("docs: OpenAPI carries them, and numbers or texts say so") {
  json::Node v2 = openapi_v2(builtin_kinds()), v3 = openapi_v3("", "v1", builtin_kinds());
  const json::Node& pod = v2.get("definitions").get("io.k8s.api.core.v1.Pod");
  CHECK(pod.get("description").str() == "Containers that run together on one node.");
  CHECK(pod.get("properties").get("spec").get("description").str() == "What the pod should run and how.");
  const json::Node& port = v2.get("definitions").get("io.k8s.api.core.v1.ServicePort").get("properties").get("targetPort");
  CHECK(port.get("format").str() == "int-or-string");
  CHECK(port.get("type").str() == "string");
  const json::Node& schemas = v3.get("components").get("schemas");
  const json::Node& port3 = schemas.get("io.k8s.api.core.v1.ServicePort").get("properties").get("targetPort");
  CHECK(port3.get("allOf").items()[0].get("$ref").str() == "#/components/schemas/io.k8s.apimachinery.pkg.util.intstr.IntOrString");
  const json::Node& either = schemas.get("io.k8s.apimachinery.pkg.util.intstr.IntOrString");
  CHECK(either.get("format").str() == "int-or-string");
  CHECK(either.get("oneOf").size() == 2);
  CHECK(schemas.get("io.k8s.api.core.v1.Container").get("properties").get("imagePullPolicy").get("enum").size() == 3);
}
