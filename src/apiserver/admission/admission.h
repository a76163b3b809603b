// Admission: what is filled in or refused beyond the rules of a kind, because it needs to look at other objects or at who asks.
// One table of plugins in Kubernetes' order: first all that change the object, then, when the kind's own validation is through, all that
// only judge it, and last the quotas, whose charge is committed together with the object. (Kubernetes documentation, "Admission Control".)
#pragma once
#include <functional>

#include "apiserver/authz/authorizer.h"
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
  json::Node* object = nullptr;      // may be changed by admit(), not by validate()
  const json::Doc* old = nullptr;    // updates
  std::vector<std::string>* warnings = nullptr;  // for the client; null: nobody reads them

  bool is(std::string_view group, std::string_view plural) const { return type->row->group == group && type->row->plural == plural; }
  void warn(const std::string& text) const;  // each text once
};

struct AdmissionOptions {
  std::vector<std::string> enable, disable;  // plugins, by Kubernetes' names
};

class Admission {
 public:
  Admission(store::Store& store, const Clock& clock, Random& random, authz::Authorizer& authorizer, AdmissionOptions options = {});
  // Before an object is looked at: may anything be created in this namespace?
  Result<> check_namespace(const AdmissionRequest& request) const;
  Result<> admit(AdmissionRequest& request) const;
  Result<> validate(AdmissionRequest& request) const;
  // What the quotas of the namespace are charged, as writes that must commit with the object's own or not at all; Forbidden when one of
  // them has not enough left. Called again for each attempt to write.
  Result<std::vector<store::Write>> charge(AdmissionRequest& request) const;

  // ---- what plugins look at ----
  json::Doc find(std::string_view group, std::string_view resource, std::string_view ns, std::string_view name) const;
  std::vector<store::ObjectPtr> list(std::string_view group, std::string_view resource, std::string_view ns = {}) const;
  bool allows(const authz::User& user, const RequestInfo& request) const { return authorizer_.allows(user, request); }
  Random& random() const { return random_; }
  Instant now() const { return clock_.now(); }

 private:
  bool runs(size_t plugin) const { return (enabled_ >> plugin & 1) != 0; }
  store::Store& store_;
  const Clock& clock_;
  Random& random_;
  authz::Authorizer& authorizer_;
  uint64_t enabled_ = 0;  // a bit for each row of the table
};

// Is this the name of a plugin, whether or not this build has something to do for it? For checking the settings.
bool is_admission_plugin(std::string_view name);

}  // namespace k8lite::apiserver
