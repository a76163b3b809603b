// Keeps the status of PodDisruptionBudgets true; evictions read it.
#pragma once
#include "controllers/context.h"

namespace k8lite::controllers {

class DisruptionController : public Base {
 public:
  explicit DisruptionController(Context& context);
  Result<machinery::Action> reconcile(const std::string& key) override;

 private:
  // What the controllers of these pods want together; pods without one that has a scale count for themselves.
  int64_t expected(const std::vector<json::Doc>& pods) const;
  machinery::Informer &budgets_, &pods_, &sets_, &deployments_, &stateful_, &old_;
};

}  // namespace k8lite::controllers
