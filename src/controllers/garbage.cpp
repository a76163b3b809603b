#include "controllers/garbage.h"

#include "base/strings.h"

namespace k8lite::controllers {

using json::Doc;
using json::Node;
using machinery::Action;

namespace {
// Kinds that own or are owned in a cluster of built-in workloads.
constexpr std::tuple<std::string_view, std::string_view, std::string_view> kCollected[] = {
    {"apps", "deployments", "Deployment"}, {"apps", "replicasets", "ReplicaSet"}, {"apps", "daemonsets", "DaemonSet"}, {"apps", "statefulsets", "StatefulSet"}, {"apps", "controllerrevisions", "ControllerRevision"}, {"", "replicationcontrollers", "ReplicationController"}, {"batch", "jobs", "Job"}, {"batch", "cronjobs", "CronJob"}, {"", "persistentvolumeclaims", "PersistentVolumeClaim"}, {"", "pods", "Pod"}, {"", "services", "Service"}, {"discovery.k8s.io", "endpointslices", "EndpointSlice"},
};
std::string group_of(std::string_view api_version) {
  size_t slash = api_version.find('/');
  return slash == api_version.npos ? "" : std::string(api_version.substr(0, slash));
}
bool has_finalizer(const Doc& d, std::string_view name) {
  for (json::Value f : d.path("metadata.finalizers").items())
    if (f.equals(name)) return true;
  return false;
}
}  // namespace

GarbageCollector::GarbageCollector(Context& c) : Base(c, "generic-garbage-collector") {
  for (auto [group, plural, kind] : kCollected) resources_.push_back({std::string(group), std::string(plural), std::string(kind), &c.informer(std::string(group), std::string(plural))});
  for (const Resource& r : resources_) {
    std::string prefix = r.group + "/" + r.plural + "|";
    r.informer->on_change([this, prefix](const Doc& before, const Doc& after) {
      if (after && (after.path("metadata.ownerReferences") || after.path("metadata.deletionTimestamp"))) queue_.add(prefix + machinery::object_key(after.root()));
      if (!after)
        for (auto& [resource, dependent] : dependents_of(uid_of(before))) queue_.add(resource->group + "/" + resource->plural + "|" + machinery::object_key(dependent.root()));
      // An owner waiting for its dependents looks again when one of them goes.
      if (!after)
        for (json::Value o : before.path("metadata.ownerReferences").items())
          for (const Resource& owner : resources_)
            if (o["kind"].equals(owner.kind)) queue_.add(owner.group + "/" + owner.plural + "|" + machinery::object_key(namespace_of(before), o["name"].str()));
    });
  }
}

const GarbageCollector::Resource* GarbageCollector::find(const std::string& group, const std::string& plural) const {
  for (const Resource& r : resources_)
    if (r.group == group && r.plural == plural) return &r;
  return nullptr;
}

std::vector<std::pair<const GarbageCollector::Resource*, Doc>> GarbageCollector::dependents_of(const std::string& uid) const {
  std::vector<std::pair<const Resource*, Doc>> out;
  for (const Resource& r : resources_)
    for (const Doc& d : r.informer->owned_by(uid)) out.emplace_back(&r, d);
  return out;
}

bool GarbageCollector::owner_is_gone(json::Value reference, const std::string& ns) const {
  std::string group = group_of(reference["apiVersion"].str());
  for (const Resource& r : resources_) {
    if (r.group != group || !reference["kind"].equals(r.kind)) continue;
    Doc owner = r.informer->get(machinery::object_key(ns, reference["name"].str()));
    if (owner && uid_of(owner) == reference["uid"].str()) return false;
    // The cache may be behind: the API decides.
    auto live = context_.client.get({r.group, "v1", r.plural, ns, reference["name"].str(), ""});
    return live.ok() ? live->path("metadata.uid").str() != reference["uid"].str() : live.status().is(Reason::NotFound);
  }
  return false;  // a kind not watched here is left alone
}

Result<Action> GarbageCollector::finalize(const Resource& r, const Doc& owner) {
  bool orphan = has_finalizer(owner, "orphan"), foreground = has_finalizer(owner, "foregroundDeletion");
  if (!orphan && !foreground) return Action::wait_for_change();
  bool blocked = false;
  for (auto& [resource, dependent] : dependents_of(uid_of(owner))) {
    machinery::Path path{resource->group, "v1", resource->plural, namespace_of(dependent), name_of(dependent), ""};
    if (orphan) {
      Node patch = Node::object();
      Node refs = Node::array();
      for (json::Value o : dependent.path("metadata.ownerReferences").items())
        if (!o["uid"].equals(uid_of(owner))) refs.append(o.to_node());
      patch["metadata"].set("ownerReferences", refs.size() ? std::move(refs) : Node());
      auto p = context_.client.patch(path, machinery::PatchType::Merge, patch.dump(), as_manager());
      if (!p.ok() && !p.status().is(Reason::NotFound)) return p.status();
    } else {
      blocked = true;
      if (dependent.path("metadata.deletionTimestamp")) continue;
      machinery::DeleteOptions options;
      options.propagation_policy = "Foreground";
      options.uid = uid_of(dependent);
      if (resource->plural == "pods") options.propagation_policy.clear();
      (void)context_.client.remove(path, options);
    }
  }
  if (blocked) return Action::after(seconds(1));
  Node patch = Node::object(), kept = Node::array();
  for (json::Value f : owner.path("metadata.finalizers").items())
    if (!f.equals("orphan") && !f.equals("foregroundDeletion")) kept.append(f.to_node());
  patch["metadata"].set("finalizers", kept.size() ? std::move(kept) : Node());
  auto p = context_.client.patch({r.group, "v1", r.plural, namespace_of(owner), name_of(owner), ""}, machinery::PatchType::Merge, patch.dump(), as_manager());
  if (!p.ok() && !p.status().is(Reason::NotFound)) return p.status();
  return Action::wait_for_change();
}

Result<Action> GarbageCollector::reconcile(const std::string& key) {
  size_t bar = key.find('|'), slash = key.find('/');
  const Resource* r = find(key.substr(0, slash), key.substr(slash + 1, bar - slash - 1));
  Doc object = r ? r->informer->get(key.substr(bar + 1)) : Doc();
  if (!object) return Action::wait_for_change();
  if (object.path("metadata.deletionTimestamp")) return finalize(*r, object);
  json::Value references = object.path("metadata.ownerReferences");
  if (references.size() == 0) return Action::wait_for_change();
  for (json::Value o : references.items())
    if (!owner_is_gone(o, namespace_of(object))) return Action::wait_for_change();
  machinery::DeleteOptions options;
  options.uid = uid_of(object);
  options.propagation_policy = r->plural == "pods" ? "" : "Background";
  auto d = context_.client.remove({r->group, "v1", r->plural, namespace_of(object), name_of(object), ""}, options);
  if (!d.ok() && !d.status().is(Reason::NotFound) && !d.status().is(Reason::Conflict)) return d.status();
  return Action::wait_for_change();
}

}  // namespace k8lite::controllers
