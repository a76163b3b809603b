// Keeps as many pods as a ReplicaSet, or a ReplicationController, its older sister, asks for.
#pragma once
#include "controllers/pod_control.h"

namespace k8lite::controllers {

class ReplicaSetController : public Base {
 public:
  explicit ReplicaSetController(Context& context) : ReplicaSetController(context, "replicaset-controller", "apps", "replicasets", "ReplicaSet") {}
  Result<machinery::Action> reconcile(const std::string& key) override;

 protected:
  ReplicaSetController(Context& context, const char* name, const char* group, const char* plural, const char* kind);

 private:
  // The selector of a ReplicationController is a plain map.
  Result<api::LabelSelector> selector_of(const json::Doc& set) const;
  const std::string group_, plural_, kind_;
  machinery::Informer &sets_, &pods_;
  PodControl control_;
};

class ReplicationControllerController : public ReplicaSetController {
 public:
  explicit ReplicationControllerController(Context& context) : ReplicaSetController(context, "replication-controller", "", "replicationcontrollers", "ReplicationController") {}
};

}  // namespace k8lite::controllers
