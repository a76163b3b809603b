#include "apiserver/stream/log_options.h"

#include <catch2/catch.hpp>

using namespace k8lite;
using namespace k8lite::apiserver;

namespace {
std::string said(std::string_view query) {
  auto r = check_log_options("web", net::Query::parse(query));
  return r.ok() ? "ok" : std::string(reason_name(r.status().reason())) + ": " + r.status().message();
}
}  // namespace

TEST_CASE("log options: what makes sense passes") {
  CHECK(said("") == "ok");
  CHECK(said("container=a&follow=true&tailLines=0&limitBytes=1&sinceSeconds=1") == "ok");
  CHECK(said("sinceTime=2026-01-02T03:04:05%2B01:00") == "ok");
}

TEST_CASE("log options: what makes no sense is refused in upstream's words") {
  CHECK(said("tailLines=-1") == "Invalid: PodLogOptions \"web\" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0");
  CHECK(said("limitBytes=0&sinceSeconds=0") ==
        "Invalid: PodLogOptions \"web\" is invalid: [limitBytes: Invalid value: 0: must be greater than 0, sinceSeconds: Invalid value: 0: must be greater than 0]");
  CHECK(said("sinceSeconds=5&sinceTime=2026-01-02T03:04:05Z") == "Invalid: PodLogOptions \"web\" is invalid: Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified");
  CHECK(said("tailLines=x") == "BadRequest: strconv.ParseInt: parsing \"x\": invalid syntax");
  CHECK(said("sinceTime=yesterday").starts_with("BadRequest: parsing time \"yesterday\""));
}
