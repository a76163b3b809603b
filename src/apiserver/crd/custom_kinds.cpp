#include "apiserver/crd/custom_kinds.h"

#include <set>

#include "api/custom/version.h"
#include "base/log.h"

namespace k8lite::apiserver::crd {
namespace {

constexpr std::string_view kPrefix = "/registry/apiextensions.k8s.io/customresourcedefinitions/";

}  // namespace

Result<std::shared_ptr<CustomKinds>> CustomKinds::create(store::Store& store, ResourceTypes& types) {
  TRY(auto watch, store.watch(kPrefix, 0));
  std::shared_ptr<CustomKinds> out(new CustomKinds(store, types, std::move(watch)));
  out->refresh();
  out->listen();
  out->follow();
  return out;
}

void CustomKinds::stop() {
  std::lock_guard lock(watching_);
  stopped_ = true;
  watch_->close();
}

void CustomKinds::listen() {
  watch_->on_ready([weak = weak_from_this()] {
    if (auto self = weak.lock()) self->follow();
  });
}

void CustomKinds::follow() {
  std::lock_guard lock(watching_);
  while (!stopped_) {
    auto batch = watch_->poll();
    if (batch.ok() && batch->events.empty()) return;
    if (!batch.ok()) {  // too slow: nothing is lost, since refresh() reads everything
      auto fresh = store_.watch(kPrefix, 0);
      if (!fresh.ok())
        return log_warn("custom resource definitions are no longer followed", {{"why", fresh.status().message()}});
      watch_ = std::move(fresh).value();
      listen();
    }
    refresh();
  }
}

void CustomKinds::refresh() {
  std::lock_guard lock(mutex_);
  auto stored = store_.list(kPrefix, {});
  if (!stored.ok()) return;
  std::map<std::string, Entry> now;
  bool changed = stored->items.size() != entries_.size();
  std::vector<ResourceTypePtr> all;
  for (const auto& o : stored->items) {
    auto before = entries_.find(o->key);
    if (before != entries_.end() && before->second.revision == o->revision) {
      now[o->key] = before->second;
    } else {
      changed = true;
      now[o->key] = make_entry(*o, before == entries_.end() ? nullptr : &before->second);
    }
    const Entry& entry = now[o->key];
    all.insert(all.end(), entry.types.begin(), entry.types.end());
  }
  if (!changed) return;
  std::set<std::shared_ptr<Retirement>> live;
  for (const auto& type : all) live.insert(type->retirement);
  entries_.swap(now);
  types_.publish(std::move(all));
  for (const auto& [key, entry] : now)
    for (const auto& [version, retirement] : entry.retirements)
      if (!live.contains(retirement)) retirement->retire();
}

CustomKinds::Entry CustomKinds::make_entry(const store::Object& o, const Entry* before) {
  if (before && before->definition.path("metadata.uid").raw() != o.doc.path("metadata.uid").raw()) before = nullptr;
  bool same = before && before->definition.path("spec.versions").raw() == o.doc.path("spec.versions").raw();
  Entry entry{o.revision, same ? before->changed_at : o.revision, o.doc, {}, {}};
  for (auto& row : api::custom::rows_of(o.doc)) {
    auto& retirement = entry.retirements[row->version];
    if (before)
      if (auto it = before->retirements.find(row->version); it != before->retirements.end()) retirement = it->second;
    if (!retirement) retirement = std::make_shared<Retirement>();
    entry.types.push_back(make_resource_type(std::move(row), entry.changed_at, retirement));
  }
  return entry;
}

}  // namespace k8lite::apiserver::crd
