#include "controllers/resource_quota.h"

#include "api/kinds.h"
#include "base/log.h"

namespace k8lite::controllers {

using api::Counted;
using json::Doc;
using json::Node;
using machinery::Action;

namespace {

// Something was written past a quota that was only just made; found by counting again, not at once for each write.
constexpr Duration kRecount = seconds(10);

// Does this change end the use of something? A pod's resources end with it, not with its object.
bool frees(const Counted& resource, const Doc& before, const Doc& after, Instant now) {
  if (!after) return true;
  if (!before) return false;
  auto less = api::usage_of(resource, after.root(), now);
  for (const auto& [name, q] : api::usage_of(resource, before.root(), now)) {
    auto it = less.find(name);
    if (it == less.end() || it->second < q) return true;
  }
  return false;
}

bool grows_or_shrinks(const Counted& resource) {
  return resource.group.empty() &&
         (resource.plural == "pods" || resource.plural == "services" || resource.plural == "persistentvolumeclaims");
}

}  // namespace

// A watch of one kind in all namespaces. Only of pods, services and claims does a change free anything, and pods do so
// only by ending, so nothing has to be remembered of the objects.
struct ResourceQuotaController::Follower {
  std::unique_ptr<machinery::WatchHandle> watch;
  bool open = false;
};

ResourceQuotaController::ResourceQuotaController(Context& c)
    : Base(c, "resourcequota-controller"), quotas_(c.informer("", "resourcequotas")) {
  quotas_.on_change([this](const Doc&, const Doc& after) {
    if (after) queue_.add(machinery::object_key(after.root()));
  });
  // These two everybody follows anyway.
  for (const char* plural : {"pods", "services"}) {
    Counted resource{"", plural};
    c.informer("", plural).on_change([this, resource](const Doc& before, const Doc& after) {
      changed(namespace_of(after ? after : before), frees(resource, before, after, context_.clock.now()));
    });
    followers_[resource] = nullptr;
  }
}

ResourceQuotaController::~ResourceQuotaController() {
  std::map<Counted, std::shared_ptr<Follower>> all;
  {
    std::lock_guard lock(mutex_);
    all.swap(followers_);
  }
  for (auto& [resource, f] : all)
    if (f && f->watch) f->watch->close();
}

void ResourceQuotaController::changed(const std::string& ns, bool less) {
  for (const Doc& q : quotas_.list(ns)) {
    std::string key = machinery::object_key(q.root());
    if (less)
      queue_.add(key);
    else
      queue_.add_after(key, kRecount);
  }
}

Result<machinery::Path> ResourceQuotaController::path_of(const Counted& r) {
  for (const auto& kind : api::builtin_kinds())
    if (kind->group == r.group && kind->plural == r.plural && kind->namespaced)
      return machinery::Path{r.group, kind->version, r.plural, "", "", ""};
  TRY(Doc crd, context_.client.get(
                   {"apiextensions.k8s.io", "v1", "customresourcedefinitions", "", r.plural + "." + r.group, ""}));
  for (json::Value v : crd.path("spec.versions").items())
    if (v["served"].bool_or(false) && v["storage"].bool_or(false))
      return machinery::Path{r.group, v["name"].str(), r.plural, "", "", ""};
  return not_found_object(r.group, r.plural, "");
}

void ResourceQuotaController::follow(const Counted& r) {
  auto f = std::make_shared<Follower>();
  {
    std::lock_guard lock(mutex_);
    if (auto it = followers_.find(r); it != followers_.end() && (!it->second || it->second->open)) return;
    f->open = true;
    followers_[r] = f;
  }
  auto path = path_of(r);
  if (!path.ok()) {
    f->open = false;
    return;
  }
  std::weak_ptr<Follower> weak = f;
  auto watch = context_.client.watch(*path, {}, [this, weak, r](machinery::WatchEvent e) {
    using Type = machinery::WatchEvent::Type;
    auto self = weak.lock();
    if (!self) return;
    if (e.type == Type::Error) {  // counted again with the next look at any quota of it
      self->open = false;
      for (const Doc& q : quotas_.list())
        if (!api::counted_names(r, api::hard_names(q["spec"]["hard"])).empty())
          queue_.add(machinery::object_key(q.root()));
      return;
    }
    if (e.object)
      changed(e.object.path("metadata.namespace").str(),
              e.type == Type::Deleted || (e.type == Type::Modified && grows_or_shrinks(r)));
  });
  std::lock_guard lock(mutex_);
  if (watch.ok())
    f->watch = std::move(watch).value();
  else
    f->open = false;
}

Node quota_status(const Doc& quota, const api::Usage& used) {
  Node status = quota["status"].exists() ? quota["status"].to_node() : Node::object();
  Node hard = quota.path("spec.hard").exists() ? quota.path("spec.hard").to_node() : Node::object();
  status.set("hard", hard);
  status.set("used", api::usage_node(used));
  return status;
}

// The quota is read before what it counts, and written on that version only: whatever was charged in between makes this
// start over.
Result<Action> ResourceQuotaController::reconcile(const std::string& key) {
  if (!quotas_.get(key)) return Action::wait_for_change();
  auto [ns, name] = machinery::split_key(key);
  machinery::Path path{"", "v1", "resourcequotas", ns, name, ""};
  auto quota = context_.client.get(path);
  if (!quota.ok())
    return quota.status().is(Reason::NotFound) ? Result<Action>(Action::wait_for_change())
                                               : Result<Action>(quota.status());
  if (quota->path("metadata.deletionTimestamp")) return Action::wait_for_change();
  api::Usage used;
  Instant now = context_.clock.now();
  for (const Counted& resource : api::resources_of(api::hard_names((*quota)["spec"]["hard"]))) {
    follow(resource);
    auto where = path_of(resource);
    std::vector<Doc> objects;
    if (where.ok()) {
      where->ns = ns;
      TRY(auto list, context_.client.list(*where, {}));
      objects = std::move(list.items);
    } else if (!where.status().is(Reason::NotFound)) {
      return where.status();
    }
    api::count_objects(used, (*quota)["spec"], resource, objects, now);
  }
  Node status = quota_status(*quota, used);
  if (status == (*quota)["status"].to_node()) return Action::wait_for_change();
  Node next = quota->to_node();
  next.set("status", status);
  path.subresource = "status";
  auto r = context_.client.update(path, Doc::from(next), as_manager());
  if (!r.ok() && r.status().is(Reason::Conflict)) return Action::after(milliseconds(20));
  if (!r.ok() && !r.status().is(Reason::NotFound)) return r.status();
  return Action::wait_for_change();
}

}  // namespace k8lite::controllers
