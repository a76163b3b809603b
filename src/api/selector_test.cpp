#include "api/selector.h"

#include <catch2/catch.hpp>

using namespace k8lite;
using namespace k8lite::api;

TEST_CASE("label selector: what matches and how it prints") {
  auto labels = *json::Doc::parse(R"({"app":"web","tier":"front","n":"5","e":""})");
  struct Row { const char* text; bool matches; const char* printed; };
  for (auto r : {Row{"", true, ""}, {"app=web", true, "app=web"}, {"app == web , tier!=back", true, "app=web,tier!=back"},
                 {"app in (db, web)", true, "app in (db,web)"}, {"app notin (web)", false, "app!=web"}, {"gone notin (x,y)", true, "gone notin (x,y)"},
                 {"gone!=x", true, "gone!=x"}, {"app", true, "app"}, {"!app", false, "!app"}, {"!gone", true, "!gone"}, {"n>4", true, "n>4"},
                 {"n<5", false, "n<5"}, {"e=", true, "e="}, {"app>1", false, "app>1"}, {"e in (,x)", true, "e in (,x)"}}) {
    CAPTURE(r.text);
    auto s = LabelSelector::parse(r.text);
    INFO(s.status().message());
    REQUIRE(s.ok());
    CHECK(s->matches(labels.root()) == r.matches);
    CHECK(s->text() == r.printed);
  }
}

TEST_CASE("label selector: garbage is refused") {
  for (auto* text : {",", "a=b,", "a in b", "a in (b", "a b", "a=b=c", "!", "a>x", "-a=b", "a=-b", "(a)", "a!b"}) {
    CAPTURE(text);
    CHECK_FALSE(LabelSelector::parse(text).ok());
  }
}

TEST_CASE("label selector: objects, where missing matches nothing and empty everything") {
  auto labels = *json::Doc::parse(R"({"app":"web"})");
  auto from = [&labels](const char* text) {
    auto doc = *json::Doc::parse(text);
    auto s = LabelSelector::from_object(doc["s"]);
    return s.ok() && s->matches(labels.root());
  };
  CHECK_FALSE(from("{}"));
  CHECK(from(R"({"s":{}})"));
  CHECK(from(R"({"s":{"matchLabels":{"app":"web"},"matchExpressions":[{"key":"x","operator":"DoesNotExist"}]}})"));
  CHECK_FALSE(from(R"({"s":{"matchExpressions":[{"key":"app","operator":"NotIn","values":["web"]}]}})"));
  auto bad = *json::Doc::parse(R"([{"matchExpressions":[{"key":"a","operator":"Like"}]},{"matchExpressions":[{"key":"a","operator":"In"}]}])");
  for (json::Value v : bad.root().items()) CHECK_FALSE(LabelSelector::from_object(v).ok());
}

TEST_CASE("field selector: terms, escapes and errors") {
  auto pod = *json::Doc::parse(R"({"metadata":{"name":"a,b=c"},"spec":{"nodeName":"n1","unschedulable":true}})");
  for (auto* yes : {"", "spec.nodeName=n1", "spec.nodeName==n1,status.phase=", "spec.nodeName!=n2", "metadata.name=a\\,b\\=c", "spec.unschedulable=true"}) {
    CAPTURE(yes);
    auto s = FieldSelector::parse(yes);
    REQUIRE(s.ok());
    CHECK(s->matches(pod.root()));
  }
  CHECK_FALSE(FieldSelector::parse("spec.nodeName=n2")->matches(pod.root()));
  for (auto* bad : {"x", "=y", "a!b", "a=b=c", "a=\\x"}) CHECK_FALSE(FieldSelector::parse(bad).ok());
}
