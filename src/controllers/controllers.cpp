#include "controllers/controllers.h"

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
#include "controllers/namespaces.h"
#include "controllers/nodes.h"
#include "controllers/replicaset.h"
#include "controllers/resource_quota.h"
#include "controllers/statefulset.h"
#include "controllers/storage_protection.h"
#include "controllers/volumes.h"

namespace k8lite::controllers {
namespace {

template <class T>
std::unique_ptr<machinery::Controller> make(Context& c) { return std::make_unique<T>(c); }

constexpr std::unique_ptr<machinery::Controller> (*kControllers[])(Context&) = {
    // One a line.
    make<NodeController>,
    make<NamespaceController>,
    make<ServiceAccountController>,
    make<ClusterRoleController>,
    make<DefinitionController>,
    make<DeploymentController>,
    make<ReplicaSetController>,
    make<ReplicationControllerController>,
    make<DaemonSetController>,
    make<StatefulSetController>,
    make<JobController>,
    make<CronJobController>,
    make<DisruptionController>,
    make<VolumeController>,
    make<EphemeralVolumeController>,
    make<EndpointsController>,
    make<ResourceQuotaController>,
    make<CertificateController>,
    make<StorageProtectionController>,
    make<GarbageCollector>,
};

}  // namespace

Controllers::Controllers(machinery::Client& client, const Clock& clock, Random& random, ControllersOptions options)
    : events_(client, clock, random, "controller-manager"), context_{client, clock, random, events_, options.cluster_cidr, options.ca_pem, options.own_node, {}, {}, options.ca_key_pem, options.storage_path} {
  for (auto make_one : kControllers) controllers_.push_back(make_one(context_));
}
Controllers::~Controllers() { stop(); }

void Controllers::start() {
  if (!context_.storage_path.empty()) make_default_storage_class(context_);
  for (auto& [name, informer] : context_.informers) informer->start();
  // Deciding on half a picture would create what is there already.
  for (auto& [name, informer] : context_.informers) informer->wait_synced(seconds(60));
  std::vector<machinery::Controller*> all;
  for (auto& c : controllers_) all.push_back(c.get());
  runner_ = std::make_unique<machinery::Runner>(all);
  runner_->start();
}

void Controllers::stop() {
  for (auto& [name, informer] : context_.informers) informer->stop();
  if (runner_) runner_->stop();
  for (auto& end : context_.at_stop) end();
  runner_ = nullptr;
}

}  // namespace k8lite::controllers
