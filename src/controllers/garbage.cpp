#include "controllers/garbage.h"

#include <algorithm>

#include "api/kinds.h"
#include "base/strings.h"

namespace k8lite::controllers {

using json::Doc;
using json::Node;
using json::Value;
using machinery::Action;

namespace {

// Kinds that own or are owned in practice. Each costs an informer, so events and the kinds of policy and storage are not among them.
constexpr std::pair<std::string_view, std::string_view> kCollected[] = {
    {"", "nodes"}, {"", "pods"}, {"", "services"}, {"", "endpoints"}, {"", "configmaps"}, {"", "secrets"}, {"", "serviceaccounts"}, {"", "persistentvolumeclaims"}, {"", "replicationcontrollers"},
    {"apps", "deployments"}, {"apps", "replicasets"}, {"apps", "statefulsets"}, {"apps", "daemonsets"}, {"apps", "controllerrevisions"}, {"batch", "jobs"}, {"batch", "cronjobs"},
    {"discovery.k8s.io", "endpointslices"}, {"networking.k8s.io", "ingresses"}, {"networking.k8s.io", "networkpolicies"}, {"policy", "poddisruptionbudgets"},
    {"rbac.authorization.k8s.io", "roles"}, {"rbac.authorization.k8s.io", "rolebindings"}, {"coordination.k8s.io", "leases"},
};
constexpr size_t kAbsentKept = 10'000;
constexpr size_t kTogether = 500;  // deletions of one go
constexpr Duration kLookAgain = seconds(5);  // an owner that waits; normally its last dependent's end wakes it

std::string group_of(std::string_view api_version) {
  size_t slash = api_version.find('/');
  return slash == api_version.npos ? "" : std::string(api_version.substr(0, slash));
}

// What the collector must hold: dependents, and owners that wait. That anything else went it is told.
bool matters(Value object) {
  Value metadata = object["metadata"];
  return metadata["ownerReferences"] || metadata["finalizers"] || metadata["deletionTimestamp"];
}

bool is_deleted_in_foreground(const Doc& d) { return d.path("metadata.deletionTimestamp") && has_finalizer(d.root(), "foregroundDeletion"); }

}  // namespace

GarbageCollector::GarbageCollector(Context& c) : Base(c, "generic-garbage-collector"), definitions_(definitions_informer(c)) {
  for (auto [group, plural] : kCollected) {
    auto row = api::find_builtin(group, "v1", plural);
    auto r = std::make_shared<Resource>(std::string(group), row->version, row->plural, row->kind, row->namespaced, &c.some_of(std::string(group), std::string(plural), matters), nullptr);
    r->informer->on_change([this, r = r.get()](const Doc& before, const Doc& after) { changed(*r, before, after); });
    r->informer->on_listed([this] { queue_all(); });
    resources_.push_back(std::move(r));
  }
  definitions_.on_change([this](const Doc&, const Doc&) { queue_.add(""); });
  c.end_with([this] {
    for (const ResourcePtr& r : resources())
      if (r->own) r->own->stop();
  });
}

// Owners may have gone unseen.
void GarbageCollector::queue_all() {
  std::lock_guard lock(mutex_);
  for (const auto& [owner, keys] : dependents_)
    for (const auto& key : keys) queue_.add(key);
}

std::vector<GarbageCollector::ResourcePtr> GarbageCollector::resources() const {
  std::lock_guard lock(mutex_);
  return resources_;
}

// Starts informers of kinds that are new, and lets go of those that are gone or served in another version.
void GarbageCollector::follow_custom_kinds() {
  std::vector<CustomKind> wanted = custom_kinds(definitions_.list());
  std::vector<ResourcePtr> gone;
  {
    std::lock_guard lock(mutex_);
    std::erase_if(resources_, [&](const ResourcePtr& r) {
      if (!r->own) return false;
      auto it = std::find(wanted.begin(), wanted.end(), CustomKind{r->group, r->version, r->plural, r->kind, r->namespaced});
      if (it != wanted.end()) wanted.erase(it);
      else gone.push_back(r);
      return !gone.empty() && gone.back() == r;
    });
  }
  for (const ResourcePtr& r : gone) r->own->stop();
  if (!gone.empty()) queue_all();
  for (const CustomKind& k : wanted) {
    auto r = std::make_shared<Resource>(k.group, k.version, k.plural, k.kind, k.namespaced, nullptr, std::make_unique<machinery::Informer>(context_.client, machinery::Path{k.group, k.version, k.plural, "", "", ""}, machinery::ListOptions{.keep = matters}));
    r->informer = r->own.get();
    r->informer->on_change([this, r = r.get()](const Doc& before, const Doc& after) { changed(*r, before, after); });
    r->informer->on_listed([this] { queue_all(); });
    {
      std::lock_guard lock(mutex_);
      resources_.push_back(r);
    }
    r->own->start();
  }
}

std::optional<CustomKind> GarbageCollector::kind_of(Value reference) const {
  std::string group = group_of(reference["apiVersion"].str());
  for (const auto& row : api::builtin_kinds())
    if (row->group == group && reference["kind"].equals(row->kind)) return CustomKind{row->group, row->version, row->plural, row->kind, row->namespaced};
  for (CustomKind& k : custom_kinds(definitions_.list()))
    if (k.group == group && reference["kind"].equals(k.kind)) return std::move(k);
  return {};
}

void GarbageCollector::changed(const Resource& r, const Doc& before, const Doc& after) {
  std::string key = r.key_of(after ? after : before);
  {
    std::lock_guard lock(mutex_);
    for (Value o : before.path("metadata.ownerReferences").items()) {
      auto it = dependents_.find(o["uid"].str());
      if (it != dependents_.end() && it->second.erase(key) && it->second.empty()) dependents_.erase(it);
    }
    for (Value o : after.path("metadata.ownerReferences").items()) dependents_[o["uid"].str()].insert(key);
    if (!after && r.own) {
      absent_.push_back(uid_of(before));
      if (absent_.size() > kAbsentKept) absent_.pop_front();
    }
  }
  if (after && (after.path("metadata.ownerReferences").size() || after.path("metadata.deletionTimestamp"))) queue_.add(key);
  // Another object of the same name has another uid: for those that its predecessor owned it is gone all the same.
  bool replaced = before && after && uid_of(before) != uid_of(after);
  if (!after || replaced || (is_deleted_in_foreground(after) && !is_deleted_in_foreground(before)))
    for (const auto& dependent : dependents_of(uid_of(before ? before : after))) queue_.add(dependent);
  if (before && (!after || before.path("metadata.ownerReferences").raw() != after.path("metadata.ownerReferences").raw())) queue_owners(before);
}

// Owners that wait for their dependents look again when one of them changes hands or goes.
void GarbageCollector::queue_owners(const Doc& object) {
  for (Value o : object.path("metadata.ownerReferences").items())
    if (ResourcePtr owner = resource_of(o)) queue_.add(owner->group + "/" + owner->plural + "|" + machinery::object_key(owner->namespaced ? namespace_of(object) : "", o["name"].str()));
}

std::pair<GarbageCollector::ResourcePtr, Doc> GarbageCollector::look_up(const std::string& key) const {
  size_t bar = key.find('|');
  for (const ResourcePtr& r : resources())
    if (r->group.size() + 1 + r->plural.size() == bar && key.starts_with(r->group) && key.substr(r->group.size() + 1, r->plural.size()) == r->plural) return {r, r->informer->get(key.substr(bar + 1))};
  return {nullptr, {}};
}

GarbageCollector::ResourcePtr GarbageCollector::resource_of(Value reference) const {
  std::string group = group_of(reference["apiVersion"].str());
  for (const ResourcePtr& r : resources())
    if (r->group == group && reference["kind"].equals(r->kind)) return r;
  return nullptr;
}

std::vector<std::string> GarbageCollector::dependents_of(const std::string& uid) const {
  std::lock_guard lock(mutex_);
  auto it = dependents_.find(uid);
  return it == dependents_.end() ? std::vector<std::string>() : std::vector<std::string>(it->second.begin(), it->second.end());
}

Result<OwnerState> GarbageCollector::state_of(Value reference, const std::string& ns) const {
  auto row = kind_of(reference);
  if (!row) {
    std::lock_guard lock(mutex_);
    if (std::find(absent_.begin(), absent_.end(), reference["uid"].str()) != absent_.end()) return OwnerState::Gone;
  }
  if (!row || (row->namespaced && ns.empty())) return OwnerState::Solid;  // a kind not known here, or a reference that cannot be: left alone
  std::string owner_ns = row->namespaced ? ns : "", name = reference["name"].str(), uid = reference["uid"].str();
  ResourcePtr r = resource_of(reference);
  Doc owner = r ? r->informer->get(machinery::object_key(owner_ns, name)) : Doc();
  if (!owner || uid_of(owner) != uid) {
    // The cache may be behind: the API decides.
    auto live = context_.client.get({row->group, row->version, row->plural, owner_ns, name, ""});
    if (!live.ok() && !live.status().is(Reason::NotFound)) return live.status();
    if (!live.ok() || uid_of(*live) != uid) return OwnerState::Gone;
    owner = *live;
  }
  return is_deleted_in_foreground(owner) ? OwnerState::Waiting : OwnerState::Solid;
}

Result<> GarbageCollector::orphan(const Doc& owner) {
  for (const auto& key : dependents_of(uid_of(owner))) {
    auto [resource, dependent] = look_up(key);
    if (!dependent) continue;
    Node patch = Node::obj({{"metadata", Node::obj({{"uid", uid_of(dependent)}, {"ownerReferences", without_owner(dependent.root(), uid_of(owner))}})}});
    auto p = context_.client.patch(resource->path_of(dependent), machinery::PatchType::Merge, patch.dump(), as_manager());
    if (!p.ok() && !p.status().is(Reason::NotFound)) return p.status();
  }
  return {};
}

Result<Action> GarbageCollector::finalize(const Resource& r, const Doc& owner) {
  bool orphans = has_finalizer(owner.root(), "orphan"), foreground = has_finalizer(owner.root(), "foregroundDeletion");
  if (!orphans && !foreground) return Action::wait_for_change();
  if (orphans) {
    TRY_OK(orphan(owner));
  } else {
    bool held = false;
    for (const auto& key : dependents_of(uid_of(owner))) {
      auto [resource, dependent] = look_up(key);
      if (!dependent) continue;
      held |= blocks_owner(dependent.root(), uid_of(owner));
      if (!dependent.path("metadata.deletionTimestamp")) queue_.add(key);
    }
    if (held) return Action::after(kLookAgain);
  }
  Node kept = Node::array();
  for (Value f : owner.path("metadata.finalizers").items())
    if (!f.equals("orphan") && !f.equals("foregroundDeletion")) kept.append(f.to_node());
  Node patch = Node::obj({{"metadata", Node::obj({{"uid", uid_of(owner)}, {"resourceVersion", owner.path("metadata.resourceVersion").str()}, {"finalizers", kept.size() ? std::move(kept) : Node()}})}});
  auto p = context_.client.patch(r.path_of(owner), machinery::PatchType::Merge, patch.dump(), as_manager());
  if (!p.ok() && !p.status().is(Reason::NotFound)) return p.status();
  return Action::wait_for_change();
}

Result<Action> GarbageCollector::reconcile(const std::string& key) {
  if (key.empty()) {
    follow_custom_kinds();
    return Action::wait_for_change();
  }
  auto [r, object] = look_up(key);
  if (!object) return Action::wait_for_change();
  if (object.path("metadata.deletionTimestamp")) return finalize(*r, object);
  if (was_removed(uid_of(object))) return Action::after(kLookAgain);  // with its siblings; the cache is behind
  std::vector<OwnerState> owners;
  for (Value o : object.path("metadata.ownerReferences").items()) {
    TRY(OwnerState state, state_of(o, namespace_of(object)));
    owners.push_back(state);
  }
  bool blocking = false;
  for (const auto& dependent : dependents_of(uid_of(object)))
    if (Doc d = look_up(dependent).second) blocking |= blocks_owner(d.root(), uid_of(object));
  GarbagePlan plan = plan_garbage(object, owners, blocking);
  if (plan.owners) {
    Node patch = Node::obj({{"metadata", Node::obj({{"uid", uid_of(object)}, {"resourceVersion", object.path("metadata.resourceVersion").str()}, {"ownerReferences", *plan.owners}})}});
    auto p = context_.client.patch(r->path_of(object), machinery::PatchType::Merge, patch.dump(), as_manager());
    if (!p.ok() && !p.status().is(Reason::NotFound)) return p.status();
  }
  if (!plan.remove) return Action::wait_for_change();
  std::vector<machinery::Operation> operations;
  auto remove = [&operations](const Resource& of, const Doc& what, const GarbagePlan& how) {
    machinery::DeleteOptions options;
    options.uid = uid_of(what);
    options.propagation_policy = how.propagation;
    operations.push_back({machinery::Operation::Kind::Delete, of.path_of(what), {}, {}, {}, {}, options});
  };
  remove(*r, object, plan);
  // Those that had this one owner only go with it in the same commit: there may be thousands, and a disk is slow.
  if (owners.size() == 1 && !plan.owners)
    for (const auto& sibling : dependents_of(object.path("metadata.ownerReferences").at(0)["uid"].str())) {
      if (operations.size() >= kTogether) break;
      auto [resource, d] = look_up(sibling);
      if (!d || sibling == key || d.path("metadata.deletionTimestamp") || d.path("metadata.ownerReferences").size() != 1 || was_removed(uid_of(d)) || !dependents_of(uid_of(d)).empty()) continue;
      GarbagePlan its = plan_garbage(d, owners, false);
      if (its.remove && !its.owners) remove(*resource, d, its);
    }
  std::vector<std::string> uids;
  for (const auto& o : operations) uids.push_back(o.delete_options.uid);
  auto results = context_.client.submit(std::move(operations));
  Status failure;
  for (size_t i = 0; i < results.size(); ++i) {
    bool done = results[i].ok() || results[i].status().is(Reason::NotFound) || results[i].status().is(Reason::Conflict);
    if (done) removed_[uids[i]] = context_.clock.mono();
    else if (failure.ok()) failure = results[i].status();
  }
  if (!failure.ok()) return failure;
  return Action::wait_for_change();
}

bool GarbageCollector::was_removed(const std::string& uid) {
  Duration now = context_.clock.mono();
  if (removed_.size() > kAbsentKept) std::erase_if(removed_, [now](const auto& r) { return now - r.second >= kLookAgain; });
  auto it = removed_.find(uid);
  if (it == removed_.end()) return false;
  if (now - it->second < kLookAgain) return true;
  removed_.erase(it);
  return false;
}

}  // namespace k8lite::controllers
