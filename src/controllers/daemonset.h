// Keeps one pod of each DaemonSet on every node that it selects.
#pragma once
#include "controllers/pod_control.h"

namespace k8lite::controllers {

class DaemonSetController : public Base {
 public:
  explicit DaemonSetController(Context& context);
  Result<machinery::Action> reconcile(const std::string& key) override;

 private:
  machinery::Informer &sets_, &pods_, &nodes_, &revisions_;
  PodControl control_;
  // A daemon that fails over and over is made anew ever later: 1 s, doubling to 15 min, for each set and node.
  struct Failures {
    int count = 0;
    Duration last{0};
  };
  std::map<std::string, Failures> failures_;
};

}  // namespace k8lite::controllers
