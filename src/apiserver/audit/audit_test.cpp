// The audit log: which rule decides, what an event tells, and a file that rotates and never holds anybody up.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "apiserver/audit/auditor.h"
#include "base/strings.h"
#include "support/api_world.h"

using namespace k8lite;
using namespace k8lite::apiserver;
using audit::Level;
using audit::Policy;
using json::Node;
using testing::ApiWorld;
namespace fs = std::filesystem;

namespace {

constexpr const char* kPolicy = R"(
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- {level: None, users: [quiet]}
- {level: None, userGroups: [robots], verbs: [get, watch]}
- {level: RequestResponse, resources: [{group: "", resources: [pods/exec, "pods/log"]}]}
- {level: Metadata, resources: [{group: "", resources: [secrets, configmaps]}, {group: authentication.k8s.io}]}
- {level: Request, resources: [{group: apps, resources: ["*"]}], namespaces: [prod], omitManagedFields: false}
- {level: Request, resources: [{group: "", resources: ["*/scale", "nodes/*"]}]}
- {level: Metadata, resources: [{group: "", resources: [services], resourceNames: [web]}], omitStages: [ResponseStarted]}
- {level: None, nonResourceURLs: ["/healthz*", /version]}
- {level: Metadata, nonResourceURLs: ["*"]}
- {level: Metadata, namespaces: [""]}
)";

RequestInfo of(const char* verb, const char* group, const char* resource, const char* ns = "", const char* name = "") {
  std::string r = resource, sub;
  if (size_t slash = r.find('/'); slash != r.npos) sub = r.substr(slash + 1), r.resize(slash);
  return {.is_resource = true,
          .path = {},
          .verb = verb,
          .group = group,
          .version = "v1",
          .resource = r,
          .subresource = sub,
          .ns = ns,
          .name = name};
}
RequestInfo url(const char* path) {
  return {.is_resource = false,
          .path = path,
          .verb = "get",
          .group = {},
          .version = {},
          .resource = {},
          .subresource = {},
          .ns = {},
          .name = {}};
}

struct Folder {
  fs::path path = fs::temp_directory_path() /
                  ("k8lite-audit-" + std::to_string(getpid()) + "-" + std::to_string(system_random().next() % 100000));
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
  std::vector<std::string> files() const {
    std::vector<std::string> out;
    for (const auto& e : fs::directory_iterator(path)) out.push_back(e.path().filename());
    std::sort(out.begin(), out.end());
    return out;
  }
};

std::vector<Node> events(const fs::path& path) {
  std::ifstream in(path);
  std::vector<Node> out;
  for (std::string line; std::getline(in, line);) out.push_back(Node::parse(line).value());
  return out;
}

}  // namespace

TEST_CASE("audit: the first rule that fits decides") {
  Policy p = Policy::parse(kPolicy, "policy").value();
  struct Row {
    authz::User user;
    RequestInfo request;
    Level level;
  };
  authz::User ann{"ann", {"dev"}}, robot{"r2", {"robots"}};
  for (const Row& r :
       std::vector<Row>{{{"quiet", {}}, of("get", "", "secrets"), Level::None},
                        {robot, of("get", "", "secrets"), Level::None},
                        {robot, of("list", "", "secrets"), Level::Metadata},
                        {ann, of("create", "", "pods/exec", "default", "web"), Level::RequestResponse},
                        {ann, of("create", "", "pods", "default"), Level::None},
                        {ann, of("create", "authentication.k8s.io", "tokenreviews"), Level::Metadata},
                        {ann, of("update", "apps", "deployments", "prod", "web"), Level::Request},
                        {ann, of("update", "apps", "deployments/scale", "prod", "web"), Level::Request},
                        {ann, of("update", "apps", "deployments", "dev", "web"), Level::None},
                        {ann, of("get", "", "replicationcontrollers/scale", "default", "x"), Level::Request},
                        {ann, of("get", "", "nodes/proxy", "", "x"), Level::Request},
                        {ann, of("get", "", "services", "default", "web"), Level::Metadata},
                        {ann, of("get", "", "services", "default", "db"), Level::None},
                        {ann, of("get", "", "nodes", "", "x"), Level::Request}, {ann, of("get", "", "persistentvolumes", "", "x"), Level::Metadata},
                        {ann, url("/healthz/ping"), Level::None},
                        {ann, url("/version"), Level::None},
                        {ann, url("/versions"), Level::Metadata}}) {
    CAPTURE(r.request.verb, r.request.resource, r.request.subresource, r.request.path);
    CHECK(p.decide(r.user, r.request).level == r.level);
  }
  auto services = p.decide(ann, of("get", "", "services", "default", "web"));
  CHECK_FALSE(services.tells(audit::kRequestReceived));
  CHECK_FALSE(services.tells(audit::kResponseStarted));
  CHECK(services.tells(audit::kResponseComplete));
  CHECK(services.omit_managed_fields);
  CHECK_FALSE(p.decide(ann, of("update", "apps", "deployments", "prod", "web")).omit_managed_fields);
}

TEST_CASE("audit: a policy with an error is refused and the error named") {
  struct Row {
    const char *rules, *says;
  };
  for (Row r : {Row{"", "no rules"},
                {"- {level: Everything}", "rules[0]: level"},
                {"- {level: None, user: [a]}", "unknown field \"user\""},
                {"- {level: None, users: a}", "users: a list"},
                {"- {level: None, omitStages: [Begin]}", "omitStages"},
                {"- {level: None, nonResourceURLs: [/a], resources: [{group: ''}]}", "not for both"},
                {"- {level: None, nonResourceURLs: [a]}", "must begin"},
                {"- {level: None, nonResourceURLs: ['/a*b']}", "must begin"},
                {"- {level: None, resources: [{groups: x}]}", "unknown field"},
                {"- {level: None, resources: [{group: '', resourceNames: [a]}]}", "resourceNames"}}) {
    CAPTURE(r.rules);
    auto p = Policy::parse(std::string("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n") + r.rules, "policy.yaml");
    REQUIRE_FALSE(p.ok());
    CHECK(p.status().message().find(r.says) != std::string::npos);
    CHECK(p.status().message().find("policy.yaml") == 0);
  }
  CHECK_FALSE(Policy::parse("apiVersion: audit.k8s.io/v1beta1\nkind: Policy\nrules: [{level: None}]", "p").ok());
}

TEST_CASE("audit: addresses of proxies come before the connection's, and garbage not at all") {
  net::Headers h{{"X-Forwarded-For", "10.0.0.1, 10.0.0.2,<script>"}, {"X-Real-Ip", "10.0.0.3"}};
  CHECK(audit::source_addresses(h, "192.0.2.9") ==
        std::vector<std::string>{"10.0.0.1", "10.0.0.2", "10.0.0.3", "192.0.2.9"});
  CHECK(audit::source_addresses({}, "::1") == std::vector<std::string>{"::1"});
}

TEST_CASE("audit: requests are told with who, what and how it went") {
  Folder folder;
  ApiServerOptions options;
  options.audit_policy =
      "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: RequestResponse, resources: [{group: '', resources: "
      "[configmaps]}], omitManagedFields: true}, {level: Metadata}]";
  options.audit_log.path = folder.path / "logs" / "audit.log";
  {
    ApiWorld w(options);
    net::Headers headers{{"User-Agent", "kubectl/v1.33"}, {"Impersonate-User", "ann"}, {"Impersonate-Group", "dev"}};
    auto made = w.ask("POST", "/api/v1/namespaces/default/configmaps?dryRun=All",
                      R"({"metadata":{"generateName":"c-"},"data":{"a":"1"}})");
    CHECK(made.status == 201);
    CHECK(made.headers.get("Audit-Id").size() == 36);
    CHECK(w.ask("GET", "/api/v1/namespaces/default/secrets/nope", "", headers).status == 403);
    CHECK(w.ask("GET", "/api/v1/namespaces/default/secrets/nope", "", {{"Audit-Id", "mine"}}).status == 404);
    CHECK(w.ask("GET", "/version", "", {}, "wrong").status == 401);
  }
  auto all = events(options.audit_log.path);
  std::erase_if(all, [](const Node& e) { return e.path("user.username").str() == "system:apiserver"; });  // what every cluster begins with
  REQUIRE(all.size() == 7);  // received and complete of each, but for who is nobody
  const Node& received = all[0];
  CHECK(received.get("kind").str() == "Event");
  CHECK(received.get("apiVersion").str() == "audit.k8s.io/v1");
  CHECK(received.get("stage").str() == "RequestReceived");
  CHECK_FALSE(received.get("responseStatus").exists());
  const Node& made = all[1];
  CHECK(made.get("auditID") == received.get("auditID"));
  CHECK(made.get("stage").str() == "ResponseComplete");
  CHECK(made.get("level").str() == "RequestResponse");
  CHECK(made.get("verb").str() == "create");
  CHECK(made.get("requestURI").str() == "/api/v1/namespaces/default/configmaps?dryRun=All");
  CHECK(made.path("user.username").str() == "admin");
  CHECK(made.path("objectRef.resource").str() == "configmaps");
  CHECK(made.path("objectRef.namespace").str() == "default");
  CHECK(made.path("objectRef.name").str().starts_with("c-"));
  CHECK(made.path("objectRef.apiVersion").str() == "v1");
  CHECK(made.path("requestObject.data.a").str() == "1");
  CHECK(made.path("responseObject.data.a").str() == "1");
  CHECK_FALSE(made.path("responseObject.metadata.managedFields").exists());
  CHECK(made.path("responseStatus.code").int_or(0) == 201);
  CHECK(made.get("annotations").get("authorization.k8s.io/decision").str() == "allow");
  const Node& refused = all[3];
  CHECK(refused.get("level").str() == "Metadata");
  CHECK(refused.path("user.username").str() == "admin");
  CHECK(refused.path("impersonatedUser.username").str() == "ann");
  CHECK(refused.get("userAgent").str() == "kubectl/v1.33");
  CHECK(refused.get("annotations").get("authorization.k8s.io/decision").str() == "forbid");
  CHECK(refused.path("responseStatus.reason").str() == "Forbidden");
  CHECK_FALSE(refused.get("responseObject").exists());
  CHECK(all[5].get("auditID").str() == "mine");
  CHECK(all[6].path("responseStatus.code").int_or(0) == 401);
}

TEST_CASE("audit: the file is rotated by size, and old ones go by number and age") {
  Folder folder;
  ManualClock clock;
  audit::LogOptions options{.path = folder.path / "audit.log", .max_size_mb = 1, .max_backups = 2, .max_age_days = 3};
  auto log = audit::Log::open(options, clock).value();
  auto megabyte = [&log, &clock](char c) {
    log->submit(std::string((1 << 20) - 10, c) + "\n");
    log->flush();
    clock.advance(seconds(3600));
  };
  for (char c : {'a', 'b', 'c', 'd'}) megabyte(c);
  auto files = folder.files();
  REQUIRE(files.size() == 3);
  CHECK(files[0].starts_with("audit-2023-11-1"));
  CHECK(files[0].ends_with(".log"));
  CHECK(files[2] == "audit.log");
  CHECK(std::ifstream(folder.path / files[0]).get() == 'b');
  CHECK(std::ifstream(folder.path / files[2]).get() == 'd');
  clock.advance(seconds(5 * 86400));
  megabyte('e');
  CHECK(folder.files().size() == 2);  // the fresh backup alone is young enough
  CHECK(log->dropped() == 0);
}

TEST_CASE("audit: a file that cannot be opened is an error at the start") {
  ManualClock clock;
  CHECK_FALSE(audit::Log::open({.path = "/proc/no/audit.log"}, clock).ok());
}
