#include <catch2/catch.hpp>

#include "net/http.h"

using namespace k8lite::net;

TEST_CASE("headers: names do not care for case, rows keep their order") {
  Headers h{{"Accept", "a"}, {"X", "1"}, {"accept", "b"}};
  CHECK(h.get("ACCEPT") == "a");
  CHECK(h.all("accept").size() == 2);
  h.set("accept", "c");
  CHECK(h.all("Accept") == std::vector<std::string_view>{"c"});
  h.remove("x");
  CHECK_FALSE(h.has("X"));
  CHECK(h.get("X").empty());
}

TEST_CASE("query: parameters are decoded and may come more than once") {
  Query q = Query::parse("labelSelector=a%3Db%2Cc&watch&command=ls&command=-l&x=1+2&&=e");
  CHECK(q.get("labelSelector") == "a=b,c");
  CHECK(q.has("watch"));
  CHECK(q.get("watch").empty());
  CHECK(q.all("command") == std::vector<std::string_view>{"ls", "-l"});
  CHECK(q.get("x") == "1 2");
  CHECK(q.get("") == "e");
  CHECK_FALSE(q.has("y"));
  CHECK(Query::parse("").rows().empty());
}

TEST_CASE("url: taken apart, or refused with the reason") {
  struct Row { const char *text, *host; int port; const char* target; };
  for (auto r : {Row{"https://h1:6443", "h1", 6443, "/"}, {"HTTP://a.b/x?y#z", "a.b", 80, "/x?y"}, {"https://[fd00::1]:1/v", "fd00::1", 1, "/v"},
                 {"https://[::1]", "::1", 443, "/"}, {"http://h?q", "h", 80, "/?q"}}) {
    CAPTURE(r.text);
    auto u = Url::parse(r.text);
    REQUIRE(u.ok());
    CHECK(u->host == r.host);
    CHECK(u->port == r.port);
    CHECK(u->target == r.target);
  }
  for (auto* bad : {"h1:6443", "ftp://x", "https://", "https://:1", "https://h:0", "https://h:70000", "https://h:", "https://u:p@h", "https://[::1", "https://[::1]x", "https://h/a b"}) {
    CAPTURE(bad);
    CHECK_FALSE(Url::parse(bad).ok());
  }
}
