#include "api/patch/patch.h"

#include <catch2/catch.hpp>
#include <random>

using namespace k8lite;
using namespace k8lite::api::patch;
using json::Node;

namespace {

Node node(const std::string& text) {
  auto n = Node::parse(text);
  INFO(text);
  REQUIRE(n.ok());
  return *n;
}

// A random document of small alphabet, so that two of them often share members.
Node random_node(std::mt19937& rng, int depth) {
  switch (rng() % (depth > 0 ? 5 : 3)) {
    case 0: return static_cast<int64_t>(rng() % 3);
    case 1: return std::string(1, static_cast<char>('a' + rng() % 3));
    case 2: return rng() % 2 == 0;
    case 3: {
      Node n = Node::array();
      for (size_t i = rng() % 3; i > 0; --i) n.append(random_node(rng, depth - 1));
      return n;
    }
    default: {
      Node n = Node::object();
      for (size_t i = rng() % 4; i > 0; --i) n.set(std::string(1, static_cast<char>('k' + rng() % 4)), random_node(rng, depth - 1));
      return n;
    }
  }
}

}  // namespace

TEST_CASE("json patch: operations change what they name") {
  struct Row { const char *document, *patch, *want; };
  for (auto r : {Row{R"({"a":1})", R"([{"op":"add","path":"/b","value":{"c":[]}},{"op":"add","path":"/b/c/-","value":2},{"op":"add","path":"/b/c/0","value":1}])", R"({"a":1,"b":{"c":[1,2]}})"},
                 {R"({"a":[1,2,3]})", R"([{"op":"remove","path":"/a/1"}])", R"({"a":[1,3]})"},
                 {R"({"a/b":{"m~n":1}})", R"([{"op":"replace","path":"/a~1b/m~0n","value":null}])", R"({"a/b":{"m~n":null}})"},
                 {R"({"a":{"x":1},"b":{}})", R"([{"op":"move","from":"/a/x","path":"/b/y"},{"op":"copy","from":"/b","path":"/c"}])", R"({"a":{},"b":{"y":1},"c":{"y":1}})"},
                 {R"({"a":1})", R"([{"op":"test","path":"/a","value":1.0},{"op":"replace","path":"","value":[]}])", "[]"},
                 {R"({})", R"([{"op":"add","path":"/","value":1}])", R"({"":1})"}}) {
    CAPTURE(r.patch);
    auto got = apply_json_patch(node(r.document), node(r.patch));
    INFO(got.status().message());
    REQUIRE(got.ok());
    CHECK(got->dump() == r.want);
  }
}

TEST_CASE("json patch: what cannot be done is named") {
  struct Row { const char* patch; Reason reason; const char* part; };
  for (auto r : {Row{R"([{"op":"remove","path":"/x"}])", Reason::Invalid, "operation 0 (remove /x): there is no member \"x\""},
                 {R"([{"op":"test","path":"/a/0","value":7}])", Reason::Invalid, "the value is 1, not 7"},
                 {R"([{"op":"add","path":"/a/9","value":7}])", Reason::Invalid, "index 9 is out of bounds"},
                 {R"([{"op":"add","path":"/a/01","value":7}])", Reason::Invalid, "is no array index"},
                 {R"([{"op":"replace","path":"/s/x","value":7}])", Reason::Invalid, "nothing below"},
                 {R"([{"op":"move","from":"/o","path":"/o/p"}])", Reason::Invalid, "into itself"},
                 {R"([{"op":"jump","path":"/a"}])", Reason::BadRequest, "unknown operation"},
                 {R"([{"op":"add","path":"a","value":1}])", Reason::BadRequest, "does not start with"},
                 {R"([{"op":"add","path":"/~2","value":1}])", Reason::BadRequest, "neither ~0 nor ~1"},
                 {R"([{"op":"add","path":"/b"}])", Reason::BadRequest, "\"value\" is missing"},
                 {R"({"op":"add"})", Reason::BadRequest, "array of operations"},
                 {R"([7])", Reason::BadRequest, "must be strings"}}) {
    CAPTURE(r.patch);
    auto got = apply_json_patch(node(R"({"a":[1],"s":"t","o":{"p":1}})"), node(r.patch));
    REQUIRE_FALSE(got.ok());
    CHECK(got.status().is(r.reason));
    CHECK_THAT(got.status().message(), Catch::Contains(r.part));
  }
}

TEST_CASE("merge patch: the examples of RFC 7386") {
  struct Row { const char *document, *patch, *want; };
  for (auto r : {Row{R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"}, {R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
                 {R"({"a":"b"})", R"({"a":null})", "{}"}, {R"({"a":["b"]})", R"({"a":"c"})", R"({"a":"c"})"},
                 {R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"}, {R"(["a"])", R"({"a":1})", R"({"a":1})"},
                 {R"({"e":null})", R"({"a":1})", R"({"e":null,"a":1})"}, {"{}", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"},
                 {R"({"a":"foo"})", "null", "null"}})
    CHECK(apply_merge_patch(node(r.document), node(r.patch)).dump() == r.want);
}

TEST_CASE("merge patch: applying the difference of two documents gives the second") {
  std::mt19937 rng(3);
  for (int i = 0; i < 3000; ++i) {
    Node a = random_node(rng, 4), b = random_node(rng, 4);
    Node diff = make_merge_patch(a, b);
    CAPTURE(a.dump(), b.dump(), diff.dump());
    Node got = apply_merge_patch(a, diff);
    REQUIRE(got == b);
    REQUIRE(apply_merge_patch(got, diff) == b);
    if (a.is_object() && a == b) REQUIRE(diff.empty());
  }
}
