// Templates against what Go's text/template makes of them.
#include "kubectl/go_template.h"

#include <catch2/catch.hpp>

namespace k8lite::kubectl {
namespace {

std::string made(const char* text) {
  static const json::Node data =
      *json::Node::parse(R"({"name":"web","n":3,"big":1000000,"half":0.5,"on":true,"none":null,"list":["a","b"],"map":{"k":"v","a-b":1},"secret":"aGk=","items":[{"m":{"name":"x"}},{"m":{"name":"y"}}]})");
  auto t = GoTemplate::parse(text);
  if (!t.ok()) return t.status().message();
  std::string out;
  auto done = t->render(data, out);
  return done.ok() ? out : done.status().message();
}

}  // namespace

TEST_CASE("go-template: values print as Go prints them") {
  CHECK(made("a{{.name}}b") == "awebb");
  CHECK(made("{{.n}} {{.big}} {{.half}} {{.on}} {{.none}} {{.nix}} {{.nix.deep}}") == "3 1000000 0.5 true <no value> <no value> <no value>");
  CHECK(made("{{.list}} {{.map}}") == "[a b] map[a-b:1 k:v]");
  CHECK(made("a {{- .name -}} b {{- /* note */ -}} c") == "awebbc");
  CHECK(made("{{\"x\\ty\"}}{{`\\n`}}{{12}}") == "x\ty\\n12");
}

TEST_CASE("go-template: ranges, conditions and variables") {
  CHECK(made("{{range .items}}{{.m.name}},{{end}}") == "x,y,");
  CHECK(made("{{range $i, $e := .list}}{{$i}}={{$e}} {{$.name}};{{end}}") == "0=a web;1=b web;");
  CHECK(made("{{range $k, $v := .map}}{{$k}}:{{$v}} {{end}}") == "a-b:1 k:v ");
  CHECK(made("{{range .nix}}x{{else}}empty{{end}}") == "empty");
  CHECK(made("{{if eq .name \"no\"}}1{{else if .on}}2{{else}}3{{end}}") == "2");
  CHECK(made("{{with .map}}{{.k}}{{end}}{{with .nix}}x{{else}}y{{end}}") == "vy");
  CHECK(made("{{$x := 1}}{{range .list}}{{$x = .}}{{end}}{{$x}}") == "b");
  CHECK(made("{{range .list}}{{if eq . \"b\"}}{{break}}{{end}}{{.}}{{end}}") == "a");
}

TEST_CASE("go-template: functions and pipelines") {
  CHECK(made("{{len .list}} {{index .list 1}} {{index .map \"a-b\"}} {{slice .name 1}}") == "2 b 1 eb");
  CHECK(made("{{.secret | base64decode}} {{exists .map \"k\"}} {{exists .map \"z\"}}") == "hi true false");
  CHECK(made("{{printf \"%-5s|%5v|%q\" .name .n .name}}") == "web  |    3|\"web\"");
  CHECK(made("{{print 1 2 \"x\"}}{{println .on}}") == "1 2xtrue\n");
  CHECK(made("{{and .on .name}} {{or .nix .name}} {{not .on}} {{(index .items 0).m.name}}") == "web web false x");
  CHECK(made("{{html \"<a>\"}}") == "&lt;a&gt;");
  CHECK(made("{{if and (eq .name \"web\") (gt .half 0.1)}}both{{end}}") == "both");
}

TEST_CASE("go-template: errors are worded as Go words them") {
  CHECK(made("{{.x") == "template: output:1: unclosed action");
  CHECK(made("{{if .x}}") == "template: output:1: unexpected EOF");
  CHECK(made("{{end}}") == "template: output:1: unexpected {{end}}");
  CHECK(made("{{nope}}") == "template: output:1: function \"nope\" not defined");
  CHECK(made("{{eq .n 3}}") == "true");
  CHECK(made("{{eq .n \"3\"}}") == "template: output:1:2: executing \"output\" at <eq .n \"3\">: error calling eq: incompatible types for comparison");
  CHECK(made("{{index .list 5}}") == "template: output:1:2: executing \"output\" at <index .list 5>: error calling index: index out of range: 5");
  CHECK(made("a\n {{.name.x}}") == "template: output:2:3: executing \"output\" at <.name.x>: can't evaluate field x in type string");
  CHECK(made("{{template \"x\"}}") == "template: output:1: {{template}} is not in this kubectl");
}

}  // namespace k8lite::kubectl
