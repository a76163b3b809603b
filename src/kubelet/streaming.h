// Exec, attach and port-forward of the node agent: connections the API server bridges here, upgraded to WebSocket or SPDY. Sessions outlive the
// request they came with; stop() ends them all.
#pragma once
#include "kubelet/channels.h"
#include "kubelet/fd_stream.h"
#include "kubelet/pods.h"

namespace k8lite::kubelet {

// What the sessions share.
struct StreamingCore {
  StreamingCore(async::Loop& l, PodManager& p) : loop(l), pods(p) {}
  async::Loop& loop;
  PodManager& pods;
  async::Pool pool{8};  // for PodManager::exec and for connecting, which block
  std::shared_ptr<FdWatch> watch = std::make_shared<FdWatch>();
  std::atomic<bool> stopping{false};
};
using StreamingCorePtr = std::shared_ptr<StreamingCore>;

class Streaming {
 public:
  Streaming(async::Loop& loop, PodManager& pods) : core_(std::make_shared<StreamingCore>(loop, pods)) {}
  ~Streaming() { stop(); }
  // Serves /exec/<ns>/<pod>/<container>, /attach/… and /portForward/<ns>/<pod>; false when `parts` is none of these. An error is for
  // the caller to answer, unless the connection is upgraded already.
  async::Task<Result<bool>> handle(net::Request& request, net::ResponseWriter& response, std::vector<std::string> parts);
  void stop();  // not on the loop's thread; nothing uses the pods any more afterwards

 private:
  StreamingCorePtr core_;
};

// port_forward.cpp
async::Task<Result<>> serve_port_forward(StreamingCorePtr core, net::Request& request, net::ResponseWriter& response, std::string ns, std::string pod);
// A connection to the port inside the pod's network namespace. Blocks. The error says what was tried.
Result<os::Fd> connect_in_pod(int sandbox_pid, const std::string& pod_ip, int port);

// The metav1.Status that ends a remote command.
std::string command_status(int exit_code);
std::string command_failure(const Status& why);

}  // namespace k8lite::kubelet
