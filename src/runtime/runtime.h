// Pods and containers as the node agent sees them: one shim a pod, found again after a restart by its socket. Calls block (never on an
// event loop's thread) and are thread-safe.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "os/files.h"
#include "runtime/launch.h"

namespace k8lite::runtime {

struct PodConfig {
  std::string uid, hostname;
  bool host_network = false, host_ipc = false, share_processes = false;
  std::vector<std::string> cgroup_procs;  // the pod's, joined by the shim
};

class Runtime {
 public:
  using OnExit = std::function<void(const std::string& pod_uid, const shim::State& state)>;
  // `state_dir` (/run/k8lite/pods) holds a folder a pod. Both callbacks come on a thread of the runtime's.
  Runtime(std::string state_dir, OnExit on_exit, std::function<void(const std::string& pod_uid)> on_lost);
  ~Runtime();  // leaves every pod running

  // Pods whose shims still run from before; call once at start.
  std::vector<std::string> adopt();
  // Starts the shim; fine when it runs already.
  Result<> start_pod(const PodConfig& config);
  bool has_pod(const std::string& uid) const;
  int shim_pid(const std::string& uid) const;  // its /proc/<pid>/ns/net is the pod's network; 0 when there is none
  Result<> remove_pod(const std::string& uid);  // kills what runs

  Result<uint64_t> start(const std::string& pod, const std::string& id, const shim::Plan& plan);  // the process id
  Result<> signal(const std::string& pod, const std::string& id, int number);
  Result<> remove(const std::string& pod, const std::string& id);
  Result<std::vector<shim::State>> list(const std::string& pod);
  // Runs a process in a container with these descriptors (closed here); `done` gets its exit code, or -1 when the shim is gone.
  // With `end`, calling that kills the process, and so does the end of this one.
  using EndExec = std::function<void()>;
  Result<> exec(const std::string& pod, const std::string& id, const shim::Process& process, os::Fd stdio[3], std::function<void(int)> done, EndExec* end = nullptr);
  // Copies of a running container's output go to `out` and `err` (closed here) until it ends or nobody reads them.
  struct Attached {
    os::Fd input;                // its standard input or terminal; none where it has neither
    bool takes_input = false;    // else it is a terminal whose input is not open: only its size may be set
    bool terminal = false;       // closing `input` does not end the container's input then
  };
  Result<Attached> attach(const std::string& pod, const std::string& id, bool with_input, os::Fd out, os::Fd err);

 private:
  struct Pod {
    int pid = 0;
    os::Fd control, watch;
    std::unique_ptr<std::mutex> mutex = std::make_unique<std::mutex>();  // one request at a time on `control`
  };
  struct Execution {
    os::Fd fd;
    std::function<void(int)> done;
  };
  Result<> connect(const std::string& uid);
  Result<std::string> ask(const std::string& uid, const std::string& record);
  void watch_loop();
  void wake();

  const std::string state_dir_;
  OnExit on_exit_;
  std::function<void(const std::string&)> on_lost_;
  os::Fd shim_elf_, wake_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Pod>> pods_;
  std::vector<std::shared_ptr<Execution>> executions_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace k8lite::runtime
