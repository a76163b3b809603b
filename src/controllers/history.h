// ControllerRevisions: the templates that a DaemonSet or StatefulSet has had, for rollouts and `kubectl rollout undo`.
// (Kubernetes documentation, "Perform a Rollback on a DaemonSet", "StatefulSets: Revision history".)
#pragma once
#include <optional>
#include <set>

#include "controllers/context.h"

namespace k8lite::controllers {

struct HistoryPlan {
  std::string update;               // name of the revision that holds the template as it is now
  std::string hash;                 // its label controller-revision-hash
  std::optional<json::Node> create; // where no revision holds it yet
  std::string bump;                 // an old one that is current again (a rollback) and gets the highest number
  int64_t revision = 0;             // of the update revision
  std::vector<std::string> remove;  // beyond the history limit and used by no pod (`live`: names and hashes in use)
};
// Pure. `revisions`: those the owner controls.
HistoryPlan plan_history(const json::Doc& owner, const std::vector<json::Doc>& revisions, const std::set<std::string>& live);

// Carries the plan out; `manager` in the writes.
Result<> write_history(machinery::Client& client, const json::Doc& owner, const HistoryPlan& plan, const machinery::WriteOptions& options);

}  // namespace k8lite::controllers
