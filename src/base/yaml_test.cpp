#include "base/yaml.h"

#include <catch2/catch.hpp>

using namespace k8lite;
using json::Node;

namespace {
Node one(std::string_view text) {
  auto r = parse_yaml(text, "t");
  INFO((r.ok() ? std::string() : r.status().message()));
  REQUIRE(r.ok());
  REQUIRE(r->size() == 1);
  return r->at(0).value;
}
}  // namespace

TEST_CASE("yaml: scalars resolve as Kubernetes' tools resolve them") {
  struct Row {
    const char *yaml, *json;
  };
  for (const Row& row : {Row{"a: 1", R"({"a":1})"}, {"a: 0644", R"({"a":420})"}, {"a: 0x1F", R"({"a":31})"}, {"a: '1'", R"({"a":"1"})"},
                         {"a: yes", R"({"a":true})"}, {"a: off", R"({"a":false})"}, {"a: ~", R"({"a":null})"}, {"a:", R"({"a":null})"},
                         {"a: 1.5", R"({"a":1.5})"}, {"a: 1.2.3", R"({"a":"1.2.3"})"}, {"a: 100m", R"({"a":"100m"})"}, {"a: 12:30", R"({"a":"12:30"})"},
                         {"a: -5", R"({"a":-5})"}, {"a: |\n  x\n  y\n", R"({"a":"x\ny\n"})"}, {"[1, two, {x: z, b: y}]", R"([1,"two",{"x":"z","b":true}])"},
                         {"a: &x {b: 1}\nc: *x", R"({"a":{"b":1},"c":{"b":1}})"}, {"a: &x {b: 1}\nc:\n  <<: *x\n  d: 2", R"({"a":{"b":1},"c":{"b":1,"d":2}})"},
                         {R"({"json": [true, null]})", R"({"json":[true,null]})"}, {"1: a", R"({"1":"a"})"}}) {
    CAPTURE(row.yaml);
    CHECK(one(row.yaml) == Node::parse(row.json).value());
  }
}

TEST_CASE("yaml: several documents, duplicates and errors with their place") {
  auto r = parse_yaml("a: 1\n---\nb:\n  c: 1\n  c: 2\n---\n", "f.yaml");
  REQUIRE(r.ok());
  REQUIRE(r->size() >= 2);
  CHECK(r->at(1).duplicates == std::vector<std::string>{"b.c"});
  CHECK(r->at(1).value.path("b.c").int_or(0) == 2);
  auto bad = parse_yaml("a: 1\nb: [1, 2\nc: 3\n", "f.yaml");
  REQUIRE(!bad.ok());
  CHECK(bad.status().message().find("f.yaml: line ") == 0);
  CHECK(!parse_yaml("a: \t- b\n  c", "f").ok());
}

TEST_CASE("yaml: hostile texts are refused, not followed") {
  CHECK(!parse_yaml(std::string(200'000, '['), "f").ok());
  CHECK(!parse_yaml(std::string(200'000, '{'), "f").ok());
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 12; ++i) {
    std::string p = std::to_string(i - 1), n = std::to_string(i);
    bomb += "a" + n + ": &a" + n + " [*a" + p + ",*a" + p + ",*a" + p + ",*a" + p + ",*a" + p + ",*a" + p + ",*a" + p + ",*a" + p + "]\n";
  }
  CHECK(!parse_yaml(bomb, "f").ok());
}

TEST_CASE("yaml: bytes that are not UTF-8 are refused with their line") {
  for (const char* text : {"a: b\nc: \xff\xfa\n", "a: b\n\xc3\x28: x\n", "- a\n- \"\xed\xa0\x80\"\n"}) {
    auto r = parse_yaml(text, "x");
    REQUIRE(!r.ok());
    CHECK(r.status().message() == "x: line 2: the text is not valid UTF-8");
  }
  CHECK_FALSE(parse_yaml(std::string("\0\0\0a", 4), "x").ok());
  CHECK(parse_yaml("a: \xc3\xa9\xf0\x9f\x90\x99\n", "x").ok());
}

TEST_CASE("yaml: no character makes the parser run for ever") {
  for (const char* around : {"", "a: b\n", "---\na\n---\n", "- a\n", "a: {b: c}\n...\n"})
    for (int c = 1; c < 128; ++c) {
      CAPTURE(around, c);
      auto r = parse_yaml(std::string(around) + static_cast<char>(c), "x");
      if (r.ok()) CHECK(r->size() <= 4);
    }
}

TEST_CASE("yaml: what is printed reads back the same") {
  for (const char* text : {R"({"a":{"b":[1,{"c":"d","e":[]},[2,3]],"f":{}},"z":null})", R"({"s":["yes","1","","a: b","x\ny","x\ny\n","  lead","#c","it's","tab\there","null","2024-01-02","-","- a","0644","é"]})",
                           R"([[1,[2]],{"a":[{"b":"c"}]}])", R"("x")", R"("a &:a {| ]\n;b")", "{}", R"({"k":"line one\n  indented\n\nlast\n\n"})"}) {
    Node n = Node::parse(text).value();
    std::string yaml = dump_yaml(n);
    CAPTURE(yaml);
    CHECK(one(yaml) == n);
  }
  CHECK(dump_yaml(Node::parse(R"({"b":[{"x":1,"y":2}],"a":"t"})").value()) == "a: t\nb:\n- x: 1\n  \"y\": 2\n");
}
