// Keeps the status of ResourceQuotas true. Admission charges what is written; this gives back what was deleted or is
// over, and counts anew when a quota changes.
#pragma once
#include <set>

#include "api/usage.h"
#include "controllers/context.h"

namespace k8lite::controllers {

class ResourceQuotaController : public Base {
 public:
  explicit ResourceQuotaController(Context& context);
  ~ResourceQuotaController() override;
  Result<machinery::Action> reconcile(const std::string& key) override;

 private:
  struct Follower;
  // Opens a watch of the kind, unless there is one; quotas of a namespace are counted again when something in it uses
  // less.
  void follow(const api::Counted& resource);
  void changed(const std::string& ns, bool less);
  Result<machinery::Path> path_of(const api::Counted& resource);

  machinery::Informer& quotas_;
  std::mutex mutex_;
  std::map<api::Counted, std::shared_ptr<Follower>> followers_;
};

// What a quota's status should be, from its spec and the use of each kind it counts. Pure.
json::Node quota_status(const json::Doc& quota, const api::Usage& used);

}  // namespace k8lite::controllers
