// Pod Security: levels with versions, and what of a pod violates one. Pure. (Kubernetes documentation, "Pod Security
// Standards".)
#pragma once
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace k8lite::apiserver::admission {

enum class PodLevel : unsigned char { Privileged, Baseline, Restricted };

constexpr int kLatestMinor = 1 << 16;
struct LevelVersion {
  PodLevel level = PodLevel::Privileged;
  int minor = kLatestMinor;  // of v1.x
  std::string text() const;  // "restricted:latest"
  bool operator==(const LevelVersion&) const = default;
};

struct PodPolicy {
  LevelVersion enforce, audit, warn;
};
// From a namespace's labels pod-security.kubernetes.io/…; a policy comes back always: what is misspelt means the
// strictest for enforce and nothing for the others. `causes` gets what is wrong.
PodPolicy read_policy(json::Value labels, std::vector<Cause>* causes = nullptr);

// "" when nothing is wrong, else "privileged (container "c" must not …), hostPort (…)"; without details only the
// reasons.
std::string pod_violations(const LevelVersion& policy, json::Value metadata, json::Value pod_spec,
                           bool with_details = true);

}  // namespace k8lite::apiserver::admission
