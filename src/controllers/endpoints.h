// Writes the Endpoints and EndpointSlices of every Service with a selector.
#pragma once
#include "controllers/context.h"

namespace k8lite::controllers {

class EndpointsController : public Base {
 public:
  explicit EndpointsController(Context& context);
  Result<machinery::Action> reconcile(const std::string& key) override;

 private:
  machinery::Informer &services_, &pods_, &endpoints_, &slices_;
};

}  // namespace k8lite::controllers
