#include "apiserver/resource_types.h"

namespace k8lite::apiserver {
namespace {

std::string key_of(std::string_view group, std::string_view version, std::string_view plural) {
  return std::string(group).append("/").append(version).append("/").append(plural);
}

}  // namespace

ResourceTypes::ResourceTypes() {
  for (const api::KindPtr& row : api::builtin_kinds()) {
    auto type = std::make_shared<ResourceType>();
    type->row = row;
    ObjectKind& o = type->object;
    o.group = row->group;
    o.version = row->version;
    o.kind = row->kind;
    o.resource = row->plural;
    o.namespaced = row->namespaced;
    o.has_status = row->status;
    o.counts_generation = row->counts_generation;
    o.name_is_label = row->name_is_label;
    o.name_is_path_segment = row->name_is_path_segment;
    by_key_[key_of(row->group, row->version, row->plural)] = type;
    ordered_.push_back(std::move(type));
  }
}

ResourceTypePtr ResourceTypes::find(std::string_view group, std::string_view version, std::string_view plural) const {
  std::lock_guard lock(mutex_);
  auto it = by_key_.find(key_of(group, version, plural));
  return it == by_key_.end() ? nullptr : it->second;
}

std::vector<ResourceTypePtr> ResourceTypes::all() const {
  std::lock_guard lock(mutex_);
  return ordered_;
}

}  // namespace k8lite::apiserver
