// Writes the Endpoints and EndpointSlices of every Service with a selector.
#pragma once
#include <mutex>
#include <set>

#include "controllers/context.h"

namespace k8lite::controllers {

class EndpointsController : public Base {
 public:
  explicit EndpointsController(Context& context);
  Result<machinery::Action> reconcile(const std::string& key) override;

 private:
  bool settled(const std::string& key);
  std::map<std::string, std::string> zones_of(const std::vector<json::Doc>& pods) const;
  machinery::Informer &services_, &pods_, &endpoints_, &slices_, &nodes_;
  // Slices made but not seen by the informer yet: counting without them would make them twice.
  struct Expected {
    std::set<std::string> created;
    Duration since{0};
  };
  std::mutex mutex_;
  std::map<std::string, Expected> expected_;
};

}  // namespace k8lite::controllers
