#include "kubectl/kustomize.h"

#include <unistd.h>

#include <catch2/catch.hpp>

#include "os/files.h"

using namespace k8lite;
using namespace k8lite::kubectl;
using json::Node;

namespace {

struct Folder {
  Folder() { REQUIRE(mkdtemp(path.data())); }
  ~Folder() { (void)os::remove_tree(path); }
  void has(const std::string& name, std::string_view text) const {
    if (size_t slash = name.rfind('/'); slash != std::string::npos)
      REQUIRE(os::make_dirs(path + "/" + name.substr(0, slash)).ok());
    REQUIRE(os::write_file(path + "/" + name, text).ok());
  }
  std::vector<Node> built() const {
    auto r = build_kustomization(path);
    INFO((r.ok() ? "" : r.status().message()));
    REQUIRE(r.ok());
    return *r;
  }
  std::string refused() const {
    auto r = build_kustomization(path);
    REQUIRE(!r.ok());
    return r.status().message();
  }
  std::string path = "/tmp/kustomize_test.XXXXXX";
};

constexpr std::string_view kDeployment = R"(
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: web
      containers:
      - name: main
        image: registry:5000/team/web:1
        env: [{name: PASSWORD, valueFrom: {secretKeyRef: {name: pass, key: password}}}]
        envFrom: [{configMapRef: {name: settings}}, {configMapRef: {name: other}}]
      volumes: [{name: v, secret: {secretName: pass}}, {name: w, configMap: {name: settings}}]
)";

const Node& pod_spec(const Node& o) { return o.path("spec.template.spec"); }

}  // namespace

TEST_CASE("kustomize: generated names carry their content's hash, and references follow") {
  Folder f;
  f.has("web.yaml", kDeployment);
  f.has("app.properties", "a=1\n");
  f.has("kustomization.yaml", R"(
secretGenerator:
- name: pass
  literals: [password=YOUR_PASSWORD]
configMapGenerator:
- name: settings
  files: [app.properties]
  literals: [x=y]
resources: [web.yaml]
)");
  auto out = f.built();
  REQUIRE(out.size() == 3);
  CHECK(out[0].dump() == R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":")" +
                             out[0].path("metadata.name").str() + R"("},"data":{"x":"y","app.properties":"a=1\n"}})");
  CHECK(out[1].path("type").str() == "Opaque");
  CHECK(out[1].path("data.password").str() == "WU9VUl9QQVNTV09SRA==");
  std::string secret = out[1].path("metadata.name").str(), settings = out[0].path("metadata.name").str();
  CHECK(secret == "pass-5m26tmdb5k");
  CHECK(settings == "settings-b48t766bc5");
  const Node& container = pod_spec(out[2]).get("containers").items()[0];
  CHECK(container.get("env").items()[0].path("valueFrom.secretKeyRef.name").str() == secret);
  CHECK(container.get("envFrom").items()[0].path("configMapRef.name").str() == settings);
  CHECK(container.get("envFrom").items()[1].path("configMapRef.name").str() == "other");
  CHECK(pod_spec(out[2]).get("volumes").items()[0].path("secret.secretName").str() == secret);
  CHECK(pod_spec(out[2]).get("volumes").items()[1].path("configMap.name").str() == settings);
}

TEST_CASE("kustomize: a base is renamed, labelled, moved and patched by who uses it") {
  Folder f;
  f.has("base/web.yaml", kDeployment);
  f.has("base/more.yaml",
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web}\n---\napiVersion: v1\nkind: Service\nmetadata: "
        "{name: web}\nspec: {selector: {app: web}}\n");
  f.has("base/kustomization.yaml",
        "resources: [web.yaml, more.yaml]\nconfigMapGenerator: [{name: settings, literals: [a=1, b=2]}]\n");
  f.has("over/patch.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {containers: [{name: "
        "main, env: [{name: MORE, value: \"1\"}]}]}}}\n");
  f.has("over/kustomization.yaml", R"(
resources: [../base]
namePrefix: test-
namespace: stage
commonLabels: {tier: front}
images: [{name: "registry:5000/team/web", newTag: "2"}]
replicas: [{name: web, count: 3}]
configMapGenerator: [{name: settings, behavior: merge, literals: [b=3], options: {disableNameSuffixHash: true}}]
patches:
- path: patch.yaml
- target: {kind: Service}
  patch: '[{"op": "add", "path": "/spec/type", "value": "NodePort"}]'
)");
  f.has("kustomization.yaml", "resources: [over]\n");
  auto out = f.built();
  REQUIRE(out.size() == 4);
  CHECK(out[0].path("kind").str() == "ServiceAccount");
  CHECK(out[0].path("metadata.name").str() == "test-web");
  CHECK(out[1].path("metadata.name").str() == "test-settings");
  CHECK(out[1].path("data").dump() == R"({"a":"1","b":"3"})");
  CHECK(out[2].path("spec").dump() == R"({"selector":{"app":"web","tier":"front"},"type":"NodePort"})");
  const Node& d = out[3];
  CHECK(d.path("metadata.namespace").str() == "stage");
  CHECK(d.path("spec.replicas").int_or(0) == 3);
  CHECK(d.path("spec.selector.matchLabels").dump() == R"({"app":"web","tier":"front"})");
  CHECK(d.path("spec.template.metadata.labels").dump() == R"({"app":"web","tier":"front"})");
  CHECK(pod_spec(d).get("serviceAccountName").str() == "test-web");
  const Node& container = pod_spec(d).get("containers").items()[0];
  CHECK(container.get("image").str() == "registry:5000/team/web:2");
  CHECK(container.get("env").size() == 2);
  CHECK(container.get("envFrom").items()[0].path("configMapRef.name").str() == "test-settings");
}

TEST_CASE("kustomize: a hash is kustomize's own for any bytes") {
  // Figures of kustomize 5.4 (kubectl 1.31).
  Node o = Node::obj({{"kind", "ConfigMap"}, {"metadata", Node::obj({{"name", "x"}})}, {"data", Node::obj({{"q", "a<b & c>d \"\\\u00e9"}})}});
  CHECK(content_hash(o) == "bfdt6bbm9b");
  o = Node::obj({{"kind", "ConfigMap"}, {"metadata", Node::obj({{"name", "x"}})}, {"binaryData", Node::obj({{"q", "/wA="}})}});
  CHECK(content_hash(o) == "c4k7mdh6tf");
  o = Node::obj({{"kind", "ConfigMap"}, {"metadata", Node::obj({{"name", "x"}})}});
  CHECK(content_hash(o) == "6ct58987ht");
}

TEST_CASE("kustomize: what it cannot do it says") {
  Folder f;
  CHECK(f.refused().find("unable to find one of 'kustomization.yaml'") != std::string::npos);
  f.has("kustomization.yaml", "helmCharts: []\n");
  CHECK(f.refused().find("the field \"helmCharts\" is not known") != std::string::npos);
  f.has("kustomization.yaml", "resources: [https://example.org/x.yaml]\n");
  CHECK(f.refused().find("neither a file nor a folder") != std::string::npos);
  f.has("kustomization.yaml", "resources: [../" + f.path.substr(5) + "]\n");
  CHECK(f.refused().find("16 kustomizations") != std::string::npos);
  f.has("kustomization.yaml", "configMapGenerator: [{name: a, literals: [x]}]\n");
  CHECK(f.refused().find("expected key=value") != std::string::npos);
  f.has("kustomization.yaml", "patches: [{patch: '{\"kind\": \"Pod\", \"metadata\": {\"name\": \"x\"}}'}]\n");
  CHECK(f.refused().find("no matches for Pod x") != std::string::npos);
}
