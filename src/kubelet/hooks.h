// postStart and preStop handlers of containers (Kubernetes documentation: "Container Lifecycle Hooks"). Each runs as a task of its own, so
// that no pod's worker waits for a hook; all end with stop().
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "async/async.h"
#include "base/json.h"

namespace k8lite::kubelet {

struct HookTarget {
  std::string pod_uid, pod_ip, container, container_id;
  json::Doc pod;
};

struct HooksCore;

class Hooks {
 public:
  using EndExec = std::function<void()>;
  // Starts a command in the container and sets `end`, which kills it; `done` gets its exit code, from any thread. May block.
  using Exec = std::function<Result<>(const HookTarget& target, const std::vector<std::string>& command, std::function<void(int)> done, EndExec& end)>;
  // Ok: it succeeded, or the container ended meanwhile. Timeout: `limit` passed first. On a thread that may block, never after stop().
  using Done = std::function<void(Result<> outcome)>;

  Hooks(async::Loop& loop, Exec exec);
  ~Hooks();
  // `handler` is the LifecycleHandler in target.pod; limit 0: none.
  void run(HookTarget target, json::Value handler, Duration limit, Done done);
  void container_ended(const std::string& pod_uid, const std::string& container_id);
  void stop();  // not on the loop's thread

 private:
  std::shared_ptr<HooksCore> core_;
};

}  // namespace k8lite::kubelet
