#include "apiserver/stream/service_proxy.h"

#include <catch2/catch.hpp>

using namespace k8lite;
using namespace k8lite::apiserver;

TEST_CASE("proxy: names say scheme, name and port") {
  struct Row {
    const char *text, *scheme, *name, *port;
  };
  for (const Row& r : {Row{"web", "", "web", ""},
                       {"web:80", "", "web", "80"},
                       {"web:http", "", "web", "http"},
                       {"https:web:", "https", "web", ""},
                       {"http:web:80", "http", "web", "80"}}) {
    auto n = split_proxy_name(r.text);
    CAPTURE(r.text);
    REQUIRE(n.ok());
    CHECK(n->scheme == r.scheme);
    CHECK(n->name == r.name);
    CHECK(n->port == r.port);
  }
  for (const char* bad : {"", ":80", "ftp:web:21", "a:b:c:d", "web:0", "web:70000"}) {
    CAPTURE(bad);
    CHECK_FALSE(split_proxy_name(bad).ok());
  }
}

TEST_CASE("proxy: the target is what stands behind the subresource, as it was encoded") {
  CHECK(proxied_target("/api/v1/namespaces/x/services/web/proxy/a%20b/c?d=e", 7) == "/a%20b/c?d=e");
  CHECK(proxied_target("/api/v1/namespaces/x/services/web/proxy/", 7) == "/");
  CHECK(proxied_target("/api/v1/namespaces/x/services/web/proxy", 7).empty());
  CHECK(proxied_target("/api/v1/namespaces/x/services/web/proxy?a=b", 7) == "?a=b");
  CHECK(proxied_target("/api/v1/nodes/n1/proxy/metrics", 5) == "/metrics");
}

TEST_CASE("proxy: credentials stay here") {
  net::Headers out = proxied_headers({{"Authorization", "Bearer x"},
                                      {"Impersonate-User", "ann"},
                                      {"Accept", "text/html"},
                                      {"Connection", "keep-alive"},
                                      {"Host", "api"}});
  CHECK(out.rows().size() == 1);
  CHECK(out.get("Accept") == "text/html");
}
