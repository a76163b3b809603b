// Watches over HTTP: the stream's frames in each encoding, bookmarks, initial events, errors. The clock is moved until
// the watch ends by its timeout, so what a client saw is complete.
#include <catch2/catch.hpp>
#include <future>

#include "api/wire/wire.h"
#include "support/api_world.h"

using namespace k8lite;
using json::Node;
using testing::ApiWorld;
using testing::HttpAnswer;

namespace {

const std::string kMaps = "/api/v1/namespaces/default/configmaps";

void make(ApiWorld& w, const std::string& name) {
  REQUIRE(w.ask("POST", kMaps, R"({"metadata":{"name":")" + name + R"("},"data":{"a":"1"}})").status == 201);
}
std::string revision(ApiWorld& w) { return w.ask("GET", kMaps).json().path("metadata.resourceVersion").str(); }

// Everything that a watch of one second tells.
HttpAnswer watched(ApiWorld& w, const std::string& query, net::Headers headers = {}, const std::string& path = kMaps) {
  auto answer = std::async(std::launch::async,
                           [&] { return w.ask("GET", path + "?watch=1&timeoutSeconds=1&" + query, "", headers); });
  while (answer.wait_for(std::chrono::milliseconds(20)) != std::future_status::ready) w.clock.advance(seconds(1));
  return answer.get();
}
std::vector<Node> events_of(const std::string& body) {
  std::vector<Node> out;
  for (size_t at = 0; at < body.size();) {
    size_t end = body.find('\n', at);
    auto n = Node::parse(std::string_view(body).substr(at, end - at));
    REQUIRE(n.ok());
    out.push_back(*n);
    at = end + 1;
  }
  return out;
}
std::string told(const std::vector<Node>& events) {
  std::string out;
  for (const Node& e : events)
    out += (out.empty() ? "" : " ") + e.get("type").str() + ":" + e.path("object.metadata.name").str();
  return out;
}

}  // namespace

TEST_CASE("http watch: events since a version, and a bookmark at the end") {
  ApiWorld w;
  make(w, "before");
  std::string from = revision(w);
  make(w, "a");
  REQUIRE(w.ask("DELETE", kMaps + "/a").status == 200);
  auto events = events_of(watched(w, "allowWatchBookmarks=true&resourceVersion=" + from).body);
  CHECK(told(events) == "ADDED:a DELETED:a BOOKMARK:");
  CHECK(events.back().path("object.metadata.resourceVersion").str() == revision(w));
  CHECK(events.back().path("object.kind").str() == "ConfigMap");
  CHECK(told(events_of(watched(w, "resourceVersion=" + from).body)) == "ADDED:a DELETED:a");
  CHECK(told(events_of(watched(w, "").body)) == "ADDED:before");
  CHECK(told(events_of(watched(w, "", {}, kMaps + "/before").body)) == "ADDED:before");
  CHECK(told(events_of(watched(w, "fieldSelector=metadata.name%3Dbefore,metadata.namespace%3Dkube-system").body))
            .empty());
  CHECK(told(events_of(watched(w, "", {}, "/api/v1/watch/namespaces/default/configmaps").body)) == "ADDED:before");
  CHECK(w.ask("GET", kMaps + "/before?watch=1&fieldSelector=metadata.name%3Dother").message() ==
        "fieldSelector metadata.name doesn't match requested name");
}

TEST_CASE("http watch: initial events end with a marked bookmark") {
  ApiWorld w;
  make(w, "a");
  auto events =
      events_of(watched(w, "sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan").body);
  REQUIRE(told(events) == "ADDED:a BOOKMARK: BOOKMARK:");
  CHECK(events[1].path("object.metadata.annotations").get("k8s.io/initial-events-end").str() == "true");
  CHECK_FALSE(events[2].path("object.metadata.annotations").exists());
  CHECK(told(events_of(watched(w, "sendInitialEvents=false&resourceVersionMatch=NotOlderThan").body)).empty());
}

TEST_CASE("http watch: metadata alone and tables, bookmarks too") {
  ApiWorld w;
  make(w, "a");
  make(w, "b");
  auto partial = events_of(watched(w, "allowWatchBookmarks=true",
                                   {{"Accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"}})
                               .body);
  REQUIRE(told(partial) == "ADDED:a ADDED:b BOOKMARK:");
  for (const Node& e : partial) CHECK(e.path("object.kind").str() == "PartialObjectMetadata");
  auto tables = events_of(
      watched(w, "allowWatchBookmarks=true", {{"Accept", "application/json;as=Table;g=meta.k8s.io;v=v1"}}).body);
  REQUIRE(tables.size() == 3);
  for (const Node& e : tables) CHECK(e.path("object.kind").str() == "Table");
  CHECK(tables[0].path("object.columnDefinitions").size() > 0);
  CHECK(tables[1].path("object.columnDefinitions").size() == 0);
}

TEST_CASE("http watch: protobuf frames carry their length and the same objects") {
  ApiWorld w;
  make(w, "a");
  HttpAnswer a = watched(w, "", {{"Accept", "application/vnd.kubernetes.protobuf"}});
  CHECK(a.headers.get("Content-Type") == "application/vnd.kubernetes.protobuf;stream=watch");
  REQUIRE(a.body.size() > 4);
  size_t length = 0;
  for (int i = 0; i < 4; ++i) length = length << 8 | static_cast<unsigned char>(a.body[static_cast<size_t>(i)]);
  REQUIRE(length == a.body.size() - 4);
  size_t object = a.body.find(std::string_view("k8s\0", 4));
  REQUIRE(object != a.body.npos);
  CHECK(a.body.find("ADDED") < object);
  auto decoded = api::wire::decode(std::string_view(a.body).substr(object));
  REQUIRE(decoded.ok());
  CHECK(*decoded == w.ask("GET", kMaps + "/a").json());
}

TEST_CASE("http watch: a version that is too old ends the watch with an error event") {
  ApiWorld w;
  HttpAnswer a = watched(w, "resourceVersion=1");
  auto events = events_of(a.body);
  REQUIRE(a.status == 200);
  if (told(events).starts_with("ERROR")) {
    CHECK(events[0].path("object.code").int_or(0) == 410);
    CHECK(events[0].path("object.reason").str() == "Expired");
  }
}
