#include "apiserver/request_info.h"

#include <catch2/catch.hpp>

using k8lite::apiserver::read_request_info;

TEST_CASE("request info: verbs and resources as the authoriser sees them") {
  struct Row { const char *method, *path, *watch, *fields, *want; };
  for (auto r : {Row{"GET", "/api/v1/pods", "", "", "list /v1 pods"},
                 {"GET", "/api/v1/namespaces/a/pods/web/log", "", "", "get /v1 pods/log ns=a name=web"},
                 {"GET", "/api/v1/namespaces/a/pods", "true", "", "watch /v1 pods ns=a"},
                 {"GET", "/api/v1/namespaces/a/secrets", "", "x=y,metadata.name=s", "list /v1 secrets ns=a name=s"},
                 {"GET", "/api/v1/namespaces/a/secrets", "", "metadata.name==s", "list /v1 secrets ns=a name=s"},
                 {"GET", "/api/v1/namespaces/a/secrets", "", "metadata.name!=s", "list /v1 secrets ns=a"},
                 {"GET", "/api/v1/namespaces/a/secrets", "", "type!=x\\,metadata.name\\=s", "list /v1 secrets ns=a"},
                 {"GET", "/api/v1/namespaces/a/secrets", "", "type!=x\\,metadata.name=s", "list /v1 secrets ns=a"},
                 {"POST", "/apis/apps/v1/namespaces/a/deployments", "", "", "create apps/v1 deployments ns=a"},
                 {"DELETE", "/apis/apps/v1/namespaces/a/deployments", "", "", "deletecollection apps/v1 deployments ns=a"},
                 {"DELETE", "/api/v1/nodes/n1", "", "", "delete /v1 nodes name=n1"},
                 {"PATCH", "/api/v1/nodes/n1/status", "", "", "patch /v1 nodes/status name=n1"},
                 {"GET", "/api/v1/namespaces/a", "", "", "get /v1 namespaces ns=a name=a"},
                 {"PUT", "/api/v1/namespaces/a/finalize", "", "", "update /v1 namespaces/finalize ns=a name=a"},
                 {"GET", "/api/v1/namespaces", "", "", "list /v1 namespaces"},
                 {"GET", "/apis/apps/v1", "", "", "get path=/apis/apps/v1"},
                 {"GET", "/healthz/", "", "", "get path=/healthz"},
                 {"GET", "/", "", "", "get path=/"}}) {
    CAPTURE(r.method, r.path);
    auto i = read_request_info(r.method, r.path, r.watch, r.fields);
    REQUIRE(i.ok());
    std::string got = i->verb;
    if (i->is_resource) {
      got += " " + i->group + "/" + i->version + " " + i->resource + (i->subresource.empty() ? "" : "/" + i->subresource);
      if (!i->ns.empty()) got += " ns=" + i->ns;
      if (!i->name.empty()) got += " name=" + i->name;
    } else {
      got += " path=" + i->path;
    }
    CHECK(got == r.want);
  }
}

TEST_CASE("request info: paths that could mean two things are refused") {
  for (auto* path : {"api/v1/pods", "/api/v1/../v1/pods", "/api/v1/%2e%2e/pods", "/api/v1/pods/%00", "/apis/a%2Fb/v1/pods/x", "/api/v1/namespaces/a%2Fb/pods/a%2Fb"})
    CHECK_FALSE(read_request_info("GET", path, "", "").ok());
  CHECK_FALSE(read_request_info("GET", "/" + std::string(5000, 'a'), "", "").ok());
}
