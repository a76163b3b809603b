#include "apiserver/pod_parts.h"

#include <catch2/catch.hpp>

using namespace k8lite;
using namespace k8lite::apiserver;
using json::Node;

TEST_CASE("pod parts: a subresource writes its part and nothing else") {
  Node current = *Node::parse(
      R"({"metadata":{"name":"p","labels":{"a":"b"},"resourceVersion":"5"},"spec":{"nodeName":"n","containers":[{"name":"c","image":"i","resources":{"limits":{"cpu":"1"}}}]}})");
  Node wanted = *Node::parse(
      R"({"metadata":{"name":"p","labels":{}},"spec":{"nodeName":"other","containers":[{"name":"c","image":"evil","resources":{"limits":{"cpu":"2"}}},{"name":"d"}],"ephemeralContainers":[{"name":"e"}]}})");
  CHECK(
      with_pod_part(current, wanted, "resize").dump() ==
      R"({"metadata":{"name":"p","labels":{"a":"b"}},"spec":{"nodeName":"n","containers":[{"name":"c","image":"i","resources":{"limits":{"cpu":"2"}}}]}})");
  CHECK(
      with_pod_part(current, wanted, "ephemeralcontainers").dump() ==
      R"({"metadata":{"name":"p","labels":{"a":"b"}},"spec":{"nodeName":"n","containers":[{"name":"c","image":"i","resources":{"limits":{"cpu":"1"}}}],"ephemeralContainers":[{"name":"e"}]}})");
  CHECK(writes_pod_part("resize"));
  CHECK_FALSE(writes_pod_part("status"));
}
