// Puts pods on nodes: a queue by priority, one cycle at a time on an assumed picture, binding in groups.
#pragma once
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/random.h"
#include "machinery/controller.h"
#include "scheduler/cycle.h"

namespace k8lite::scheduler {

class Scheduler {
 public:
  Scheduler(machinery::Client& client, const Clock& clock, Random& random, std::string name = "default-scheduler");
  ~Scheduler();
  void start();
  void stop();

 private:
  struct Waiting {
    json::Doc pod;
    Duration not_before{0};
    Duration backoff{0};
    bool unschedulable = false;  // until something changes
    bool awaits_claims = false;  // a node was chosen for its claims
    std::string told;            // the last message written to its condition
  };
  void run();
  void watch_volumes();
  void place(std::vector<std::pair<std::string, json::Doc>> batch);
  void failed(const std::string& key, const json::Doc& pod, const Decision& decision);
  void choose_node_for(const std::vector<std::string>& claims, const std::string& node);
  void end_victims(const json::Doc& pod, const Preemption& preemption);
  void bound(const std::vector<std::pair<std::string, json::Doc>>& assumed);
  void something_changed(bool claims = false);

  machinery::Client& client_;
  const Clock& clock_;
  const std::string name_;
  machinery::EventRecorder events_;
  machinery::Informer nodes_, pods_, namespaces_, claims_, volumes_, classes_;
  std::mutex mutex_;
  std::condition_variable wake_;
  Snapshot snapshot_;
  std::map<std::string, Waiting> queue_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace k8lite::scheduler
