#include "controllers/storage_protection.h"

#include <algorithm>

namespace k8lite::controllers {

using json::Doc;
using json::Node;
using machinery::Action;

namespace {

struct Kind {
  const char *group, *plural, *finalizer;
};
constexpr Kind kKinds[] = {
    {"", "persistentvolumeclaims", "kubernetes.io/pvc-protection"},
    {"", "persistentvolumes", "kubernetes.io/pv-protection"},
    {"storage.k8s.io", "volumeattributesclasses", "kubernetes.io/vac-protection"},
};

bool has_finalizer(const Doc& object, std::string_view finalizer) {
  for (json::Value f : object.path("metadata.finalizers").items())
    if (f.equals(finalizer)) return true;
  return false;
}

bool is_over(json::Value pod) {
  return pod.path("status.phase").equals("Succeeded") || pod.path("status.phase").equals("Failed");
}

}  // namespace

bool pod_uses_claim(json::Value pod, std::string_view claim) {
  if (pod.path("spec.nodeName").empty() || is_over(pod)) return false;
  for (json::Value v : pod.path("spec.volumes").items()) {
    if (v["persistentVolumeClaim"]["claimName"].equals(claim)) return true;
    if (v["ephemeral"] && pod.path("metadata.name").str() + "-" + v["name"].str() == claim) return true;
  }
  return false;
}

StorageProtectionController::StorageProtectionController(Context& c)
    : Base(c, "storage-protection-controller"),
      claims_(c.informer("", "persistentvolumeclaims")),
      volumes_(c.informer("", "persistentvolumes")),
      classes_(c.informer("storage.k8s.io", "volumeattributesclasses")),
      pods_(c.informer("", "pods")) {
  auto add = [this](const char* plural, const Doc& object) {
    if (object && object.path("metadata.deletionTimestamp"))
      queue_.add(std::string(plural) + ":" + machinery::object_key(object.root()));
  };
  claims_.on_change([this, add](const Doc& before, const Doc& after) {
    add("persistentvolumeclaims", after);
    // Volumes and classes wait for their claims.
    for (const Doc& d : {before, after})
      for (const char* field : {"volumeName", "volumeAttributesClassName"})
        if (std::string name = d.path("spec")[field].str(); !name.empty())
          queue_.add(std::string(field[6] == 'N' ? "persistentvolumes:" : "volumeattributesclasses:") + name);
  });
  volumes_.on_change([this, add](const Doc& before, const Doc& after) {
    add("persistentvolumes", after);
    for (const Doc& d : {before, after})
      if (std::string name = d.path("spec.volumeAttributesClassName").str(); !name.empty())
        queue_.add("volumeattributesclasses:" + name);
  });
  classes_.on_change([add](const Doc&, const Doc& after) { add("volumeattributesclasses", after); });
  pods_.on_change([this](const Doc& before, const Doc& after) {
    if (after && !is_over(after.root())) return;
    const Doc& pod = after ? after : before;
    for (json::Value v : pod.path("spec.volumes").items()) {
      std::string claim =
          v["ephemeral"] ? name_of(pod) + "-" + v["name"].str() : v["persistentVolumeClaim"]["claimName"].str();
      if (!claim.empty()) queue_.add("persistentvolumeclaims:" + machinery::object_key(namespace_of(pod), claim));
    }
  });
}

// Asked of the store and not of the informers: a pod that is not seen yet must not lose its claim.
Result<bool> StorageProtectionController::in_use(const std::string& plural, const Doc& object) {
  std::string name = name_of(object);
  if (plural == "persistentvolumes") return object.path("status.phase").equals("Bound");
  if (plural == "persistentvolumeclaims") {
    TRY(auto pods, context_.client.list({"", "v1", "pods", namespace_of(object), "", ""}, {}));
    return std::any_of(pods.items.begin(), pods.items.end(),
                       [&name](const Doc& p) { return pod_uses_claim(p.root(), name); });
  }
  auto names = [&name](const Doc& d) {
    return d.path("spec.volumeAttributesClassName").equals(name) ||
           d.path("status.currentVolumeAttributesClassName").equals(name) ||
           d.path("status.modifyVolumeStatus.targetVolumeAttributesClassName").equals(name);
  };
  for (const char* users : {"persistentvolumeclaims", "persistentvolumes"}) {
    TRY(auto list, context_.client.list({"", "v1", users, "", "", ""}, {}));
    if (std::any_of(list.items.begin(), list.items.end(), names)) return true;
  }
  return false;
}

Result<Action> StorageProtectionController::reconcile(const std::string& key) {
  size_t colon = key.find(':');
  std::string plural = key.substr(0, colon), object_key = key.substr(colon + 1);
  const Kind* kind =
      std::find_if(std::begin(kKinds), std::end(kKinds), [&plural](const Kind& k) { return plural == k.plural; });
  Doc object = (plural == "persistentvolumeclaims" ? claims_
                : plural == "persistentvolumes"    ? volumes_
                                                   : classes_)
                   .get(object_key);
  if (!object || !object.path("metadata.deletionTimestamp") || !has_finalizer(object, kind->finalizer))
    return Action::wait_for_change();
  TRY(bool used, in_use(plural, object));
  if (used) return Action::wait_for_change();
  Node next = object.to_node();
  std::erase_if(next["metadata"]["finalizers"].items(), [kind](const Node& f) { return f.str() == kind->finalizer; });
  auto r = context_.client.update({kind->group, "v1", plural, namespace_of(object), name_of(object), ""},
                                  Doc::from(next), as_manager());
  if (!r.ok() && !r.status().is(Reason::NotFound) && !r.status().is(Reason::Conflict)) return r.status();
  return Action::wait_for_change();
}

}  // namespace k8lite::controllers
