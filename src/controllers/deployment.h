// Rolls a Deployment's ReplicaSets.
#pragma once
#include "controllers/context.h"

namespace k8lite::controllers {

class DeploymentController : public Base {
 public:
  explicit DeploymentController(Context& context);
  Result<machinery::Action> reconcile(const std::string& key) override;

 private:
  Result<std::vector<json::Doc>> sets_of(const json::Doc& deployment);  // its own, and orphans its selector matches: adopted
  Result<> taken_name(const json::Doc& deployment, const std::string& name);
  Result<> create_set(const json::Doc& deployment, int64_t replicas, int64_t revision);
  machinery::Informer &deployments_, &sets_;
};

}  // namespace k8lite::controllers
