#include "apiserver/resource_types.h"

#include <algorithm>

namespace k8lite::apiserver {
namespace {

std::string key_of(std::string_view group, std::string_view version, std::string_view plural) {
  return std::string(group).append("/").append(version).append("/").append(plural);
}
std::string key_of(const ResourceTypePtr& t) { return key_of(t->row->group, t->row->version, t->row->plural); }

}  // namespace

std::shared_ptr<void> Retirement::listen(std::function<void()> fn) {
  auto callback = std::make_shared<Callback>(std::move(fn));
  {
    std::lock_guard lock(mutex_);
    if (!retired_) {
      std::erase_if(listeners_, [](const auto& l) { return l.expired(); });
      listeners_.push_back(callback);
      return callback;
    }
  }
  (*callback)();
  return callback;
}

void Retirement::retire() {
  std::vector<std::weak_ptr<Callback>> all;
  {
    std::lock_guard lock(mutex_);
    retired_ = true;
    all.swap(listeners_);
  }
  for (auto& l : all)
    if (auto callback = l.lock()) (*callback)();
}

ResourceTypePtr make_resource_type(api::KindPtr row, int64_t refresh_until, std::shared_ptr<Retirement> retirement) {
  auto type = std::make_shared<ResourceType>();
  type->retirement = std::move(retirement);
  ObjectKind& o = type->object;
  o.group = row->group;
  o.version = row->version;
  o.kind = row->kind;
  o.resource = row->plural;
  o.namespaced = row->namespaced;
  o.has_status = row->status;
  o.born_with_status = row->group.empty() && row->plural == "nodes";  // upstream's only one
  o.counts_generation = row->counts_generation;
  o.name_is_label = row->name_is_label;
  o.name_is_path_segment = row->name_is_path_segment;
  if (row->custom) o.custom = row;
  else o.conversion = api::conversion_of(row->group, row->version, row->plural);
  o.refresh_until = refresh_until;
  type->row = std::move(row);
  return type;
}

ResourceTypes::ResourceTypes() {
  for (const api::KindPtr& row : api::builtin_kinds()) builtin_.push_back(make_resource_type(row));
  publish({});
}

void ResourceTypes::publish(std::vector<ResourceTypePtr> custom) {
  std::lock_guard lock(publishing_);
  auto fresh = std::make_shared<Table>();
  if (auto before = table()) fresh->generation = before->generation + 1;
  fresh->ordered = builtin_;
  for (const auto& t : builtin_) fresh->by_key[key_of(t)] = t;
  std::stable_sort(custom.begin(), custom.end(), [](const auto& a, const auto& b) { return a->row->group < b->row->group; });
  for (auto& t : custom)
    if (fresh->by_key.emplace(key_of(t), t).second) fresh->ordered.push_back(std::move(t));
  std::atomic_store(&table_, std::shared_ptr<const Table>(std::move(fresh)));
}

ResourceTypePtr ResourceTypes::find(std::string_view group, std::string_view version, std::string_view plural) const {
  auto now = table();
  auto it = now->by_key.find(key_of(group, version, plural));
  return it == now->by_key.end() ? nullptr : it->second;
}

std::vector<ResourceTypePtr> ResourceTypes::all() const { return table()->ordered; }

uint64_t ResourceTypes::generation() const { return table()->generation; }

}  // namespace k8lite::apiserver
