// Health, metrics and the headers of every answer, as clients see them.
#include <catch2/catch.hpp>

#include "apiserver/http/health.h"
#include "base/strings.h"
#include "support/api_world.h"

using namespace k8lite;
using namespace k8lite::apiserver;
using testing::ApiWorld;

TEST_CASE("health: every endpoint tells its checks, may leave some out, and names none that is not there") {
  Health h;
  bool good = true;
  h.add(kEverywhere, "ping", [] { return std::string(); });
  h.add(kReadyz, "disk", [&good] { return std::string(good ? "" : "the disk is full"); });
  auto ask = [&h](const char* path, const char* query = "") { return h.ask(path, net::Query::parse(query)); };
  CHECK(ask("/readyz").text == "ok");
  CHECK(ask("/readyz", "verbose").text == "[+]ping ok\n[+]disk ok\nreadyz check passed\n");
  CHECK(ask("/livez", "verbose=1").text == "[+]ping ok\nlivez check passed\n");
  CHECK(ask("/readyz/ping").text == "ok");
  CHECK(ask("/livez/disk").code == 404);
  CHECK(ask("/readyz/nothing").code == 404);
  CHECK(ask("/healthz", "verbose&exclude=nothing").text ==
        "[+]ping ok\nwarn: some health checks cannot be excluded: no matches for \"nothing\"\nhealthz check passed\n");
  good = false;
  CHECK(ask("/readyz").code == 500);
  CHECK(ask("/readyz").text == "[+]ping ok\n[-]disk failed: reason withheld\nreadyz check failed\n");
  CHECK(ask("/readyz/disk").text == "internal server error: the disk is full\n");
  CHECK(ask("/readyz", "exclude=disk").text == "ok");
  CHECK(ask("/readyz", "verbose&exclude=ping,disk").text ==
        "[+]ping excluded: ok\n[+]disk excluded: ok\nreadyz check passed\n");
  CHECK(ask("/livez").code == 200);
}

TEST_CASE("health: a server that has begun is ready, and anybody may ask the whole but not the parts") {
  ApiWorld w;
  CHECK(w.ask("GET", "/readyz").status == 500);
  CHECK(w.ask("GET", "/livez").body == "ok");
  w.api->set_ready(true);
  auto verbose = w.ask("GET", "/readyz?verbose");
  CHECK(verbose.status == 200);
  CHECK(verbose.headers.get("Content-Type") == "text/plain; charset=utf-8");
  for (const char* check :
       {"[+]ping ok\n", "[+]etcd ok\n", "[+]poststarthook/rbac/bootstrap-roles ok\n", "readyz check passed\n"})
    CHECK(verbose.body.find(check) != std::string::npos);
  struct Row {
    const char *token, *path;
    int code;
  };
  for (Row r : {Row{"", "/readyz", 200},
                {"", "/livez?verbose", 200},
                {"", "/readyz/ping", 403},
                {"ann", "/readyz/ping", 403},
                {"admin", "/readyz/ping", 200},
                {"admin", "/readyz/none", 404},
                {"admin", "/healthzz", 404},
                {"", "/version", 200},
                {"", "/api", 403},
                {"ann", "/api", 200},
                {"", "/metrics", 403},
                {"ann", "/metrics", 403},
                {"admin", "/debug/pprof/", 404},
                {"ann", "/debug/pprof/", 403},
                {"admin", "/nothing", 404}}) {
    CAPTURE(r.token, r.path);
    CHECK(w.ask("GET", r.path, "", {}, r.token).status == r.code);
  }
}

TEST_CASE("metrics: requests are counted under Kubernetes' names, and clients cannot add to them") {
  ApiWorld w;
  w.ask("GET", "/api/v1/namespaces/default/configmaps/nope");
  w.ask("POST", "/api/v1/namespaces/default/configmaps", R"({"metadata":{"name":"a"}})");
  w.ask("POST", "/api/v1/namespaces/default/configmaps?dryRun=All", R"({"metadata":{"name":"b"}})");
  w.ask("GET", "/apis/apps/v1/deployments");
  w.ask("GET", "/apis/made.up/v1/things/" + std::string(50, 'x'));
  w.ask("GET", "/some/path/of/mine");
  w.ask("GET", "/api/v1/pods", "", {}, "wrong");
  std::string text = w.ask("GET", "/metrics").body;
  for (const char* line :
       {"apiserver_request_total{verb=\"GET\",dry_run=\"\",group=\"\",version=\"v1\",resource=\"configmaps\","
        "subresource=\"\",scope=\"resource\",component=\"apiserver\",code=\"404\"} 1\n",
        "apiserver_request_total{verb=\"POST\",dry_run=\"\",group=\"\",version=\"v1\",resource=\"configmaps\","
        "subresource=\"\",scope=\"resource\",component=\"apiserver\",code=\"201\"} 1\n",
        "apiserver_request_total{verb=\"POST\",dry_run=\"All\",group=\"\",version=\"v1\",resource=\"configmaps\","
        "subresource=\"\",scope=\"resource\",component=\"apiserver\",code=\"201\"} 1\n",
        "apiserver_request_total{verb=\"LIST\",dry_run=\"\",group=\"apps\",version=\"v1\",resource=\"deployments\","
        "subresource=\"\",scope=\"cluster\",component=\"apiserver\",code=\"200\"} 1\n",
        "apiserver_request_duration_seconds_bucket{verb=\"LIST\",dry_run=\"\",group=\"apps\",version=\"v1\",resource="
        "\"deployments\",subresource=\"\",scope=\"cluster\",component=\"apiserver\",le=\"0.005\"} 1\n",
        "apiserver_current_inflight_requests{request_kind=\"readOnly\"} 1\n",
        "apiserver_current_inflight_requests{request_kind=\"mutating\"} 0\n",
        "apiserver_storage_objects{resource=\"configmaps\"} 1\n", "authentication_attempts{result=\"failure\"} 1\n",
        "k8lite_build_info{", "process_resident_memory_bytes ", "apiserver_request_sli_duration_seconds_bucket{"}) {
    CAPTURE(line);
    CHECK(text.find(line) != text.npos);
  }
  CHECK(text.find("made.up") == text.npos);
  CHECK(text.find("xxxx") == text.npos);
  CHECK(text.find("/some/path") == text.npos);
}

TEST_CASE("answers: deprecated kinds are warned of") {
  ApiWorld w;
  CHECK(w.ask("GET", "/api/v1/endpoints").headers.get("Warning") ==
        "299 - \"v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice\"");
  CHECK_FALSE(w.ask("GET", "/api/v1/services").headers.has("Warning"));
  CHECK(w.ask("GET", "/metrics")
            .body.find("apiserver_requested_deprecated_apis{group=\"\",version=\"v1\",resource=\"endpoints\","
                       "subresource=\"\",removed_release=\"\"} 1\n") != std::string::npos);
}

TEST_CASE("discovery: what an Accept header gets, however strange") {
  ApiWorld w;
  constexpr const char *kPlain = "application/json",
                       *kAggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
  struct Row {
    const char *accept, *path, *type;
    int code;
  };
  for (Row r : {Row{"", "/apis", kPlain, 200},
                {"*/*", "/apis", kPlain, 200},
                {"application/json;g=apidiscovery.k8s.io;as=APIGroupDiscoveryList;v=v2", "/apis", kAggregated, 200},
                {"application/json;g=apidiscovery.k8s.io;v=v2beta9;as=APIGroupDiscoveryList,application/json", "/api",
                 kPlain, 200},
                {"application/json;v=v2;as=APIGroupDiscoveryList, application/json", "/apis/apps", kPlain, 200},
                {"text/html, application/json;q=0.1", "/api/v1", kPlain, 200},
                {"application/yaml", "/apis", "application/yaml", 200},
                {"text/html", "/apis", kPlain, 406},
                {";;,,=;", "/apis", kPlain, 406},
                {"text/html", "/version", kPlain, 200}}) {
    CAPTURE(r.accept, r.path);
    auto a = w.ask("GET", r.path, "", {{"Accept", r.accept}});
    CHECK(a.status == r.code);
    CHECK(a.headers.get("Content-Type") == r.type);
  }
}
