// Liveness, readiness and startup probes: one thread keeps the times, a few run the probes (they block). Results are told only when a
// threshold was passed. (Kubernetes documentation: "Configure Liveness, Readiness and Startup Probes".)
#pragma once
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "async/async.h"
#include "base/json.h"

namespace k8lite::kubelet {

enum class ProbeKind { Startup, Liveness, Readiness };

struct ProbeTarget {
  std::string pod_uid, pod_key, container, container_id;
  std::string pod_ip;
  json::Doc pod;
};

class Prober {
 public:
  struct Outcome {
    bool good = false;
    std::string message;  // of a failure
  };
  // Runs a command in the container: exit code and output.
  using Exec = std::function<Result<std::pair<int, std::string>>(const ProbeTarget& target, const std::vector<std::string>& command, Duration timeout)>;
  // After `threshold` results in a row; on the prober's threads.
  using Changed = std::function<void(const ProbeTarget& target, ProbeKind kind, bool good)>;
  // Every single failure, for events.
  using Failed = std::function<void(const ProbeTarget& target, ProbeKind kind, const std::string& message)>;

  Prober(async::Loop& loop, const Clock& clock, Exec exec, Changed changed, Failed failed);
  ~Prober();

  // Starts the probes of a container that runs now. Those of another run of it end.
  void add(const ProbeTarget& target);
  void remove(const std::string& pod_uid, const std::string& container_id);

 private:
  struct Probe {
    ProbeTarget target;
    ProbeKind kind;
    json::Value spec;  // into target.pod
    Duration due{0};
    int successes = 0, failures = 0;
    int told = -1;     // -1 nothing, 0 bad, 1 good
    bool running = false, waits_for_startup = false;
  };
  void work();
  Outcome run(const Probe& probe);
  Outcome http(json::Value spec, const ProbeTarget& target, Duration timeout);
  Outcome tcp(json::Value spec, const ProbeTarget& target, Duration timeout);
  void finish(uint64_t id, const Outcome& outcome);
  void end_startup(uint64_t id, const ProbeTarget& target);

  async::Loop& loop_;
  const Clock& clock_;
  Exec exec_;
  Changed changed_;
  Failed failed_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::map<uint64_t, Probe> probes_;
  uint64_t next_id_ = 1;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace k8lite::kubelet
