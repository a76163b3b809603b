// What the scheduler wants to know of a pod, read out of its document once: a cycle looks at thousands of pods and may
// not search JSON for each. Immutable and shared between the queue, the snapshot and trials of preemption.
#pragma once
#include <memory>
#include <optional>
#include <set>
#include <tuple>

#include "api/selector.h"
#include "scheduler/amounts.h"

namespace k8lite::scheduler {

struct PodInfo;
class Snapshot;

// A term of pod affinity with its matchLabelKeys and mismatchLabelKeys put into the selector.
struct PodTerm {
  std::vector<std::pair<api::LabelSelector, bool>> selectors;  // all of them must match; the bool: must not
  std::string topology;
  std::set<std::string> namespaces;
  std::optional<api::LabelSelector> namespace_selector;
  int64_t weight = 0;  // of a preferred one; negative: rather not
  bool selects(const PodInfo& other, const Snapshot& snapshot) const;
};

struct HostPort {
  std::string protocol, ip;  // "" : every address
  int64_t port;
};

struct PodInfo {
  explicit PodInfo(const json::Doc& pod);
  const json::Doc pod;
  std::string key, ns, uid;
  std::string owner;  // uid of its ReplicaSet, ReplicationController or StatefulSet
  json::Value labels;
  int64_t priority;
  bool ending;
  Amounts requests, weight;
  std::vector<HostPort> ports;
  std::vector<std::string> claims;  // keys
  std::vector<PodTerm> affinity, anti_affinity, preferred;
  bool picks_nodes;  // nodeSelector or required node affinity
  // The only nodes it may go to, when its affinity names them.
  std::optional<std::set<std::string>> only_nodes;
  std::string started() const;  // when it began to run, else when it was made
};
using PodPtr = std::shared_ptr<const PodInfo>;

std::string pod_key(json::Value pod);

}  // namespace k8lite::scheduler
