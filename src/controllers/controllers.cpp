#include "controllers/controllers.h"

#include <algorithm>

#include "controllers/autoscaler.h"
#include "controllers/certificate.h"
#include "controllers/cluster_roles.h"
#include "controllers/crd.h"
#include "controllers/cronjob.h"
#include "controllers/daemonset.h"
#include "controllers/deployment.h"
#include "controllers/disruption.h"
#include "controllers/endpoints.h"
#include "controllers/garbage.h"
#include "controllers/job.h"
#include "controllers/mirroring.h"
#include "controllers/namespaces.h"
#include "controllers/nodes.h"
#include "controllers/replicaset.h"
#include "controllers/resource_quota.h"
#include "controllers/statefulset.h"
#include "controllers/storage_protection.h"
#include "controllers/tokens.h"
#include "controllers/volumes.h"

namespace k8lite::controllers {
namespace {

template <class T>
std::unique_ptr<machinery::Controller> make(Context& c) { return std::make_unique<T>(c); }

// A controller and the service account whose rights it has; without one it has those of the controller manager itself.
struct Row {
  std::unique_ptr<machinery::Controller> (*make)(Context&);
  const char* account;
  constexpr Row(std::unique_ptr<machinery::Controller> (*m)(Context&), const char* a = "") : make(m), account(a) {}
};

constexpr Row kControllers[] = {
    // One a line.
    {make<NodeController>, "node-controller"},
    {make<NamespaceController>, "namespace-controller"},
    {make<ServiceAccountController>, "service-account-controller"},
    make<TokenController>,
    {make<TokenCleaner>, "token-cleaner"},
    {make<ClusterRoleController>, "clusterrole-aggregation-controller"},
    {make<DefinitionController>, kServerItself},
    {make<DeploymentController>, "deployment-controller"},
    {make<ReplicaSetController>, "replicaset-controller"},
    {make<ReplicationControllerController>, "replication-controller"},
    {make<DaemonSetController>, "daemon-set-controller"},
    {make<StatefulSetController>, "statefulset-controller"},
    {make<JobController>, "job-controller"},
    {make<CronJobController>, "cronjob-controller"},
    {make<DisruptionController>, "disruption-controller"},
    {make<AutoscalerController>, "horizontal-pod-autoscaler"},
    {make<VolumeController>, "persistent-volume-binder"},
    {make<EphemeralVolumeController>, "ephemeral-volume-controller"},
    {make<EndpointsController>, "endpointslice-controller"},
    {make<MirroringController>, "endpointslicemirroring-controller"},
    {make<ResourceQuotaController>, "resourcequota-controller"},
    {make<CertificateController>, "certificate-controller"},
    {make<StorageProtectionController>, "pvc-protection-controller"},
    {make<GarbageCollector>, "generic-garbage-collector"},
};

}  // namespace

Controllers::Controllers(machinery::Client& client, const Clock& clock, Random& random, ControllersOptions options)
    : events_(client, clock, random, "controller-manager"), context_{client, clock, random, events_, options.cluster_cidr, options.ca_pem, options.own_node, {}, {}, options.ca_key_pem, options.storage_path, nullptr, options.service_account_key_pem} {
  if (options.client_of) setup_ = std::make_unique<Context>(context_.as(options.client_of(kServerItself)));
  for (const Row& row : kControllers) {
    bool own = options.client_of && *row.account;
    contexts_.push_back(std::make_unique<Context>(context_.as(own ? options.client_of(row.account) : client)));
    controllers_.push_back(row.make(*contexts_.back()));
  }
}
Controllers::~Controllers() { stop(); }

void Controllers::start() {
  if (!context_.storage_path.empty()) make_default_storage_class(setup_ ? *setup_ : context_);
  for (auto& [name, informer] : context_.informers) informer->start();
  // Deciding on half a picture would create what is there already.
  for (auto& [name, informer] : context_.informers) informer->wait_synced(seconds(60));
  std::vector<machinery::Controller*> all;
  for (auto& c : controllers_) all.push_back(c.get());
  runner_ = std::make_unique<machinery::Runner>(all);
  runner_->start();
}

bool Controllers::synced() const {
  return std::all_of(context_.informers.begin(), context_.informers.end(), [](const auto& entry) { return entry.second->synced(); });
}

void Controllers::write_figures(std::string& out) const {
  std::vector<std::pair<std::string, machinery::WorkQueue*>> queues;
  for (const auto& c : controllers_) queues.emplace_back(c->name(), &c->queue());
  machinery::write_queue_figures(out, queues);
}

void Controllers::stop() {
  for (auto& [name, informer] : context_.informers) informer->stop();
  if (runner_) runner_->stop();
  for (auto& end : context_.at_stop) end();
  events_.stop();
  runner_ = nullptr;
}

}  // namespace k8lite::controllers
