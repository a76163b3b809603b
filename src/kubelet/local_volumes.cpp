#include "kubelet/local_volumes.h"

#include "api/placement.h"
#include "api/volumes.h"
#include "base/log.h"
#include "os/files.h"

namespace k8lite::kubelet {

using json::Doc;
using json::Node;
using machinery::Action;

LocalVolumes::LocalVolumes(machinery::Client& client, const Clock& clock, std::string node, std::string hostname, std::string root)
    : client_(client), node_(std::move(node)), hostname_(std::move(hostname)), root_(std::move(root)), volumes_(client, {"", "v1", "persistentvolumes", "", "", ""}), queue_(clock) {
  volumes_.on_change([this](const Doc&, const Doc& after) {
    if (after && is_mine(after)) queue_.add(after.path("metadata.name").str());
  });
}

bool LocalVolumes::is_mine(const Doc& v) const {
  if (!v.path("metadata.deletionTimestamp") || !api::is_local_path(v["metadata"]["annotations"][api::kProvisionedBy])) return false;
  Node self = Node::obj({{"metadata", Node::obj({{"name", node_}, {"labels", Node::obj({{"kubernetes.io/hostname", hostname_}})}})}});
  Doc node = Doc::from(self);
  return v.path("spec.nodeAffinity.required") && api::volume_reaches_node(v.root(), node.root());
}

Result<Action> LocalVolumes::reconcile(const std::string& name) {
  Doc volume = volumes_.get(name);
  if (!volume || !is_mine(volume)) return Action::wait_for_change();
  Node kept = Node::array();
  bool ours = false;
  for (json::Value f : volume.path("metadata.finalizers").items()) {
    // While pods still use it, its protection stands beside ours.
    if (f.equals("kubernetes.io/pv-protection")) return Action::wait_for_change();
    if (f.equals(api::kLocalPathFinalizer)) ours = true;
    else kept.append(f.to_node());
  }
  if (!ours) return Action::wait_for_change();
  std::string path = volume.path("spec.hostPath.path").str();
  bool below = path.starts_with(root_ + "/") && path.find('/', root_.size() + 1) == path.npos && path.size() > root_.size() + 1 && !path.ends_with("/..") && !path.ends_with("/.");
  if (below) {
    TRY_OK(os::remove_tree(path));
    log_info("removed the folder of a deleted volume", {{"volume", name}, {"path", path}});
  } else {
    log_warn("the folder of a deleted volume lies outside of the node's storage and is left alone", {{"volume", name}, {"path", path}, {"storage", root_}});
  }
  Node patch = Node::object();
  patch["metadata"].set("finalizers", std::move(kept));
  patch["metadata"].set("resourceVersion", volume.path("metadata.resourceVersion").str());
  auto r = client_.patch({"", "v1", "persistentvolumes", "", name, ""}, machinery::PatchType::Merge, patch.dump(), {});
  if (!r.ok() && !r.status().is(Reason::NotFound) && !r.status().is(Reason::Conflict)) return r.status();
  return Action::wait_for_change();
}

}  // namespace k8lite::kubelet
