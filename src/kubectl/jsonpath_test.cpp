// Tables of templates and what they print.
#include <catch2/catch.hpp>

#include "kubectl/jsonpath.h"

namespace k8lite::kubectl {
namespace {

const char* kList = R"({"kind":"List","items":[
  {"kind":"None","metadata":{"name":"127.0.0.1","labels":{"kubernetes.io/hostname":"a"}},"status":{"capacity":{"cpu":"4"},"addresses":[{"type":"LegacyHostIP","address":"127.0.0.1"}]},"n":1},
  {"kind":"None","metadata":{"name":"127.0.0.2"},"status":{"capacity":{"cpu":"8"},"addresses":[{"type":"LegacyHostIP","address":"127.0.0.2"},{"type":"another","address":"127.0.0.3"}]},"n":2,"ready":true}],
  "users":[{"name":"myself","user":{}},{"name":"e2e","user":{"username":"admin","password":"secret"}}]})";

struct Row {
  const char *expression, *expected;
};

}  // namespace

TEST_CASE("jsonpath: templates print what the documentation says") {
  auto root = json::Node::parse(kList);
  REQUIRE(root.ok());
  const Row rows[] = {
      {"kind is {.kind}", "kind is List"},
      {"{['kind']}", "List"},
      {"{..name}", "127.0.0.1 127.0.0.2 myself e2e"},
      {"{.items[*].metadata.name}", "127.0.0.1 127.0.0.2"},
      {"{.users[0].name}", "myself"},
      {"{.users[-1].name}", "e2e"},
      {"{.users[-1:].name}", "e2e"},
      {"{.items[0:1].metadata.name}", "127.0.0.1"},
      {"{.items[*]['metadata.name', 'status.capacity']}", ""},
      {"{.items[*]['kind','n']}", "None 1 None 2"},
      {"{.users[?(@.name==\"e2e\")].user.password}", "secret"},
      {"{.users[?(@.name!='e2e')].name}", "myself"},
      {"{.items[?(@.n>1)].metadata.name}", "127.0.0.2"},
      {"{.items[?(@.n<=1)].metadata.name}", "127.0.0.1"},
      {"{.items[?(@.ready==true)].n}", "2"},
      {"{.items[?(@.ready)].n}", "2"},
      {"{range .items[*]}[{.metadata.name}, {.status.capacity}] {end}", "[127.0.0.1, {\"cpu\":\"4\"}] [127.0.0.2, {\"cpu\":\"8\"}] "},
      {"{range .items[*]}{.metadata.name}{\"\\t\"}{.n}{\"\\n\"}{end}", "127.0.0.1\t1\n127.0.0.2\t2\n"},
      {"{.items[*].metadata.labels.kubernetes\\.io/hostname}", "a"},
      {"{.items[0].metadata.labels['kubernetes\\.io/hostname']}", "a"},
      {"{.items[0].metadata.labels[\"kubernetes.io/hostname\"]}", "a"},
      {"{range .items[*]}{range .status.addresses[*]}{.address},{end}{end}", "127.0.0.1,127.0.0.2,127.0.0.3,"},
      {"{@.kind}{$.kind}", "ListList"},
      {"{.missing.deep[0]}x", "x"},
      {"{.users[0].user}", "{}"},
      {"{.users.*.name}", "myself e2e"},
      {".kind", ".kind"},
  };
  for (const Row& r : rows) {
    INFO(r.expression);
    auto path = JsonPath::parse(r.expression);
    REQUIRE(path.ok());
    CHECK(path->render(*root) == r.expected);
  }
}

TEST_CASE("jsonpath: the lax form takes braces, a dot or neither") {
  auto root = json::Node::parse(R"({"a":{"b":3}})");
  for (const char* text : {"{.a.b}", ".a.b", "a.b"}) {
    auto path = JsonPath::parse_relaxed(text);
    REQUIRE(path.ok());
    auto found = path->find(*root);
    REQUIRE(found.size() == 1);
    CHECK(found[0]->int_or(0) == 3);
  }
}

TEST_CASE("jsonpath: malformed templates are refused") {
  for (const char* text : {"{.a", "{range .items[*]}{.a}", "{end}", "{.a[1:2:3:4]}", "{.a[x]}", "{'abc}", "{.a[?(@.b==]}"}) {
    INFO(text);
    CHECK_FALSE(JsonPath::parse(text).ok());
  }
}

}  // namespace k8lite::kubectl
