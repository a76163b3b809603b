// Lists and watches as clients ask for them over HTTP: pages on one snapshot, versions, selectors, encodings; and what
// is refused how. (Kubernetes API concepts: "Resource versions", "Retrieving large results sets in chunks", "Alternate
// representations of resources".)
#include <catch2/catch.hpp>

#include "api/wire/wire.h"
#include "support/api_world.h"

using namespace k8lite;
using json::Node;
using testing::ApiWorld;
using testing::HttpAnswer;

namespace {

const std::string kMaps = "/api/v1/namespaces/default/configmaps";

void make_maps(ApiWorld& w, int n) {
  for (int i = 0; i < n; ++i) {
    std::string number = std::to_string(i);
    REQUIRE(w.ask("POST", kMaps,
                  R"({"metadata":{"name":"m)" + number + R"(","labels":{"even":")" + (i % 2 ? "no" : "yes") +
                      R"("}},"data":{"n":")" + number + "\"}}")
                .status == 201);
  }
}
std::string names(const Node& list) {
  std::string out;
  for (const Node& o : list.get("items").items()) out += (out.empty() ? "" : " ") + o.path("metadata.name").str();
  return out;
}
std::string revision(ApiWorld& w) { return w.ask("GET", kMaps).json().path("metadata.resourceVersion").str(); }

}  // namespace

TEST_CASE("reads: pages come from one snapshot and tell how many objects remain") {
  ApiWorld w;
  make_maps(w, 5);
  Node first = w.ask("GET", kMaps + "?limit=2").json();
  CHECK(names(first) == "m0 m1");
  CHECK(first.path("metadata.remainingItemCount").int_or(0) == 3);
  REQUIRE(w.ask("DELETE", kMaps + "/m3").status == 200);
  std::string token = first.path("metadata.continue").str();
  Node second = w.ask("GET", kMaps + "?limit=2&continue=" + token).json();
  CHECK(names(second) == "m2 m3");
  CHECK(second.path("metadata.resourceVersion").str() == first.path("metadata.resourceVersion").str());
  Node third = w.ask("GET", kMaps + "?limit=2&continue=" + second.path("metadata.continue").str()).json();
  CHECK(names(third) == "m4");
  CHECK_FALSE(third.path("metadata.continue").exists());
  CHECK_FALSE(third.path("metadata.remainingItemCount").exists());
  Node selected = w.ask("GET", kMaps + "?limit=2&labelSelector=even%3Dyes").json();
  CHECK(names(selected) == "m0 m2");
  CHECK_FALSE(selected.path("metadata.remainingItemCount").exists());
}

TEST_CASE("reads: a token whose snapshot is gone is answered with one that takes the rest as it is") {
  ApiWorld w;
  make_maps(w, 4);
  std::string token = w.ask("GET", kMaps + "?limit=2").json().path("metadata.continue").str();
  REQUIRE(w.ask("DELETE", kMaps + "/m2").status == 200);
  w.clock.advance(seconds(3600));
  REQUIRE(w.ask("POST", kMaps, R"({"metadata":{"name":"m9"}})").status ==
          201);  // old snapshots are let go with a write
  HttpAnswer a = w.ask("GET", kMaps + "?limit=2&continue=" + token);
  CHECK(a.status == 410);
  Node status = a.json();
  CHECK(status.get("reason").str() == "Expired");
  CHECK_THAT(a.message(),
             Catch::StartsWith("The provided continue parameter is too old to display a consistent list result."));
  std::string fresh = status.path("metadata.continue").str();
  REQUIRE_FALSE(fresh.empty());
  CHECK(names(w.ask("GET", kMaps + "?limit=5&continue=" + fresh).json()) == "m3 m9");
}

TEST_CASE("reads: versions of lists and objects") {
  ApiWorld w;
  make_maps(w, 2);
  std::string now = revision(w);
  for (const char* match : {"", "&resourceVersionMatch=Exact", "&resourceVersionMatch=NotOlderThan"})
    CHECK(names(w.ask("GET", kMaps + "?resourceVersion=" + now + match).json()) == "m0 m1");
  CHECK(names(w.ask("GET", kMaps + "?resourceVersion=0").json()) == "m0 m1");
  std::string future = std::to_string(std::stoll(now) + 1000);
  for (const std::string& url : {kMaps + "?resourceVersion=" + future, kMaps + "/m0?resourceVersion=" + future}) {
    HttpAnswer a = w.ask("GET", url);
    CHECK(a.status == 504);
    CHECK(a.message() == "Timeout: Too large resource version: " + future + ", current: " + now);
    CHECK(a.json().path("details.causes").items().at(0).get("reason").str() == "ResourceVersionTooLarge");
    CHECK(a.json().path("details.retryAfterSeconds").int_or(0) == 1);
  }
  w.clock.advance(seconds(3600));
  REQUIRE(w.ask("DELETE", kMaps + "/m0").status == 200);
  REQUIRE(w.ask("POST", kMaps, R"({"metadata":{"name":"m9"}})").status == 201);
  HttpAnswer old = w.ask("GET", kMaps + "?resourceVersion=" + now + "&resourceVersionMatch=Exact");
  CHECK(old.status == 410);
  CHECK(old.message() == "The resourceVersion for the provided list is too old.");
}

TEST_CASE("reads: what cannot be asked for is refused in Kubernetes' words") {
  ApiWorld w;
  make_maps(w, 3);
  std::string token = w.ask("GET", kMaps + "?limit=1").json().path("metadata.continue").str();
  struct Row {
    std::string query;
    int status;
    std::string message;
  };
  std::string invalid = "ListOptions.meta.k8s.io \"\" is invalid: ";
  for (
      const Row& r :
      {Row{"resourceVersionMatch=Exact", 422,
           invalid +
               "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"},
       {"resourceVersion=0&resourceVersionMatch=Exact", 422,
        invalid +
            "resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""},
       {"resourceVersion=1&resourceVersionMatch=Nearly", 422,
        invalid +
            "resourceVersionMatch: Unsupported value: \"Nearly\": supported values: \"\", \"Exact\", \"NotOlderThan\""},
       {"sendInitialEvents=true", 422,
        invalid + "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"},
       {"watch=1&sendInitialEvents=true", 422,
        invalid +
            "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"},
       {"watch=1&resourceVersionMatch=NotOlderThan", 422,
        invalid + "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless "
                  "sendInitialEvents is provided"},
       {"watch=1&resourceVersion=x", 422,
        "ConfigMap \"\" is invalid: resourceVersion: Invalid value: \"x\": strconv.ParseUint: parsing \"x\": invalid "
        "syntax"},
       {"resourceVersion=x", 400,
        "invalid resource version: Invalid value: \"x\": strconv.ParseUint: parsing \"x\": invalid syntax"},
       {"limit=1&resourceVersion=1&continue=" + token, 400,
        "specifying resource version is not allowed when using continue"},
       {"limit=x", 400, "strconv.ParseInt: parsing \"x\": invalid syntax"},
       {"fieldSelector=data.n%3D1", 400,
        "\"data.n\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""}}) {
    CAPTURE(r.query);
    HttpAnswer a = w.ask("GET", kMaps + "?" + r.query);
    CHECK(a.status == r.status);
    CHECK(a.message() == r.message);
  }
  CHECK(w.ask("GET", "/api/v1/pods?fieldSelector=spec.priority%3D1").message() ==
        "field label not supported: spec.priority");
  CHECK(w.ask("GET", kMaps + "?continue=nonsense").status == 400);
}

TEST_CASE("reads: field selectors know what an absent field counts as") {
  ApiWorld w;
  REQUIRE(w.ask("POST", "/api/v1/namespaces/default/serviceaccounts", R"({"metadata":{"name":"default"}})").status == 201);
  for (const char* name : {"a", "b"}) {
    std::string host = *name == 'b' ? R"("hostNetwork":true,)" : "";
    REQUIRE(w.ask("POST", "/api/v1/namespaces/default/pods",
                  R"({"metadata":{"name":")" + std::string(name) + R"("},"spec":{)" + host +
                      R"("containers":[{"name":"c","image":"i"}]}})")
                .status == 201);
  }
  auto find = [&w](const std::string& selector) {
    return names(w.ask("GET", "/api/v1/pods?fieldSelector=" + selector).json());
  };
  CHECK(find("spec.hostNetwork%3Dfalse") == "a");
  CHECK(find("spec.hostNetwork%3Dtrue") == "b");
  CHECK(find("spec.nodeName%3D,status.phase%3DPending") == "a b");
  CHECK(find("metadata.name%3Da,metadata.namespace%3Ddefault") == "a");
  CHECK(find("metadata.namespace!%3Ddefault").empty());
}

TEST_CASE("reads: the best of several encodings is taken, and none at all is a 406") {
  ApiWorld w;
  make_maps(w, 1);
  auto type_of = [&w](const std::string& accept, const std::string& query = "") {
    return std::string(w.ask("GET", kMaps + "/m0" + query, "", {{"Accept", accept}}).headers.get("Content-Type"));
  };
  CHECK(type_of("") == "application/json");
  CHECK(type_of("*/*") == "application/json");
  CHECK(type_of("application/yaml") == "application/yaml");
  CHECK(type_of("text/html, application/yaml;q=0.5, application/json;q=0.4") == "application/yaml");
  CHECK(type_of("application/yaml;q=0.5, application/json;charset=utf-8") == "application/json");
  CHECK(type_of("*/*, application/yaml") == "application/yaml");
  CHECK(type_of("application/vnd.kubernetes.protobuf,application/json") == "application/vnd.kubernetes.protobuf");
  CHECK(type_of("application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1, "
                "application/json;as=Table;g=meta.k8s.io;v=v1") == "application/json");
  HttpAnswer none = w.ask("GET", kMaps + "/m0", "", {{"Accept", "text/html"}});
  CHECK(none.status == 406);
  CHECK(none.message() ==
        "only the following media types are accepted: application/json, application/yaml, "
        "application/vnd.kubernetes.protobuf");
  CHECK(w.ask("GET", kMaps + "/m0", "", {{"Accept", "application/json;as=Heap;g=meta.k8s.io;v=v1"}}).status == 406);
  CHECK(w.ask("GET", kMaps + "?watch=1", "", {{"Accept", "application/yaml"}}).status == 406);
  CHECK(w.ask("POST", kMaps, R"({"metadata":{"name":"never"}})", {{"Accept", "text/html"}}).status == 406);
  CHECK(w.ask("GET", kMaps + "/never").status == 404);
  CHECK_THAT(w.ask("GET", kMaps + "/m0?pretty=true").body, Catch::Contains("\n  \"kind\": \"ConfigMap\","));
}

TEST_CASE("reads: protobuf objects, lists and errors say what JSON says") {
  ApiWorld w;
  make_maps(w, 2);
  const net::Headers protobuf{{"Accept", "application/vnd.kubernetes.protobuf"}};
  auto decoded = [&w, &protobuf](const std::string& url) {
    auto n = api::wire::decode(w.ask("GET", url, "", protobuf).body);
    INFO(n.status().message());
    REQUIRE(n.ok());
    return *n;
  };
  CHECK(decoded(kMaps + "/m1") == w.ask("GET", kMaps + "/m1").json());
  Node list = decoded(kMaps + "?limit=1"), same = w.ask("GET", kMaps + "?limit=1").json();
  CHECK(list.get("kind").str() == "ConfigMapList");
  CHECK(list.get("metadata") == same.get("metadata"));
  CHECK(names(list) == "m0");
  Node status = decoded(kMaps + "/none");
  CHECK(status.get("reason").str() == "NotFound");
  CHECK(status.path("details.name").str() == "none");
  CHECK(status.get("code").int_or(0) == 404);
  CHECK(decoded("/apis/apps/v1/namespaces/default/deployments").get("kind").str() == "DeploymentList");
}

TEST_CASE("reads: tables and metadata alone") {
  ApiWorld w;
  make_maps(w, 1);
  const net::Headers table{{"Accept", "application/json;as=Table;g=meta.k8s.io;v=v1"}},
      partial{{"Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}};
  auto row = [&](const std::string& query) {
    return w.ask("GET", kMaps + query, "", table).json().get("rows").items().at(0);
  };
  CHECK(row("").path("object.kind").str() == "PartialObjectMetadata");
  CHECK_FALSE(row("?includeObject=None").get("object").exists());
  CHECK(row("?includeObject=Object").path("object.data.n").str() == "0");
  CHECK(w.ask("GET", kMaps + "?includeObject=All", "", table).message() ==
        "Unable to convert to Table as requested: includeObject: Invalid value: \"All\": must be 'Metadata', 'Object', "
        "'None', or empty");
  Node list = w.ask("GET", kMaps, "", partial).json();
  CHECK(list.get("kind").str() == "PartialObjectMetadataList");
  CHECK(list.get("items").items().at(0).path("metadata.name").str() == "m0");
  CHECK_FALSE(list.get("items").items().at(0).get("data").exists());
}

TEST_CASE("reads: methods and paths that lead nowhere") {
  ApiWorld w;
  make_maps(w, 1);
  struct Row {
    const char *method, *path;
    int status;
  };
  for (const Row& r : {Row{"HEAD", "/api/v1/namespaces/default/configmaps", 405},
                       {"OPTIONS", "/api/v1/namespaces/default/configmaps", 405},
                       {"POST", "/api/v1/namespaces/default/configmaps/m0", 405},
                       {"PUT", "/api/v1/namespaces/default/configmaps", 405},
                       {"PATCH", "/api/v1/namespaces/default/configmaps", 405},
                       {"DELETE", "/api/v1/namespaces", 405},
                       {"GET", "/api/v1/namespaces/default/configmaps/m0/status", 404},
                       {"GET", "/api/v1/namespaces/default/pods/p/binding", 405},
                       {"DELETE", "/apis/apps/v1/namespaces/default/deployments/d/scale", 405},
                       {"GET", "/api/v1/things", 404},
                       {"GET", "/apis/none/v1/things", 404},
                       {"GET", "/api/v1/namespaces/default/configmaps/", 200},
                       {"GET", "/api/v1/configmaps?fieldSelector=metadata.name%3Dm0", 200},
                       {"BREW", "/api/v1/namespaces/default/configmaps", 405},
                       {"GET", "/api/v1/namespaces/default/nodes", 404}}) {
    CAPTURE(r.method, r.path);
    CHECK(w.ask(r.method, r.path).status == r.status);
  }
}
