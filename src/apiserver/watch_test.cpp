// Watches with selectors: an object that starts to match is added, one that stops to match is deleted, whatever was written; with the
// state and revisions that clients need to keep a true copy.
#include <catch2/catch.hpp>
#include <future>
#include <set>
#include <thread>

#include "base/strings.h"
#include "support/api_world.h"

using namespace k8lite;
using json::Doc;
using json::Node;
using machinery::WatchEvent;
using testing::ApiWorld;

namespace {

const machinery::Path kMaps{"", "v1", "configmaps", "default", "", ""};

struct Seen {
  std::mutex mutex;
  std::vector<WatchEvent> events;
  std::unique_ptr<machinery::WatchHandle> handle;

  Seen(machinery::Client& client, const machinery::Path& path, machinery::ListOptions options) {
    handle = client.watch(path, options, [this](WatchEvent e) {
      std::lock_guard lock(mutex);
      events.push_back(std::move(e));
    }).value();
  }
  // "A:name=value D:name=value …" of what came since the last call, once `n` events are there.
  std::string text(size_t n) {
    for (int i = 0; i < 2000; ++i) {
      {
        std::lock_guard lock(mutex);
        if (events.size() >= n) break;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    std::lock_guard lock(mutex);
    std::string out;
    for (const auto& e : events) {
      const char* letter = e.type == WatchEvent::Type::Added ? "A" : e.type == WatchEvent::Type::Modified ? "M" : e.type == WatchEvent::Type::Deleted ? "D" : "?";
      out += (out.empty() ? "" : " ") + std::string(letter) + ":" + e.object.path("metadata.name").str() + "=" + e.object.path("data.v").str();
    }
    events.clear();
    return out;
  }
};

void put(ApiWorld& w, const std::string& name, const std::string& app, const std::string& v) {
  machinery::Path path = kMaps;
  Node body = Node::obj({{"metadata", Node::obj({{"name", name}, {"labels", Node::obj({{"app", app}})}})}, {"data", Node::obj({{"v", v}})}});
  path.name = name;
  bool there = w.admin->get(path).ok();
  auto r = there ? w.admin->update(path, Doc::from(body), {}) : w.admin->create(kMaps, Doc::from(body), {});
  REQUIRE(r.ok());
}

}  // namespace

TEST_CASE("watch: a label selector sends ADDED when an object starts to match and DELETED when it stops") {
  ApiWorld w;
  put(w, "in", "web", "0");
  put(w, "out", "db", "0");
  machinery::ListOptions select;
  select.label_selector = "app=web";
  Seen seen(*w.admin, kMaps, select);
  CHECK(seen.text(1) == "A:in=0");
  put(w, "in", "web", "1");
  CHECK(seen.text(1) == "M:in=1");
  put(w, "in", "db", "2");          // leaves, with its last state that matched
  CHECK(seen.text(1) == "D:in=1");
  put(w, "in", "db", "3");          // nobody's business now
  put(w, "out", "web", "1");        // enters
  CHECK(seen.text(1) == "A:out=1");
  REQUIRE(w.admin->remove({"", "v1", "configmaps", "default", "in", ""}, {}).ok());  // does not match: silence
  REQUIRE(w.admin->remove({"", "v1", "configmaps", "default", "out", ""}, {}).ok());
  CHECK(seen.text(1) == "D:out=1");
}

TEST_CASE("watch: a field selector does the same, and a deletion carries the revision of the change") {
  ApiWorld w;
  REQUIRE(w.ask("POST", "/api/v1/namespaces/default/serviceaccounts", R"({"metadata":{"name":"default"}})").status == 201);
  auto pod = [&w](const char* name) { return w.ask("POST", "/api/v1/namespaces/default/pods", R"({"metadata":{"name":")" + std::string(name) + R"("},"spec":{"containers":[{"name":"c","image":"i"}]}})"); };
  REQUIRE(pod("a").status == 201);
  machinery::ListOptions unbound;
  unbound.field_selector = "spec.nodeName=";
  machinery::Path pods{"", "v1", "pods", "", "", ""};
  Seen waiting(*w.admin, pods, unbound);
  machinery::ListOptions on_edge;
  on_edge.field_selector = "spec.nodeName=edge";
  Seen bound(*w.admin, pods, on_edge);
  CHECK(waiting.text(1) == "A:a=");
  CHECK(w.ask("POST", "/api/v1/namespaces/default/pods/a/binding", R"({"target":{"name":"edge"}})").status == 201);
  std::string revision = w.admin->get({"", "v1", "pods", "default", "a", ""})->path("metadata.resourceVersion").str();
  for (int i = 0; i < 2000 && (waiting.events.empty() || bound.events.empty()); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  {
    std::scoped_lock lock(waiting.mutex, bound.mutex);
    REQUIRE(waiting.events.size() == 1);
    CHECK(waiting.events[0].object.path("metadata.resourceVersion").str() == revision);
    CHECK(waiting.events[0].object.path("spec.nodeName").empty());
  }
  CHECK(waiting.text(1) == "D:a=");
  CHECK(bound.text(1) == "A:a=");
}

// Property: whoever applies a selected watch's events to a selected list holds, at the end, what a selected list shows.
TEST_CASE("watch: random writes, and a selected copy stays true") {
  ApiWorld w;
  SeededRandom random(5);
  for (const char* selector : {"app=web", "app in (web,db)", "app!=web", "tier", "!tier"}) {
    CAPTURE(selector);
    machinery::ListOptions select;
    select.label_selector = selector;
    auto listed = w.admin->list(kMaps, select);
    REQUIRE(listed.ok());
    std::map<std::string, std::string> copy;
    for (const Doc& d : listed->items) copy[d.path("metadata.name").str()] = d.path("data.v").str();
    select.resource_version = listed->resource_version;
    std::mutex mutex;
    std::set<std::string> wrong;
    std::string last;
    auto handle = w.admin->watch(kMaps, select, [&](WatchEvent e) {
      std::lock_guard lock(mutex);
      std::string name = e.object.path("metadata.name").str();
      bool had = copy.count(name) > 0;
      if (e.type == WatchEvent::Type::Added && had) wrong.insert("added twice");
      if (e.type == WatchEvent::Type::Modified && !had) wrong.insert("modified, never added");
      if (e.type == WatchEvent::Type::Deleted && !had) wrong.insert("deleted, never added");
      if (e.type == WatchEvent::Type::Deleted) copy.erase(name);
      else copy[name] = e.object.path("data.v").str();
      last = e.object.path("metadata.resourceVersion").str();
    });
    REQUIRE(handle.ok());
    for (int i = 0; i < 150; ++i) {
      std::string name = "m" + std::to_string(random.next() % 6);
      machinery::Path path{"", "v1", "configmaps", "default", name, ""};
      if (random.next() % 5 == 0) {
        (void)w.admin->remove(path, {});
        continue;
      }
      Node labels = Node::object();
      if (random.next() % 4) labels.set("app", random.next() % 2 ? "web" : "db");
      if (random.next() % 2) labels.set("tier", "x");
      Node body = Node::obj({{"metadata", Node::obj({{"name", name}, {"labels", labels}})}, {"data", Node::obj({{"v", std::to_string(i)}})}});
      if (!w.admin->update(path, Doc::from(body), {}).ok()) REQUIRE(w.admin->create(kMaps, Doc::from(body), {}).ok());
    }
    machinery::ListOptions again;
    again.label_selector = selector;
    std::map<std::string, std::string> truth;
    auto now = w.admin->list(kMaps, again);
    REQUIRE(now.ok());
    for (const Doc& d : now->items) truth[d.path("metadata.name").str()] = d.path("data.v").str();
    for (int i = 0; i < 2000; ++i) {
      std::lock_guard lock(mutex);
      if (copy == truth) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    (*handle)->close();
    CHECK(copy == truth);
    CHECK(wrong == std::set<std::string>{});
  }
}

TEST_CASE("watch: over HTTP, selectors work the same and a bookmark ends it") {
  ApiWorld w;
  put(w, "in", "web", "0");
  auto first = w.ask("GET", "/api/v1/namespaces/default/configmaps?labelSelector=app%3Dweb").json().path("metadata.resourceVersion").str();
  put(w, "in", "db", "1");
  put(w, "in", "web", "2");
  // The clock stands still, so the watch must end by itself at once: one second counts as over when it begins later.
  auto answer = std::async(std::launch::async, [&w, first] { return w.ask("GET", "/api/v1/namespaces/default/configmaps?watch=1&allowWatchBookmarks=true&timeoutSeconds=1&labelSelector=app%3Dweb&resourceVersion=" + first); });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  w.clock.advance(seconds(2));
  std::string body = answer.get().body;
  std::vector<std::string> types;
  for (std::string_view line : split(body, '\n'))
    if (!line.empty()) types.push_back(Node::parse(line)->get("type").str());
  CHECK(types == std::vector<std::string>{"DELETED", "ADDED", "BOOKMARK"});
  CHECK(w.ask("GET", "/api/v1/namespaces/default/configmaps?watch=1&labelSelector=app%3D%3D%3D").status == 400);
  CHECK(w.ask("GET", "/api/v1/namespaces/default/configmaps?watch=1&fieldSelector=data.v%3D1").message() == "\"data.v\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"");
}

TEST_CASE("update: the server's fields are where they belong, in whatever order a body comes") {
  ApiWorld w;
  std::string url = "/apis/apps/v1/namespaces/default/deployments";
  const char* spec = R"("spec":{"replicas":%r,"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}})";
  auto body = [&](const char* order, const char* replicas, const char* meta) {
    std::string out = replace_all(replace_all(order, "%s", spec), "%m", meta);
    return replace_all(replace_all(out, "%k", R"("kind":"Deployment","apiVersion":"apps/v1")"), "%r", replicas);
  };
  REQUIRE(w.ask("POST", url, body("{%k,%m,%s}", "1", R"("metadata":{"name":"d"})")).status == 201);
  int64_t generation = 1;
  for (const char* order : {"{%k,%m,%s}", "{%m,%s,%k}", "{%s,%m,%k}", "{%s,%k,%m}", R"({%k,"status":{"replicas":9},%m,%s})"}) {
    CAPTURE(order);
    auto a = w.ask("PUT", url + "/d", body(order, std::to_string(++generation).c_str(), R"("metadata":{"name":"d","labels":{"x":"y"}})"));
    REQUIRE(a.status == 200);
    CHECK(a.json().path("metadata.generation").int_or(0) == generation);
    CHECK_FALSE(a.json().get("spec").get("generation").exists());
    CHECK_FALSE(a.json().get("status").get("replicas").exists());
    CHECK(w.ask("PUT", url + "/d", body(order, "1", R"("metadata":{"name":"d","labels":{"not a key":"y"}})")).status == 422);
  }
  auto patched = w.ask("PATCH", url + "/d", R"({"spec":{"replicas":50}})", {{"Content-Type", "application/merge-patch+json"}});
  CHECK(patched.json().path("metadata.generation").int_or(0) == generation + 1);
  // Being deleted, it takes no new finalizers.
  REQUIRE(w.ask("PATCH", url + "/d", R"({"metadata":{"finalizers":["example.org/a"]}})", {{"Content-Type", "application/merge-patch+json"}}).status == 200);
  REQUIRE(w.ask("DELETE", url + "/d").status == 200);
  CHECK(w.ask("PATCH", url + "/d", R"({"metadata":{"finalizers":["example.org/a","example.org/b"]}})", {{"Content-Type", "application/merge-patch+json"}}).status == 422);
  CHECK(w.ask("PATCH", url + "/d", R"({"metadata":{"finalizers":null}})", {{"Content-Type", "application/merge-patch+json"}}).status == 200);
  CHECK(w.ask("GET", url + "/d").status == 404);
}
