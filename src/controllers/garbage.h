// The garbage collector: what loses its last owner goes, and owners deleted in the foreground or with orphaned dependents are let go when
// that is done. (Kubernetes documentation, "Garbage Collection".)
#pragma once
#include "controllers/context.h"

namespace k8lite::controllers {

class GarbageCollector : public Base {
 public:
  explicit GarbageCollector(Context& context);
  // Keys: "<group>/<plural>|<namespace>/<name>".
  Result<machinery::Action> reconcile(const std::string& key) override;

 private:
  struct Resource {
    std::string group, plural, kind;
    machinery::Informer* informer;
  };
  const Resource* find(const std::string& group, const std::string& plural) const;
  bool owner_is_gone(json::Value reference, const std::string& ns) const;
  std::vector<std::pair<const Resource*, json::Doc>> dependents_of(const std::string& uid) const;
  Result<machinery::Action> finalize(const Resource& resource, const json::Doc& owner);
  std::vector<Resource> resources_;
};

}  // namespace k8lite::controllers
