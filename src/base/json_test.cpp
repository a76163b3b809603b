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

TEST_CASE("json: escapes and characters beyond ASCII mean what they should") {
  auto r = Node::parse(R"(["\"\\\/\b\f\n\r\t", "\u00e9\ud83d\ude00\u0000", "é😀 and plain text that is longer than a word"])");
  REQUIRE(r.ok());
  CHECK(r->items()[0].str() == "\"\\/\b\f\n\r\t");
  CHECK(r->items()[1].str() == std::string("\xc3\xa9\xf0\x9f\x98\x80\0", 7));
  CHECK(r->items()[2].str() == "é😀 and plain text that is longer than a word");
  CHECK(Node::parse("\xEF\xBB\xBF {\"a\":1}\n").ok());  // a byte order mark
}

TEST_CASE("json: what RFC 8259 does not allow is refused") {
  for (auto* text : {"\"\\ud800\"", "\"\\udc00\\ud800\"", "\"\\ud800x\"", "\"\\u12g4\"", "\"\\u12", "\"\\x\"", "\"\\", "\"a\nb\"", "\"abc", "-", "1.", ".5", "1e", "1e+", "+1", "0x1", "1e999", "-01", "tru", "[1 2]", "{\"a\" 1}",
                     "{a:1}", "{\"a\":1,}", "[", "[1", "{\"a\":1", "{\"a\"", "]", "1 2", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe2\x82\"", "\"seven7 \x80\"", " "}) {
    INFO(text);
    CHECK_FALSE(Node::parse(text).ok());
  }
  CHECK(Node::parse("1e-999")->double_or(1) == 0);
  CHECK(Node::parse("{\"a\":1}x").status().message() == "invalid JSON at byte 7: something follows the value");
}

TEST_CASE("json: the index made while writing is that of the bytes") {
  for (auto* text : {"1", "\"x\"", "{}", "[]", R"({"a":{"b":[1,{"c":[]},"}]"],"d":{}},"e":[[],[[]]]})"}) {
    Doc written = *Doc::parse(text), read = Doc::from_canonical(text);
    CHECK(written.bytes() == read.bytes());
    CHECK(written.memory() == read.memory());
    CHECK(written["e"].at(1).raw() == read["e"].at(1).raw());
    CHECK(written.path("a.d").raw() == read.path("a.d").raw());
    CHECK(written.to_node() == read.to_node());
  }
}

TEST_CASE("json: nodes of every kind are copied, moved and put into their own parents") {
  Node n = Node::obj({{"s", "text that is longer than a small string may be"}, {"a", Node::arr({1, 2.5, nullptr, true})}, {"o", Node::obj({{"k", "v"}})}});
  Node copy = n;
  CHECK(copy == n);
  copy = copy["o"];
  CHECK(copy.dump() == R"({"k":"v"})");
  copy = std::move(copy["k"]);
  CHECK(copy.str() == "v");
  Node moved = std::move(n);
  CHECK(moved["a"].items()[1].double_or(0) == 2.5);
  moved["a"] = moved;
  CHECK(moved["a"]["o"]["k"].str() == "v");
  CHECK(Node("x").items().empty());
  CHECK(Node("x").members().empty());
  CHECK(Node(1).str().empty());
}
