// Persistent volumes: binds claims to them, provisions those of the local-path class, releases and reclaims them; makes the claims of
// ephemeral volumes.
#pragma once
#include "controllers/context.h"
#include "controllers/volumes_plan.h"

namespace k8lite::controllers {

class VolumeController : public Base {
 public:
  explicit VolumeController(Context& context);
  Result<machinery::Action> reconcile(const std::string& key) override;

 private:
  Result<> reconcile_claim(const std::string& key);
  Result<> reconcile_volume(const std::string& name);
  Result<> act(const json::Doc& claim, ClaimPlan& plan);
  machinery::Informer &claims_, &volumes_, &classes_, &nodes_;
  std::map<std::string, std::string> told_;  // by claim: the last event, which is not told twice in a row
};

// The class local-path, the default one, where there is no class of that name yet.
void make_default_storage_class(Context& context);

class EphemeralVolumeController : public Base {
 public:
  explicit EphemeralVolumeController(Context& context);
  Result<machinery::Action> reconcile(const std::string& key) override;

 private:
  machinery::Informer &pods_, &claims_;
};

}  // namespace k8lite::controllers
