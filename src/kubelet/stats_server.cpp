#include "kubelet/stats_server.h"

#include <utility>

#include "base/metrics.h"

namespace k8lite::kubelet {
namespace {

using async::Task;
using metrics::Type;

constexpr const char* kText = "text/plain; version=0.0.4; charset=utf-8";
constexpr const char* kJson = "application/json";

Task<SnapshotPtr> take(StatsCorePtr core, Detail detail) {
  std::function<SnapshotPtr()> look = [core, detail]() -> SnapshotPtr { return core->base->stopping ? nullptr : core->sampler.take(core->base->pods.stat_targets(), detail); };
  co_return co_await async::offload<SnapshotPtr>(core->base->pool, look);
}

// With rates: where nobody has looked for long, a first look comes before.
Task<SnapshotPtr> take_with_rates(StatsCorePtr core, Detail detail) {
  if (!core->sampler.has_window()) {
    (void)co_await take(core, detail == Detail::Usage ? detail : Detail::Kernel);
    (void)co_await async::sleep_for(core->base->loop, StatsSampler::kFirstWindow);
  }
  co_return co_await take(core, detail);
}

}  // namespace

std::string agent_metrics(const std::vector<PodTarget>& pods, const std::string& node, const std::string& proc) {
  std::string out;
  int64_t containers = 0;
  for (const PodTarget& p : pods) containers += static_cast<int64_t>(p.containers.size());
  metrics::write_sample(out, "kubelet_node_name", Type::Gauge, "The node's name.", metrics::Labels().add("node", node).text(), 1);
  metrics::write_sample(out, "kubelet_running_containers", Type::Gauge, "Containers on this node.", "container_state=\"running\"", static_cast<double>(containers));
  metrics::write_sample(out, "kubelet_running_pods", Type::Gauge, "Pods that run on this node.", "", static_cast<double>(pods.size()));
  metrics::write_sample(out, "kubernetes_build_info", Type::Gauge, "The version of Kubernetes that this node agent is.", "git_version=\"v1.36.0+k8lite\",major=\"1\",minor=\"36\"", 1);
  metrics::write_process(out, proc);
  return out;
}

Task<bool> serve_stats(StatsCorePtr core, net::Request& request, net::ResponseWriter& response) {
  const std::string& path = request.path;
  bool summary = path == "/stats/summary" || path == "/stats/summary/", usage = path == "/v1-k8lite/usage", resource = path == "/metrics/resource", containers = path == "/metrics/cadvisor", agent = path == "/metrics",
       probes = path == "/metrics/probes", pods = path == "/pods" || path == "/pods/";
  if (!summary && !usage && !resource && !containers && !agent && !probes && !pods) co_return false;
  if (request.method != "GET" && request.method != "HEAD") {
    (void)co_await response.send(405, {{"Content-Type", kText}}, "method not allowed\n");
    co_return true;
  }
  if (core->base->stopping) co_return false;  // its pods may be gone
  std::string body;
  if (pods) {
    body = R"({"kind":"PodList","apiVersion":"v1","metadata":{},"items":[)";
    bool first = true;
    for (const json::Doc& pod : core->base->pods.known_pods()) {
      if (!std::exchange(first, false)) body += ',';
      json::Node served = pod.to_node();
      served.erase("apiVersion");
      served.erase("kind");
      body += served.dump();
    }
    body += "]}\n";
  } else if (agent) {
    body = agent_metrics(core->base->pods.stat_targets(), core->sampler.options().node, core->sampler.options().proc);
    if (SnapshotPtr s = co_await take(core, Detail::Disk)) body += volume_metrics(*s);
  } else if (!probes) {
    bool brief = request.query.get("only_cpu_and_memory") == "true";
    SnapshotPtr s;
    if (summary || usage) s = co_await take_with_rates(core, usage ? Detail::Usage : brief ? Detail::Kernel : Detail::Disk);
    else s = co_await take(core, containers ? Detail::Disk : Detail::Kernel);
    if (!s) {
      (void)co_await response.send(503, {{"Content-Type", kText}}, "the node agent is stopping\n");
      co_return true;
    }
    if (summary) body = stats_summary(*s, core->sampler.options(), brief).dump();
    else if (usage) body = usage_report(*s, core->sampler.options()).dump();
    else body = resource ? resource_metrics(*s) : container_metrics(*s, core->sampler.machine());
  }
  (void)co_await response.send(200, {{"Content-Type", summary || usage || pods ? kJson : kText}}, std::move(body));
  co_return true;
}

}  // namespace k8lite::kubelet
