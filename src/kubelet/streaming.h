// Logs, exec, attach and port-forward of the node agent: connections the API server bridges here, most of them upgraded to WebSocket
// or SPDY. Sessions outlive the request they came with; stop() ends them all.
#pragma once
#include "kubelet/channels.h"
#include "kubelet/fd_stream.h"
#include "kubelet/file_watch.h"
#include "kubelet/pods.h"

namespace k8lite::kubelet {

// What the sessions share.
struct StreamingCore {
  StreamingCore(async::Loop& l, PodManager& p, const Clock& c) : loop(l), pods(p), clock(c) {}
  async::Loop& loop;
  PodManager& pods;  // not after `stopping`
  const Clock& clock;
  async::Pool pool{8};  // for PodManager::exec and for connecting, which block
  std::shared_ptr<FdWatch> watch = std::make_shared<FdWatch>();
  std::shared_ptr<FileWatch> files = std::make_shared<FileWatch>(loop, watch);
  std::atomic<bool> stopping{false};
};
using StreamingCorePtr = std::shared_ptr<StreamingCore>;

class Streaming {
 public:
  Streaming(async::Loop& loop, PodManager& pods, const Clock& clock) : core_(std::make_shared<StreamingCore>(loop, pods, clock)) {}
  ~Streaming() { stop(); }
  const StreamingCorePtr& core() const { return core_; }
  void stop();  // not on the loop's thread; nothing uses the pods any more afterwards

 private:
  StreamingCorePtr core_;
};

// Serves /exec/<ns>/<pod>/<container>, /attach/…, /portForward/<ns>/<pod> and /containerLogs/<ns>/<pod>/<container>; false when `parts`
// is none of these. An error is for the caller to answer, unless the answer has begun already.
async::Task<Result<bool>> serve_stream(StreamingCorePtr core, net::Request& request, net::ResponseWriter& response, std::vector<std::string> parts);

// logs.cpp
async::Task<Result<>> serve_logs(StreamingCorePtr core, net::Request& request, net::ResponseWriter& response, std::string ns, std::string pod, std::string container);
// port_forward.cpp
async::Task<Result<>> serve_port_forward(StreamingCorePtr core, net::Request& request, net::ResponseWriter& response, std::string ns, std::string pod);
// A connection to the port inside the pod's network namespace. Blocks. The error says what was tried.
Result<os::Fd> connect_in_pod(int sandbox_pid, const std::string& pod_ip, int port);

// The metav1.Status that ends a remote command.
std::string command_status(int exit_code);
std::string command_failure(const Status& why);

}  // namespace k8lite::kubelet
