// What a pod has around its containers: cgroup, namespaces behind a shim, network, volumes; made before the first of
// them starts and taken away after the last has ended.
#include <fcntl.h>

#include "api/volumes.h"
#include "async/async.h"
#include "base/log.h"
#include "base/strings.h"
#include "kubelet/pods.h"
#include "net/stream.h"

namespace k8lite::kubelet {

using json::Doc;
using json::Value;

// The pod's own, and the one of its class, whose weight is what its pods ask for together.
Result<> PodManager::make_cgroup(Value pod) {
  runtime::Resources limits = pod_limits(pod), shared;
  limits.pids_limit = facts_.pod_pids_limit;
  shared.cpu_shares = runtime::shares_of_milli_cpu(0);
  if (Qos qos = qos_of(pod); qos == Qos::Burstable) {
    shared.cpu_shares = limits.cpu_shares;
    std::lock_guard lock(mutex_);
    for (const auto& [uid, other] : locals_)
      if (other->sandbox && qos_of(other->pod.root()) == qos)
        shared.cpu_shares += pod_limits(other->pod.root()).cpu_shares;
    TRY_OK(cgroups_.create("kubepods/burstable", shared));
  } else if (qos == Qos::BestEffort) {
    TRY_OK(cgroups_.create("kubepods/besteffort", shared));
  }
  return cgroups_.create(pod_cgroup(pod), limits);
}

// What ran in a sandbox that is no more runs again in the new one, the init containers too; what had ended for good
// stays so. Called with the mutex held.
void PodManager::begin_again(const LocalPtr& local) {
  Value pod = local->pod.root();
  if (plan_pod(pod, local->runs, clock_.mono()).finished) return;
  for (auto& [name, run] : local->runs)
    if (run.exists && !run.current.running &&
        (is_init(pod, name) || restarts(pod, find_container(pod, name), false, run)))
      run.again = !is_ephemeral(pod, name);
}

Result<> PodManager::ensure_sandbox(const LocalPtr& local) {
  {
    std::lock_guard lock(mutex_);
    if (local->sandbox) return {};
  }
  Value pod = local->pod.root();
  runtime::PodConfig config;
  config.uid = local->uid;
  config.host_network = pod.path("spec.hostNetwork").bool_or(false);
  config.host_ipc = pod.path("spec.hostIPC").bool_or(false);
  config.share_processes = pod.path("spec.shareProcessNamespace").bool_or(false);
  config.hostname = pod.path("spec.hostname").str(pod.path("metadata.name").str().substr(0, 63));
  if (config.host_network) config.hostname = "";
  TRY_OK(make_cgroup(pod));
  TRY(std::string keeper, cgroups_.create_keeper(pod_cgroup(pod)));
  config.cgroup_procs = cgroups_.procs_files(keeper);
  TRY_OK(os::make_dirs(facts_.run_dir, 0700));
  TRY_OK(runtime_->start_pod(config));
  std::string ip = node_ip();
  if (!config.host_network) {
    if (!network_) return unavailable("the node's pod network is not ready yet");
    os::Fd netns(
        ::open(("/proc/" + std::to_string(runtime_->shim_pid(local->uid)) + "/ns/net").c_str(), O_RDONLY | O_CLOEXEC));
    if (!netns) return Status::from_errno("open the pod's network", errno);
    TRY(ip, network_->attach(local->uid, netns.get()));
  }
  PodRecord record{local->uid,
                   pod.path("metadata.name").str(),
                   pod.path("metadata.namespace").str(),
                   ip,
                   pod.path("metadata.labels").to_node(),
                   pod.path("metadata.annotations").to_node(),
                   clock_.now().us,
                   config.host_network};
  TRY_OK(write_record(facts_.run_dir, record));
  std::lock_guard lock(mutex_);
  local->ip = ip;
  local->sandbox = true;
  begin_again(local);
  return {};
}

Result<json::Doc> PodManager::volume_of_claim(const LocalPtr& local, const std::string& name) {
  std::string ns = local->pod.path("metadata.namespace").str();
  TRY(json::Doc claim, client_.get({"", "v1", "persistentvolumeclaims", ns, name, ""}));
  std::string bound_to = claim.path("spec.volumeName").str();
  if (!claim.path("status.phase").equals("Bound") || bound_to.empty())
    return unavailable("persistentvolumeclaim " + json::quoted(name) + " is not bound");
  for (Value v : local->pod.path("spec.volumes").items())
    if (bool made = false; api::claim_of(local->pod.root(), v, &made) == name && made &&
                           !api::claim_is_of(claim.root(), local->pod.root()))
      return bad_request("persistentvolumeclaim " + json::quoted(name) + " was not created for this pod");
  return client_.get({"", "v1", "persistentvolumes", "", bound_to, ""});
}

Result<> PodManager::ensure_volumes(const LocalPtr& local) {
  TRY_OK(os::make_dirs(pod_dir(local->uid)));
  EnvironmentInput env = environment_input(local, {});
  VolumeContext context{
      pod_dir(local->uid), env,
      [this, &local](const std::string& audience, int64_t valid) { return token(local, audience, valid); },
      [this, &local](const std::string& claim) { return volume_of_claim(local, claim); },
                        [this](const std::string& host) -> Result<std::string> {
                          TRY(auto addresses, async::block_on(loop_, net::resolve(host)));
                          if (addresses.empty()) return not_found("the server " + host + " has no address");
                          return addresses[0];
                        }};
  TRY_OK(set_up_volumes(context));
  return write_etc_files(local);
}

Result<> PodManager::clean_up(const LocalPtr& local) {
  bool made = false;
  {
    std::lock_guard lock(mutex_);
    made = local->sandbox || runtime_->has_pod(local->uid);
    local->sandbox = false;
  }
  // Its cgroup is made before all else: a start that failed or was cut short there has left one.
  if (!made) return (void)cgroups_.remove(pod_cgroup(local->pod.root())), Result<>();
  TRY_OK(runtime_->remove_pod(local->uid));
  if (network_ && !local->pod.path("spec.hostNetwork").bool_or(false)) {
    // Before somebody else may get the address.
    if (auto r = local->ports_mapped ? publish_ports() : Result<>(); !r.ok())
      log_warn("a pod's host ports could not be closed", {{"pod", local->key}, {"error", r.status()}});
    if (auto r = network_->detach(local->uid); !r.ok())
      log_warn("a pod's network could not be taken away", {{"pod", local->key}, {"error", r.status()}});
  }
  (void)cgroups_.remove(pod_cgroup(local->pod.root()));
  (void)os::remove_tree(facts_.data_dir + "/containers/" + local->uid);
  return {};
}

}  // namespace k8lite::kubelet
