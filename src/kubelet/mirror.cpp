// Static pods as the pod manager has them: which pods shall run here (those of files, and those of the API that are no
// mirrors), and the mirror pod by which the API shows a static one. A mirror is made anew when its file has changed or
// somebody has deleted it.
#include "base/log.h"
#include "kubelet/pods.h"

namespace k8lite::kubelet {

using json::Doc;
using json::Node;
using json::Value;
using machinery::Action;

namespace {
constexpr auto kMirrorAgain = seconds(10);
}

Doc PodManager::wanted(const std::string& key) const {
  Doc shown = pods_.get(key);
  Doc own = statics_ ? statics_->get(key) : Doc();
  if (!own) return shown && !is_mirror(shown.root()) ? shown : Doc();
  // What was told of it before is all that is known of it after a restart.
  if (!shown || !shown.path("metadata.annotations")[kMirrorAnnotation].equals(own.path("metadata.uid").str()))
    return own;
  Node pod = own.root().to_node();
  pod.set("status", shown["status"].to_node());
  return Doc::from(pod);
}

std::vector<Doc> PodManager::all_wanted() const {
  std::vector<Doc> out;
  for (const Doc& p : pods_.list())
    if (!is_mirror(p.root())) out.push_back(p);
  if (!statics_) return out;
  for (const Doc& p : statics_->list()) out.push_back(wanted(machinery::object_key(p.root())));
  return out;
}

void PodManager::load_statics() {
  for (const auto& key : statics_->load()) queue_.add(key);
}

Result<> PodManager::remove_mirror(const std::string& key, Value mirror) {
  machinery::DeleteOptions options;
  options.grace_period_seconds = 0;
  options.uid = mirror.path("metadata.uid").str();
  auto [ns, name] = machinery::split_key(key);
  auto r = client_.remove({"", "v1", "pods", ns, name, ""}, options);
  if (!r.ok() && !r.status().is(Reason::NotFound) && !r.status().is(Reason::Conflict)) return r.status();
  return {};
}

// Called when everything else of the pod was seen to. The API may be out of reach: the pod runs all the same.
Action PodManager::tend_mirror(const std::string& key, Action action) {
  Doc shown = pods_.get(key), own = statics_ ? statics_->get(key) : Doc();
  Result<> r;
  if (shown && !is_mirror(shown.root())) {
    if (own) log_warn("a static pod is not shown: there is another pod of its name", {{"pod", key}});
    return action;
  }
  bool right = shown && own &&
               shown.path("metadata.annotations")[kMirrorAnnotation].equals(own.path("metadata.uid").str()) &&
               !shown.path("metadata.deletionTimestamp");
  if (shown && !right) {
    r = remove_mirror(key, shown.root());  // its end is told, and brings us here again
  } else if (own && !shown) {
    auto node = client_.get({"", "v1", "nodes", "", facts_.name, ""});
    std::string ns = own.path("metadata.namespace").str();
    auto made =
        node.ok() ? client_.create({"", "v1", "pods", ns, "", ""},
                                   Doc::from(mirror_of(own.root(), facts_.name, node->path("metadata.uid").str())), {})
                  : node;
    if (!made.ok() && !made.status().is(Reason::AlreadyExists)) r = made.status();
  }
  if (r.ok()) return action;
  log_warn("the mirror of a static pod could not be tended", {{"pod", key}, {"error", r.status()}});
  return action.again > Duration{0} && action.again < kMirrorAgain ? action : Action::after(kMirrorAgain);
}

}  // namespace k8lite::kubelet
