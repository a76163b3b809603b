// Mirrors Endpoints that users keep themselves, for Services without a selector, as EndpointSlices: proxies and DNS look at nothing else.
#pragma once
#include "controllers/context.h"

namespace k8lite::controllers {

class MirroringController : public Base {
 public:
  explicit MirroringController(Context& context);
  Result<machinery::Action> reconcile(const std::string& key) override;

 private:
  machinery::Informer &services_, &endpoints_, &slices_;
};

// What stands for these Endpoints: addressType, endpoints, ports of each slice. Pure. At most 1,000 addresses of each subset.
std::vector<json::Node> mirrored_slices(const json::Doc& endpoints);

}  // namespace k8lite::controllers
