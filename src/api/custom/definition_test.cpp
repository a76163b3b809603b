// CustomResourceDefinitions: which are refused and why, what is filled in, and the rows, columns and types they give.
#include <catch2/catch.hpp>

#include "api/apply/typed.h"
#include "api/custom/definition_rules.h"
#include "api/custom/version.h"

using namespace k8lite;
using namespace k8lite::api;
using json::Node;

namespace {

Node parse(const std::string& text) { return Node::parse(text).value(); }

Node cron_tab() {
  return parse(
      R"({"metadata":{"name":"crontabs.stable.example.com"},"spec":{"group":"stable.example.com","scope":"Namespaced",
    "names":{"plural":"crontabs","kind":"CronTab","shortNames":["ct"]},
    "versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object","properties":{
      "cronSpec":{"type":"string"},"replicas":{"type":"integer","default":1}}}}}}}]}})");
}
Node& version(Node& crd) { return crd["spec"]["versions"].items()[0]; }
Node& schema_in(Node& crd) { return version(crd)["schema"]["openAPIV3Schema"]; }

std::string told(Node crd, const Node* old = nullptr) {
  auto rules = custom::definition_rules();
  rules.defaults(crd);
  std::vector<Cause> causes;
  rules.validate(crd, old, causes);
  std::string out;
  for (const Cause& c : causes) out += (out.empty() ? "" : " | ") + c.field + ": " + c.message;
  return out;
}
std::string told_of_schema(const std::string& text) {
  Node crd = cron_tab();
  schema_in(crd) = parse(text);
  return told(std::move(crd));
}

json::Doc accepted(Node crd) {
  auto rules = custom::definition_rules();
  rules.defaults(crd);
  rules.settle(crd);
  crd["status"]["acceptedNames"] = crd["spec"]["names"];
  crd["status"]["conditions"] = parse(R"([{"type":"NamesAccepted","status":"True"}])");
  return json::Doc::from(crd);
}

}  // namespace

TEST_CASE("definition: a good one is accepted, with names, conversion and stored versions filled in") {
  Node crd = cron_tab();
  CHECK(told(crd).empty());
  auto rules = custom::definition_rules();
  rules.defaults(crd);
  rules.settle(crd);
  CHECK(
      crd.path("spec.names") ==
      parse(
          R"({"plural":"crontabs","kind":"CronTab","shortNames":["ct"],"singular":"crontab","listKind":"CronTabList"})"));
  CHECK(crd.path("spec.conversion.strategy").str() == "None");
  CHECK(crd.path("status") ==
        parse(R"({"acceptedNames":{"kind":"","plural":""},"conditions":[],"storedVersions":["v1"]})"));
  rules.settle(crd);
  CHECK(crd.path("status.storedVersions").size() == 1);
}

TEST_CASE("definition: what is wrong is told by path") {
  Node crd = cron_tab();
  crd["metadata"].set("name", "crontab.stable.example.com");
  CHECK(told(crd) ==
        R"(metadata.name: Invalid value: "crontab.stable.example.com": must be spec.names.plural+"."+spec.group)");
  crd = cron_tab();
  crd["spec"].set("scope", "Galaxy");
  CHECK(told(crd) == R"(spec.scope: Unsupported value: "Galaxy": supported values: "Cluster", "Namespaced")");
  crd = cron_tab();
  version(crd).erase("schema");
  CHECK(told(crd) == "spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required");
  crd = cron_tab();
  version(crd).set("storage", false);
  CHECK(told(crd).ends_with(": must have exactly one version marked as storage version"));
  crd = cron_tab();
  crd["spec"]["versions"].append(version(crd));
  CHECK(told(crd).find(": must contain unique version names | spec.versions: Invalid value: ") != std::string::npos);
  crd = cron_tab();
  crd["spec"]["conversion"].set("strategy", "Webhook");
  CHECK(
      told(crd) ==
      R"(spec.conversion.strategy: Forbidden: conversion by webhooks is not in this build: only "None" is supported)");
  crd = cron_tab();
  crd["spec"].set("group", "example.k8s.io");
  crd["metadata"].set("name", "crontabs.example.k8s.io");
  CHECK(
      told(crd).starts_with("metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must "
                            "have approval annotation"));
  crd = cron_tab();
  version(crd)["subresources"] = parse(R"({"scale":{"specReplicasPath":".status.x"}})");
  CHECK(told(crd) ==
        "spec.subresources.scale.specReplicasPath: Invalid value: \".status.x\": should be a json path under .spec | "
        "spec.subresources.scale.statusReplicasPath: Required value");
  crd = cron_tab();
  version(crd)["additionalPrinterColumns"] = parse(R"([{"name":"A","type":"text","jsonPath":"spec.a"}])");
  CHECK(
      told(crd) ==
      R"(spec.additionalPrinterColumns[0].type: Unsupported value: "text": supported values: "boolean", "date", "integer", "number", "string" | spec.additionalPrinterColumns[0].jsonPath: Invalid value: "spec.a": must be a simple json path starting with .)");
  crd = cron_tab();
  version(crd)["selectableFields"] =
      parse(R"([{"jsonPath":".spec.cronSpec"},{"jsonPath":".spec.none"},{"jsonPath":".spec"}])");
  CHECK(told(crd).starts_with(
      R"(spec.selectableFields[1].jsonPath: Invalid value: ".spec.none": is an invalid path: does not refer to a valid field | spec.selectableFields[2].jsonPath: Invalid value: ".spec": must point to)"));
}

TEST_CASE("definition: schemas must be structural") {
  const std::string at = "spec.validation.openAPIV3Schema";
  struct Row {
    const char *schema, *told;
  };
  for (
      const Row& r : std::vector<Row>{
          {R"({"properties":{}})", ".type: Required value: must not be empty at the root"},
          {R"({"type":"string"})", ".type: Invalid value: \"string\": must be object at the root"},
          {R"({"type":"object","properties":{"a":{}}})",
           ".properties[a].type: Required value: must not be empty for specified object fields"},
          {R"({"type":"object","properties":{"a":{"type":"array"}}})",
           ".properties[a].items: Required value: must be specified"},
          {R"({"type":"object","properties":{"a":{"type":"array","items":{}}}})",
           ".properties[a].items.type: Required value: must not be empty for specified array items"},
          {R"({"type":"object","properties":{"a":{"type":"array","uniqueItems":true,"items":{"type":"string"}}}})",
           ".properties[a].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity "
           "becomes quadratic"},
          {R"({"type":"object","properties":{"a":{"type":"object","properties":{"b":{"type":"string"}},"additionalProperties":{"type":"string"}}}})",
           ".properties[a].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive"},
          {R"({"type":"object","properties":{"a":{"type":"string","pattern":"("}}})",
           ".properties[a].pattern: Invalid value: \"(\": must be a valid regular expression, but isn't: missing ): ("},
          {R"({"type":"object","properties":{"a":{"type":"string","anyOf":[{"type":"string"}]}}})",
           ".properties[a].anyOf[0].type: Forbidden: must be empty to be structural"},
          {R"({"type":"object","properties":{"a":{"x-kubernetes-int-or-string":true,"anyOf":[{"type":"integer"},{"type":"string"}]}}})",
           ""},
          {R"({"type":"object","anyOf":[{"properties":{"b":{"minimum":1}}}]})",
           ".properties[b]: Required value: because it is defined in "
           "spec.validation.openAPIV3Schema.anyOf[0].properties[b]"},
          {R"({"type":"object","properties":{"a":{"type":"string","x-kubernetes-list-type":"set"}}})",
           ".properties[a].type: Invalid value: \"string\": must be array if x-kubernetes-list-type is specified | "
           "spec.validation.openAPIV3Schema.properties[a].items: Required value: must have a schema if "
           "x-kubernetes-list-type is set"},
          {R"({"type":"object","properties":{"a":{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["n"],"items":{"type":"object","properties":{"n":{"type":"string"}}}}}})",
           ".properties[a].items.properties[n].default: Required value: this property is in "
           "x-kubernetes-list-map-keys, so it must have a default or be a required property"},
          {R"({"type":"object","properties":{"a":{"type":"integer","default":"x"}}})",
           ".properties[a].default: Invalid value: \"string\":  in body must be of type integer: \"string\""},
          {R"({"type":"object","properties":{"a":{"type":"object","default":{"u":1}}}})",
           ".properties[a].default: Invalid value: {\"u\":1}: must not have unknown fields"},
          {R"({"type":"object","properties":{"metadata":{"type":"object","properties":{"labels":{"type":"object"}}}}})",
           ".properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata "
           "is implicitly specified"},
          {R"({"type":"object","properties":{"a":{"x-kubernetes-preserve-unknown-fields":true}},"x-kubernetes-preserve-unknown-fields":true})",
           ""},
      }) {
    CAPTURE(r.schema);
    CHECK(told_of_schema(r.schema) == (*r.told ? at + r.told : ""));
  }
}

TEST_CASE("definition: what may not change") {
  Node old = accepted(cron_tab()).to_node(), now = old;
  old["status"]["conditions"] = parse(R"([{"type":"Established","status":"True"}])");
  now["spec"].set("scope", "Cluster");
  CHECK(told(now, &old) == "spec.scope: Invalid value: \"Cluster\": field is immutable");
  now = old;
  version(now).set("name", "v2");
  CHECK(told(now, &old) == "status.storedVersions[0]: Invalid value: \"v1\": must appear in spec.versions");
}

TEST_CASE("definition: rules in CEL are accepted with a warning that names them") {
  Node crd = cron_tab();
  schema_in(crd)["properties"]["spec"]["x-kubernetes-validations"] = parse(R"([{"rule":"self.replicas < 5"}])");
  CHECK(told(crd).empty());
  std::vector<std::string> warnings;
  auto rules = custom::definition_rules();
  rules.warn(crd, warnings);
  rules.warn(crd, warnings);
  REQUIRE(warnings.size() == 1);
  CHECK(
      warnings[0] ==
      R"(CEL validation rules (x-kubernetes-validations) are not enforced by this build: spec.validation.openAPIV3Schema.properties[spec][0] "self.replicas < 5")");
}

TEST_CASE("definition: rows of served versions, once names are accepted") {
  Node crd = cron_tab();
  version(crd)["subresources"] = parse(
      R"({"status":{},"scale":{"specReplicasPath":".spec.replicas","statusReplicasPath":".status.replicas","labelSelectorPath":".status.selector"}})");
  version(crd)["selectableFields"] = parse(R"([{"jsonPath":".spec.cronSpec"}])");
  crd["spec"]["versions"].append(parse(
      R"({"name":"v1beta1","served":true,"storage":false,"deprecated":true,"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}})"));
  crd["spec"]["versions"].append(
      parse(R"({"name":"v1alpha1","served":false,"storage":false,"schema":{"openAPIV3Schema":{"type":"object"}}})"));
  CHECK(custom::rows_of(json::Doc::from(crd)).empty());
  auto rows = custom::rows_of(accepted(crd));
  REQUIRE(rows.size() == 2);
  const KindRow& v1 = *rows[0];
  CHECK(v1.group + "/" + v1.version + " " + v1.kind + " " + v1.plural + " " + v1.singular + " " + v1.list_kind() ==
        "stable.example.com/v1 CronTab crontabs crontab CronTabList");
  CHECK(v1.short_names == std::vector<std::string>{"ct"});
  CHECK(v1.status);
  CHECK(v1.scale);
  CHECK(v1.subresources.size() == 2);
  CHECK(v1.field_selectors == std::vector<std::string>{"spec.cronSpec"});
  CHECK(v1.custom->spec_replicas == "spec.replicas");
  CHECK(rows[1]->custom->deprecation == "stable.example.com/v1beta1 CronTab is deprecated");
  CHECK_FALSE(rows[1]->status);
  crd["metadata"].set("deletionTimestamp", "2026-01-02T03:04:05Z");
  for (const auto& row : custom::rows_of(accepted(crd)))
    CHECK(std::find(row->verbs.begin(), row->verbs.end(), "create") == row->verbs.end());
}

TEST_CASE("definition: columns by JSONPath, each as its type wants it; Age where there are none") {
  Instant now = *parse_rfc3339("2026-01-02T03:04:05Z");
  Node object = parse(
      R"({"metadata":{"name":"a","creationTimestamp":"2026-01-02T03:03:05Z"},"spec":{"s":"text","n":3,"m":{"a":"b"}},"status":{"conditions":[{"type":"Ready","status":"True"}]}})");
  auto plain = custom::printing_of_version(Node::object());
  REQUIRE(plain.columns.size() == 2);
  CHECK(plain.columns[1].name == "Age");
  CHECK(plain.cells(json::Doc::from(object).root(), now)[1].str() == "60s");
  auto p = custom::printing_of_version(parse(
      R"({"additionalPrinterColumns":[{"name":"S","type":"string","jsonPath":".spec.s"},{"name":"N","type":"integer","jsonPath":".spec.n","priority":1},
    {"name":"M","type":"string","jsonPath":".spec.m"},{"name":"None","type":"string","jsonPath":".spec.none"},{"name":"Wrong","type":"integer","jsonPath":".spec.s"},
    {"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"},{"name":"Since","type":"date","jsonPath":".metadata.creationTimestamp"}]})"));
  CHECK(p.columns[2].priority == 1);
  Node cells = Node::array();
  for (auto& c : p.cells(json::Doc::from(object).root(), now)) cells.append(c);
  CHECK(cells == parse(R"(["a","text",3,"{\"a\":\"b\"}",null,null,"True","60s"])"));
}

TEST_CASE("definition: server-side apply sees list types, atomic maps and what is kept unseen") {
  auto s = custom::compile(parse(R"({"type":"object","properties":{"spec":{"type":"object","properties":{
    "ports":{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["port"],"items":{"type":"object","required":["port"],"properties":{"port":{"type":"integer"},"name":{"type":"string"}}}},
    "tags":{"type":"array","x-kubernetes-list-type":"set","items":{"type":"string"}},"plain":{"type":"array","items":{"type":"string"}},
    "ref":{"type":"object","x-kubernetes-map-type":"atomic","properties":{"a":{"type":"string"},"b":{"type":"string"}}},
    "free":{"type":"object","x-kubernetes-preserve-unknown-fields":true},"labels":{"type":"object","additionalProperties":{"type":"string"}}}}}})"));
  auto types = custom::apply_types(*s);
  Node live = parse(
      R"({"spec":{"ports":[{"port":1,"name":"a"}],"tags":["x"],"plain":["p"],"ref":{"a":"1"},"free":{"k":1},"labels":{"l":"1"}}})");
  Node config = parse(
      R"({"spec":{"ports":[{"port":2}],"tags":["y"],"plain":["q"],"ref":{"b":"2"},"free":{"j":2},"labels":{"m":"2"}}})");
  CHECK(
      apply::merge(live, config, types.front()) ==
      parse(
          R"({"spec":{"ports":[{"port":1,"name":"a"},{"port":2}],"tags":["x","y"],"plain":["q"],"ref":{"b":"2"},"free":{"k":1,"j":2},"labels":{"l":"1","m":"2"}}})"));
  CHECK(apply::mistakes_of(parse(R"({"spec":{"none":1}})"), types.front()) ==
        std::vector<std::string>{".spec.none: field not declared in schema"});
}

TEST_CASE("kinds: versions in Kubernetes' order") {
  std::vector<std::string> v = {"foo10", "v1",       "v1beta1",  "v12alpha1", "foo1",     "v10",
                                "v2",    "v11beta2", "v10beta3", "v3beta1",   "v11alpha2"};
  std::sort(v.begin(), v.end(), version_before);
  CHECK(v == std::vector<std::string>{"v10", "v2", "v1", "v11beta2", "v10beta3", "v3beta1", "v1beta1", "v12alpha1",
                                      "v11alpha2", "foo1", "foo10"});
}
