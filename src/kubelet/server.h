// The node agent's own HTTPS server (port 10250): logs, exec, attach, port-forward and figures, for the API server (client certificate of
// the cluster's CA in group system:masters) and for whom it allows them.
#pragma once
#include "kubelet/pods.h"
#include "kubelet/stats_server.h"
#include "kubelet/streaming.h"
#include "net/http.h"

namespace k8lite::kubelet {

class KubeletServer {
 public:
  KubeletServer(async::Loop& loop, machinery::Client& client, PodManager& pods, const Clock& clock, StatsOptions stats)
      : loop_(loop), streaming_(loop, pods, clock), auth_(std::make_shared<DelegatedAuth>(client, clock, stats.node)), stats_(std::make_shared<StatsCore>(streaming_.core(), std::move(stats))) {}
  Result<> start(const std::string& address, int port, std::shared_ptr<net::TlsServerContext> tls);
  void stop();

 private:
  async::Loop& loop_;
  Streaming streaming_;
  const std::shared_ptr<DelegatedAuth> auth_;
  const StatsCorePtr stats_;
  std::unique_ptr<net::HttpServer> http_;
};

}  // namespace k8lite::kubelet
