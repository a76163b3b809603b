// Keeps the status of PodDisruptionBudgets true; evictions read it.
#pragma once
#include "controllers/context.h"

namespace k8lite::controllers {

class DisruptionController : public Base {
 public:
  explicit DisruptionController(Context& context);
  Result<machinery::Action> reconcile(const std::string& key) override;

 private:
  // What the controllers of these pods want together. An error when one of them has no scale; pods without a controller are listed.
  Result<int64_t> expected(const std::vector<json::Doc>& pods, std::vector<std::string>& unmanaged) const;
  Result<> write(const json::Doc& budget, const json::Node& status);
  machinery::Informer &budgets_, &pods_, &sets_, &deployments_, &stateful_, &old_;
};

}  // namespace k8lite::controllers
