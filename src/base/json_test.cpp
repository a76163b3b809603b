#include "base/json.h"

#include <catch2/catch.hpp>

using namespace k8lite;
using json::Doc;
using json::Node;

TEST_CASE("json: a document reads back by field, index and path") {
  auto doc = Doc::parse(R"({ "a" : {"b":[1, 2.5, {"c":"x\"y\u00e9\n"}], "e":{}}, "z": null, "t": true, "n": -7 })");
  REQUIRE(doc.ok());
  CHECK((*doc)["a"]["b"].at(1).double_or(0) == 2.5);
  CHECK((*doc)["a"]["b"].at(2)["c"].str() == "x\"y\xc3\xa9\n");
  CHECK(doc->path("a.b").size() == 3);
  CHECK((*doc)["n"].int_or(0) == -7);
  CHECK((*doc)["t"].bool_or(false));
  CHECK((*doc)["z"].is_null());
  CHECK((*doc)["a"]["e"].empty());
  CHECK_FALSE((*doc)["nothing"]["at"]["all"].exists());
  CHECK(doc->bytes() == R"({"a":{"b":[1,2.5,{"c":"x\"yé\n"}],"e":{}},"z":null,"t":true,"n":-7})");
  CHECK(doc->to_node().dump() == doc->bytes());
}

TEST_CASE("json: control characters survive the canonical form") {
  Node n = Node::obj({{"k\x01", std::string("a\0b\x1f", 4)}});
  Doc d = Doc::from(n);
  CHECK(d["k\x01"].str() == std::string("a\0b\x1f", 4));
  auto again = Doc::parse(d.bytes());
  REQUIRE(again.ok());
  CHECK(again->bytes() == d.bytes());
}

TEST_CASE("json: 200k nested brackets are refused, not a crash") {
  std::string deep(200000, '[');
  auto r = Node::parse(deep);
  REQUIRE_FALSE(r.ok());
  CHECK(r.status().message() == "invalid JSON: nested deeper than 512 levels");
}

TEST_CASE("json: garbage is refused with its place") {
  for (auto* text : {"", "{", "{\"a\":}", "[1,]", "nul", "{\"a\":1}x", "\"\xff\"", "01"}) CHECK_FALSE(Node::parse(text).ok());
}

TEST_CASE("json: of duplicate keys the last wins and each is named") {
  std::vector<std::string> dup;
  auto r = Node::parse(R"({"spec":{"a":1,"l":[{"x":1,"x":2}],"a":2}})", {.duplicates = &dup});
  REQUIRE(r.ok());
  CHECK(r->path("spec.a").int_or(0) == 2);
  CHECK(dup == std::vector<std::string>{"spec.l[0].x", "spec.a"});
}

TEST_CASE("json: numbers keep their kind") {
  auto r = Node::parse("[1,1.0,1e3,18446744073709551615,-9223372036854775808,0.1]");
  REQUIRE(r.ok());
  CHECK(r->items()[0].is_integer());
  CHECK_FALSE(r->items()[1].is_integer());
  CHECK(r->items()[0] == r->items()[1]);
  CHECK(r->dump() == "[1,1,1000,18446744073709551616,-9223372036854775808,0.1]");
}
