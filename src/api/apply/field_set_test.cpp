#include "api/apply/field_set.h"

#include <catch2/catch.hpp>

using namespace k8lite;
using namespace k8lite::api::apply;
using json::Node;

namespace {

FieldSet set_of(const char* text) { return FieldSet::decode(*Node::parse(text)).value(); }

}  // namespace

TEST_CASE("field set: fieldsV1 is read and written as it was") {
  for (const char* text : {
           R"({})",
           R"({"f:a":{}})",
           R"({"f:a":{".":{},"f:b":{}}})",
           R"({"f:spec":{"f:ports":{".":{},"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:name":{}}},"f:replicas":{}}})",
           R"({"f:metadata":{"f:finalizers":{".":{},"v:\"a/b\"":{},"v:1":{},"i:0":{},"i:10":{}}}})",
       }) {
    CAPTURE(text);
    CHECK(set_of(text).encode().dump() == text);
  }
}

TEST_CASE("field set: elements are spelt in one way only") {
  CHECK(*canonical_element(R"(k:{"protocol":"TCP", "containerPort": 80})") == R"(k:{"containerPort":80,"protocol":"TCP"})");
  CHECK(*canonical_element(R"(v: "x")") == R"(v:"x")");
  CHECK(*canonical_element("i:07") == "i:7");
  for (const char* bad : {"", "x", "f", "g:a", "k:[]", "k:{", "v:", "i:x", "."}) CHECK_FALSE(canonical_element(bad).ok());
  for (const char* bad : {R"({"x":{}})", R"({"f:a":1})", R"([])", R"({"f:a":{"k:x":{}}})"}) CHECK_FALSE(FieldSet::decode(*Node::parse(bad)).ok());
}

TEST_CASE("field set: union, difference and intersection speak of exact paths") {
  FieldSet a = set_of(R"({"f:a":{".":{},"f:b":{}},"f:c":{}})"), b = set_of(R"({"f:a":{"f:b":{},"f:x":{}},"f:d":{}})");
  CHECK(a.united(b).encode().dump() == R"({"f:a":{".":{},"f:b":{},"f:x":{}},"f:c":{},"f:d":{}})");
  CHECK(a.minus(b).encode().dump() == R"({"f:a":{},"f:c":{}})");
  CHECK(b.minus(a).encode().dump() == R"({"f:a":{"f:x":{}},"f:d":{}})");
  CHECK(a.shared(b).encode().dump() == R"({"f:a":{"f:b":{}}})");
  CHECK(a.united(a) == a);
  CHECK(a.minus(a).empty());
  CHECK(a.shared(a) == a);
}

TEST_CASE("field set: paths read as Kubernetes prints them") {
  FieldSet s = set_of(R"({"f:spec":{"f:containers":{"k:{\"name\":\"web\"}":{"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{}}}},"f:f":{"v:\"x\"":{}},"f:g":{"i:3":{}}}})");
  std::vector<std::string> texts;
  for (const auto& p : s.paths()) texts.push_back(path_text(p));
  CHECK(texts == std::vector<std::string>{R"(.spec.containers[name="web"].ports[containerPort=80,protocol="TCP"])", R"(.spec.f[="x"])", ".spec.g[3]"});
}
