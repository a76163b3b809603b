// In-place resize of pods (KEP-1287), pure: what a pod was given differs from what its spec asks for until the node has
// room. The pod that the rest of the node agent sees carries the resources that were given ("allocated"); those that
// each container really has are with its run.
#pragma once
#include <map>
#include <string>

#include "base/json.h"
#include "base/quantity.h"

namespace k8lite::kubelet {

// {"limits": …, "requests": …} by container; only those that can be resized.
using Allocation = std::map<std::string, json::Node>;
Allocation resources_of(json::Value pod);
json::Doc with_resources(const json::Doc& pod, const Allocation& allocation);
// As the status tells it, for after a restart of the node agent; the spec's where it does not.
Allocation told_allocation(json::Value pod);

// What the node has for pods, and what its other pods were given.
struct NodeRoom {
  int64_t cpu_milli = 0, memory = 0, used_cpu_milli = 0, used_memory = 0;
};
struct ResizeVerdict {
  std::string reason, message;  // Infeasible, Deferred; "": it fits
};
ResizeVerdict judge_resize(json::Value wanted_pod, const NodeRoom& room);
void add_requests(json::Value pod, int64_t& cpu_milli, int64_t& memory);

// How a running container gets from what it has to what it was given.
enum class ResizeStep { Nothing, Apply, Restart };
ResizeStep resize_step(json::Value container, const json::Node& has, const json::Node& given);

}  // namespace k8lite::kubelet
