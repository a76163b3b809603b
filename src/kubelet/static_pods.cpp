#include "kubelet/static_pods.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>

#include "api/kinds.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/yaml.h"
#include "image/digest.h"
#include "machinery/informer.h"

namespace k8lite::kubelet {

using json::Doc;
using json::Node;
using json::Value;

namespace {

constexpr size_t kLargestFile = 1 << 20;
constexpr int kSettleMs = 200;  // after the last change: files are seldom written in one go
constexpr uint32_t kEvents = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR;

// The first reference to something that only an API server has: a static pod cannot depend on it.
std::string reference_in(const Node& spec) {
  for (const Node& v : spec.get("volumes").items())
    for (const char* kind : {"configMap", "secret", "persistentVolumeClaim", "projected", "ephemeral"})
      if (v.get(kind).exists()) return "volume " + json::quoted(v.get("name").str()) + " (" + kind + ")";
  for (const char* list : {"containers", "initContainers"})
    for (const Node& c : spec.get(list).items()) {
      if (c.get("envFrom").size()) return "envFrom of container " + json::quoted(c.get("name").str());
      for (const Node& e : c.get("env").items())
        for (const char* kind : {"configMapKeyRef", "secretKeyRef"})
          if (e.path("valueFrom").get(kind).exists()) return "variable " + json::quoted(e.get("name").str());
    }
  if (!spec.get("serviceAccountName").str().empty()) return "serviceAccountName";
  return {};
}

}  // namespace

Result<Doc> static_pod(std::string_view text, const std::string& path, const std::string& node) {
  TRY(auto documents, parse_yaml(text, path));
  std::erase_if(documents, [](const YamlDocument& d) { return d.value.empty(); });
  if (documents.size() != 1)
    return bad_request("a file of a static pod holds one pod, not " + std::to_string(documents.size()));
  Node pod = std::move(documents[0].value);
  if (pod.get("kind").str() != "Pod" || pod.get("apiVersion").str() != "v1")
    return bad_request("expected a v1 Pod, got " + pod.get("apiVersion").str() + " " + pod.get("kind").str());
  auto kind = api::find_builtin("", "v1", "pods");
  TRY_OK(api::decode(*kind, pod));
  std::string name = pod.path("metadata.name").str();
  if (name.empty()) return bad_request("the pod has no name");
  pod.erase("status");
  std::string hash = image::hex_of(image::digest_of(node + "\n" + path + "\n" + pod.dump())).substr(0, 32);
  Node& meta = pod["metadata"];
  meta.set("name", name + "-" + lower(node));
  if (meta.get("namespace").str().empty()) meta.set("namespace", "default");
  meta.set("uid", hash);
  meta["annotations"].set(kSourceAnnotation, "file");
  meta["annotations"].set(kHashAnnotation, hash);
  pod["spec"].set("nodeName", node);
  pod["spec"]["tolerations"].append(Node::obj({{"operator", "Exists"}, {"effect", "NoExecute"}}));
  api::apply_defaults(*kind, pod);
  if (std::string what = reference_in(pod.get("spec")); !what.empty())
    return bad_request("static pods may not reference objects of the API: " + what);
  if (auto causes = api::validate(*kind, pod, nullptr); !causes.empty())
    return bad_request(causes[0].field + ": " + causes[0].message);
  pod["status"].set("phase", "Pending");
  return Doc::from(pod);
}

bool is_static(Value pod) {
  return pod.path("metadata.annotations")[kSourceAnnotation].equals("file") && !is_mirror(pod);
}
bool is_mirror(Value pod) { return pod.path("metadata.annotations")[kMirrorAnnotation].exists(); }

Node mirror_of(Value pod, const std::string& node, const std::string& node_uid) {
  Node out = pod.to_node();
  Node& meta = out["metadata"];
  std::string hash = meta.get("uid").str();
  meta.erase("uid");
  meta["annotations"].set(kMirrorAnnotation, hash);
  meta.set("ownerReferences",
           Node::arr({Node::obj(
               {{"apiVersion", "v1"}, {"kind", "Node"}, {"name", node}, {"uid", node_uid}, {"controller", true}})}));
  out.erase("status");
  return out;
}

std::vector<std::string> StaticPods::load() {
  std::map<std::string, Doc> found;
  std::map<std::string, std::string> complaints;
  auto names = os::list_dir(folder_);
  std::sort(names.begin(), names.end());
  for (const auto& name : names) {
    if (name.starts_with('.')) continue;
    std::string path = folder_ + "/" + name;
    auto text = os::read_file(path, kLargestFile);
    if (!text.ok() && text.status().is(Reason::NotFound)) continue;  // gone meanwhile
    auto pod = text.ok() ? static_pod(*text, path, node_) : Result<Doc>(text.status());
    if (!pod.ok()) {
      complaints[path] = pod.status().message();
      continue;
    }
    std::string key = machinery::object_key(pod->root());
    if (!found.emplace(key, *pod).second) complaints[path] = "another file holds a pod " + key + " already";
  }
  std::vector<std::string> changed;
  std::lock_guard lock(mutex_);
  for (const auto& [path, why] : complaints)
    if (complaints_[path] != why) log_warn("a file of a static pod is left out", {{"file", path}, {"error", why}});
  complaints_ = std::move(complaints);
  for (const auto& [key, pod] : found)
    if (auto it = pods_.find(key);
        it == pods_.end() || it->second.path("metadata.uid").str() != pod.path("metadata.uid").str())
      changed.push_back(key);
  for (const auto& [key, pod] : pods_)
    if (!found.count(key)) changed.push_back(key);
  pods_ = std::move(found);
  return changed;
}

Doc StaticPods::get(const std::string& key) const {
  std::lock_guard lock(mutex_);
  auto it = pods_.find(key);
  return it == pods_.end() ? Doc() : it->second;
}

std::vector<Doc> StaticPods::list() const {
  std::lock_guard lock(mutex_);
  std::vector<Doc> out;
  for (const auto& [key, pod] : pods_) out.push_back(pod);
  return out;
}

void StaticPods::start() {
  if (auto r = os::make_dirs(folder_); !r.ok())
    log_warn("the folder of static pods cannot be made", {{"folder", folder_}, {"error", r.status()}});
  wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  watch_.reset(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (inotify_add_watch(watch_.get(), folder_.c_str(), kEvents) < 0) {
    log_warn("the folder of static pods is not watched",
             {{"folder", folder_}, {"error", Status::from_errno("inotify", errno)}});
    return;
  }
  thread_ = std::thread([this] { run(); });
}

void StaticPods::run() {
  pollfd fds[2] = {{wake_.get(), POLLIN, 0}, {watch_.get(), POLLIN, 0}};
  changed_();  // what changed between the first load() and the watch
  for (int patience = -1;;) {
    int n = ::poll(fds, 2, patience);
    if (n > 0 && fds[0].revents) return;
    if (n == 0) {
      patience = -1;
      changed_();
    } else if (n > 0) {
      char buffer[4096];
      while (::read(watch_.get(), buffer, sizeof buffer) > 0) {
      }
      patience = kSettleMs;
    }
  }
}

void StaticPods::stop() {
  if (!thread_.joinable()) return;
  eventfd_write(wake_.get(), 1);
  thread_.join();
}

}  // namespace k8lite::kubelet
