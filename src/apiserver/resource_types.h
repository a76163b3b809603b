// The kinds this server serves now: the built-in rows and, at run time, those of custom resources. A lookup hands out a shared row, so a
// request goes on with the row it started with.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "api/kinds.h"
#include "apiserver/registry/object_rules.h"

namespace k8lite::apiserver {

struct ResourceType {
  api::KindPtr row;
  ObjectKind object;
  // "pods.apps": as error texts name a resource.
  std::string qualified() const { return row->group.empty() ? row->plural : row->plural + "." + row->group; }
};
using ResourceTypePtr = std::shared_ptr<const ResourceType>;

class ResourceTypes {
 public:
  ResourceTypes();  // the built-in ones
  ResourceTypePtr find(std::string_view group, std::string_view version, std::string_view plural) const;
  std::vector<ResourceTypePtr> all() const;  // in discovery order

 private:
  mutable std::mutex mutex_;
  std::vector<ResourceTypePtr> ordered_;
  std::map<std::string, ResourceTypePtr, std::less<>> by_key_;
};

}  // namespace k8lite::apiserver
