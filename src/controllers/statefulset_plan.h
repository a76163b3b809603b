// Which of a StatefulSet's pods are made, ended or waited for, and its status. Pure. (Kubernetes documentation, "StatefulSets"; KEP-961
// for maxUnavailable, KEP-1847 for the claims' retention, KEP-3335 for the first ordinal.)
#pragma once
#include "controllers/context.h"

namespace k8lite::controllers {

struct StatefulSetPlan {
  struct Create {
    int64_t ordinal = 0;
    bool current = false;  // from the current revision, else from the update revision
  };
  std::vector<Create> create;
  std::vector<std::string> remove;     // pod names
  std::vector<std::string> condemned;  // pods beyond the count, for the claims' retention
  json::Node status;
  bool waiting = false;  // for minReadySeconds of a pod
};
// `current` and `update` are names of revisions; the current one "" before the first pass.
StatefulSetPlan plan_stateful_set(const json::Doc& set, const std::vector<json::Doc>& pods, const std::string& current, const std::string& update, Instant now);

// -1 where the name is not "<set>-<number>".
int64_t ordinal_of(const std::string& set, const std::string& pod);
// Gives a pod made from a template its name, labels, host name and claims.
json::Node stateful_pod(const json::Doc& set, json::Node pod, int64_t ordinal, const std::string& revision);
// The claims of one pod, from volumeClaimTemplates.
std::vector<json::Node> claims_of(const json::Doc& set, const std::string& pod);

}  // namespace k8lite::controllers
