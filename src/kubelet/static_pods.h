// Pods from files: every YAML or JSON file of a folder is a pod that this node runs whatever the API server says. The
// API shows each as a mirror pod, which the pod manager makes. (Kubernetes documentation: "Create static Pods".)
#pragma once
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "os/files.h"

namespace k8lite::kubelet {

inline constexpr std::string_view kSourceAnnotation = "kubernetes.io/config.source",
                                  kHashAnnotation = "kubernetes.io/config.hash",
                                  kMirrorAnnotation = "kubernetes.io/config.mirror";

// The pod that a file asks for, pure: its name ends in the node's, its uid is the hash of what the file says, so that
// another text is another pod. Errors say what is wrong with the file.
Result<json::Doc> static_pod(std::string_view text, const std::string& path, const std::string& node);
bool is_static(json::Value pod);
bool is_mirror(json::Value pod);
// The mirror to create for it; `node_uid` owns it.
json::Node mirror_of(json::Value pod, const std::string& node, const std::string& node_uid);

class StaticPods {
 public:
  using Changed = std::function<void()>;  // on a thread of its own; load() tells what
  StaticPods(std::string folder, std::string node, Changed changed)
      : folder_(std::move(folder)), node_(std::move(node)), changed_(std::move(changed)) {}
  ~StaticPods() { stop(); }
  void start();  // follows the folder, which is made where it is missing
  void stop();

  // Reads the folder: the keys of pods that came, went or changed.
  std::vector<std::string> load();
  json::Doc get(const std::string& key) const;  // empty when there is none
  std::vector<json::Doc> list() const;

 private:
  void run();
  const std::string folder_, node_;
  const Changed changed_;
  mutable std::mutex mutex_;
  std::map<std::string, json::Doc> pods_;          // by key
  std::map<std::string, std::string> complaints_;  // by file: told once
  os::Fd watch_, wake_;
  std::thread thread_;
};

}  // namespace k8lite::kubelet
