#include "apiserver/http/in_flight.h"

#include <catch2/catch.hpp>
#include <vector>

using namespace k8lite;
using namespace k8lite::apiserver;

namespace {
RequestInfo request(const char* method, const char* path, const char* watch = "") {
  return read_request_info(method, path, watch, "").value();
}
const authz::User kAnn{"ann", {"dev"}}, kAdmin{"root", {"system:masters"}};
}  // namespace

TEST_CASE("in flight: reads and writes have places of their own, and each is given back") {
  InFlight f(2, 1);
  std::vector<InFlight::Place> held;
  held.push_back(f.take(request("GET", "/api/v1/pods"), kAnn));
  held.push_back(f.take(request("GET", "/api/v1/nodes/x"), kAnn));
  CHECK_FALSE(held[0].refused());
  CHECK_FALSE(held[1].refused());
  CHECK(f.take(request("GET", "/api/v1/pods"), kAnn).refused());
  CHECK_FALSE(f.take(request("POST", "/api/v1/nodes"), kAnn).refused());
  CHECK_FALSE(f.take(request("DELETE", "/api/v1/nodes/x"), kAnn).refused());  // the one before is over
  held.pop_back();
  CHECK_FALSE(f.take(request("GET", "/api/v1/pods"), kAnn).refused());
}

TEST_CASE("in flight: what runs long, health checks and administrators always pass") {
  InFlight f(0, 0);
  CHECK(f.take(request("GET", "/version"), kAnn).refused());
  CHECK(f.take(request("POST", "/api/v1/nodes"), kAnn).refused());
  CHECK_FALSE(f.take(request("GET", "/api/v1/pods", "true"), kAnn).refused());
  CHECK_FALSE(f.take(request("GET", "/api/v1/namespaces/a/pods/b/log"), kAnn).refused());
  CHECK_FALSE(f.take(request("POST", "/api/v1/namespaces/a/pods/b/exec"), kAnn).refused());
  CHECK_FALSE(f.take(request("GET", "/readyz"), kAnn).refused());
  CHECK_FALSE(f.take(request("POST", "/api/v1/nodes"), kAdmin).refused());
  CHECK(InFlight::too_many().details().retry_after_seconds == 1);
}
