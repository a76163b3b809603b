// The garbage collector: what loses its last owner goes, and owners deleted in the foreground or with orphaned dependents are let go when
// that is done. (Kubernetes documentation, "Garbage Collection".) Owners and dependents are the kinds listed in garbage.cpp and all custom
// resources, whose informers come and go with their definitions; owners of other built-in kinds are asked for at the API, and what an
// unknown kind owns is left alone.
#pragma once
#include <deque>
#include <mutex>
#include <set>
#include <unordered_map>

#include "controllers/custom_kinds.h"
#include "controllers/garbage_plan.h"

namespace k8lite::controllers {

class GarbageCollector : public Base {
 public:
  explicit GarbageCollector(Context& context);
  // Keys: "<group>/<plural>|<namespace>/<name>"; "" : look which custom resources there are.
  Result<machinery::Action> reconcile(const std::string& key) override;

 private:
  struct Resource {
    std::string group, version, plural, kind;
    bool namespaced = true;
    machinery::Informer* informer = nullptr;
    std::unique_ptr<machinery::Informer> own;  // of a custom resource
    std::string key_of(const json::Doc& object) const { return group + "/" + plural + "|" + machinery::object_key(object.root()); }
    machinery::Path path_of(const json::Doc& object) const { return {group, version, plural, namespace_of(object), name_of(object), ""}; }
  };
  void changed(const Resource& resource, const json::Doc& before, const json::Doc& after);
  void queue_owners(const json::Doc& object);
  void queue_all();
  using ResourcePtr = std::shared_ptr<const Resource>;
  void follow_custom_kinds();
  std::vector<ResourcePtr> resources() const;
  std::pair<ResourcePtr, json::Doc> look_up(const std::string& key) const;
  ResourcePtr resource_of(json::Value reference) const;
  std::optional<CustomKind> kind_of(json::Value reference) const;
  Result<OwnerState> state_of(json::Value reference, const std::string& ns) const;
  std::vector<std::string> dependents_of(const std::string& uid) const;
  Result<machinery::Action> finalize(const Resource& resource, const json::Doc& owner);
  Result<> orphan(const json::Doc& owner);

  machinery::Informer& definitions_;
  // Custom resources that went: their kind may be gone before their dependents are looked at. The last so many, oldest first.
  std::deque<std::string> absent_;
  mutable std::mutex mutex_;
  std::map<std::string, std::set<std::string>> dependents_;  // owner's uid -> keys
  std::vector<ResourcePtr> resources_;                       // last: their informers end first
  bool was_removed(const std::string& uid);
  // Deleted by this controller not long ago, by uid; its one worker's own.
  std::unordered_map<std::string, Duration> removed_;
};

}  // namespace k8lite::controllers
