// Schemas of custom resources: what is pruned, what is defaulted, what is refused and in which words.
#include "api/custom/structural.h"

#include <catch2/catch.hpp>

using namespace k8lite;
using namespace k8lite::api::custom;
using json::Node;

namespace {

Node parse(const std::string& text) { return Node::parse(text).value(); }

std::string told(const std::string& schema, const std::string& value, const std::string& path = "spec.x") {
  std::vector<Cause> causes;
  SchemaPtr s = compile(parse(schema));
  validate(parse(value), *s, path, causes);
  validate_lists(parse(value), *s, path, causes);
  std::string out;
  for (const Cause& c : causes) out += (out.empty() ? "" : " | ") + c.field + ": " + c.message;
  return out;
}

}  // namespace

TEST_CASE("structural: values of every keyword, in Kubernetes' words") {
  struct Row {
    const char *schema, *value, *told;
  };
  for (
      const Row& r : std::vector<Row>{
          {R"({"type":"string"})", R"("a")", ""},
          {R"({"type":"string"})", "1",
           R"(spec.x: Invalid value: "integer": spec.x in body must be of type string: "integer")"},
          {R"({"type":"integer"})", R"("1")",
           R"(spec.x: Invalid value: "string": spec.x in body must be of type integer: "string")"},
          {R"({"type":"integer"})", "1.5",
           R"(spec.x: Invalid value: "number": spec.x in body must be of type integer: "number")"},
          {R"({"type":"integer"})", "2.0", ""},
          {R"({"type":"number"})", "2", ""},
          {R"({"type":"boolean"})", "null",
           R"(spec.x: Invalid value: "null": spec.x in body must be of type boolean: "null")"},
          {R"({"type":"boolean","nullable":true})", "null", ""},
          {R"({"type":"object","properties":{"a":{"type":"array","items":{"type":"string"}}}})", R"({"a":["x",true]})",
           R"(spec.x.a[1]: Invalid value: "boolean": spec.x.a[1] in body must be of type string: "boolean")"},
          {R"({"type":"integer","minimum":1,"maximum":10})", "11",
           "spec.x: Invalid value: 11: spec.x in body should be less than or equal to 10"},
          {R"({"type":"integer","minimum":1})", "0",
           "spec.x: Invalid value: 0: spec.x in body should be greater than or equal to 1"},
          {R"({"type":"number","minimum":1,"exclusiveMinimum":true})", "1",
           "spec.x: Invalid value: 1: spec.x in body should be greater than 1"},
          {R"({"type":"number","maximum":1.5,"exclusiveMaximum":true})", "1.5",
           "spec.x: Invalid value: 1.5: spec.x in body should be less than 1.5"},
          {R"({"type":"number","multipleOf":0.1})", "0.3", ""},
          {R"({"type":"integer","multipleOf":5})", "7",
           "spec.x: Invalid value: 7: spec.x in body should be a multiple of 5"},
          {R"({"type":"string","minLength":2})", R"("a")",
           R"(spec.x: Invalid value: "a": spec.x in body should be at least 2 chars long)"},
          {R"({"type":"string","maxLength":2})", R"("äöü")", "spec.x: Too long: may not be more than 2 bytes"},
          {R"({"type":"string","maxLength":3})", R"("äöü")", ""},
          {R"({"type":"string","pattern":"^(\\d+|\\*)$"})", R"("abc")",
           R"(spec.x: Invalid value: "abc": spec.x in body should match '^(\d+|\*)$')"},
          {R"({"type":"string","pattern":"b+"})", R"("abbc")", ""},
          {R"({"type":"string","enum":["a","b"]})", R"("c")",
           R"(spec.x: Unsupported value: "c": supported values: "a", "b")"},
          {R"({"type":"array","maxItems":1,"items":{"type":"string"}})", R"(["a","b"])",
           "spec.x: Too many: 2: must have at most 1 items"},
          {R"({"type":"array","minItems":2,"items":{"type":"string"}})", R"(["a"])",
           "spec.x: Invalid value: 1: spec.x in body should have at least 2 items"},
          {R"({"type":"object","minProperties":1,"additionalProperties":{"type":"string"}})", "{}",
           "spec.x: Invalid value: 0: spec.x in body should have at least 1 properties"},
          {R"({"type":"object","required":["a"],"properties":{"a":{"type":"string"}}})", "{}",
           "spec.x.a: Required value"},
          {R"({"type":"object","additionalProperties":{"type":"integer"}})", R"({"k":"v"})",
           R"(spec.x.k: Invalid value: "string": spec.x.k in body must be of type integer: "string")"},
          {R"({"x-kubernetes-int-or-string":true})", "true",
           R"(spec.x: Invalid value: "boolean": spec.x in body must be of type integer,string: "boolean")"},
          {R"({"x-kubernetes-int-or-string":true})", R"("10%")", ""},
          {R"({"type":"object","oneOf":[{"required":["a"]},{"required":["b"]}]})", R"({"a":1,"b":2})",
           R"(spec.x: Invalid value: "": "spec.x" must validate one and only one schema (oneOf). Found 2 valid alternatives)"},
          {R"({"type":"object","oneOf":[{"required":["a"]},{"required":["b"]}]})", "{}",
           R"(spec.x: Invalid value: "": "spec.x" must validate one and only one schema (oneOf). Found none valid | spec.x.a: Required value)"},
          {R"({"type":"integer","anyOf":[{"minimum":10},{"maximum":1}]})", "5",
           R"(spec.x: Invalid value: "": "spec.x" must validate at least one schema (anyOf) | spec.x: Invalid value: 5: spec.x in body should be greater than or equal to 10)"},
          {R"({"type":"integer","allOf":[{"minimum":1},{"maximum":3}]})", "5",
           R"(spec.x: Invalid value: 5: spec.x in body should be less than or equal to 3 | spec.x: Invalid value: "": "spec.x" must validate all the schemas (allOf))"},
          {R"({"type":"integer","not":{"minimum":5}})", "5",
           R"(spec.x: Invalid value: "": "spec.x" must not validate the schema (not))"},
          {R"({"type":"array","x-kubernetes-list-type":"set","items":{"type":"string"}})", R"(["a","b","a"])",
           R"(spec.x[2]: Duplicate value: "a")"},
          {R"({"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["n"],"items":{"type":"object","properties":{"n":{"type":"string"}}}})",
           R"([{"n":"a"},{"n":"a"}])", R"(spec.x[1]: Duplicate value: {"n":"a"})"},
          {R"({"type":"object","x-kubernetes-embedded-resource":true,"x-kubernetes-preserve-unknown-fields":true})",
           R"({"kind":"Pod"})", "spec.x.apiVersion: Required value: must not be empty"},
      })
    CHECK(told(r.schema, r.value) == r.told);
}

TEST_CASE("structural: formats") {
  struct Row {
    const char *format, *good, *bad;
  };
  for (const Row& r : std::vector<Row>{{"date-time", "2026-01-02T03:04:05Z", "yesterday"},
                                       {"date", "2026-01-02", "2026-13-02"},
                                       {"duration", "1h30m", "soon"},
                                       {"ipv4", "10.0.0.1", "10.0.0.256"},
                                       {"ipv6", "fe80::1", "10.0.0.1"},
                                       {"cidr", "10.0.0.0/8", "10.0.0.0/33"},
                                       {"mac", "00:11:22:33:44:55", "00:11:22"},
                                       {"uuid", "a8098c1a-f86e-11da-bd1a-00112444be1e", "a8098c1a"},
                                       {"email", "a@example.org", "example.org"},
                                       {"hostname", "a.example.org", "-a"},
                                       {"uri", "https://example.org/a", "no uri"},
                                       {"byte", "aGVsbG8=", "a"},
                                       {"hexcolor", "#fff", "#ffff"},
                                       {"k8s-short-name", "web-1", "Web"}}) {
    CAPTURE(r.format);
    CHECK(has_format(r.good, r.format));
    CHECK_FALSE(has_format(r.bad, r.format));
  }
  CHECK(has_format("anything", "int-or-whatever"));
  CHECK(told(R"({"type":"string","format":"date-time"})", R"("x")") ==
        R"(spec.x: Invalid value: "x": spec.x in body must be of type date-time: "x")");
}

TEST_CASE("structural: unknown fields go, at every depth, and are named") {
  SchemaPtr s = compile(parse(R"({"type":"object","properties":{
    "spec":{"type":"object","properties":{
      "a":{"type":"string"},
      "list":{"type":"array","items":{"type":"object","properties":{"n":{"type":"string"}}}},
      "map":{"type":"object","additionalProperties":{"type":"object","properties":{"v":{"type":"integer"}}}},
      "free":{"type":"object","x-kubernetes-preserve-unknown-fields":true,"properties":{"known":{"type":"object","properties":{"x":{"type":"string"}}}}},
      "any":{"x-kubernetes-preserve-unknown-fields":true},
      "pod":{"type":"object","x-kubernetes-embedded-resource":true,"properties":{"spec":{"type":"object"}}}}}}})"));
  Node o = parse(
      R"({"apiVersion":"v1","kind":"K","metadata":{"name":"n"},"extra":1,"spec":{"a":"b","b":2,"list":[{"n":"x","m":1}],"map":{"k":{"v":1,"w":2}},
    "free":{"u":{"deep":1},"known":{"x":"y","z":1}},"any":{"p":[{"q":1}]},"pod":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"status":{},"spec":{"c":1}}}})");
  std::vector<std::string> issues;
  prune_object(o, *s, &issues);
  CHECK(
      o ==
      parse(
          R"({"apiVersion":"v1","kind":"K","metadata":{"name":"n"},"spec":{"a":"b","list":[{"n":"x"}],"map":{"k":{"v":1}},
    "free":{"u":{"deep":1},"known":{"x":"y"}},"any":{"p":[{"q":1}]},"pod":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{}}}})"));
  CHECK(issues == std::vector<std::string>{"unknown field \"extra\"", "unknown field \"spec.b\"",
                                           "unknown field \"spec.list[0].m\"", "unknown field \"spec.map.k.w\"",
                                           "unknown field \"spec.free.known.z\"", "unknown field \"spec.pod.status\"",
                                           "unknown field \"spec.pod.spec.c\""});
}

TEST_CASE("structural: metadata is typed, in the object and in embedded ones") {
  SchemaPtr s = compile(parse(
      R"({"type":"object","properties":{"pod":{"type":"object","x-kubernetes-embedded-resource":true,"x-kubernetes-preserve-unknown-fields":true}}})"));
  Node o = parse(R"({"metadata":{"name":"n","nmae":"m"},"pod":{"metadata":{"name":"p","labls":{}}}})");
  std::vector<std::string> issues;
  REQUIRE(decode_metadata(o, s.get(), &issues).ok());
  CHECK(o == parse(R"({"metadata":{"name":"n"},"pod":{"metadata":{"name":"p"}}})"));
  CHECK(issues == std::vector<std::string>{"unknown field \"metadata.nmae\"", "unknown field \"pod.metadata.labls\""});
  Node wrong = parse(R"({"metadata":{"labels":[1]}})");
  CHECK_FALSE(decode_metadata(wrong, s.get(), nullptr).ok());
}

TEST_CASE("structural: defaults fill what is absent or null, and nulls that may not be go") {
  SchemaPtr s = compile(parse(R"({"type":"object","properties":{"spec":{"type":"object","default":{},"properties":{
    "replicas":{"type":"integer","default":1},"mode":{"type":"string","default":"a","nullable":true},"plain":{"type":"string"},
    "ports":{"type":"array","items":{"type":"object","properties":{"protocol":{"type":"string","default":"TCP"}}}},
    "map":{"type":"object","additionalProperties":{"type":"object","properties":{"d":{"type":"integer","default":7}}}}}}}})"));
  struct Row {
    const char *in, *out;
  };
  for (
      const Row& r : std::vector<Row>{
          {"{}", R"({"spec":{"replicas":1,"mode":"a"}})"},
          {R"({"spec":{"replicas":null,"mode":null,"plain":null}})", R"({"spec":{"mode":null,"replicas":1}})"},
          {R"({"spec":{"replicas":3,"ports":[{},{"protocol":"UDP"}],"map":{"k":{}}}})",
           R"({"spec":{"replicas":3,"mode":"a","ports":[{"protocol":"TCP"},{"protocol":"UDP"}],"map":{"k":{"d":7}}}})"},
      }) {
    Node o = parse(r.in);
    fill_defaults(o, *s);
    CHECK(o == parse(r.out));
  }
}

TEST_CASE("structural: what was wrong before may stay while the rest changes") {
  SchemaPtr s = compile(parse(R"({"type":"object","properties":{"a":{"type":"integer","maximum":5},"b":{"type":"string"},
    "m":{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["k"],"items":{"type":"object","properties":{"k":{"type":"string"},"v":{"type":"integer","maximum":5}}}}}})"));
  auto mistakes = [&s](const char* now, const char* before) {
    std::vector<Cause> causes;
    Node old = parse(before);
    validate(parse(now), *s, "", causes, &old);
    return causes.size();
  };
  CHECK(mistakes(R"({"a":9,"b":"y"})", R"({"a":9,"b":"x"})") == 0);
  CHECK(mistakes(R"({"a":8,"b":"x"})", R"({"a":9,"b":"x"})") == 1);
  CHECK(mistakes(R"({"m":[{"k":"new","v":1},{"k":"a","v":9}]})", R"({"m":[{"k":"a","v":9}]})") == 0);
  CHECK(mistakes(R"({"m":[{"k":"b","v":9}]})", R"({"m":[{"k":"a","v":9}]})") == 1);
}

TEST_CASE("structural: how much defaults add is known before they are filled in") {
  SchemaPtr s = compile(parse(R"({"type":"object","properties":{"list":{"type":"array","items":{"type":"object","properties":{"d":{"type":"string","default":"0123456789"}}}}}})"));
  Node o = Node::obj({{"list", Node::array()}});
  for (int i = 0; i < 1000; ++i) o["list"].append(Node::object());
  size_t expected = bytes_of_defaults(o, *s), before = o.dump().size();
  fill_defaults(o, *s);
  CHECK(expected >= 1000 * 12);
  CHECK(o.dump().size() - before <= expected + 1000 * 4);
}
