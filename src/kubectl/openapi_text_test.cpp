// explain's text for a small document.
#include "kubectl/openapi_text.h"

#include <catch2/catch.hpp>

namespace k8lite::kubectl {
namespace {

std::string explained(std::vector<std::string> path, bool recursive = false) {
  static const json::Node doc = *json::Node::parse(R"({"components":{"schemas":{
    "io.x.Pod":{"type":"object","x-kubernetes-group-version-kind":[{"group":"","version":"v1","kind":"Pod"}],"description":"A pod.","properties":{"spec":{"allOf":[{"$ref":"#/components/schemas/io.x.PodSpec"}]},"kind":{"type":"string"}}},
    "io.x.PodSpec":{"type":"object","required":["containers"],"properties":{"containers":{"type":"array","items":{"$ref":"#/components/schemas/io.x.Container"}},"policy":{"type":"string","enum":["Always","Never"],"description":"When."},"labels":{"type":"object","additionalProperties":{"type":"string"}}}},
    "io.x.Container":{"type":"object","properties":{"name":{"type":"string","description":"Its name."},"inner":{"$ref":"#/components/schemas/io.x.PodSpec"}}}}}})");
  std::string out;
  auto done = explain_schema(doc, {"", "v1", "Pod", std::move(path), recursive}, out);
  return out + (done.ok() ? "" : done.status().message());
}

}  // namespace

TEST_CASE("explain: a kind, a field and a field that is not there") {
  CHECK(explained({}) == "KIND:       Pod\nVERSION:    v1\n\nDESCRIPTION:\n    A pod.\n    \nFIELDS:\n  kind\t<string>\n    <no description>\n\n  spec\t<PodSpec>\n    <no description>\n\n\n");
  CHECK(explained({"spec", "policy"}) == "KIND:       Pod\nVERSION:    v1\n\nFIELD: policy <string>\n\nENUM:\n    Always\n    Never\n\nDESCRIPTION:\n    When.\n    \n\n");
  CHECK(explained({"spec", "containers", "name"}) == "KIND:       Pod\nVERSION:    v1\n\nFIELD: name <string>\n\n\nDESCRIPTION:\n    Its name.\n    \n\n");
  CHECK(explained({"spec", "nix"}) == "KIND:       Pod\nVERSION:    v1\n\nfield \"nix\" does not exist");
}

TEST_CASE("explain: recursion names required fields and stops at a type inside of itself") {
  CHECK(explained({"spec"}, true) ==
        "KIND:       Pod\nVERSION:    v1\n\nFIELD: spec <PodSpec>\n\n\nDESCRIPTION:\n    <empty>\nFIELDS:\n  containers\t<[]Container> -required-\n    inner\t<PodSpec>\n      containers\t<[]Container> -required-\n"
        "      labels\t<map[string]string>\n      policy\t<string>\n      enum: Always, Never\n    name\t<string>\n  labels\t<map[string]string>\n  policy\t<string>\n  enum: Always, Never\n\n");
}

}  // namespace k8lite::kubectl
