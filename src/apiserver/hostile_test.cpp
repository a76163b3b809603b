// Hostile and random input: whatever a client sends, the server answers with a status of its own and goes on. Bodies are made from
// real objects by random damage, so that they pass the parser and reach decoding, defaults, admission and validation.
#include <catch2/catch.hpp>

#include "api/kinds.h"
#include "base/strings.h"
#include "support/api_world.h"

using namespace k8lite;
using json::Node;
using testing::ApiWorld;

namespace {

class Vandal {
 public:
  explicit Vandal(uint64_t seed) : random_(seed) {}
  uint64_t pick(uint64_t n) { return random_.next() % n; }

  Node anything(int depth) {
    switch (pick(depth > 3 ? 8 : 10)) {
      case 0: return Node();
      case 1: return Node(pick(2) == 0);
      case 2: return Node(static_cast<int64_t>(random_.next()));
      case 3: return Node(static_cast<int64_t>(pick(5)) - 2);
      case 4: return Node(1e300);
      case 5: return Node(std::string(pick(3000), 'x'));
      case 6: return Node(words_[pick(std::size(words_))]);
      case 7: return Node("");
      case 8: {
        Node out = Node::array();
        for (uint64_t i = pick(4); i > 0; --i) out.append(anything(depth + 1));
        return out;
      }
      default: {
        Node out = Node::object();
        for (uint64_t i = pick(4); i > 0; --i) out.set(words_[pick(std::size(words_))], anything(depth + 1));
        return out;
      }
    }
  }

  // Changes about one value in `rarity`.
  void damage(Node& node, uint64_t rarity, int depth = 0) {
    if (pick(rarity) == 0) {
      node = anything(depth);
      return;
    }
    for (Node& item : node.items()) damage(item, rarity, depth + 1);
    for (auto& [key, value] : node.members()) damage(value, rarity, depth + 1);
    if (node.is_object() && pick(rarity) == 0 && !node.members().empty()) node.erase(std::string(node.members()[pick(node.members().size())].first));
    if (node.is_object() && pick(rarity) == 0) node.set(words_[pick(std::size(words_))], anything(depth + 1));
    if (node.is_array() && pick(rarity) == 0 && !node.items().empty()) node.append(Node(node.items()[0]));
  }

 private:
  static constexpr const char* words_[] = {"spec", "metadata", "name", "labels", "containers", "ports", "10%", "-1", "100m", "1Gi", "In", "Exists", "kubernetes.io/x", "a/b/c", "\xF0\x9F\x90\x99", "../..", "0", "status",
                                           "finalizers", "ownerReferences", "selector", "matchLabels", "2026-01-01T00:00:00Z", "9999999999999999999", "None", "10.43.0.1", "template", "replicas"};
  SeededRandom random_;
};

constexpr std::pair<const char*, const char*> kSeeds[] = {
    {"/api/v1/namespaces/default/pods", R"({"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"x-","labels":{"a":"b"},"annotations":{"c":"d"}},"spec":{"nodeSelector":{"a":"b"},"tolerations":[{"key":"k","operator":"Exists"}],"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"a","operator":"In","values":["b"]}]}]}}},"initContainers":[{"name":"i","image":"x","restartPolicy":"Always"}],"containers":[{"name":"c","image":"i:1","command":["a"],"env":[{"name":"E","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}],"ports":[{"containerPort":80,"hostPort":80,"protocol":"TCP"}],"resources":{"requests":{"cpu":"100m","memory":"1Gi"},"limits":{"cpu":1}},"volumeMounts":[{"name":"v","mountPath":"/v"}],"livenessProbe":{"httpGet":{"path":"/","port":"http"},"periodSeconds":3},"securityContext":{"capabilities":{"add":["NET_ADMIN"]}}}],"volumes":[{"name":"v","configMap":{"name":"m","items":[{"key":"k","path":"p"}]}}]}})"},
    {"/apis/apps/v1/namespaces/default/deployments", R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"generateName":"d-"},"spec":{"replicas":2,"selector":{"matchLabels":{"a":"b"},"matchExpressions":[{"key":"x","operator":"NotIn","values":["y"]}]},"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":"25%","maxUnavailable":1}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}})"},
    {"/api/v1/namespaces/default/services", R"({"metadata":{"generateName":"s-"},"spec":{"type":"NodePort","selector":{"a":"b"},"ports":[{"name":"http","port":80,"targetPort":"http","nodePort":0,"protocol":"TCP"}],"externalIPs":["1.2.3.4"],"sessionAffinity":"ClientIP"}})"},
    {"/apis/rbac.authorization.k8s.io/v1/clusterroles", R"({"metadata":{"generateName":"r-"},"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"],"resourceNames":["a"]},{"verbs":["get"],"nonResourceURLs":["/x"]}],"aggregationRule":{"clusterRoleSelectors":[{"matchLabels":{"a":"b"}}]}})"},
    {"/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings", R"({"metadata":{"generateName":"b-"},"roleRef":{"kind":"ClusterRole","name":"view","apiGroup":"rbac.authorization.k8s.io"},"subjects":[{"kind":"User","name":"x"},{"kind":"ServiceAccount","name":"y","namespace":"z"}]})"},
    {"/apis/batch/v1/namespaces/default/cronjobs", R"({"metadata":{"generateName":"c-"},"spec":{"schedule":"*/5 * * * *","jobTemplate":{"spec":{"completions":1,"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"i"}]}}}}}})"},
    {"/apis/networking.k8s.io/v1/namespaces/default/ingresses", R"({"metadata":{"generateName":"i-"},"spec":{"rules":[{"host":"a.b","http":{"paths":[{"path":"/","pathType":"Prefix","backend":{"service":{"name":"s","port":{"number":80}}}}]}}],"tls":[{"hosts":["a.b"],"secretName":"s"}]}})"},
    {"/apis/networking.k8s.io/v1/namespaces/default/networkpolicies", R"({"metadata":{"generateName":"n-"},"spec":{"podSelector":{},"policyTypes":["Ingress"],"ingress":[{"from":[{"ipBlock":{"cidr":"10.0.0.0/8","except":["10.1.0.0/16"]}}],"ports":[{"port":80,"endPort":90,"protocol":"TCP"}]}]}})"},
    {"/api/v1/namespaces/default/secrets", R"({"metadata":{"generateName":"s-"},"type":"Opaque","data":{"a":"YWI="},"stringData":{"b":"c"}})"},
    {"/apis/authorization.k8s.io/v1/subjectaccessreviews", R"({"spec":{"user":"u","groups":["g"],"resourceAttributes":{"verb":"get","resource":"pods","namespace":"x"}}})"},
    {"/api/v1/namespaces/default/serviceaccounts/default/token", R"({"spec":{"audiences":["a"],"expirationSeconds":3600,"boundObjectRef":{"kind":"Pod","name":"x","apiVersion":"v1"}}})"},
    {"/api/v1/nodes", R"({"metadata":{"generateName":"n-"},"spec":{"podCIDR":"10.42.0.0/24","taints":[{"key":"a","effect":"NoSchedule"}]},"status":{"allocatable":{"cpu":"2"}}})"},
    {"/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", R"({"metadata":{"generateName":"e-"},"addressType":"IPv4","endpoints":[{"addresses":["1.2.3.4"],"conditions":{"ready":true}}],"ports":[{"port":80,"name":"a"}]})"},
    {"/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers", R"({"metadata":{"generateName":"h-"},"spec":{"scaleTargetRef":{"kind":"Deployment","name":"d"},"minReplicas":1,"maxReplicas":3,"metrics":[{"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":50}}}]}})"},
    {"/apis/scheduling.k8s.io/v1/priorityclasses", R"({"metadata":{"generateName":"p-"},"value":10,"globalDefault":false})"},
};

// A value for a field of the schema: mostly of its type, sometimes not. Reaches what damage of a few seeds does not.
Node fill(Vandal& vandal, const api::schema::Type& type, int depth);

Node single(Vandal& vandal, const api::schema::Field& f, int depth) {
  using api::schema::Base;
  if (vandal.pick(12) == 0) return vandal.anything(depth);
  switch (f.base) {
    case Base::Bool: return Node(vandal.pick(2) == 0);
    case Base::Int32:
    case Base::Int64: return Node(static_cast<int64_t>(vandal.pick(2) ? vandal.pick(70000) : vandal.pick(4)) - 1);
    case Base::Double: return Node(0.5);
    case Base::Bytes: return Node("YWI=");
    case Base::Quantity: return Node(vandal.pick(2) ? "100m" : "1Gi");
    case Base::IntOrString: return vandal.pick(2) ? Node(3) : Node("25%");
    case Base::Time: return Node("2026-01-01T00:00:00Z");
    case Base::MicroTime: return Node("2026-01-01T00:00:00.000001Z");
    case Base::Object: return depth > 9 ? Node::object() : fill(vandal, *f.type, depth + 1);
    case Base::Raw: return vandal.anything(depth);
    case Base::String: break;
  }
  static constexpr const char* words[] = {"a", "web", "Always", "Never", "TCP", "UDP", "RollingUpdate", "Recreate", "In", "Exists", "NotIn", "DoNotSchedule", "10.0.0.1", "10.0.0.0/8", "ClusterIP", "NodePort", "None", "*/5 * * * *", "IPv4", "Role", "kubernetes.io/x", "/var/x", "NoExecute", ""};
  return Node(words[vandal.pick(std::size(words))]);
}

Node fill(Vandal& vandal, const api::schema::Type& type, int depth) {
  Node out = Node::object();
  for (const auto& f : type.fields) {
    if (!f.required && vandal.pick(depth < 2 ? 2 : 5) != 0) continue;
    if (f.shape == api::schema::Shape::Single) {
      out.set(f.name, single(vandal, f, depth));
    } else if (f.shape == api::schema::Shape::List) {
      Node list = Node::array();
      for (uint64_t n = vandal.pick(3); n > 0; --n) list.append(single(vandal, f, depth));
      out.set(f.name, std::move(list));
    } else {
      Node map = Node::object();
      for (uint64_t n = vandal.pick(3); n > 0; --n) map.set("k" + std::to_string(n), single(vandal, f, depth));
      out.set(f.name, std::move(map));
    }
  }
  return out;
}

// A sane answer: a status code of HTTP, and JSON that says what is wrong where something is.
void check_sane(const testing::HttpAnswer& a) {
  CAPTURE(a.status, a.body.substr(0, 500));
  bool known = a.status >= 200 && a.status < 500;
  CHECK(known);
  if (a.status < 400) return;
  CHECK(a.json().get("kind").str() == "Status");
  CHECK_FALSE(a.message().empty());
}

}  // namespace

TEST_CASE("hostile: damaged objects are answered, and what was taken can be read, listed and deleted") {
  ApiWorld w;
  REQUIRE(w.ask("POST", "/api/v1/namespaces/default/serviceaccounts", R"({"metadata":{"name":"default"}})").status == 201);
  Vandal vandal(2026);
  int taken = 0, refused = 0;
  for (const auto& [url, seed] : kSeeds) {
    CAPTURE(url);
    check_sane(w.ask("POST", url, seed));
    for (int i = 0; i < 60; ++i) {
      Node body = *Node::parse(seed);
      vandal.damage(body, 4 + vandal.pick(40));
      std::string text = body.dump();
      CAPTURE(text.substr(0, 2000));
      auto a = w.ask("POST", url, text);
      check_sane(a);
      (a.status == 201 ? taken : refused)++;
    }
  }
  CHECK(taken > 50);
  CHECK(refused > 50);
  // Bodies of subresources go another way.
  REQUIRE(w.ask("POST", "/api/v1/namespaces/default/pods", R"({"metadata":{"name":"target"},"spec":{"containers":[{"name":"c","image":"i"}]}})").status == 201);
  for (const auto& [sub, seed] : {std::pair{"binding", R"({"metadata":{"name":"target"},"target":{"name":"n","kind":"Node"}})"}, {"eviction", R"({"metadata":{"name":"target"},"deleteOptions":{"gracePeriodSeconds":5,"preconditions":{"uid":"x"}}})"}})
    for (int i = 0; i < 60; ++i) {
      Node body = *Node::parse(seed);
      vandal.damage(body, 4);
      check_sane(w.ask("POST", "/api/v1/namespaces/default/pods/target/" + std::string(sub), body.dump()));
    }
  for (const auto& [url, seed] : kSeeds) {
    if (std::string_view(url).ends_with("reviews") || std::string_view(url).ends_with("token")) continue;
    CAPTURE(url);
    for (const char* accept : {"application/json", "application/json;as=Table;v=v1;g=meta.k8s.io", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", "application/yaml"}) {
      auto list = w.ask("GET", url, "", {{"Accept", accept}});
      CHECK(list.status == 200);
    }
    auto items = w.ask("GET", url).json().get("items");
    for (const Node& o : items.items()) {
      std::string name = o.path("metadata.name").str();
      if (name.starts_with("system") || name == "kubernetes" || name.find('/') != name.npos) continue;
      CAPTURE(name);
      auto a = w.ask("DELETE", std::string(url) + "/" + url_encode(name) + "?gracePeriodSeconds=0");
      check_sane(a);
    }
  }
}

TEST_CASE("hostile: random objects of every kind are decoded, defaulted, judged and printed") {
  Vandal vandal(1);
  size_t decoded = 0, valid = 0, all = 0;
  for (const auto& kind : api::builtin_kinds()) {
    CAPTURE(kind->group, kind->kind);
    Node before;
    for (int i = 0; i < 40; ++i, ++all) {
      Node object = fill(vandal, *kind->type, 0);
      object.set("kind", kind->kind);
      object.set("apiVersion", kind->group.empty() ? kind->version : kind->group + "/" + kind->version);
      if (vandal.pick(3)) object["metadata"] = Node::obj({{"name", "x"}, {"namespace", "y"}});
      CAPTURE(object.dump());
      std::vector<std::string> issues;
      if (!api::schema::decode(object, *kind->type, &issues).ok()) continue;
      ++decoded;
      api::apply_defaults(*kind, object);
      Node once = object;
      api::apply_defaults(*kind, object);
      CHECK(once == object);  // defaults are settled after one pass
      valid += api::validate(*kind, object, nullptr).empty();
      (void)api::validate(*kind, object, before.is_object() ? &before : nullptr);
      json::Doc doc = json::Doc::from(object);
      if (kind->rules.cells) CHECK(kind->rules.cells(doc.root(), {1'767'226'000'000'000}).size() == kind->columns.size());
      auto merged = api::apply_strategic_merge(object, before.is_object() ? before : object, kind->type);
      (void)merged.ok();
      before = std::move(object);
    }
  }
  CHECK(decoded * 3 > all);
  CHECK(valid > 0);
}

TEST_CASE("hostile: damaged patches of every kind are answered") {
  ApiWorld w;
  std::string url = "/apis/apps/v1/namespaces/default/deployments";
  Node seed = *Node::parse(kSeeds[1].second);
  seed["metadata"] = Node::obj({{"name", "d"}});
  REQUIRE(w.ask("POST", url, seed.dump()).status == 201);
  Vandal vandal(7);
  const char* json_patch = R"([{"op":"add","path":"/metadata/labels","value":{"a":"b"}},{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"x"},{"op":"copy","from":"/spec","path":"/spec/x"},{"op":"move","from":"/spec/replicas","path":"/spec/paused"},{"op":"test","path":"/kind","value":"Deployment"},{"op":"remove","path":"/spec/strategy"}])";
  const char* strategic = R"({"spec":{"template":{"spec":{"containers":[{"name":"c","$patch":"delete"},{"name":"z","image":"q"}],"$setElementOrder/containers":[{"name":"z"}],"volumes":[{"$retainKeys":["name"],"name":"v"}]}}}})";
  for (int i = 0; i < 300; ++i) {
    bool operations = i % 3 == 0;
    Node patch = *Node::parse(operations ? json_patch : strategic);
    vandal.damage(patch, 3 + vandal.pick(20));
    if (operations && patch.items().size() > 1 && vandal.pick(2)) std::swap(patch.items().front(), patch.items().back());
    std::string text = patch.dump();
    CAPTURE(text.substr(0, 1000));
    auto a = w.ask("PATCH", url + "/d", text, {{"Content-Type", operations ? "application/json-patch+json" : i % 3 == 1 ? "application/merge-patch+json" : "application/strategic-merge-patch+json"}});
    if (!operations) check_sane(w.ask("PATCH", url + "/d?fieldManager=m&force=" + (i % 2 ? "true" : "false"), text, {{"Content-Type", "application/apply-patch+yaml"}}));
    check_sane(a);
    CHECK(w.ask("GET", url + "/d").status == 200);
  }
}

TEST_CASE("hostile: bytes that are no JSON, paths that are no paths, queries that are no queries") {
  ApiWorld w;
  Vandal vandal(3);
  for (const char* body : {"", "{", "[]", "null", "1", "\"x\"", "{}{}", "{\"a\":}", "\xff\xfe", "{\"metadata\":{\"name\":\"\xc3\x28\"}}", "{\"metadata\":[]}", "{\"kind\":\"Secret\"}", "{\"apiVersion\":\"v2\"}"}) {
    CAPTURE(body);
    auto a = w.ask("POST", "/api/v1/namespaces/default/configmaps", body);
    CHECK(a.status >= 400);
    CHECK(a.status < 500);
    CHECK(a.json().get("kind").str() == "Status");
  }
  CHECK(w.ask("POST", "/api/v1/namespaces/default/configmaps", std::string(100'000, '[')).status == 400);
  CHECK(w.ask("POST", "/api/v1/namespaces/default/configmaps", std::string(4 << 20, ' ')).status == 413);
  constexpr std::string_view kLetters = "abz/%2.?=&;~\x01\xff 0Fnamespacespods";
  for (int i = 0; i < 3000; ++i) {
    std::string path = vandal.pick(2) ? "/api/v1/" : "/";
    for (uint64_t n = vandal.pick(30); n > 0; --n) path += kLetters[vandal.pick(kLetters.size())];
    CAPTURE(path);
    auto a = w.ask("GET", path);
    bool known = a.status == 200 || (a.status >= 400 && a.status < 500);
    CHECK(known);
  }
  for (const char* q : {"limit=-1", "limit=9999999999999999999", "limit=x", "continue=x", "continue=eyJ9", "labelSelector=a%20b", "labelSelector=((", "labelSelector=a%3E1%2C", "fieldSelector=a", "fieldSelector=metadata.name%3D%5C", "watch=1&resourceVersion=x",
                        "watch=1&resourceVersion=-5", "timeoutSeconds=-1", "resourceVersion=99999999", "resourceVersionMatch=Exact", "includeObject=x"}) {
    CAPTURE(q);
    auto a = w.ask("GET", "/api/v1/configmaps?" + std::string(q));
    bool known = a.status == 200 || (a.status >= 400 && a.status < 500) || a.status == 504;
    CHECK(known);
  }
}
