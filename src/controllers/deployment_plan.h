// What a Deployment does next: which ReplicaSet is its new one, how far each may be scaled, its status. Pure.
// (Kubernetes documentation, "Deployments"; rolling update arithmetic as there: maxSurge rounds up, maxUnavailable down.)
#pragma once
#include "controllers/context.h"

namespace k8lite::controllers {

struct DeploymentPlan {
  bool create_new = false;           // no ReplicaSet has the template yet
  int64_t new_replicas = 0;          // of the one to be created
  std::vector<std::pair<std::string, int64_t>> scale;  // ReplicaSet name -> replicas
  std::vector<std::string> remove;   // old ones beyond the history limit
  int64_t revision = 0;              // of the new ReplicaSet
  std::string revise;                // name of the ReplicaSet that must be given this revision; "" : none
  json::Node status;
};
DeploymentPlan plan_deployment(const json::Doc& deployment, const std::vector<json::Doc>& sets, Instant now);

// What a ReplicaSet's annotations desired-replicas and max-replicas say while the Deployment has this size.
std::pair<std::string, std::string> size_annotations(const json::Doc& deployment);
// A stable short name of a pod template (label pod-template-hash).
std::string template_hash(const json::Doc& deployment);
const json::Doc* find_new_set(const json::Doc& deployment, const std::vector<json::Doc>& sets);
// "25%" of 10 or 3.
int64_t int_or_percent(json::Value value, int64_t total, bool round_up, int64_t otherwise);

}  // namespace k8lite::controllers
