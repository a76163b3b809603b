// The node agent's own HTTPS server (port 10250): logs, exec, attach and port-forward, for the API server only (client certificate of
// the cluster's CA in group system:masters).
#pragma once
#include "kubelet/pods.h"
#include "kubelet/streaming.h"
#include "net/http.h"

namespace k8lite::kubelet {

class KubeletServer {
 public:
  KubeletServer(async::Loop& loop, PodManager& pods, const Clock& clock) : loop_(loop), streaming_(loop, pods, clock) {}
  Result<> start(const std::string& address, int port, std::shared_ptr<net::TlsServerContext> tls);
  void stop();

 private:
  async::Loop& loop_;
  Streaming streaming_;
  std::unique_ptr<net::HttpServer> http_;
};

}  // namespace k8lite::kubelet
