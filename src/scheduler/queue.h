// The pods that wait for a node, most important first. One that fits nowhere waits until something happened that may
// help it, and then for its back-off, which grows from try to try. Plain data in one thread; the time comes with the
// calls. (Kubernetes documentation, "Scheduling Framework"; KEP-4247 on hints.)
#pragma once
#include <map>
#include <set>
#include <string>
#include <unordered_map>

#include "base/clock.h"
#include "scheduler/pod_info.h"
#include "scheduler/profile.h"

namespace k8lite::scheduler {

struct Waiting {
  PodPtr pod;
  const Profile* profile = nullptr;
  std::string told;            // the last message written to its condition
  uint32_t refused_by = 0;     // bits of plugins
  bool awaits_claims = false;  // a node was chosen for its claims

 private:
  friend class Queue;
  enum class Place { Active, BackOff, Unschedulable, Taken } place = Place::Taken;
  uint64_t order = 0;
  Duration backoff{0}, not_before{0}, tried{0}, since{0};
  bool failed = false;  // not refused, but something went wrong: it waits for its back-off whatever happens
};

class Queue {
 public:
  Queue(Duration first_backoff, Duration longest_backoff) : first_(first_backoff), longest_(longest_backoff) {}
  // New, or changed in what counts: it is tried (again).
  void put(const PodPtr& pod, const Profile* profile, Duration now);
  // Changed in what does not count.
  void refresh(const PodPtr& pod);
  void erase(const std::string& key);
  Waiting* find(const std::string& key);
  // The next to be tried, to be followed by erase(), refused() or failed(); null: none is due. When nobody else waits,
  // one whose back-off is not over is taken as well, though not the next moment.
  Waiting* take(Duration now);
  void refused(Waiting& w, uint32_t by, Duration now);
  void failed(Waiting& w, Duration now);
  // Something happened that may help those which these plugins refused; `helps` says more of one of them.
  template <class F>
  void wake(uint32_t plugins, Duration now, F helps) {
    for (auto it = unschedulable_.begin(); it != unschedulable_.end();) {
      Waiting& w = *(it++)->second;
      if ((w.refused_by & plugins) && helps(w))
        move(w, w.not_before > now ? Waiting::Place::BackOff : Waiting::Place::Active, now);
    }
  }
  void wake(uint32_t plugins, Duration now) {
    wake(plugins, now, [](const Waiting&) { return true; });
  }
  // When to call take() next though nothing happens; negative: never.
  Duration next_due(Duration now) const;
  size_t size() const { return all_.size(); }

 private:
  void move(Waiting& w, Waiting::Place place, Duration now);
  void leave(Waiting& w);

  const Duration first_, longest_;
  uint64_t orders_ = 0;
  std::unordered_map<std::string, Waiting> all_;
  std::map<std::pair<int64_t, uint64_t>, Waiting*> active_;     // by -priority and order
  std::map<std::pair<Duration, uint64_t>, Waiting*> back_off_;  // by its end
  std::map<std::pair<Duration, uint64_t>, Waiting*>
      early_;  // of those, the ones that may be taken before it: by the last try
  std::map<std::pair<Duration, uint64_t>, Waiting*> unschedulable_;  // by since when
};

}  // namespace k8lite::scheduler
