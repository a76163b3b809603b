// Runs Jobs to their end.
#pragma once
#include <map>
#include <mutex>

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
  // The version of each Job that this controller has written last. The ledger of an older one knows nothing of pods whose finalizers
  // went after it, and their work would be done twice.
  std::mutex mutex_;
  std::map<std::string, int64_t> written_;
};

}  // namespace k8lite::controllers
