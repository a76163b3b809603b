// Controllers on a fake cluster with a clock that tests move: put objects in, settle, look at the world that results.
#pragma once
#include <thread>

#include "controllers/context.h"
#include "support/fake_cluster.h"

namespace k8lite::testing {

class ControllerWorld {
 public:
  ManualClock clock;
  SeededRandom random{3};
  FakeCluster cluster{clock};
  machinery::EventRecorder events{cluster, clock, random, "test"};
  controllers::Context context{cluster, clock, random, events, "10.42.0.0/16", "CA", "", {}};

  ~ControllerWorld() { stop(); }
  template <class Controller>
  void run() { controllers_.push_back(std::make_unique<Controller>(context)); }

  // Works until every informer shows what is stored and no key is due.
  void settle() {
    start();
    for (int quiet = 0, rounds = 0; quiet < 3 && rounds < 5000; ++rounds) {
      bool still = caught_up();
      size_t worked = machinery::Runner::drain(all_);
      quiet = still && worked == 0 && caught_up() ? quiet + 1 : 0;
      if (after_round) after_round();
      std::this_thread::sleep_for(std::chrono::microseconds(quiet ? 1500 : 100));
    }
  }
  void pass(Duration d) {
    settle();
    clock.advance(d);
    settle();
  }
  void stop() {
    for (auto& [name, informer] : context.informers) informer->stop();
    running_ = false;
  }
  std::function<void()> after_round;  // a kubelet of the test's own, a check of what must hold at any time

  static Path path(const std::string& group, const std::string& resource, const std::string& name = "", const std::string& ns = "default") { return {group, "v1", resource, ns, name, ""}; }
  static Path pods(const std::string& name = "") { return path("", "pods", name); }

  // Pods that are not over become Running and Ready, as if a kubelet had started them.
  void start_pods(const std::function<bool(const Doc&)>& which = [](const Doc&) { return true; }) {
    for (const Doc& p : cluster.all(pods())) {
      if (controllers::pod_is_ready(p.root()) || p.path("metadata.deletionTimestamp") || !which(p)) continue;
      set_status(p, true);
    }
  }
  void set_status(const Doc& pod, bool ready, const std::string& phase = "Running") {
    Path path = pods(pod.path("metadata.name").str());
    path.ns = pod.path("metadata.namespace").str();
    path.subresource = "status";
    Node condition = Node::obj({{"type", "Ready"}, {"status", ready ? "True" : "False"}, {"lastTransitionTime", rfc3339(clock.now())}});
    cluster.merge(path, Node::obj({{"status", Node::obj({{"phase", phase}, {"podIP", "10.42.0.9"}, {"conditions", Node::arr({condition})}})}}).dump());
  }

 private:
  void start() {
    if (std::exchange(running_, true)) return;
    for (auto& c : controllers_) all_.push_back(c.get());
    for (auto& [name, informer] : context.informers) informer->start();
    for (auto& [name, informer] : context.informers) informer->wait_synced(seconds(5));
  }
  bool caught_up() {
    for (auto& [name, informer] : context.informers) {
      if (cluster.is_held(informer->path())) continue;
      ListOptions select;
      if (!name.ends_with("?kept")) select.field_selector = name.substr(name.find('?') + 1);
      std::set<std::string> stored, seen;
      auto mark = [](const Doc& d) { return d.path("metadata.uid").str() + "@" + d.path("metadata.resourceVersion").str(); };
      auto list = cluster.list_now(informer->path(), select);
      for (const Doc& d : list->items)
        if (informer->keeps(d.root())) stored.insert(mark(d));
      for (const Doc& d : informer->list()) seen.insert(mark(d));
      if (stored != seen) return false;
    }
    return true;
  }
  std::vector<std::unique_ptr<machinery::Controller>> controllers_;
  std::vector<machinery::Controller*> all_;
  bool running_ = false;
};

}  // namespace k8lite::testing
