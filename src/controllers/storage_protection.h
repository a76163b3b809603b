// Claims, volumes and classes of volume attributes that somebody deletes stay until nothing uses them: pods their
// claims, claims their volumes. (Kubernetes documentation, "Persistent Volumes", "Storage Object in Use Protection".)
#pragma once
#include "controllers/context.h"

namespace k8lite::controllers {

class StorageProtectionController : public Base {
 public:
  explicit StorageProtectionController(Context& context);
  Result<machinery::Action> reconcile(const std::string& key) override;  // "<plural>:<object key>"

 private:
  Result<bool> in_use(const std::string& plural, const json::Doc& object);
  machinery::Informer &claims_, &volumes_, &classes_, &pods_;
};

// Does this pod, once it runs somewhere, keep the claim?
bool pod_uses_claim(json::Value pod, std::string_view claim);

}  // namespace k8lite::controllers
