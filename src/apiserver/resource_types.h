// The kinds this server serves now: the built-in rows and, at run time, those of custom resources. The table is published as immutable
// snapshots: a lookup takes one atomic load, and a request goes on with the row it started with.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "api/kinds.h"
#include "apiserver/registry/object_rules.h"

namespace k8lite::apiserver {

// The end of a custom kind: its definition is gone, or the version is served no longer. Watches of it end then. Thread-safe.
class Retirement {
 public:
  bool retired() const { return retired_; }
  // `fn` is called once, from any thread, if that happens while the handle lives.
  std::shared_ptr<void> listen(std::function<void()> fn);
  void retire();

 private:
  using Callback = std::function<void()>;
  std::atomic<bool> retired_{false};
  std::mutex mutex_;
  std::vector<std::weak_ptr<Callback>> listeners_;
};

struct ResourceType {
  api::KindPtr row;
  ObjectKind object;
  std::shared_ptr<Retirement> retirement;  // of custom kinds; the same for all that describe one version of one definition
  // "pods.apps": as error texts name a resource.
  std::string qualified() const { return row->group.empty() ? row->plural : row->plural + "." + row->group; }
};
using ResourceTypePtr = std::shared_ptr<const ResourceType>;

// `refresh_until`: objects of a custom resource written up to this revision may lack what its schema says now.
ResourceTypePtr make_resource_type(api::KindPtr row, int64_t refresh_until = 0, std::shared_ptr<Retirement> retirement = nullptr);

class ResourceTypes {
 public:
  ResourceTypes();  // the built-in ones
  ResourceTypePtr find(std::string_view group, std::string_view version, std::string_view plural) const;
  std::vector<ResourceTypePtr> all() const;  // in discovery order: the built-in ones, then custom ones by group

  // Replaces all custom ones. A group, version and plural that is built in stays what it is.
  void publish(std::vector<ResourceTypePtr> custom);
  uint64_t generation() const;  // counts publish(); what was made from the table is true as long as it stays

 private:
  struct Table {
    uint64_t generation = 0;
    std::vector<ResourceTypePtr> ordered;
    std::unordered_map<std::string, ResourceTypePtr> by_key;
  };
  std::shared_ptr<const Table> table() const { return std::atomic_load(&table_); }
  std::shared_ptr<const Table> table_;
  std::vector<ResourceTypePtr> builtin_;
  std::mutex publishing_;
};

}  // namespace k8lite::apiserver
