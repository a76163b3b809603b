// KYAML as kubectl 1.35 prints it.
#include "kubectl/kyaml.h"

#include <catch2/catch.hpp>

namespace k8lite::kubectl {

TEST_CASE("kyaml: braces, quoted texts and cuddled lists of objects") {
  auto n = json::Node::parse(R"({"b":[{"x":1},{"y":"no"}],"a":["p",2],"e":{},"l":[],"t":true,"x.io/k":null})");
  REQUIRE(n.ok());
  CHECK(dump_kyaml(*n) ==
        "---\n{\n  a: [\n    \"p\",\n    2,\n  ],\n  b: [{\n    x: 1,\n  }, {\n    \"y\": \"no\",\n  }],\n  e: {},\n  l: [],\n  \"t\": true,\n  x.io/k: null,\n}\n");
}

TEST_CASE("kyaml: texts of several lines stand below each other") {
  auto n = json::Node::parse(R"({"k":"one\n  two\n","m":"a\n\nb"})");
  REQUIRE(n.ok());
  CHECK(dump_kyaml(*n) == "---\n{\n  k: \"\\\n     one\\n\\\n    \\  two\\n\\\n    \",\n  m: \"\\\n     a\\n\\\n     \\n\\\n     b\\\n    \",\n}\n");
}

}  // namespace k8lite::kubectl
