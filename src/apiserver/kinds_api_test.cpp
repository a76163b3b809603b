// Every kind through its whole life over the API: made, read in every form, listed, watched, deleted.
#include <catch2/catch.hpp>
#include <set>

#include "api/wire/wire.h"
#include "base/yaml.h"
#include "support/api_world.h"
#include "support/csr.h"

using namespace k8lite;
using json::Node;
using testing::ApiWorld;
using testing::HttpAnswer;

namespace {

struct Minimal {
  const char *group, *version, *plural, *name, *rest;  // the members after metadata
};

const Minimal kObjects[] = {
    {"", "v1", "configmaps", "x", R"("data":{"a":"b"})"},
    {"", "v1", "endpoints", "x", R"("subsets":[{"addresses":[{"ip":"10.1.2.3"}],"ports":[{"port":80}]}])"},
    {"", "v1", "events", "x", R"("involvedObject":{"kind":"Pod","name":"p","namespace":"default"},"reason":"R","message":"m","type":"Normal")"},
    {"", "v1", "limitranges", "x", R"("spec":{"limits":[{"type":"Container","max":{"cpu":"2"}}]})"},
    {"", "v1", "namespaces", "x", ""},
    {"", "v1", "nodes", "x", ""},
    {"", "v1", "persistentvolumeclaims", "x", R"("spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}})"},
    {"", "v1", "persistentvolumes", "x", R"("spec":{"capacity":{"storage":"1Gi"},"accessModes":["ReadWriteOnce"],"hostPath":{"path":"/data"}})"},
    {"", "v1", "pods", "x", R"("spec":{"containers":[{"name":"c","image":"i:1"}]})"},
    {"", "v1", "podtemplates", "x", R"("template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i:1"}]}})"},
    {"", "v1", "replicationcontrollers", "x", R"("spec":{"selector":{"a":"b"},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i:1"}]}}})"},
    {"", "v1", "resourcequotas", "x", R"("spec":{"hard":{"services":"100"}})"},
    {"", "v1", "secrets", "x", R"("stringData":{"a":"b"})"},
    {"", "v1", "serviceaccounts", "x", ""},
    {"", "v1", "services", "x", R"("spec":{"ports":[{"port":80}]})"},
    {"apiregistration.k8s.io", "v1", "apiservices", "v1.example.com", R"("spec":{"group":"example.com","version":"v1","groupPriorityMinimum":100,"versionPriority":10,"insecureSkipTLSVerify":true,"service":{"name":"s","namespace":"default"}})"},
    {"apps", "v1", "controllerrevisions", "x", R"("revision":1,"data":{"a":"b"})"},
    {"apps", "v1", "daemonsets", "x", R"("spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i:1"}]}}})"},
    {"apps", "v1", "deployments", "x", R"("spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i:1"}]}}})"},
    {"apps", "v1", "replicasets", "x", R"("spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i:1"}]}}})"},
    {"apps", "v1", "statefulsets", "x", R"("spec":{"serviceName":"s","selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i:1"}]}}})"},
    {"events.k8s.io", "v1", "events", "x", R"("regarding":{"kind":"Pod","name":"p","namespace":"default"},"reason":"R","note":"m","type":"Normal","action":"A","eventTime":"2024-01-01T00:00:00.000000Z","reportingController":"k8s.io/c","reportingInstance":"i")"},
    {"autoscaling", "v2", "horizontalpodautoscalers", "x", R"("spec":{"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"d"},"maxReplicas":3})"},
    {"autoscaling", "v1", "horizontalpodautoscalers", "y", R"("spec":{"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"d"},"maxReplicas":3,"targetCPUUtilizationPercentage":70})"},
    {"batch", "v1", "cronjobs", "x", R"("spec":{"schedule":"* * * * *","jobTemplate":{"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"i:1"}]}}}}})"},
    {"batch", "v1", "jobs", "x", R"("spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"i:1"}]}}})"},
    {"networking.k8s.io", "v1", "ingressclasses", "x", R"("spec":{"controller":"example.com/c"})"},
    {"networking.k8s.io", "v1", "ingresses", "x", R"("spec":{"defaultBackend":{"service":{"name":"s","port":{"number":80}}}})"},
    {"networking.k8s.io", "v1", "ipaddresses", "10.96.7.7", R"("spec":{"parentRef":{"resource":"services","namespace":"default","name":"s"}})"},
    {"networking.k8s.io", "v1", "networkpolicies", "x", R"("spec":{"podSelector":{}})"},
    {"networking.k8s.io", "v1", "servicecidrs", "x", R"("spec":{"cidrs":["10.99.0.0/16"]})"},
    {"policy", "v1", "poddisruptionbudgets", "x", R"("spec":{"minAvailable":1,"selector":{"matchLabels":{"a":"b"}}})"},
    {"rbac.authorization.k8s.io", "v1", "clusterrolebindings", "x", R"("roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"view"})"},
    {"rbac.authorization.k8s.io", "v1", "clusterroles", "x", R"("rules":[{"apiGroups":[""],"resources":["pods"],"verbs":["get"]}])"},
    {"rbac.authorization.k8s.io", "v1", "rolebindings", "x", R"("roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"view"})"},
    {"rbac.authorization.k8s.io", "v1", "roles", "x", R"("rules":[{"apiGroups":[""],"resources":["pods"],"verbs":["get"]}])"},
    {"storage.k8s.io", "v1", "csidrivers", "x", R"("spec":{"attachRequired":false})"},
    {"storage.k8s.io", "v1", "csinodes", "x", R"("spec":{"drivers":[{"name":"d","nodeID":"n","topologyKeys":null}]})"},
    {"storage.k8s.io", "v1", "csistoragecapacities", "x", R"("storageClassName":"s","capacity":"1Gi")"},
    {"storage.k8s.io", "v1", "storageclasses", "x", R"("provisioner":"example.com/p")"},
    {"storage.k8s.io", "v1", "volumeattachments", "x", R"("spec":{"attacher":"example.com","nodeName":"n","source":{"persistentVolumeName":"pv"}})"},
    {"storage.k8s.io", "v1", "volumeattributesclasses", "x", R"("driverName":"example.com","parameters":{"a":"b"})"},
    {"admissionregistration.k8s.io", "v1", "mutatingadmissionpolicies", "x.example.com", R"("spec":{"matchConstraints":{"resourceRules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],"resources":["pods"]}]},"failurePolicy":"Ignore","reinvocationPolicy":"Never","mutations":[{"patchType":"JSONPatch","jsonPatch":{"expression":"[]"}}]})"},
    {"admissionregistration.k8s.io", "v1", "mutatingadmissionpolicybindings", "x", R"("spec":{"policyName":"p.example.com"})"},
    {"admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", "x", R"("webhooks":[{"name":"a.example.com","sideEffects":"None","admissionReviewVersions":["v1"],"failurePolicy":"Ignore","clientConfig":{"service":{"name":"s","namespace":"default"}}}])"},
    {"admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", "x.example.com", R"("spec":{"matchConstraints":{"resourceRules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],"resources":["pods"]}]},"failurePolicy":"Ignore","validations":[{"expression":"true"}]})"},
    {"admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings", "x", R"("spec":{"policyName":"p.example.com","validationActions":["Audit"]})"},
    {"admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", "x", R"("webhooks":[{"name":"a.example.com","sideEffects":"None","admissionReviewVersions":["v1"],"failurePolicy":"Ignore","clientConfig":{"service":{"name":"s","namespace":"default"}}}])"},
    {"apiextensions.k8s.io", "v1", "customresourcedefinitions", "things.example.org", R"("spec":{"group":"example.org","scope":"Namespaced","names":{"plural":"things","kind":"Thing"},"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object"}}}]})"},
    {"scheduling.k8s.io", "v1", "priorityclasses", "x", R"("value":5)"},
    {"coordination.k8s.io", "v1", "leases", "x", R"("spec":{"holderIdentity":"me","leaseDurationSeconds":15})"},
    {"node.k8s.io", "v1", "runtimeclasses", "x", R"("handler":"runc")"},
    {"discovery.k8s.io", "v1", "endpointslices", "x", R"("addressType":"IPv4","endpoints":[{"addresses":["10.1.2.3"]}],"ports":[{"port":80}])"},
    {"resource.k8s.io", "v1", "deviceclasses", "x", R"("spec":{"selectors":[{"cel":{"expression":"true"}}]})"},
    {"resource.k8s.io", "v1", "resourceclaims", "x", R"("spec":{"devices":{"requests":[{"name":"r","exactly":{"deviceClassName":"x","allocationMode":"ExactCount","count":1}}]}})"},
    {"resource.k8s.io", "v1", "resourceclaimtemplates", "x", R"("spec":{"spec":{"devices":{"requests":[{"name":"r","exactly":{"deviceClassName":"x","allocationMode":"ExactCount","count":1}}]}}})"},
    {"resource.k8s.io", "v1", "resourceslices", "x", R"("spec":{"driver":"example.com","nodeName":"n","pool":{"name":"p","generation":1,"resourceSliceCount":1},"devices":[{"name":"d"}]})"},
    {"flowcontrol.apiserver.k8s.io", "v1", "flowschemas", "x", R"("spec":{"priorityLevelConfiguration":{"name":"p"},"matchingPrecedence":100})"},
    {"flowcontrol.apiserver.k8s.io", "v1", "prioritylevelconfigurations", "x", R"("spec":{"type":"Limited","limited":{"nominalConcurrencyShares":5,"limitResponse":{"type":"Reject"}}})"},
};

// Ends a watch as soon as it has said something.
class FirstEvent : public testing::FakeWriter {
 public:
  async::Task<Result<>> write(std::string_view data) override {
    answer.body += data;
    co_return bad_request("that will do");
  }
};

async::Task<bool> run(net::Handler handler, net::Request* request, net::ResponseWriter* writer) {
  co_await handler(*request, *writer);
  co_return true;
}

HttpAnswer first_event(ApiWorld& w, const std::string& target, const std::string& accept) {
  net::Headers headers;
  headers.set("Authorization", "Bearer admin");
  headers.set("Accept", accept);
  testing::FakeRequest request("GET", target, headers, "", {});
  FirstEvent writer;
  async::block_on(w.loop, run(w.api->handler(), &request, &writer));
  return std::move(writer.answer);
}

constexpr const char* kProtobuf = "application/vnd.kubernetes.protobuf";

struct Life {
  ApiWorld& w;
  const api::KindRow& row;
  std::string collection, one, name;

  HttpAnswer get(const std::string& url, const std::string& accept) { return w.ask("GET", url, "", {{"Accept", accept}}); }

  void is_read_in_every_form(const Node& json) {
    auto yaml = get(one, "application/yaml");
    CHECK(yaml.headers.get("Content-Type") == "application/yaml");
    CHECK(parse_yaml(yaml.body, "body").value()[0].value == json);
    auto wire = get(one, kProtobuf);
    CHECK(wire.headers.get("Content-Type") == kProtobuf);
    auto decoded = api::wire::decode(wire.body);
    REQUIRE(decoded.ok());
    CHECK(decoded->get("metadata").get("uid") == json.get("metadata").get("uid"));
    CHECK(decoded->get("spec") == json.get("spec"));
    Node table = get(one, "application/json;as=Table;v=v1;g=meta.k8s.io").json();
    CHECK(table.get("kind").str() == "Table");
    CHECK(table.get("columnDefinitions").size() == row.columns.size());
    CHECK(table.get("rows").items()[0].get("cells").size() == row.columns.size());
    Node partial = get(one, "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io").json();
    CHECK(partial.get("kind").str() == "PartialObjectMetadata");
    CHECK(partial.get("metadata") == json.get("metadata"));
    auto partial_wire = api::wire::decode(get(one, std::string(kProtobuf) + ";as=PartialObjectMetadata;v=v1;g=meta.k8s.io").body);
    REQUIRE(partial_wire.ok());
    CHECK(partial_wire->get("metadata").get("name").str() == name);
  }

  void is_listed_and_watched() {
    std::string selected = collection + "?fieldSelector=metadata.name%3D" + name;
    CHECK(get(selected, "application/json").json().get("items").size() == 1);
    auto list = api::wire::decode(get(selected, kProtobuf).body);
    REQUIRE(list.ok());
    CHECK(list->get("items").size() == 1);
    CHECK(list->get("kind").str() == row.kind + "List");
    Node event = Node::parse(first_event(w, selected + "&watch=true", "application/json").body).value_or({});
    CHECK(event.get("type").str() == "ADDED");
    CHECK(event.get("object").get("kind").str() == row.kind);
    CHECK(event.get("object").get("metadata").get("name").str() == name);
    HttpAnswer frames = first_event(w, selected + "&watch=true", std::string(kProtobuf) + ";stream=watch");
    CHECK(frames.headers.get("Content-Type") == std::string(kProtobuf) + ";stream=watch");
    REQUIRE(frames.body.size() > 4);
    auto frame = api::wire::decode_message(std::string_view(frames.body).substr(4), *api::schema::find_type("meta/v1.WatchEvent"));
    REQUIRE(frame.ok());
    CHECK(frame->get("object").get("metadata").get("name").str() == name);
  }
};

void live(ApiWorld& w, const api::KindRow& row, const std::string& name, const std::string& rest) {
  CAPTURE(row.group, row.version, row.plural);
  std::string root = row.group.empty() ? "/api/" + row.version : "/apis/" + row.group + "/" + row.version;
  std::string collection = root + (row.namespaced ? "/namespaces/default/" : "/") + row.plural;
  std::string version = row.group.empty() ? row.version : row.group + "/" + row.version;
  std::string body = "{\"apiVersion\":\"" + version + "\",\"kind\":\"" + row.kind + "\",\"metadata\":{\"name\":\"" + name + "\"}" + (rest.empty() ? "" : ",") + rest + "}";
  HttpAnswer made = w.ask("POST", collection + "?fieldValidation=Strict", body);
  CAPTURE(made.body);
  REQUIRE(made.status == 201);
  Life life{w, row, collection, collection + "/" + name, name};
  Node json = life.get(life.one, "application/json").json();
  CHECK(json.get("kind").str() == row.kind);
  CHECK(json.get("apiVersion").str() == version);
  life.is_read_in_every_form(json);
  life.is_listed_and_watched();
  HttpAnswer gone = w.ask("DELETE", life.one);
  CHECK(gone.status == 200);
  HttpAnswer after = w.ask("GET", life.one);
  CHECK((after.status == 404 || after.json().get("metadata").get("deletionTimestamp").exists()));
}

}  // namespace

TEST_CASE("kinds: each is made, read in every form, listed, watched and deleted") {
  ApiWorld w;
  // What a controller would have made: pods want it.
  (void)w.ask("POST", "/api/v1/namespaces/default/serviceaccounts", R"({"metadata":{"name":"default"}})");
  std::set<std::string> seen;
  for (const Minimal& m : kObjects) {
    auto row = api::find_builtin(m.group, m.version, m.plural);
    REQUIRE(row);
    seen.insert(row->group + "/" + row->version + "/" + row->plural);
    live(w, *row, m.name, m.rest);
  }
  seen.insert("certificates.k8s.io/v1/certificatesigningrequests");
  for (const api::KindPtr& row : api::builtin_kinds()) {
    CAPTURE(row->group, row->plural);
    bool whole = std::find(row->verbs.begin(), row->verbs.end(), "watch") != row->verbs.end();
    CHECK(whole == (seen.count(row->group + "/" + row->version + "/" + row->plural) == 1));
  }
  CHECK(w.ask("GET", "/api/v1/componentstatuses").status == 200);
}

TEST_CASE("kinds: what is only asked is answered, as protobuf too") {
  ApiWorld w;
  struct Ask {
    const char *url, *body;
  };
  const Ask asks[] = {
      {"/apis/authentication.k8s.io/v1/selfsubjectreviews", R"({"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"})"},
      {"/apis/authentication.k8s.io/v1/tokenreviews", R"({"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"admin"}})"},
      {"/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews", R"({"apiVersion":"authorization.k8s.io/v1","kind":"LocalSubjectAccessReview","metadata":{"namespace":"default"},"spec":{"user":"ann","resourceAttributes":{"namespace":"default","verb":"get","resource":"pods"}}})"},
      {"/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", R"({"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{"resourceAttributes":{"verb":"get","resource":"pods"}}})"},
      {"/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", R"({"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectRulesReview","spec":{"namespace":"default"}})"},
      {"/apis/authorization.k8s.io/v1/subjectaccessreviews", R"({"apiVersion":"authorization.k8s.io/v1","kind":"SubjectAccessReview","spec":{"user":"ann","nonResourceAttributes":{"path":"/","verb":"get"}}})"},
  };
  for (const Ask& a : asks) {
    CAPTURE(a.url);
    HttpAnswer json = w.ask("POST", a.url, a.body);
    CAPTURE(json.body);
    CHECK(json.status == 201);
    HttpAnswer wire = w.ask("POST", a.url, a.body, {{"Accept", kProtobuf}});
    auto decoded = api::wire::decode(wire.body);
    REQUIRE(decoded.ok());
    CHECK(decoded->get("kind") == json.json().get("kind"));
    CHECK(decoded->get("status").exists());
  }
}

TEST_CASE("kinds: objects come in as protobuf, and every scalable kind has a Scale") {
  ApiWorld w;
  for (const char* kind : {"deployments", "replicasets", "statefulsets"}) {
    CAPTURE(kind);
    auto row = api::find_builtin("apps", "v1", kind);
    Node object = Node::parse("{\"apiVersion\":\"apps/v1\",\"kind\":\"" + row->kind +
                              R"(","metadata":{"name":"s"},"spec":{"serviceName":"s","replicas":2,"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},
                                  "spec":{"containers":[{"name":"c","image":"i:1"}]}}}})").value();
    if (std::string_view(kind) != "statefulsets") object["spec"].erase("serviceName");
    std::string url = "/apis/apps/v1/namespaces/default/" + std::string(kind);
    HttpAnswer made = w.ask("POST", url, api::wire::encode(object, *row->type), {{"Content-Type", kProtobuf}, {"Accept", kProtobuf}});
    CHECK(made.status == 201);
    auto back = api::wire::decode(made.body);
    REQUIRE(back.ok());
    CHECK(back->path("spec.template.spec.restartPolicy").str() == "Always");
    auto scale = api::wire::decode(w.ask("GET", url + "/s/scale", "", {{"Accept", kProtobuf}}).body);
    REQUIRE(scale.ok());
    CHECK(scale->get("kind").str() == "Scale");
    CHECK(scale->path("spec.replicas").int_or(0) == 2);
    CHECK(scale->path("status.selector").str() == "a=b");
    Node wanted = *scale;
    wanted["spec"].set("replicas", 5);
    CHECK(w.ask("PUT", url + "/s/scale", api::wire::encode(wanted, *api::schema::find_type("autoscaling/v1.Scale")), {{"Content-Type", kProtobuf}}).status == 200);
    CHECK(w.ask("GET", url + "/s").json().path("spec.replicas").int_or(0) == 5);
  }
}

TEST_CASE("kinds: an autoscaler is one object in two versions, an event one in two groups") {
  ApiWorld w;
  const std::string v1 = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers", v2 = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";
  CHECK(w.ask("POST", v1, R"({"apiVersion":"autoscaling/v1","kind":"HorizontalPodAutoscaler","metadata":{"name":"h"},"spec":{"maxReplicas":3,"targetCPUUtilizationPercentage":60,
                             "scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"d"}}})").status == 201);
  Node newer = w.ask("GET", v2 + "/h").json();
  CHECK(newer.get("apiVersion").str() == "autoscaling/v2");
  CHECK(newer.path("spec.metrics").items()[0].path("resource.target.averageUtilization").int_or(0) == 60);
  CHECK(w.ask("PATCH", v2 + "/h", R"({"spec":{"behavior":{"scaleDown":{"stabilizationWindowSeconds":5}}}})", {{"Content-Type", "application/merge-patch+json"}}).status == 200);
  CHECK(w.ask("PATCH", v1 + "/h", R"({"spec":{"targetCPUUtilizationPercentage":40}})", {{"Content-Type", "application/merge-patch+json"}}).json().path("spec.targetCPUUtilizationPercentage").int_or(0) == 40);
  newer = w.ask("GET", v2 + "/h").json();
  CHECK(newer.path("spec.metrics").items()[0].path("resource.target.averageUtilization").int_or(0) == 40);
  CHECK(newer.path("spec.behavior.scaleDown.stabilizationWindowSeconds").int_or(0) == 5);
  Node older = w.ask("GET", v1 + "/h").json();
  older["spec"].set("maxReplicas", 9);
  CHECK(w.ask("PUT", v1 + "/h", older.dump()).status == 200);
  CHECK(w.ask("GET", v2 + "/h").json().path("spec.behavior.scaleDown.stabilizationWindowSeconds").int_or(0) == 5);
  CHECK(w.ask("GET", v1).json().get("items").items()[0].path("spec.maxReplicas").int_or(0) == 9);
  HttpAnswer applied = w.ask("PATCH", v1 + "/h?fieldManager=me&force=true", R"({"apiVersion":"autoscaling/v1","kind":"HorizontalPodAutoscaler","metadata":{"name":"h"},"spec":{"maxReplicas":4}})",
                             {{"Content-Type", "application/apply-patch+yaml"}});
  CHECK(applied.status == 200);
  CHECK(applied.json().get("apiVersion").str() == "autoscaling/v1");
  CHECK(applied.json().path("spec.maxReplicas").int_or(0) == 4);

  CHECK(w.ask("POST", "/api/v1/namespaces/default/events", R"({"metadata":{"name":"e"},"involvedObject":{"kind":"Pod","name":"p","namespace":"default"},"message":"m","reason":"R","type":"Normal"})").status == 201);
  Node event = w.ask("GET", "/apis/events.k8s.io/v1/namespaces/default/events/e").json();
  CHECK(event.get("apiVersion").str() == "events.k8s.io/v1");
  CHECK(event.get("note").str() == "m");
  CHECK(event.path("regarding.name").str() == "p");
}
