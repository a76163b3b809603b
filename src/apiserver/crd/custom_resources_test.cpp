// Custom resources through the API server's handler: from the definition that is posted to objects in two versions,
// with everything that clients see. The test plays the controller that gives names (src/controllers/crd.h has tests of
// its own).
#include <catch2/catch.hpp>
#include <thread>

#include "support/api_world.h"

using namespace k8lite;
using json::Node;
using testing::ApiWorld;
using testing::HttpAnswer;

namespace {

constexpr const char* kDefinitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
constexpr const char* kCronTabs = "/apis/stable.example.com/v1/namespaces/default/crontabs";

constexpr const char* kDefinition =
    R"({"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"crontabs.stable.example.com"},"spec":{
  "group":"stable.example.com","scope":"Namespaced","names":{"plural":"crontabs","singular":"crontab","kind":"CronTab","shortNames":["ct"],"categories":["all"]},
  "versions":[
    {"name":"v1","served":true,"storage":true,"subresources":{"status":{},"scale":{"specReplicasPath":".spec.replicas","statusReplicasPath":".status.replicas","labelSelectorPath":".status.labelSelector"}},
     "selectableFields":[{"jsonPath":".spec.image"}],
     "additionalPrinterColumns":[{"name":"Spec","type":"string","jsonPath":".spec.cronSpec"},{"name":"Replicas","type":"integer","jsonPath":".spec.replicas"},{"name":"Image","type":"string","jsonPath":".spec.image","priority":1},{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}],
     "schema":{"openAPIV3Schema":{"type":"object","description":"CronTab runs things.","properties":{
       "spec":{"type":"object","required":["cronSpec"],"properties":{
         "cronSpec":{"type":"string","pattern":"^(\\d+|\\*)(/\\d+)?(\\s+(\\d+|\\*)(/\\d+)?){4}$"},"image":{"type":"string"},"replicas":{"type":"integer","minimum":1,"maximum":10,"default":1},
         "ports":{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["port"],"items":{"type":"object","required":["port"],"properties":{"port":{"type":"integer"},"name":{"type":"string"}}}}}},
       "status":{"type":"object","properties":{"replicas":{"type":"integer"},"labelSelector":{"type":"string"}}}}}}},
    {"name":"v1beta1","served":true,"storage":false,"deprecated":true,"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}]}})";

struct World : ApiWorld {
  HttpAnswer define(const std::string& body = kDefinition) { return ask("POST", kDefinitions, body); }
  // What the controller does.
  void establish(const std::string& name = "crontabs.stable.example.com") {
    Node crd = ask("GET", std::string(kDefinitions) + "/" + name).json();
    crd["status"]["acceptedNames"] = crd.path("spec.names");
    crd["status"]["conditions"] = Node::arr({Node::obj({{"type", "NamesAccepted"},
                                                        {"status", "True"},
                                                        {"reason", "NoConflicts"},
                                                        {"message", ""},
                                                        {"lastTransitionTime", "2026-01-01T00:00:00Z"}})});
    REQUIRE(ask("PUT", std::string(kDefinitions) + "/" + name + "/status", crd.dump()).status == 200);
  }
  static World& established(World& w) {
    REQUIRE(w.define().status == 201);
    w.establish();
    return w;
  }
  HttpAnswer create(const std::string& spec, const std::string& name = "a", const std::string& query = "") {
    return ask("POST", kCronTabs + query,
               R"({"apiVersion":"stable.example.com/v1","kind":"CronTab","metadata":{"name":")" + name +
                   R"("},"spec":)" + spec + "}");
  }
  HttpAnswer patch(const std::string& path, const std::string& type, const std::string& body) {
    net::Headers h;
    h.set("Content-Type", type);
    return ask("PATCH", path, body, h);
  }
  HttpAnswer get(const std::string& path, const std::string& accept = "") {
    net::Headers h;
    if (!accept.empty()) h.set("Accept", accept);
    return ask("GET", path, "", h);
  }
};

const std::string kGood = R"({"cronSpec":"* * * * */5","image":"i"})";
constexpr const char* kTable = "application/json;as=Table;v=v1;g=meta.k8s.io";

}  // namespace

TEST_CASE("custom resources: nothing is served before the names are accepted, everything right after") {
  World w;
  auto made = w.define();
  REQUIRE(made.status == 201);
  CHECK(made.json().path("status.storedVersions") == Node::arr({"v1"}));
  CHECK(made.json().path("spec.names.listKind").str() == "CronTabList");
  CHECK(w.get(kCronTabs).status == 404);
  CHECK(w.get("/apis/stable.example.com").status == 404);
  w.establish();
  CHECK(w.get(kCronTabs).status == 200);
  CHECK(w.get(kCronTabs).json().get("kind").str() == "CronTabList");
  auto group = w.get("/apis/stable.example.com").json();
  CHECK(group.path("preferredVersion.version").str() == "v1");
  CHECK(group.get("versions").size() == 2);
  auto list = w.get("/apis/stable.example.com/v1").json();
  REQUIRE(list.get("resources").size() == 3);
  const Node& r = list.get("resources").items()[0];
  CHECK(r.get("name").str() == "crontabs");
  CHECK(r.get("shortNames") == Node::arr({"ct"}));
  CHECK(r.get("categories") == Node::arr({"all"}));
  CHECK(list.get("resources").items()[1].get("name").str() == "crontabs/status");
  CHECK(list.get("resources").items()[2].get("kind").str() == "Scale");
}

TEST_CASE("custom resources: discovery and OpenAPI show them at once, under other ETags") {
  World w;
  const char* aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
  auto before = w.get("/apis", aggregated), index = w.get("/openapi/v3"), v2 = w.get("/openapi/v2");
  World::established(w);
  auto after = w.get("/apis", aggregated);
  CHECK(before.headers.get("ETag") != after.headers.get("ETag"));
  CHECK(after.body.find(R"("resource":"crontabs")") != std::string::npos);
  auto index_after = w.get("/openapi/v3");
  CHECK(index.headers.get("ETag") != index_after.headers.get("ETag"));
  CHECK(index.json().get("paths").get("apis/apps/v1") == index_after.json().get("paths").get("apis/apps/v1"));
  CHECK(index_after.json().get("paths").get("apis/stable.example.com/v1").exists());
  auto doc = w.get("/openapi/v3/apis/stable.example.com/v1").json();
  const Node& s = doc.path("components.schemas").get("com.example.stable.v1.CronTab");
  CHECK(s.get("description").str() == "CronTab runs things.");
  CHECK(s.path("properties.spec.properties.replicas.maximum").int_or(0) == 10);
  CHECK(s.get("x-kubernetes-group-version-kind").items().at(0) ==
        Node::obj({{"group", "stable.example.com"}, {"kind", "CronTab"}, {"version", "v1"}}));
  CHECK(doc.get("paths").get("/apis/stable.example.com/v1/namespaces/{namespace}/crontabs").get("get").exists());
  auto v2_after = w.get("/openapi/v2");
  CHECK(v2.headers.get("ETag") != v2_after.headers.get("ETag"));
  CHECK_FALSE(v2_after.json().get("definitions").get("com.example.stable.v1beta1.CronTab").get("properties").exists());
  REQUIRE(w.ask("DELETE", std::string(kDefinitions) + "/crontabs.stable.example.com").status == 200);
}

TEST_CASE("custom resources: validation, defaults and unknown fields") {
  World w;
  World::established(w);
  auto bad = w.create(R"({"cronSpec":"* * *","replicas":15})");
  CHECK(bad.status == 422);
  CHECK(
      bad.message() ==
      R"(CronTab.stable.example.com "a" is invalid: [spec.cronSpec: Invalid value: "* * *": spec.cronSpec in body should match '^(\d+|\*)(/\d+)?(\s+(\d+|\*)(/\d+)?){4}$', spec.replicas: Invalid value: 15: spec.replicas in body should be less than or equal to 10])");
  CHECK(bad.json().path("details.causes").size() == 2);
  CHECK(w.create("{}").message() == R"(CronTab.stable.example.com "a" is invalid: spec.cronSpec: Required value)");
  auto strict = w.create(R"({"cronSpec":"* * * * *","imag":"x"})", "a", "?fieldValidation=Strict");
  CHECK(strict.status == 400);
  CHECK(strict.message().find(R"(strict decoding error: unknown field "spec.imag")") != std::string::npos);
  auto warned = w.create(R"({"cronSpec":"* * * * *","imag":"x"})");
  CHECK(warned.status == 201);
  CHECK(warned.headers.get("Warning") == R"(299 - "unknown field \"spec.imag\"")");
  CHECK(warned.json().get("spec") == Node::obj({{"cronSpec", "* * * * *"}, {"replicas", 1}}));
  CHECK(warned.json().path("metadata.generation").int_or(0) == 1);
}

TEST_CASE("custom resources: two versions are the same objects, answered in the one asked for") {
  World w;
  World::established(w);
  REQUIRE(w.create(kGood).status == 201);
  auto beta = w.get("/apis/stable.example.com/v1beta1/namespaces/default/crontabs/a");
  CHECK(beta.json().get("apiVersion").str() == "stable.example.com/v1beta1");
  CHECK(beta.json().path("spec.image").str() == "i");
  CHECK(beta.headers.get("Warning") == "299 - \"stable.example.com/v1beta1 CronTab is deprecated\"");
  auto put = w.ask(
      "POST", "/apis/stable.example.com/v1beta1/namespaces/default/crontabs",
      R"({"apiVersion":"stable.example.com/v1beta1","kind":"CronTab","metadata":{"name":"b"},"spec":{"cronSpec":"1 * * * *"}})");
  REQUIRE(put.status == 201);
  auto v1 = w.get(std::string(kCronTabs) + "/b").json();
  CHECK(v1.get("apiVersion").str() == "stable.example.com/v1");
  CHECK(v1.path("spec.replicas").int_or(0) == 1);
}

TEST_CASE("custom resources: status and scale are subresources, and generation counts all but status and metadata") {
  World w;
  World::established(w);
  REQUIRE(w.create(kGood).status == 201);
  const std::string path = std::string(kCronTabs) + "/a";
  CHECK(w.patch(path, "application/merge-patch+json", R"({"status":{"replicas":7}})").json().get("status").exists() ==
        false);
  auto status = w.patch(path + "/status", "application/merge-patch+json",
                        R"({"status":{"replicas":2,"labelSelector":"app=x"},"spec":{"image":"other"}})");
  REQUIRE(status.status == 200);
  CHECK(status.json().path("spec.image").str() == "i");
  CHECK(status.json().path("metadata.generation").int_or(0) == 1);
  CHECK(w.patch(path + "/status", "application/merge-patch+json", R"({"status":{"replicas":"many"}})").status == 422);
  auto scale = w.get(path + "/scale").json();
  CHECK(scale.path("spec.replicas").int_or(0) == 1);
  CHECK(scale.get("status") == Node::obj({{"replicas", 2}, {"selector", "app=x"}}));
  CHECK(w.patch(path + "/scale", "application/merge-patch+json", R"({"spec":{"replicas":3}})")
            .json()
            .path("spec.replicas")
            .int_or(0) == 3);
  auto now = w.get(path).json();
  CHECK(now.path("spec.replicas").int_or(0) == 3);
  CHECK(now.path("metadata.generation").int_or(0) == 2);
  CHECK(w.patch(path + "/scale", "application/merge-patch+json", R"({"spec":{"replicas":30}})").status == 422);
}

TEST_CASE("custom resources: merge patches and apply by list keys; strategic merge is not for them") {
  World w;
  World::established(w);
  REQUIRE(w.create(R"({"cronSpec":"* * * * *","ports":[{"port":1,"name":"a"}]})").status == 201);
  const std::string path = std::string(kCronTabs) + "/a";
  CHECK(w.patch(path, "application/strategic-merge-patch+json", R"({"spec":{"image":"x"}})").status == 415);
  CHECK(w.patch(path, "application/merge-patch+json", R"({"spec":{"image":"x"}})").json().path("spec.image").str() ==
        "x");
  auto applied = w.patch(path + "?fieldManager=me", "application/apply-patch+yaml",
                         "apiVersion: stable.example.com/v1\nkind: CronTab\nmetadata:\n  name: a\nspec:\n  ports:\n  - "
                         "port: 2\n    name: b\n");
  REQUIRE(applied.status == 200);
  CHECK(applied.json().path("spec.ports").size() == 2);
  auto clash = w.patch(path + "?fieldManager=me", "application/apply-patch+yaml",
                       "apiVersion: stable.example.com/v1\nkind: CronTab\nspec:\n  image: mine\n");
  CHECK(clash.status == 409);
  CHECK(clash.message().find(".spec.image") != std::string::npos);
  auto created = w.patch(
      std::string(kCronTabs) + "/new?fieldManager=me", "application/apply-patch+yaml",
      "apiVersion: stable.example.com/v1\nkind: CronTab\nmetadata:\n  name: new\nspec:\n  cronSpec: '* * * * *'\n");
  CHECK(created.status == 201);
  CHECK(created.json().path("spec.replicas").int_or(0) == 1);
  CHECK(w.patch(path + "?fieldManager=me", "application/apply-patch+yaml",
                "apiVersion: stable.example.com/v1\nkind: CronTab\nspec:\n  none: 1\n")
            .message()
            .find(".spec.none: field not declared in schema") != std::string::npos);
}

TEST_CASE("custom resources: columns, selectable fields, watches") {
  World w;
  World::established(w);
  REQUIRE(w.create(kGood).status == 201);
  REQUIRE(w.create(R"({"cronSpec":"* * * * *","image":"j"})", "b").status == 201);
  auto table = w.get(kCronTabs, kTable).json();
  std::string names;
  for (const Node& c : table.get("columnDefinitions").items())
    names += c.get("name").str() + ":" + c.get("priority").dump() + " ";
  CHECK(names == "Name:0 Spec:0 Replicas:0 Image:1 Age:0 ");
  CHECK(table.get("rows").items().at(0).get("cells") == Node::arr({"a", "* * * * */5", 1, "i", "0s"}));
  CHECK(w.get(std::string(kCronTabs) + "?fieldSelector=spec.image%3Dj").json().get("items").size() == 1);
  auto unknown = w.get(std::string(kCronTabs) + "?fieldSelector=spec.replicas%3D1");
  CHECK(unknown.status == 400);
  CHECK(unknown.message() == "field label not supported: spec.replicas");
}

TEST_CASE(
    "custom resources: a changed schema holds for the next request, and defaults that came later for what is read") {
  World w;
  World::established(w);
  REQUIRE(w.create(kGood).status == 201);
  Node crd = w.get(std::string(kDefinitions) + "/crontabs.stable.example.com").json();
  Node& properties =
      crd["spec"]["versions"].items()[0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
  properties["zone"] = Node::obj({{"type", "string"}, {"default", "here"}});
  properties.erase("image");
  crd["spec"]["versions"].items()[0].erase("selectableFields");
  REQUIRE(w.ask("PUT", std::string(kDefinitions) + "/crontabs.stable.example.com", crd.dump()).status == 200);
  auto old = w.get(std::string(kCronTabs) + "/a").json();
  CHECK(old.path("spec.zone").str() == "here");
  CHECK_FALSE(old.path("spec.image").exists());
  CHECK(w.get(kCronTabs).json().get("items").items().at(0).path("spec.zone").str() == "here");
  CHECK(w.create(kGood, "b").json().path("spec.zone").str() == "here");
}

TEST_CASE("custom resources: RBAC knows them by their group and plural") {
  World w;
  World::established(w);
  CHECK(w.ask_as("ann", "GET", kCronTabs).status == 403);
  REQUIRE(
      w.ask(
           "POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles",
           R"({"metadata":{"name":"r"},"rules":[{"apiGroups":["stable.example.com"],"resources":["crontabs"],"verbs":["list"]}]})")
          .status == 201);
  REQUIRE(
      w.ask(
           "POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings",
           R"({"metadata":{"name":"r"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"r"},"subjects":[{"kind":"User","name":"ann","apiGroup":"rbac.authorization.k8s.io"}]})")
          .status == 201);
  CHECK(w.ask_as("ann", "GET", kCronTabs).status == 200);
  CHECK(w.ask_as("ann", "GET", std::string(kCronTabs) + "/a").status == 403);
}

TEST_CASE(
    "custom resources: a definition that is deleted waits for its objects, and nothing can be created meanwhile") {
  World w;
  World::established(w);
  REQUIRE(w.create(kGood).status == 201);
  auto gone = w.ask("DELETE", std::string(kDefinitions) + "/crontabs.stable.example.com");
  CHECK(gone.status == 200);
  CHECK(gone.json().path("metadata.finalizers") == Node::arr({"customresourcecleanup.apiextensions.k8s.io"}));
  CHECK(w.create(kGood, "b").status == 405);
  CHECK(w.ask("DELETE", std::string(kCronTabs) + "/a").status == 200);
  REQUIRE(w.patch(std::string(kDefinitions) + "/crontabs.stable.example.com", "application/merge-patch+json",
                  R"({"metadata":{"finalizers":null}})")
              .status == 200);
  CHECK(w.get(kCronTabs).status == 404);
  CHECK(w.get("/apis/stable.example.com").status == 404);
  CHECK(w.define().status == 201);
}

TEST_CASE("custom resources: they are there with the server when it starts again") {
  World w;
  World::established(w);
  REQUIRE(w.create(kGood).status == 201);
  w.admin = nullptr;
  apiserver::ApiServerOptions options;
  options.service_account_key_pem = ApiWorld::key();
  auto second = apiserver::ApiServer::create(w.loop, *w.store, w.clock, w.random, options).value();
  CHECK(second->rest().types().find("stable.example.com", "v1", "crontabs") != nullptr);
  CHECK(second->rest().types().find("stable.example.com", "v1beta1", "crontabs") != nullptr);
}

TEST_CASE("custom resources: rules in CEL are warned of") {
  World w;
  Node crd = Node::parse(kDefinition).value();
  crd["spec"]["versions"].items()[0]["schema"]["openAPIV3Schema"]["x-kubernetes-validations"] =
      Node::arr({Node::obj({{"rule", "self.spec.replicas > 0"}})});
  auto made = w.define(crd.dump());
  CHECK(made.status == 201);
  CHECK(std::string(made.headers.get("Warning")).find("are not enforced by this build") !=
        std::string::npos);
}

TEST_CASE("custom resources: a watch ends with the version it is of") {
  World w;
  World::established(w);
  Node crd = w.get(std::string(kDefinitions) + "/crontabs.stable.example.com").json();
  // The end may come before or after the watch begins: either way it must return.
  std::thread change([&w, crd]() mutable {
    for (int i = 0; i < 5000 && w.get("/metrics").body.find("verb=\"WATCH\"} 1") == std::string::npos; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    crd["spec"]["versions"].items()[1].set("served", false);
    w.ask("PUT", std::string(kDefinitions) + "/crontabs.stable.example.com", crd.dump());
  });
  auto watched = w.get("/apis/stable.example.com/v1beta1/namespaces/default/crontabs?watch=1");
  CHECK(watched.status == 200);
  change.join();
  CHECK(w.get("/apis/stable.example.com/v1beta1/namespaces/default/crontabs").status == 404);
  CHECK(w.get(kCronTabs).status == 200);
}

TEST_CASE("openapi: version 2 with custom resources is one document, in both forms") {
  World w;
  auto before = w.get("/openapi/v2").json();
  World::established(w);
  auto answer = w.get("/openapi/v2");
  Node after = answer.json();
  CHECK(after.get("definitions").size() == before.get("definitions").size() + 4);
  CHECK(after.get("paths").size() == before.get("paths").size() + 4);
  CHECK(after.get("paths").get("/apis/stable.example.com/v1/namespaces/{namespace}/crontabs").exists());
  CHECK(after.path("info") == before.path("info"));
  auto binary = w.get("/openapi/v2", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf");
  CHECK(binary.body.find("com.example.stable.v1.CronTab") != std::string::npos);
}
