// What objects use of a namespace's budget: a pod's requests and limits in sum, and every name under which a
// ResourceQuota may count an object. Pure; the admission of quotas and the controller that recounts them must not
// differ, so both read this. (Kubernetes documentation, "Resource Quotas"; KEP-753 for restartable init containers;
// KEP-2837 for pod-level resources.)
#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/quantity.h"

namespace k8lite::api {

using Usage = std::map<std::string, Quantity>;

Usage read_usage(json::Value list);  // {"cpu": "100m", …}; what is no quantity is left out
json::Node usage_node(const Usage& usage);
void add_usage(Usage& sum, const Usage& more);

enum class PodSide { Requests, Limits };
// Of the whole pod: containers in sum, init containers at their peak, what the pod itself says instead; with its
// overhead where told.
Usage pod_usage(json::Value pod_spec, PodSide side, bool with_overhead);

// A resource as quotas name it: {"", "pods"}, {"apps", "deployments"}.
struct Counted {
  std::string group, plural;
  auto operator<=>(const Counted&) const = default;
};
std::string count_name(const Counted& resource);  // "count/deployments.apps"

// Everything the object is counted under, whether or not a quota names it.
Usage usage_of(const Counted& resource, json::Value object, Instant now);
// Those of `names` that objects of this resource are counted under, in order.
std::vector<std::string> counted_names(const Counted& resource, const std::vector<std::string>& names);
// The resources whose objects must be looked at to know the use of all these names.
std::set<Counted> resources_of(const std::vector<std::string>& names);

std::vector<std::string> hard_names(json::Value hard);
// Does the quota's scope take in this object? Without scopes it takes in everything; with scopes only pods and claims
// may be within.
bool in_scope(json::Value quota_spec, const Counted& resource, json::Value object);
// What a quota with this spec counts, with a zero for each name that nothing uses. `objects` are all of one resource.
void count_objects(Usage& used, json::Value quota_spec, const Counted& resource, const std::vector<json::Doc>& objects,
                   Instant now);

// The quality of service that a pod's resources give it: Guaranteed, Burstable or BestEffort.
bool is_best_effort(json::Value pod_spec);

}  // namespace k8lite::api
