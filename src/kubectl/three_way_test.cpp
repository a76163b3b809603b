// Patches made here and applied with the server's own strategic merge must give the wanted object.
#include "kubectl/three_way.h"

#include <catch2/catch.hpp>

#include "api/kinds.h"
#include "api/patch/patch.h"

namespace k8lite::kubectl {
namespace {

json::Node node(const char* text) {
  auto n = json::Node::parse(text);
  REQUIRE(n.ok());
  return std::move(n).value();
}

}  // namespace

TEST_CASE("three-way patch: fields of others stay, dropped fields go") {
  auto original = node(R"({"a":1,"b":{"x":1,"y":2}})"), modified = node(R"({"a":2,"b":{"x":1}})"), current = node(R"({"a":1,"b":{"x":1,"y":2,"z":3},"c":true})");
  auto patch = three_way_patch(original, modified, current, nullptr);
  CHECK(patch == node(R"({"a":2,"b":{"y":null}})"));
  CHECK(api::patch::apply_merge_patch(current, patch) == node(R"({"a":2,"b":{"x":1,"z":3},"c":true})"));
  CHECK(three_way_patch(modified, modified, node(R"({"a":2,"b":{"x":1,"z":3}})"), nullptr).empty());
}

TEST_CASE("three-way patch: containers merge by name and removed ones are deleted") {
  const auto* type = api::schema::find_type_of_kind("apps", "v1", "Deployment");
  REQUIRE(type);
  auto original = node(R"({"spec":{"replicas":2,"template":{"spec":{"containers":[{"name":"a","image":"i:1"},{"name":"b","image":"j:1"}]}}}})");
  auto modified = node(R"({"spec":{"template":{"spec":{"containers":[{"name":"a","image":"i:2"}]}}}})");
  auto current = node(R"({"spec":{"replicas":2,"template":{"spec":{"containers":[{"name":"a","image":"i:1","imagePullPolicy":"Always"},{"name":"b","image":"j:1"},{"name":"side","image":"s"}],"dnsPolicy":"ClusterFirst"}}}})");
  auto patch = three_way_patch(original, modified, current, type);
  auto merged = api::apply_strategic_merge(current, patch, type);
  REQUIRE(merged.ok());
  INFO(patch.dump());
  const auto& containers = merged->path("spec.template.spec.containers");
  REQUIRE(containers.size() == 2);
  CHECK(containers.items()[0].get("image").str() == "i:2");
  CHECK(containers.items()[0].get("imagePullPolicy").str() == "Always");
  CHECK(containers.items()[1].get("name").str() == "side");
  CHECK_FALSE(merged->path("spec.replicas").exists());
  CHECK(merged->path("spec.template.spec.dnsPolicy").str() == "ClusterFirst");
}

TEST_CASE("three-way patch: an object that is already as wanted gives no patch") {
  const auto* type = api::schema::find_type_of_kind("", "v1", "Service");
  REQUIRE(type);
  auto wanted = node(R"({"spec":{"ports":[{"port":80}],"selector":{"app":"a"}}})");
  auto current = node(R"({"spec":{"ports":[{"port":80,"protocol":"TCP","targetPort":80}],"selector":{"app":"a"},"clusterIP":"10.43.0.9"}})");
  CHECK(three_way_patch(wanted, wanted, current, type).empty());
}

}  // namespace k8lite::kubectl
