// Namespaces: empties those that are being deleted, and gives the others their default service account and the cluster's CA.
#pragma once
#include <map>

#include "controllers/context.h"

namespace k8lite::controllers {

class NamespaceController : public Base {
 public:
  explicit NamespaceController(Context& context);
  Result<machinery::Action> reconcile(const std::string& key) override;

 private:
  // What is still there after deletions were asked for.
  struct Remains {
    std::map<std::string, int> resources, finalizers;  // counts: "pods.", "deployments.apps"; "example.org/hold"
    Status failure;
  };
  Remains empty(const std::string& ns);
  void empty_of(machinery::Path kind, Remains& remains);
  machinery::Informer &namespaces_, &definitions_;
};

class ServiceAccountController : public Base {
 public:
  explicit ServiceAccountController(Context& context);
  Result<machinery::Action> reconcile(const std::string& key) override;

 private:
  machinery::Informer &namespaces_, &accounts_, &config_maps_;
};

}  // namespace k8lite::controllers
