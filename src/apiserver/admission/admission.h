// Admission: what is filled in or refused beyond the rules of a kind, because it needs to look at other objects or at who asks.
// One table of plugins, run in order on every create and update. (Kubernetes documentation, "Admission Control".)
#pragma once
#include <functional>

#include "apiserver/authz/rbac.h"
#include "apiserver/resource_types.h"
#include "base/random.h"
#include "store/store.h"

namespace k8lite::apiserver {

struct AdmissionRequest {
  ResourceTypePtr type;
  std::string ns, name, subresource;
  bool create = false;
  const authz::User& user;
  json::Node* object = nullptr;      // may be changed
  const json::Doc* old = nullptr;    // updates
};

class Admission {
 public:
  Admission(store::Store& store, Random& random) : store_(store), random_(random) {}
  // Before an object is looked at: may anything be created in this namespace?
  Result<> check_namespace(const AdmissionRequest& request) const;
  Result<> admit(AdmissionRequest& request) const;

  json::Doc find(std::string_view group, std::string_view resource, std::string_view ns, std::string_view name) const;

 private:
  store::Store& store_;
  Random& random_;
};

}  // namespace k8lite::apiserver
