// Who may ask the node agent: the API server's word, and for how long it is kept.
#include "kubelet/delegated_auth.h"

#include <catch2/catch.hpp>

#include "support/fake_cluster.h"

using namespace k8lite;
using namespace k8lite::kubelet;

namespace {

class Reviewer : public testing::FakeCluster {
 public:
  using FakeCluster::FakeCluster;
  Result<json::Doc> create(const machinery::Path& path, const json::Doc& body, const machinery::WriteOptions&) override {
    ++asked;
    json::Node n = body.to_node();
    if (path.resource == "tokenreviews") {
      bool good = n.path("spec.token").str() == "good";
      n["status"].set("authenticated", good);
      if (good) n["status"].set("user", json::Node::obj({{"username", "system:serviceaccount:mon:prometheus"}, {"groups", json::Node::arr({"system:authenticated"})}}));
    } else {
      last = body.path("spec.resourceAttributes.subresource").str();
      n["status"].set("allowed", last == "metrics" && body.path("spec.user").str().ends_with("prometheus"));
    }
    return json::Doc::from(n);
  }
  int asked = 0;
  std::string last;
};

}  // namespace

TEST_CASE("node authorisation: paths belong to subresources of the node") {
  CHECK(access_of("GET", "/metrics/cadvisor").subresource == "metrics");
  CHECK(access_of("GET", "/metrics").subresource == "metrics");
  CHECK(access_of("GET", "/metricsx").subresource == "proxy");
  CHECK(access_of("GET", "/stats/summary").subresource == "stats");
  CHECK(access_of("POST", "/exec/a/b/c").subresource == "proxy");
  CHECK(access_of("POST", "/exec/a/b/c").verb == "create");
}

TEST_CASE("node authorisation: the server is not asked about, others are, and answers are kept for a while") {
  ManualClock clock;
  Reviewer api(clock);
  DelegatedAuth auth(api, clock, "n1");
  net::Peer server;
  server.has_certificate = true;
  server.organizations = {"system:masters"};
  CHECK(auth.check(server, "", "GET", "/metrics").ok());
  CHECK(api.asked == 0);

  net::Peer nobody;
  CHECK(auth.check(nobody, "", "GET", "/metrics").status().is(Reason::Unauthorized));
  CHECK(auth.check(nobody, "Basic abc", "GET", "/metrics").status().is(Reason::Unauthorized));
  CHECK(api.asked == 0);
  CHECK(auth.check(nobody, "Bearer bad", "GET", "/metrics").status().is(Reason::Unauthorized));
  CHECK(auth.check(nobody, "Bearer bad", "GET", "/metrics").status().is(Reason::Unauthorized));
  CHECK(api.asked == 1);

  CHECK(auth.check(nobody, "Bearer good", "GET", "/metrics/cadvisor").ok());
  CHECK(api.asked == 3);
  CHECK(auth.check(nobody, "Bearer good", "GET", "/metrics").ok());
  CHECK(api.asked == 3);
  auto refused = auth.check(nobody, "Bearer good", "POST", "/exec/a/b/c");
  CHECK(refused.status().is(Reason::Forbidden));
  CHECK(refused.status().message() == "Forbidden (user=system:serviceaccount:mon:prometheus, verb=create, resource=nodes, subresource(s)=[proxy])");
  clock.advance(seconds(301));
  CHECK(auth.check(nobody, "Bearer good", "GET", "/metrics").ok());
  CHECK(api.asked == 6);

  net::Peer other;
  other.has_certificate = true;
  other.common_name = "ann";
  CHECK(auth.check(other, "", "GET", "/metrics").status().is(Reason::Forbidden));
}
