// Puts pods on nodes. One thread owns the picture: it takes in what informers tell, decides pod after pod on an assumed
// picture and hands what is to be written to a second thread, which writes whatever has gathered in one go. So deciding
// never waits for a disk.
#pragma once
#include <condition_variable>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "base/random.h"
#include "machinery/controller.h"
#include "scheduler/cycle.h"
#include "scheduler/queue.h"

namespace k8lite::scheduler {

class Scheduler {
 public:
  Scheduler(machinery::Client& client, const Clock& clock, Random& random, Configuration configuration = {});
  ~Scheduler();
  void start();
  void stop();

 private:
  struct News {
    enum Kind { kNode, kPod, kNamespace, kClaim, kVolume, kClass, kBudget, kNotBound } kind;
    json::Doc before, after;  // kNotBound: `after` is the pod as it was assumed
  };
  // What is to be written. A pod with a node is bound, one without is told why; claims are given the node.
  struct Work {
    PodPtr pod;
    std::string node, text;
    std::vector<std::string> claims, displaced;
    bool clear_nomination = false;
    Preemption preemption;
    bool gated = false;  // it is told that its gates are closed
  };

  void watch(machinery::Informer& informer, News::Kind kind);
  void run();
  void take_in(const News& news);
  void node_changed(const json::Doc& before, const json::Doc& after);
  void pod_changed(const json::Doc& before, const json::Doc& after);
  void bound_pod_changed(const std::string& key, const json::Doc& before, const json::Doc& after);
  void waiting_pod_changed(const std::string& key, const json::Doc& after);
  void claim_changed(const json::Doc& before, const json::Doc& after);
  void not_bound(const json::Doc& pod);
  void place(Waiting& waiting);
  void refused(Waiting& waiting, const Decision& decision);
  void hand_over(Work work);

  void write();
  void bind(const std::vector<Work>& works);
  void choose_node(const Work& work);
  void failed(const Work& work);
  void end_victims(const Work& work);
  void tell(const std::vector<Work>& works);

  machinery::Client& client_;
  const Clock& clock_;
  const Configuration configuration_;
  std::vector<std::unique_ptr<machinery::EventRecorder>> events_;  // one a profile
  machinery::EventRecorder& events_of(const PodInfo& pod);
  machinery::Informer nodes_, pods_, namespaces_, claims_, volumes_, classes_, budgets_;
  std::vector<machinery::Informer*> informers_;

  // The deciding thread's own.
  Snapshot snapshot_;
  Queue queue_;
  std::unordered_map<std::string, PodPtr> assumed_;  // whose binding is not seen yet
  size_t next_node_ = 0;

  std::mutex mutex_;
  std::condition_variable wake_, work_there_;
  std::vector<News> inbox_;
  std::vector<Work> outbox_;
  bool stopping_ = false;
  std::thread thread_, writer_;
};

}  // namespace k8lite::scheduler
