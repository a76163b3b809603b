#include "apiserver/http/indent.h"

#include <catch2/catch.hpp>

#include "base/json.h"

using namespace k8lite;
using apiserver::Indenter;

TEST_CASE("indent: a document is the same indented, wherever it is cut") {
  const std::string json = R"({"a":{},"b":[],"c":[1,2,{"d":"x: {\"},\\"}],"e":null,"f":[[]]})";
  const std::string wanted = "{\n  \"a\": {},\n  \"b\": [],\n  \"c\": [\n    1,\n    2,\n    {\n      \"d\": \"x: {\\\"},\\\\\"\n    }\n  ],\n  \"e\": null,\n  \"f\": [\n    []\n  ]\n}";
  for (size_t cut = 0; cut <= json.size(); ++cut) {
    Indenter indenter;
    std::string out;
    indenter.feed(std::string_view(json).substr(0, cut), out);
    indenter.feed(std::string_view(json).substr(cut), out);
    REQUIRE(out == wanted);
  }
  CHECK(json::Node::parse(wanted).value() == json::Node::parse(json).value());
}

TEST_CASE("indent: what is no JSON passes") {
  Indenter indenter;
  std::string out;
  indenter.feed("]]}}\"\\", out);
  CHECK(out == "]]}}\"\\");
}
