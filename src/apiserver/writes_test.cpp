// Writes as clients send them over HTTP: options, dry runs, strict fields, deletes with their preconditions, and what
// is refused how.
#include <catch2/catch.hpp>
#include <set>

#include "support/api_world.h"

using namespace k8lite;
using json::Node;
using testing::ApiWorld;
using testing::HttpAnswer;

namespace {

const std::string kMaps = "/api/v1/namespaces/default/configmaps";
const char* const kDeployment =
    R"({"metadata":{"name":"d"},"spec":{"replicas":1,"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}})";

HttpAnswer patch(ApiWorld& w, const std::string& url, const char* type, const std::string& body) {
  return w.ask("PATCH", url, body, {{"Content-Type", "application/" + std::string(type)}});
}

}  // namespace

TEST_CASE("writes: a dry run does everything but write, with every verb") {
  ApiWorld w;
  const std::string object = R"({"metadata":{"name":"m"},"data":{"a":"1"}})", m = kMaps + "/m";
  CHECK(w.ask("POST", kMaps + "?dryRun=All", object).status == 201);
  CHECK(w.ask("GET", m).status == 404);
  REQUIRE(w.ask("POST", kMaps, object).status == 201);
  std::string before = w.ask("GET", m).body;
  CHECK(w.ask("POST", kMaps + "?dryRun=All", object).status == 409);
  CHECK(w.ask("PUT", m + "?dryRun=All", R"({"metadata":{"name":"m"},"data":{"a":"2"}})").json().path("data.a").str() ==
        "2");
  CHECK(patch(w, m + "?dryRun=All", "merge-patch+json", R"({"data":{"b":"1"}})").json().path("data.b").str() == "1");
  CHECK(patch(w, m + "?dryRun=All&fieldManager=x", "apply-patch+yaml",
              R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m"},"data":{"c":"1"}})")
            .json()
            .path("data.c")
            .str() == "1");
  CHECK(w.ask("DELETE", m + "?dryRun=All").status == 200);
  CHECK(w.ask("DELETE", m, R"({"kind":"DeleteOptions","apiVersion":"v1","dryRun":["All"]})").status == 200);
  CHECK(w.ask("DELETE", kMaps + "?dryRun=All").status == 200);
  CHECK(w.ask("GET", m).body == before);
}

TEST_CASE("writes: options that are none are refused in Kubernetes' words") {
  ApiWorld w;
  REQUIRE(w.ask("POST", kMaps, R"({"metadata":{"name":"m"}})").status == 201);
  struct Row {
    const char *method, *query, *body;
    int status;
    const char* message;
  };
  for (const Row& r :
       {Row{"POST", "?dryRun=Some", "{}", 422,
            "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: \"Some\": supported values: "
            "\"All\""},
        {"PUT", "/m?fieldValidation=Lax", "{}", 422,
         "UpdateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \"Lax\": supported values: "
         "\"\", \"Ignore\", \"Strict\", \"Warn\""},
        {"DELETE", "/m?propagationPolicy=Sideways", "", 422,
         "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"Sideways\": supported "
         "values: \"Background\", \"Foreground\", \"Orphan\", \"nil\""},
        {"DELETE", "/m", R"({"orphanDependents":true,"propagationPolicy":"Orphan"})", 422,
         "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Invalid value: \"Orphan\": orphanDependents "
         "and deletionPropagation cannot be both set"},
        {"DELETE", "/m", R"({"kind":"ConfigMap"})", 400, "decoded object cannot be converted to DeleteOptions"},
        {"PUT", "/m", R"({"metadata":{"name":"n"}})", 400,
         "the name of the object (n) does not match the name on the URL (m)"},
        {"PUT", "/m", "{}", 400, "the name of the object (m based on URL) was undeterminable: name must be provided"},
        {"PUT", "/m", R"({"metadata":{"name":"m","namespace":"x"}})", 400,
         "the namespace of the object (x) does not match the namespace on the request (default)"},
        {"POST", "", R"({"metadata":{"name":"x","resourceVersion":"1"}})", 400,
         "resourceVersion should not be set on objects to be created"}}) {
    CAPTURE(r.method, r.query, r.body);
    HttpAnswer a = w.ask(r.method, kMaps + r.query, r.body);
    CHECK(a.status == r.status);
    CHECK(a.message() == r.message);
  }
  CHECK(w.ask("POST", kMaps, "{}", {{"Content-Type", "text/csv"}}).status == 415);
  CHECK(patch(w, kMaps + "/m", "json", "{}").status == 415);
}

TEST_CASE("writes: unknown and duplicate fields are ignored, warned of or refused") {
  ApiWorld w;
  const std::string body = R"({"metadata":{"name":"m"},"dtaa":{},"data":{"a":"1","a":"2"}})",
                    said = R"(unknown field "dtaa")";
  HttpAnswer strict = w.ask("POST", kMaps + "?fieldValidation=Strict", body);
  CHECK(strict.status == 400);
  CHECK_THAT(
      strict.message(),
      Catch::StartsWith("ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: ") &&
          Catch::Contains(said) && Catch::Contains(R"(duplicate field "data.a")"));
  HttpAnswer warned = w.ask("POST", kMaps + "?fieldValidation=Warn", body);
  CHECK(warned.status == 201);
  CHECK(warned.headers.all("Warning").size() == 2);
  CHECK(std::string(warned.headers.all("Warning").at(1)) == "299 - \"unknown field \\\"dtaa\\\"\"");
  CHECK(w.ask("POST", kMaps + "?fieldValidation=Ignore", R"({"metadata":{"name":"n"},"dtaa":{}})")
            .headers.all("Warning")
            .empty());
  HttpAnswer patched = patch(w, kMaps + "/m?fieldValidation=Strict", "merge-patch+json", R"({"dtaa":{}})");
  CHECK(patched.status == 422);
  CHECK(patched.message() ==
        " \"\" is invalid: patch: Invalid value: \"{\\\"dtaa\\\":{}}\": strict decoding error: unknown field \"dtaa\"");
}

TEST_CASE("writes: stale versions and foreign uids conflict") {
  ApiWorld w;
  Node made = w.ask("POST", kMaps, R"({"metadata":{"name":"m"}})").json();
  REQUIRE(w.ask("PUT", kMaps + "/m", R"({"metadata":{"name":"m"},"data":{"a":"1"}})").status == 200);
  HttpAnswer stale = w.ask("PUT", kMaps + "/m", made.dump());
  CHECK(stale.status == 409);
  CHECK(stale.message() ==
        "Operation cannot be fulfilled on configmaps \"m\": the object has been modified; please apply your changes to "
        "the latest version and try again");
  CHECK(stale.json().get("details") == *Node::parse(R"({"name":"m","kind":"configmaps"})"));
  for (const char* what : {R"({"preconditions":{"uid":"other"}})", R"({"preconditions":{"resourceVersion":"1"}})"}) {
    CAPTURE(what);
    HttpAnswer a = w.ask("DELETE", kMaps + "/m", what);
    CHECK(a.status == 409);
    CHECK_THAT(a.message(), Catch::StartsWith("Operation cannot be fulfilled on ConfigMap \"m\": the ") &&
                                Catch::Contains("in the precondition ("));
  }
  CHECK(patch(w, kMaps + "/m", "merge-patch+json", R"({"metadata":{"resourceVersion":"1"},"data":{"a":"2"}})").status ==
        409);
}

TEST_CASE("writes: a PUT creates the few kinds that allow it") {
  ApiWorld w;
  HttpAnswer lease = w.ask("PUT", "/apis/coordination.k8s.io/v1/namespaces/default/leases/l",
                           R"({"metadata":{"name":"l"},"spec":{"holderIdentity":"me"}})");
  CHECK(lease.status == 201);
  CHECK_FALSE(lease.json().path("metadata.uid").str().empty());
  CHECK(w.ask("PUT", kMaps + "/m", R"({"metadata":{"name":"m"}})").status == 404);
}

TEST_CASE("writes: a made-up name that is taken is made up anew") {
  ApiWorld w;
  std::set<std::string> names;
  for (int i = 0; i < 20; ++i) {
    HttpAnswer a = w.ask("POST", kMaps, R"({"metadata":{"generateName":"g-"}})");
    REQUIRE(a.status == 201);
    names.insert(a.json().path("metadata.name").str());
  }
  CHECK(names.size() == 20);
}

TEST_CASE("writes: a delete is answered with the object or with a Status, as upstream does for the kind") {
  ApiWorld w;
  std::string uid = w.ask("POST", kMaps, R"({"metadata":{"name":"m"}})").json().path("metadata.uid").str();
  CHECK(
      w.ask("DELETE", kMaps + "/m").json() ==
      *Node::parse(
          R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","details":{"name":"m","kind":"configmaps","uid":")" +
          uid + "\"}}"));
  REQUIRE(w.ask("POST", "/api/v1/namespaces/default/serviceaccounts", R"({"metadata":{"name":"sa"}})").status == 201);
  CHECK(w.ask("DELETE", "/api/v1/namespaces/default/serviceaccounts/sa").json().get("kind").str() == "ServiceAccount");
  REQUIRE(w.ask("POST", kMaps, R"({"metadata":{"name":"held","finalizers":["x/y"]}})").status == 201);
  Node waiting = w.ask("DELETE", kMaps + "/held", R"({"propagationPolicy":"Foreground"})").json();
  CHECK(waiting.path("metadata.finalizers").dump() == R"(["x/y","foregroundDeletion"])");
  CHECK_FALSE(waiting.path("metadata.deletionTimestamp").str().empty());
  CHECK(patch(w, kMaps + "/held", "json-patch+json", R"([{"op":"add","path":"/metadata/finalizers/-","value":"z/z"}])")
            .status == 422);
  CHECK(patch(w, kMaps + "/held", "merge-patch+json", R"({"metadata":{"finalizers":null}})").status == 200);
  CHECK(w.ask("GET", kMaps + "/held").status == 404);
}

TEST_CASE("writes: deletecollection takes selectors") {
  ApiWorld w;
  for (const char* n : {"a", "b", "c"})
    REQUIRE(w.ask("POST", kMaps, R"({"metadata":{"name":")" + std::string(n) + R"(","labels":{"n":")" + n + "\"}}}")
                .status == 201);
  Node gone = w.ask("DELETE", kMaps + "?labelSelector=n%20notin%20(b)").json();
  CHECK(gone.get("kind").str() == "ConfigMapList");
  CHECK(w.ask("GET", kMaps + "/a").status == 404);
  CHECK(w.ask("GET", kMaps + "/b").status == 200);
  CHECK(w.ask("DELETE", kMaps + "?fieldSelector=metadata.name%3Db").status == 200);
  CHECK(w.ask("GET", kMaps + "/b").status == 404);
}

TEST_CASE("writes: a failed test of a JSON patch is unprocessable, a malformed patch a bad request") {
  ApiWorld w;
  REQUIRE(w.ask("POST", kMaps, R"({"metadata":{"name":"m"},"data":{"a":"1"}})").status == 201);
  struct Row {
    const char *type, *body;
    int status;
  };
  for (const Row& r : {Row{"json-patch+json", R"([{"op":"test","path":"/data/a","value":"2"}])", 422},
                       {"json-patch+json", R"([{"op":"remove","path":"/data/x"}])", 422},
                       {"json-patch+json", "{}", 400},
                       {"json-patch+json", R"([{"op":"add","path":"data","value":1}])", 400},
                       {"merge-patch+json", "[", 400},
                       {"strategic-merge-patch+json", R"({"metadata":{"$patch":"sideways"}})", 400},
                       {"merge-patch+json", R"({"metadata":{"name":"n"}})", 400},
                       {"merge-patch+json", R"({"data":{"a":1}})", 400}}) {
    CAPTURE(r.type, r.body);
    CHECK(patch(w, kMaps + "/m", r.type, r.body).status == r.status);
  }
}

TEST_CASE("writes: status and spec are written apart, and only spec counts generations") {
  ApiWorld w;
  const std::string all = "/apis/apps/v1/namespaces/default/deployments", d = all + "/d";
  Node made = w.ask("POST", all, kDeployment).json();
  CHECK(made.path("metadata.generation").int_or(0) == 1);
  CHECK(patch(w, d, "merge-patch+json", R"({"status":{"replicas":7}})").json().path("status.replicas").int_or(0) == 0);
  Node told = patch(w, d + "/status", "merge-patch+json", R"({"status":{"replicas":7},"spec":{"replicas":9}})").json();
  CHECK(told.path("status.replicas").int_or(0) == 7);
  CHECK(told.path("spec.replicas").int_or(0) == 1);
  CHECK(told.path("metadata.generation").int_or(0) == 1);
  CHECK(patch(w, d, "merge-patch+json", R"({"spec":{"replicas":2}})").json().path("metadata.generation").int_or(0) ==
        2);
  CHECK(
      patch(w, d + "/scale", "merge-patch+json", R"({"spec":{"replicas":3}})").json().path("spec.replicas").int_or(0) ==
      3);
  CHECK(w.ask("GET", d).json().path("metadata.generation").int_or(0) == 3);
  Node scale = w.ask("GET", d + "/scale").json();
  CHECK(scale.path("status.selector").str() == "a=b");
  CHECK_FALSE(scale.path("metadata.managedFields").exists());
  Node kept = patch(w, d, "merge-patch+json", R"({"metadata":{"uid":null,"creationTimestamp":null}})").json();
  CHECK(kept.path("metadata.uid").str() == made.path("metadata.uid").str());
  CHECK(kept.path("metadata.creationTimestamp").str() == made.path("metadata.creationTimestamp").str());
}

TEST_CASE("writes: a node is born with the status it is given, later only /status changes it") {
  ApiWorld w;
  auto made = w.ask("POST", "/api/v1/nodes", R"({"metadata":{"name":"n"},"status":{"capacity":{"cpu":"4"}}})");
  REQUIRE(made.status == 201);
  CHECK(made.json().path("status.capacity.cpu").str() == "4");
  auto put = w.ask("PUT", "/api/v1/nodes/n", R"({"metadata":{"name":"n"},"status":{"capacity":{"cpu":"8"}}})");
  CHECK(put.status == 200);
  CHECK(put.json().path("status.capacity.cpu").str() == "4");
  auto d = w.ask("POST", "/apis/apps/v1/namespaces/default/deployments", std::string(kDeployment).insert(1, R"("status":{"replicas":3},)"));
  REQUIRE(d.status == 201);
  CHECK(d.json().path("status.replicas").int_or(0) == 0);
}
