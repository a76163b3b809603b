// Makes Jobs by the clock.
#pragma once
#include "controllers/context.h"

namespace k8lite::controllers {

class CronJobController : public Base {
 public:
  explicit CronJobController(Context& context);
  Result<machinery::Action> reconcile(const std::string& key) override;

 private:
  machinery::Informer &crons_, &jobs_;
};

}  // namespace k8lite::controllers
