#include "api/apply/typed.h"

#include <catch2/catch.hpp>

using namespace k8lite;
using namespace k8lite::api;
using namespace k8lite::api::apply;
using json::Node;

namespace {

Node parse(const char* text) { return Node::parse(text).value(); }
const schema::Type& type(const char* name) { return *schema::find_type(name); }
std::string text(const FieldSet& s) { return s.encode().dump(); }

}  // namespace

TEST_CASE("typed: what an object sets follows the list types of its schema") {
  struct {
    const char *type, *object, *fields;
  } table[] = {
      {"core/v1.ConfigMap", R"({"data":{"a":"1"},"metadata":{"labels":{"x":"y"}}})", R"({"f:data":{"f:a":{}},"f:metadata":{"f:labels":{"f:x":{}}}})"},
      // Atomic structs and maps are one field.
      {"apps/v1.Deployment", R"({"spec":{"selector":{"matchLabels":{"a":"b"}},"replicas":1}})", R"({"f:spec":{"f:replicas":{},"f:selector":{}}})"},
      {"core/v1.Service", R"({"spec":{"selector":{"a":"b"}}})", R"({"f:spec":{"f:selector":{}}})"},
      // Sets by value, atomic lists as one.
      {"core/v1.Pod", R"({"metadata":{"finalizers":["a","b"]},"spec":{"containers":[{"name":"c","args":["x","y"]}]}})",
       R"({"f:metadata":{"f:finalizers":{"v:\"a\"":{},"v:\"b\"":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:args":{},"f:name":{}}}}})"},
      // Several keys, one with a default.
      {"core/v1.Pod", R"({"spec":{"containers":[{"name":"c","ports":[{"containerPort":80}]}]}})",
       R"({"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:name":{},"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}}}}}}})"},
      // Items that are atomic, structs that are empty, nulls.
      {"core/v1.Pod", R"({"metadata":{"ownerReferences":[{"uid":"u","name":"n"}]},"spec":{"volumes":[{"name":"v","emptyDir":{}}],"nodeName":null}})",
       R"({"f:metadata":{"f:ownerReferences":{"k:{\"uid\":\"u\"}":{}}},"f:spec":{"f:nodeName":{},"f:volumes":{"k:{\"name\":\"v\"}":{".":{},"f:emptyDir":{},"f:name":{}}}}})"},
      // What stands twice is one field, and nothing inside it.
      {"core/v1.Pod", R"({"spec":{"containers":[{"name":"c","env":[{"name":"E","value":"1"},{"name":"E","value":"2"}]}]}})",
       R"({"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:env":{"k:{\"name\":\"E\"}":{}},"f:name":{}}}}})"},
  };
  for (const auto& row : table) {
    CAPTURE(row.object);
    CHECK(text(fields_of(parse(row.object), type(row.type))) == row.fields);
  }
}

TEST_CASE("typed: comparing tells removed, modified and added fields") {
  struct {
    const char *type, *before, *after, *removed, *modified, *added;
  } table[] = {
      {"core/v1.ConfigMap", R"({"data":{"a":"1","b":"2"}})", R"({"data":{"a":"9","c":"3"}})", R"({"f:data":{"f:b":{}}})", R"({"f:data":{"f:a":{}}})", R"({"f:data":{"f:c":{}}})"},
      {"core/v1.ConfigMap", R"({})", R"({"metadata":{"labels":{"a":"b"}}})", "{}", "{}", R"({"f:metadata":{"f:labels":{".":{},"f:a":{}}}})"},
      {"core/v1.ConfigMap", R"({"data":{"a":"1"}})", R"({})", R"({"f:data":{".":{},"f:a":{}}})", "{}", "{}"},
      // The order of items is nobody's.
      {"core/v1.Pod", R"({"spec":{"containers":[{"name":"a"},{"name":"b"}]}})", R"({"spec":{"containers":[{"name":"b"},{"name":"a"}]}})", "{}", "{}", "{}"},
      {"core/v1.Pod", R"({"spec":{"containers":[{"name":"a","args":["1"]}]}})", R"({"spec":{"containers":[{"name":"a","args":["2"]}]}})", "{}", R"({"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{"f:args":{}}}}})", "{}"},
      // Structs that Go always has are nothing new, what is below them is.
      {"apps/v1.Deployment", R"({})", R"({"spec":{"strategy":{"type":"Recreate"},"template":{"spec":{"containers":[{"name":"c"}]}}}})", "{}", "{}",
       R"({"f:spec":{"f:strategy":{"f:type":{}},"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:name":{}}}}}}})"},
      {"core/v1.Pod", R"({"metadata":{"finalizers":["a"]}})", R"({"metadata":{"finalizers":["b"]}})", R"({"f:metadata":{"f:finalizers":{"v:\"a\"":{}}}})", "{}", R"({"f:metadata":{"f:finalizers":{"v:\"b\"":{}}}})"},
      {"core/v1.Pod", R"({"spec":{"containers":[{"name":"c","env":[{"name":"E","value":"1"},{"name":"E"}]}]}})", R"({"spec":{"containers":[{"name":"c","env":[{"name":"E","value":"2"},{"name":"E"}]}]}})", "{}",
       R"({"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{"f:env":{"k:{\"name\":\"E\"}":{}}}}}})", "{}"},
  };
  for (const auto& row : table) {
    CAPTURE(row.before, row.after);
    Changes c = compare(parse(row.before), parse(row.after), type(row.type));
    CHECK(text(c.removed) == row.removed);
    CHECK(text(c.modified) == row.modified);
    CHECK(text(c.added) == row.added);
  }
}

TEST_CASE("typed: merging keeps the configuration's order and what only the live object has") {
  struct {
    const char *type, *live, *config, *merged;
  } table[] = {
      {"core/v1.ConfigMap", R"({"data":{"a":"1","b":"2"}})", R"({"data":{"b":"9"}})", R"({"data":{"a":"1","b":"9"}})"},
      {"core/v1.Pod", R"({"spec":{"containers":[{"name":"a"},{"name":"b"},{"name":"c"}]}})", R"({"spec":{"containers":[{"name":"c"},{"name":"a"}]}})", R"({"spec":{"containers":[{"name":"b"},{"name":"c"},{"name":"a"}]}})"},
      {"core/v1.Pod", R"({"spec":{"containers":[{"name":"a"},{"name":"b"}]}})", R"({"spec":{"containers":[{"name":"x"},{"name":"a"}]}})", R"({"spec":{"containers":[{"name":"x"},{"name":"a"},{"name":"b"}]}})"},
      {"core/v1.Pod", R"({"spec":{"containers":[{"name":"b"},{"name":"a"}]}})", R"({"spec":{"containers":[{"name":"x"},{"name":"a"}]}})", R"({"spec":{"containers":[{"name":"b"},{"name":"x"},{"name":"a"}]}})"},
      {"core/v1.Pod", R"({"metadata":{"finalizers":["a","b"]}})", R"({"metadata":{"finalizers":["c","b"]}})", R"({"metadata":{"finalizers":["a","c","b"]}})"},
      {"core/v1.Pod", R"({"spec":{"containers":[{"name":"a","args":["1","2"]}]}})", R"({"spec":{"containers":[{"name":"a","args":["3"]}]}})", R"({"spec":{"containers":[{"name":"a","args":["3"]}]}})"},
      {"core/v1.Service", R"({"spec":{"selector":{"a":"b"}}})", R"({"spec":{"selector":{"c":"d"}}})", R"({"spec":{"selector":{"c":"d"}}})"},
      {"core/v1.ConfigMap", R"({"metadata":{"labels":{"a":"b"}}})", R"({"metadata":{"labels":{}}})", R"({"metadata":{"labels":{"a":"b"}}})"},
  };
  for (const auto& row : table) {
    CAPTURE(row.live, row.config);
    CHECK(merge(parse(row.live), parse(row.config), type(row.type)).dump() == row.merged);
  }
}

TEST_CASE("typed: taking fields out leaves no empty shells") {
  FieldSet gone = FieldSet::decode(parse(R"({"f:data":{"f:a":{}},"f:metadata":{"f:finalizers":{"v:\"x\"":{}}}})")).value();
  CHECK(without(parse(R"({"metadata":{"name":"n","finalizers":["x","y"]},"data":{"a":"1","b":"2"}})"), gone, type("core/v1.ConfigMap")).dump() == R"({"metadata":{"name":"n","finalizers":["y"]},"data":{"b":"2"}})");
  CHECK(without(parse(R"({"metadata":{"name":"n"},"data":{"a":"1"}})"), gone, type("core/v1.ConfigMap")).dump() == R"({"metadata":{"name":"n"}})");
}

TEST_CASE("typed: structs on the way become members, map keys and items do not") {
  FieldSet s = fields_of(parse(R"({"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c"}]}})"), type("core/v1.Pod"));
  CHECK(text(with_structs(s, type("core/v1.Pod"))) == R"({"f:metadata":{".":{},"f:labels":{".":{},"f:a":{}}},"f:spec":{".":{},"f:containers":{".":{},"k:{\"name\":\"c\"}":{".":{},"f:name":{}}}}})");
}

TEST_CASE("typed: what has become atomic is one field") {
  FieldSet old = FieldSet::decode(parse(R"({"f:spec":{"f:nodeSelector":{"f:disk":{}},"f:nodeName":{},"f:unknown":{"f:x":{}},"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:args":{"i:0":{}}}}}})")).value();
  CHECK(text(fitted(old, type("core/v1.Pod"))) == R"({"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:args":{}}},"f:nodeName":{},"f:nodeSelector":{},"f:unknown":{"f:x":{}}}})");
}

TEST_CASE("typed: mistakes are named with their paths") {
  struct {
    const char *type, *config, *mistake;
  } table[] = {
      {"apps/v1.Deployment", R"({"spec":{"replica":1}})", ".spec.replica: field not declared in schema"},
      {"apps/v1.Deployment", R"({"spec":{"replicas":"x"}})", R"(.spec.replicas: expected numeric (int or float), got "x")"},
      {"core/v1.Pod", R"({"spec":{"containers":[{"name":"c","env":[{"name":"E"},{"name":"E"}]}]}})", R"(.spec.containers[name="c"].env: duplicate entries for key [name="E"])"},
      {"core/v1.Pod", R"({"spec":{"containers":[{"image":"x"}]}})", R"(.spec.containers: element 0: associative list with keys has an element that omits key field "name" (and doesn't have default value))"},
      {"core/v1.Pod", R"({"metadata":{"finalizers":["a","a"]}})", R"(.metadata.finalizers: duplicate entries for key [="a"])"},
      {"core/v1.Pod", R"({"metadata":{"labels":[]}})", ".metadata.labels: expected map, got []"},
      {"core/v1.Pod", R"({"spec":[]})", ".spec: expected map, got []"},
  };
  for (const auto& row : table) {
    CAPTURE(row.config);
    CHECK(mistakes_of(parse(row.config), type(row.type)) == std::vector<std::string>{row.mistake});
  }
  CHECK(mistakes_of(parse(R"({"spec":{"nodeName":null,"containers":[{"name":"c","ports":[{"containerPort":1}]}]}})"), type("core/v1.Pod")).empty());
}
