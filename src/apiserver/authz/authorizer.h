// The one question every request is asked: may this user do this? RBAC from the stored roles, the node authoriser for nodes, and
// system:masters may everything. The RBAC snapshot is rebuilt only after a role or binding changed.
#pragma once
#include <functional>
#include <memory>
#include <mutex>

#include "apiserver/authz/rbac.h"
#include "store/store.h"

namespace k8lite::apiserver::authz {

// A decision with its reason, as access reviews tell it; "" when nothing allows it.
struct Verdict {
  bool allowed = false;
  std::string reason;
};

class Authorizer {
 public:
  static Result<std::unique_ptr<Authorizer>> create(store::Store& store);
  bool allows(const User& user, const RequestInfo& request);
  Verdict decide(const User& user, const RequestInfo& request);
  std::shared_ptr<const RbacSnapshot> snapshot();

 private:
  Authorizer(store::Store& store, std::unique_ptr<store::Watch> changes) : store_(store), changes_(std::move(changes)) {}
  store::Store& store_;
  std::mutex mutex_;
  std::unique_ptr<store::Watch> changes_;
  std::shared_ptr<const RbacSnapshot> snapshot_;
};

// The node authoriser (Kubernetes documentation, "Using Node Authorization"): what a node may read and write, given a way to look at
// the pods bound to it. Pure.
struct NodeView {
  // Does a pod bound to this node refer to the object (resource: secrets, configmaps, persistentvolumeclaims, serviceaccounts)?
  std::function<bool(std::string_view resource, std::string_view ns, std::string_view name)> referenced;
  std::function<bool(std::string_view ns, std::string_view pod)> has_pod;  // bound to this node
  std::function<bool(std::string_view name)> deletes_volume;                // it is to be deleted, and its folder lies on this node
};
bool node_allows(std::string_view node, const RequestInfo& request, const NodeView& view);
// "system:node:<name>" in system:nodes; "" for everybody else.
std::string node_name_of(const User& user);
// Does the pod's spec mention the object?
bool pod_refers_to(json::Value pod, std::string_view resource, std::string_view name);

}  // namespace k8lite::apiserver::authz
