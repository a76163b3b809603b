// Runs Jobs to their end.
#pragma once
#include "controllers/ledger.h"
#include "controllers/pod_control.h"

namespace k8lite::controllers {

class JobController : public Base {
 public:
  explicit JobController(Context& context);
  Result<machinery::Action> reconcile(const std::string& key) override;

 private:
  Result<> release(const json::Doc& pod);
  machinery::Informer &jobs_, &pods_;
  PodControl control_;
  // The counters of an older Job know nothing of pods whose finalizers went after them, and their work would be done twice.
  Ledger ledger_;
};

}  // namespace k8lite::controllers
