// Pod Security: each check's words, versions, and what namespaces, pods and templates get to hear.
#include "apiserver/admission/pod_security.h"

#include <catch2/catch.hpp>

#include "support/api_world.h"

using namespace k8lite;
using namespace k8lite::apiserver::admission;
using json::Doc;
using testing::ApiWorld;

namespace {
std::string wrong(PodLevel level, const std::string& spec, int minor = kLatestMinor, const std::string& meta = "{}") {
  Doc d = Doc::parse(R"({"metadata":)" + meta + R"(,"spec":)" + spec + "}").value();
  return pod_violations({level, minor}, d["metadata"], d["spec"]);
}
std::string container(const std::string& fields) { return R"({"containers":[{"name":"c",)" + fields + "}]}"; }
constexpr const char* kGood =
    R"("securityContext":{"allowPrivilegeEscalation":false,"runAsNonRoot":true,"capabilities":{"drop":["ALL"]},"seccompProfile":{"type":"RuntimeDefault"}})";

struct World : ApiWorld {
  World() {
    for (const char* ns : {"default"})
      REQUIRE(ask("POST", std::string("/api/v1/namespaces/") + ns + "/serviceaccounts",
                  R"({"metadata":{"name":"default"}})")
                  .status == 201);
  }
  testing::HttpAnswer label(const std::string& labels) {
    return ask("PATCH", "/api/v1/namespaces/default", R"({"metadata":{"labels":{)" + labels + "}}}",
               {{"Content-Type", "application/merge-patch+json"}});
  }
  testing::HttpAnswer pod(const std::string& name, const std::string& spec, const std::string& query = "") {
    return ask("POST", "/api/v1/namespaces/default/pods" + query,
               R"({"metadata":{"name":")" + name + R"("},"spec":)" + spec + "}");
  }
};
std::string warning(const testing::HttpAnswer& a) { return std::string(a.headers.get("Warning")); }
}  // namespace

TEST_CASE("pod security: baseline, check by check") {
  struct Row {
    std::string spec;
    const char* wrong;
  };
  for (
      const Row& r : std::vector<Row>{
          {container(R"("image":"i")"), ""},
          {R"({"hostNetwork":true,"hostIPC":true,"containers":[]})",
           "host namespaces (hostNetwork=true, hostIPC=true)"},
          {container(R"("securityContext":{"privileged":true})"),
           "privileged (container \"c\" must not set securityContext.privileged=true)"},
          {R"({"containers":[{"name":"a","securityContext":{"capabilities":{"add":["NET_ADMIN","CHOWN"]}}},{"name":"b","securityContext":{"capabilities":{"add":["SYS_TIME"]}}}]})",
           "non-default capabilities (containers \"a\", \"b\" must not include \"NET_ADMIN\", \"SYS_TIME\" in "
           "securityContext.capabilities.add)"},
          {R"({"containers":[],"volumes":[{"name":"v","hostPath":{"path":"/"}}]})", "hostPath volumes (volume \"v\")"},
          {container(R"("ports":[{"hostPort":80},{"hostPort":443}])"),
           "hostPort (container \"c\" uses hostPorts 443, 80)"},
          {container(R"("livenessProbe":{"httpGet":{"host":"10.0.0.1"}})"),
           "probe or lifecycle host (container \"c\" uses probe or lifecycle host \"10.0.0.1\")"},
          {container(R"("securityContext":{"procMount":"Unmasked"})"),
           "procMount (container \"c\" must not set securityContext.procMount to \"Unmasked\")"},
          {R"({"securityContext":{"seLinuxOptions":{"type":"foo","role":"r"}},"containers":[]})",
           "seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type \"foo\"; role may not be set)"},
          {R"({"securityContext":{"seccompProfile":{"type":"Unconfined"}},"containers":[{"name":"c","securityContext":{"seccompProfile":{"type":"Unconfined"}}}]})",
           "seccompProfile (pod and container \"c\" must not set securityContext.seccompProfile.type to "
           "\"Unconfined\")"},
          {R"({"securityContext":{"sysctls":[{"name":"kernel.msgmax"},{"name":"net.ipv4.tcp_syncookies"}]},"containers":[]})",
           "forbidden sysctls (kernel.msgmax)"},
          {R"({"securityContext":{"windowsOptions":{"hostProcess":true}},"containers":[]})",
           "hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)"},
          {R"({"securityContext":{"appArmorProfile":{"type":"Unconfined"}},"containers":[]})",
           "forbidden AppArmor profile (pod must not set AppArmor profile type to \"Unconfined\")"},
      })
    CHECK(wrong(PodLevel::Baseline, r.spec) == r.wrong);
}

TEST_CASE("pod security: restricted, as everybody meets it first") {
  CHECK(wrong(PodLevel::Restricted, container(R"("image":"i")")) ==
        "allowPrivilegeEscalation != false (container \"c\" must set securityContext.allowPrivilegeEscalation=false), "
        "unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), "
        "runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true), seccompProfile (pod "
        "or container \"c\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")");
  CHECK(wrong(PodLevel::Restricted, container(kGood)) == "");
  CHECK(wrong(PodLevel::Privileged, container(R"("securityContext":{"privileged":true})")) == "");
  CHECK(
      wrong(
          PodLevel::Restricted,
          R"({"securityContext":{"runAsUser":0},"volumes":[{"name":"v","nfs":{}},{"name":"w","emptyDir":{}}],"containers":[{"name":"c",)" +
              std::string(kGood) + "}]}") ==
      "restricted volume types (volume \"v\" uses restricted volume type \"nfs\"), runAsUser=0 (pod must not set "
      "runAsUser=0)");
  CHECK(
      wrong(
          PodLevel::Restricted,
          R"({"hostUsers":false,"securityContext":{"runAsUser":0},"containers":[{"name":"c","securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]},"seccompProfile":{"type":"Localhost"}}}]})") ==
      "");
}

TEST_CASE("pod security: a check holds from its version on") {
  CHECK(wrong(PodLevel::Restricted, container(R"("image":"i")"), 7) ==
        "runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true)");
  CHECK(wrong(PodLevel::Baseline, container(R"("livenessProbe":{"httpGet":{"host":"h"}})"), 33) == "");
  CHECK(
      wrong(
          PodLevel::Restricted,
          container(
              R"("securityContext":{"allowPrivilegeEscalation":false,"runAsNonRoot":true,"capabilities":{"add":["SYS_TIME"]},"seccompProfile":{"type":"RuntimeDefault"}})"),
          21) ==
      "non-default capabilities (container \"c\" must not include \"SYS_TIME\" in securityContext.capabilities.add)");
  CHECK(wrong(PodLevel::Baseline, "{\"containers\":[]}", 18,
              R"({"annotations":{"seccomp.security.alpha.kubernetes.io/pod":"unconfined"}})") ==
        "seccompProfile (forbidden annotation seccomp.security.alpha.kubernetes.io/pod=\"unconfined\")");
  CHECK(wrong(PodLevel::Baseline, R"({"securityContext":{"sysctls":[{"name":"net.ipv4.tcp_rmem"}]},"containers":[]})",
              31) == "forbidden sysctls (net.ipv4.tcp_rmem)");
  CHECK(wrong(PodLevel::Baseline, R"({"securityContext":{"sysctls":[{"name":"net.ipv4.tcp_rmem"}]},"containers":[]})",
              32) == "");
}

TEST_CASE("pod security: enforced pods are refused, templates and dry runs warned") {
  World w;
  REQUIRE(
      w.label(
           R"("pod-security.kubernetes.io/enforce":"baseline","pod-security.kubernetes.io/warn":"restricted","pod-security.kubernetes.io/warn-version":"v1.30")")
          .status == 200);
  auto a = w.pod("p", R"({"hostNetwork":true,"containers":[{"name":"c","image":"i"}]})");
  CHECK(a.status == 403);
  CHECK(a.message() ==
        "pods \"p\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true)");
  auto b = w.pod("q", R"({"containers":[{"name":"c","image":"i"}]})", "?dryRun=All");
  CHECK(b.status == 201);
  CHECK(warning(b).starts_with(
      "299 - \"would violate PodSecurity \\\"restricted:v1.30\\\": allowPrivilegeEscalation != false"));
  auto d = w.ask(
      "POST", "/apis/apps/v1/namespaces/default/deployments",
      R"({"metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"hostPID":true,"containers":[{"name":"c","image":"i"}]}}}})");
  CHECK(d.status == 201);
  CHECK(warning(d).starts_with(
      "299 - \"would violate PodSecurity \\\"restricted:v1.30\\\": host namespaces (hostPID=true), "));
  CHECK(warning(w.pod("r", R"({"containers":[{"name":"c","image":"i",)" + std::string(kGood) + "}]}")).empty());
}

TEST_CASE("pod security: a namespace that becomes stricter names the pods that would not come in again") {
  World w;
  REQUIRE(w.pod("b", R"({"hostNetwork":true,"containers":[{"name":"c","image":"i"}]})").status == 201);
  REQUIRE(w.pod("a", R"({"hostNetwork":true,"containers":[{"name":"c","image":"i"}]})").status == 201);
  auto r = w.label(R"("pod-security.kubernetes.io/enforce":"baseline")");
  CHECK(r.status == 200);
  CHECK(r.headers.all("Warning") ==
        std::vector<std::string_view>{"299 - \"existing pods in namespace \\\"default\\\" violate the new PodSecurity "
                                      "enforce level \\\"baseline:latest\\\"\"",
                                      "299 - \"a (and 1 other pod): host namespaces\""});
  auto bad = w.label(R"("pod-security.kubernetes.io/warn":"strict")");
  CHECK(bad.status == 422);
  CHECK(bad.message() ==
        "Namespace \"default\" is invalid: metadata.labels[pod-security.kubernetes.io/warn]: Invalid value: "
        "\"strict\": must be one of privileged, baseline, restricted");
  CHECK(w.label(R"("pod-security.kubernetes.io/enforce-version":"1.2")").status == 422);
}
