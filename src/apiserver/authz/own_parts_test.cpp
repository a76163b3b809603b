// The server's own parts have the rights that they use through the default roles, and not those of an administrator.
#include <catch2/catch.hpp>

#include "base/strings.h"
#include "support/api_world.h"

using namespace k8lite;
using json::Node;
using testing::ApiWorld;

namespace {

bool allowed(ApiWorld& w, const std::string& who, std::string_view verb, std::string_view group,
             const std::string& what, const char* ns) {
  bool user = who.starts_with("system:");
  size_t slash = what.find('/');
  Node attributes = Node::obj(
      {{"verb", verb}, {"group", group}, {"resource", what.substr(0, slash)}, {"namespace", ns}, {"name", "x"}});
  if (slash != what.npos) attributes.set("subresource", what.substr(slash + 1));
  Node groups = Node::arr({"system:authenticated"});
  if (!user) groups.append("system:serviceaccounts"), groups.append("system:serviceaccounts:kube-system");
  Node review = Node::obj({{"spec", Node::obj({{"user", user ? who : "system:serviceaccount:kube-system:" + who},
                                               {"groups", groups},
                                               {"resourceAttributes", attributes}})}});
  return w.ask("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review.dump())
      .json()
      .path("status.allowed")
      .bool_or(false);
}

}  // namespace

TEST_CASE("roles: controllers and scheduler may do what they do") {
  ApiWorld w;
  struct Row {
    const char *who, *group, *what, *verbs, *ns = "default";
  };
  static constexpr Row kRows[] = {
      {"node-controller", "", "nodes", "get patch"},
      {"node-controller", "", "nodes/status", "patch"},
      {"node-controller", "", "pods", "delete"},
      {"node-controller", "", "pods/status", "patch"},
      {"namespace-controller", "", "namespaces/status", "patch"},
      {"namespace-controller", "", "namespaces/finalize", "update"},
      {"namespace-controller", "example.org", "things", "list delete"},
      {"service-account-controller", "", "serviceaccounts", "create"},
      {"service-account-controller", "", "configmaps", "create patch"},
      {"system:kube-controller-manager", "", "serviceaccounts", "get"},
      {"system:kube-controller-manager", "", "secrets", "update delete"},
      {"system:kube-controller-manager", "", "events", "create patch"},
      {"system:kube-controller-manager", "example.org", "things", "list watch"},
      {"token-cleaner", "", "secrets", "delete", "kube-system"},
      {"clusterrole-aggregation-controller", "rbac.authorization.k8s.io", "clusterroles", "patch escalate"},
      {"deployment-controller", "apps", "replicasets", "create get patch delete"},
      {"deployment-controller", "apps", "deployments", "patch"},
      {"deployment-controller", "apps", "deployments/status", "patch"},
      {"replicaset-controller", "", "pods", "create delete patch"},
      {"replicaset-controller", "apps", "replicasets/status", "patch"},
      {"replication-controller", "", "pods", "create delete patch"},
      {"replication-controller", "", "replicationcontrollers/status", "patch"},
      {"daemon-set-controller", "", "pods", "create delete patch"},
      {"daemon-set-controller", "apps", "daemonsets/status", "patch"},
      {"daemon-set-controller", "apps", "controllerrevisions", "create delete patch"},
      {"statefulset-controller", "", "pods", "create delete patch"},
      {"statefulset-controller", "apps", "statefulsets/status", "patch"},
      {"statefulset-controller", "apps", "controllerrevisions", "create delete patch"},
      {"statefulset-controller", "", "persistentvolumeclaims", "create patch"},
      {"job-controller", "", "pods", "create delete patch"},
      {"job-controller", "batch", "jobs/status", "update"},
      {"job-controller", "batch", "jobs", "get delete"},
      {"cronjob-controller", "batch", "jobs", "create delete"},
      {"cronjob-controller", "batch", "cronjobs/status", "patch"},
      {"disruption-controller", "policy", "poddisruptionbudgets/status", "update"},
      {"persistent-volume-binder", "", "persistentvolumes", "create update delete"},
      {"persistent-volume-binder", "", "persistentvolumes/status", "patch"},
      {"persistent-volume-binder", "", "persistentvolumeclaims", "get update"},
      {"persistent-volume-binder", "", "persistentvolumeclaims/status", "patch"},
      {"ephemeral-volume-controller", "", "persistentvolumeclaims", "create"},
      {"endpointslice-controller", "", "endpoints", "create update delete"},
      {"endpointslice-controller", "discovery.k8s.io", "endpointslices", "create update delete"},
      {"resourcequota-controller", "", "resourcequotas", "get"},
      {"resourcequota-controller", "", "resourcequotas/status", "update"},
      {"resourcequota-controller", "example.org", "things", "list watch"},
      {"certificate-controller", "authorization.k8s.io", "subjectaccessreviews", "create"},
      {"certificate-controller", "certificates.k8s.io", "certificatesigningrequests/status", "update"},
      {"certificate-controller", "certificates.k8s.io", "certificatesigningrequests/approval", "update"},
      {"certificate-controller", "certificates.k8s.io", "certificatesigningrequests", "delete"},
      {"pvc-protection-controller", "", "persistentvolumeclaims", "update list"},
      {"pvc-protection-controller", "", "persistentvolumes", "update list"},
      {"pvc-protection-controller", "storage.k8s.io", "volumeattributesclasses", "update"},
      {"generic-garbage-collector", "example.org", "things", "get patch delete"},
      {"system:kube-scheduler", "", "pods/binding", "create"},
      {"system:kube-scheduler", "", "pods", "delete list watch"},
      {"system:kube-scheduler", "", "pods/status", "patch"},
      {"system:kube-scheduler", "", "nodes", "list watch"},
      {"system:kube-scheduler", "", "namespaces", "list watch"},
      {"system:kube-scheduler", "", "persistentvolumeclaims", "list watch patch"},
      {"system:kube-scheduler", "", "persistentvolumes", "list watch"},
      {"system:kube-scheduler", "storage.k8s.io", "storageclasses", "list watch"},
  };
  for (const Row& r : kRows)
    for (auto verb : split(r.verbs, ' ')) {
      CAPTURE(r.who, verb, r.group, r.what);
      CHECK(allowed(w, r.who, verb, r.group, r.what, r.ns));
    }
}

TEST_CASE("roles: and no more") {
  ApiWorld w;
  struct Row {
    const char *who, *verb, *what;
  };
  for (Row r : {Row{"deployment-controller", "get", "secrets"},
                {"replicaset-controller", "delete", "nodes"},
                {"token-cleaner", "delete", "secrets"},
                {"system:kube-scheduler", "update", "nodes"},
                {"system:kube-controller-manager", "create", "pods"},
                {"job-controller", "create", "secrets"}}) {
    CAPTURE(r.who, r.verb, r.what);
    CHECK_FALSE(allowed(w, r.who, r.verb, "", r.what, "default"));
  }
}
