#include "apiserver/crd/custom_kinds.h"

#include "api/custom/version.h"
#include "base/log.h"

namespace k8lite::apiserver::crd {
namespace {

constexpr std::string_view kPrefix = "/registry/apiextensions.k8s.io/customresourcedefinitions/";

bool same_versions(const json::Doc& a, const json::Doc& b) {
  return a.path("spec.versions").raw() == b.path("spec.versions").raw() &&
         a.path("metadata.uid").raw() == b.path("metadata.uid").raw();
}

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
    Entry& entry = now[o->key];
    auto before = entries_.find(o->key);
    if (before != entries_.end() && before->second.revision == o->revision) {
      entry = before->second;
    } else {
      changed = true;
      bool same = before != entries_.end() && same_versions(before->second.definition, o->doc);
      entry = {o->revision, same ? before->second.changed_at : o->revision, o->doc, {}};
      for (auto& row : api::custom::rows_of(o->doc))
        entry.types.push_back(make_resource_type(std::move(row), entry.changed_at));
    }
    all.insert(all.end(), entry.types.begin(), entry.types.end());
  }
  if (!changed) return;
  entries_ = std::move(now);
  types_.publish(std::move(all));
}

}  // namespace k8lite::apiserver::crd
