// HorizontalPodAutoscalers: every fifteen seconds each one's target gets the replicas that its metrics ask for.
#pragma once
#include <map>

#include "controllers/autoscaler_plan.h"
#include "controllers/custom_kinds.h"

namespace k8lite::controllers {

class AutoscalerController : public Base {
 public:
  explicit AutoscalerController(Context& context);
  Result<machinery::Action> reconcile(const std::string& key) override;

 private:
  struct Known {
    std::string uid, selector;  // selector: of its target, when it was last looked at
    AutoscalerMemory memory;
    Instant told;  // when its status was written last
  };
  // The /scale of the kind that spec.scaleTargetRef names; an error that says what is wrong with it.
  Result<machinery::Path> target_of(const json::Doc& hpa) const;
  std::vector<std::string> rivals_of(const std::string& key, const std::vector<json::Doc>& pods) const;
  Result<> write_scale(const machinery::Path& path, const json::Doc& scale, int64_t replicas);
  Result<> write_status(const json::Doc& hpa, const json::Node& status, Instant& told);

  machinery::Informer &autoscalers_, &pods_, &definitions_;
  std::map<std::string, Known> known_;  // by key; the controller's one thread
};

}  // namespace k8lite::controllers
