// CustomResourceDefinitions: gives them their names and conditions (NamesAccepted, Established), and empties and lets
// go of those that are being deleted (Terminating, finalizer customresourcecleanup.apiextensions.k8s.io).
#pragma once
#include "controllers/crd_plan.h"

namespace k8lite::controllers {

class DefinitionController : public Base {
 public:
  explicit DefinitionController(Context& context);
  Result<machinery::Action> reconcile(const std::string& key) override;

 private:
  Result<machinery::Action> remove_objects(const json::Doc& definition);
  Result<> write(const json::Doc& definition, const json::Node& status);
  machinery::Informer& definitions_;
};

}  // namespace k8lite::controllers
