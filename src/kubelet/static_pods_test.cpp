// Files of static pods: what each asks for, and what is told when the folder changes.
#include "kubelet/static_pods.h"

#include <stdlib.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <atomic>
#include <condition_variable>

using namespace k8lite;
using namespace k8lite::kubelet;

namespace {

const char* kPod = R"(apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  containers: [{name: main, image: "web:1"}]
)";

struct Folder {
  std::string path;
  Folder() {
    char name[] = "/tmp/k8lite-static-XXXXXX";
    path = mkdtemp(name);
  }
  ~Folder() { (void)os::remove_tree(path); }
  void put(const std::string& name, const std::string& text) {
    REQUIRE(os::write_file(path + "/" + name, text, 0644, false).ok());
  }
};

}  // namespace

TEST_CASE("static pods: a file becomes a pod of this node, whose uid changes with its text") {
  auto pod = static_pod(kPod, "/m/web.yaml", "edge");
  REQUIRE(pod.ok());
  CHECK(pod->path("metadata.name").equals("web-edge"));
  CHECK(pod->path("metadata.namespace").equals("default"));
  CHECK(pod->path("spec.nodeName").equals("edge"));
  CHECK(pod->path("spec.restartPolicy").equals("Always"));
  CHECK(pod->path("spec.containers").items().begin().operator*()["imagePullPolicy"].equals("IfNotPresent"));
  CHECK(pod->path("metadata.annotations")["kubernetes.io/config.source"].equals("file"));
  CHECK(pod->path("metadata.uid").str().size() == 32);
  CHECK(is_static(pod->root()));
  auto same = static_pod(kPod, "/m/web.yaml", "edge"),
       other = static_pod(std::string(kPod) + "  terminationGracePeriodSeconds: 1\n", "/m/web.yaml", "edge");
  REQUIRE(other.ok());
  CHECK(same->path("metadata.uid").str() == pod->path("metadata.uid").str());
  CHECK(other->path("metadata.uid").str() != pod->path("metadata.uid").str());
  auto mirror = json::Doc::from(mirror_of(pod->root(), "edge", "n-1"));
  CHECK(is_mirror(mirror.root()));
  CHECK_FALSE(is_static(mirror.root()));
  CHECK(mirror.path("metadata.annotations")["kubernetes.io/config.mirror"].equals(pod->path("metadata.uid").str()));
  CHECK_FALSE(mirror.path("metadata.uid").exists());
}

TEST_CASE("static pods: a file that holds no pod, or one that needs the API, is refused with a reason") {
  for (auto [text, why] :
       {std::pair{"kind: Service\napiVersion: v1\n", "expected a v1 Pod"},
        {"a: [", "m.yaml"},
        {"", "not 0"},
        {"apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: []}\n", "spec.containers"},
        {"apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: c, image: i, envFrom: "
         "[{secretRef: {name: s}}]}]}\n",
         "may not reference"}}) {
    INFO(text);
    auto r = static_pod(text, "m.yaml", "edge");
    REQUIRE_FALSE(r.ok());
    CHECK(r.status().message().find(why) != std::string::npos);
  }
}

TEST_CASE("static pods: files that come, change and go are followed") {
  Folder folder;
  std::mutex mutex;
  std::condition_variable told;
  int changes = 0;
  StaticPods pods(folder.path + "/manifests", "edge", [&] {
    std::lock_guard lock(mutex);
    ++changes;
    told.notify_all();
  });
  pods.start();
  auto wait = [&](int n) {
    std::unique_lock lock(mutex);
    return told.wait_for(lock, seconds(20), [&] { return changes >= n; });
  };
  CHECK(pods.load().empty());
  REQUIRE(os::write_file(folder.path + "/manifests/web.yaml", kPod, 0644, false).ok());
  REQUIRE(wait(1));
  CHECK(pods.load() == std::vector<std::string>{"default/web-edge"});
  CHECK(pods.load().empty());
  std::string uid = pods.get("default/web-edge").path("metadata.uid").str();
  REQUIRE(os::write_file(folder.path + "/manifests/bad.yaml", "x", 0644, false).ok());
  REQUIRE(os::write_file(folder.path + "/manifests/web.yaml", std::string(kPod) + "  hostNetwork: true\n", 0644, false)
              .ok());
  REQUIRE(wait(2));
  // Both files may have been told of apart.
  std::vector<std::string> changed;
  for (int n = 2; changed.empty() && wait(n); ++n) changed = pods.load();
  CHECK(changed == std::vector<std::string>{"default/web-edge"});
  CHECK(pods.get("default/web-edge").path("metadata.uid").str() != uid);
  int before;
  {
    std::lock_guard lock(mutex);
    before = changes;
  }
  REQUIRE(::unlink((folder.path + "/manifests/web.yaml").c_str()) == 0);
  REQUIRE(wait(before + 1));
  CHECK(pods.load() == std::vector<std::string>{"default/web-edge"});
  CHECK_FALSE(pods.get("default/web-edge"));
  pods.stop();
}

TEST_CASE("static pods: what changed between the first look and the watch is told too") {
  Folder folder;
  std::mutex mutex;
  std::condition_variable told;
  bool changed = false;
  StaticPods pods(folder.path + "/manifests", "edge", [&] {
    std::lock_guard lock(mutex);
    changed = true;
    told.notify_all();
  });
  REQUIRE(os::make_dirs(folder.path + "/manifests").ok());
  CHECK(pods.load().empty());
  REQUIRE(os::write_file(folder.path + "/manifests/web.yaml", kPod, 0644, false).ok());
  pods.start();
  {
    std::unique_lock lock(mutex);
    REQUIRE(told.wait_for(lock, seconds(20), [&] { return changed; }));
  }
  CHECK(pods.load() == std::vector<std::string>{"default/web-edge"});
  pods.stop();
}
