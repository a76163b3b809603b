// The figures over HTTP: /stats/summary, /metrics, /metrics/resource, /metrics/cadvisor, /metrics/probes, and /v1-k8lite/usage, from which
// the API server makes metrics.k8s.io.
#pragma once
#include "kubelet/delegated_auth.h"
#include "kubelet/stats.h"
#include "kubelet/streaming.h"

namespace k8lite::kubelet {

struct StatsCore {
  StatsCore(StreamingCorePtr b, StatsOptions options) : base(std::move(b)), sampler(base->clock, std::move(options)) {}
  const StreamingCorePtr base;  // its pool, its pods
  StatsSampler sampler;
};
using StatsCorePtr = std::shared_ptr<StatsCore>;

// False when the path is none of these.
async::Task<bool> serve_stats(StatsCorePtr core, net::Request& request, net::ResponseWriter& response);
// The node agent's own figures: /metrics.
std::string agent_metrics(const std::vector<PodTarget>& pods, const std::string& node, const std::string& proc);

}  // namespace k8lite::kubelet
