// Makes Jobs by the clock.
#pragma once
#include "controllers/ledger.h"

namespace k8lite::controllers {

class CronJobController : public Base {
 public:
  explicit CronJobController(Context& context);
  Result<machinery::Action> reconcile(const std::string& key) override;

 private:
  machinery::Informer &crons_, &jobs_;
  Ledger ledger_;  // an older status has not heard of the last start, whose Job may be over and gone already
};

}  // namespace k8lite::controllers
