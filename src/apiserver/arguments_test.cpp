// Arguments as kube-apiserver names them: what they set, and errors that name argument and file.
#include "apiserver/arguments.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "os/files.h"

using namespace k8lite;
using namespace k8lite::apiserver;

TEST_CASE("arguments: each sets its option, and one without use is passed over") {
  std::string file = std::filesystem::temp_directory_path() / ("k8lite-arguments-" + std::to_string(getpid()));
  REQUIRE(os::write_file(file, "t,ann,1,dev\n", 0600, false).ok());
  ApiServerOptions o;
  REQUIRE(apply_arguments(
              {"--anonymous-auth=false", "api-audiences=a,b", "audit-log-path=/x/audit.log", "audit-log-maxage=1",
               "audit-log-maxbackup=2", "enable-admission-plugins=AlwaysPullImages", "disable-admission-plugins=PodSecurity", "audit-log-maxsize=3", "service-account-issuer=https://new",
               "service-account-issuer=https://old", "service-account-max-token-expiration=24h",
               "token-auth-file=" + file, "enable-aggregator-routing=true", "profiling"},
              o)
              .ok());
  CHECK_FALSE(o.anonymous);
  CHECK(o.audiences == std::vector<std::string>{"a", "b"});
  CHECK(o.admission.enable == std::vector<std::string>{"AlwaysPullImages"});
  CHECK(o.admission.disable == std::vector<std::string>{"PodSecurity"});
  CHECK(o.audit_log.path == "/x/audit.log");
  CHECK(o.audit_log.max_age_days == 1);
  CHECK(o.audit_log.max_backups == 2);
  CHECK(o.audit_log.max_size_mb == 3);
  CHECK(o.issuers == std::vector<std::string>{"https://new", "https://old"});
  CHECK(o.longest_token_seconds == 86400);
  CHECK(o.tokens["t"].user.name == "ann");
  for (const std::string& bad :
       {std::string("anonymous-auth=perhaps"), std::string("audit-log-maxage=-1"),
        std::string("audit-log-format=legacy"), std::string("enable-admission-plugins=NoSuch"), std::string("service-account-max-token-expiration=5m"),
        "token-auth-file=" + file + ".not", "audit-policy-file=" + file}) {
    CAPTURE(bad);
    auto r = apply_arguments({bad}, o);
    REQUIRE_FALSE(r.ok());
    CHECK(r.status().message().starts_with("kube-apiserver-arg: " + bad.substr(0, bad.find('='))));
  }
  std::filesystem::remove(file);
}
