// Whom the figures are of: the pods that run on this node and their containers, as the pod manager knows them.
#include <stdlib.h>

#include "api/volumes.h"
#include "base/quantity.h"
#include "kubelet/mounts.h"
#include "kubelet/pods.h"
#include "kubelet/stats.h"

namespace k8lite::kubelet {
namespace {

int64_t started_us(json::Value pod) {
  auto at = parse_rfc3339(pod.path("status.startTime").str());
  return at ? at->us : 0;
}

}  // namespace

std::vector<PodTarget> PodManager::stat_targets() const {
  struct Known {
    LocalPtr local;
    json::Doc pod;
    Runs runs;
  };
  std::vector<Known> known;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [uid, local] : locals_)
      if (local->sandbox && !local->removed) known.push_back({local, local->pod, local->runs});
  }
  std::vector<PodTarget> out;
  const auto mounts = mounts_now();
  for (const auto& [local, pod, runs] : known) {
    PodTarget p;
    p.ns = pod.path("metadata.namespace").str();
    p.name = pod.path("metadata.name").str();
    p.uid = local->uid;
    p.id = cri_id(local->uid);
    p.cgroup = pod_cgroup(pod.root());
    p.folder = pod_dir(local->uid) + "/volumes";
    p.started_us = started_us(pod.root());
    if (!pod.path("spec.hostNetwork").bool_or(false)) p.pid = runtime_->shim_pid(local->uid);
    for (json::Value v : pod.path("spec.volumes").items()) {
      bool other = v["hostPath"] || v["image"] || v["nfs"];  // not the pod's own, or of a server that may not answer
      std::string claim = api::claim_of(pod.root(), v), dir = volume_dir(pod_dir(local->uid), v["name"].str());
      char real[4096];
      if (other || !::realpath(dir.c_str(), real)) continue;
      if (!claim.empty() && mount_of(mounts, real).type.starts_with("nfs")) continue;
      p.volumes.push_back({v["name"].str(), real, claim});
    }
    for (const auto& [name, run] : runs) {
      json::Value spec = find_container(pod.root(), name);
      if (!run.exists || !run.current.running || !spec) continue;
      runtime::Resources limits = container_resources(spec);
      ContainerTarget c;
      c.name = name;
      c.id = cri_id(local->uid, run.current.id);
      c.image = run.image;
      c.cgroup = p.cgroup + "/" + name;
      c.log_path = log_dir(*local, name) + "/" + std::to_string(run.restart_count) + ".log";
      c.folder = facts_.data_dir + "/containers/" + local->uid + "/" + run.current.id;
      c.started_us = static_cast<int64_t>(run.current.started_us);
      c.restarts = run.restart_count;
      c.cpu_shares = limits.cpu_shares;
      c.cpu_quota_us = limits.cpu_quota_us;
      c.cpu_period_us = limits.cpu_period_us;
      c.memory_limit = limits.memory_limit;
      if (auto request = Quantity::parse(spec["resources"]["requests"]["memory"].str())) c.memory_request = request->value();
      p.containers.push_back(std::move(c));
    }
    out.push_back(std::move(p));
  }
  return out;
}

}  // namespace k8lite::kubelet
