// What a HorizontalPodAutoscaler does now: the replicas its metrics ask for, held back by behaviour, stabilisation and bounds, and what its
// status and events say of it. Pure; what it remembers between two looks goes in and comes out.
// (Kubernetes documentation, "Horizontal Pod Autoscaling"; autoscaling/v2.)
#pragma once
#include <functional>
#include <optional>

#include "controllers/autoscaler_metrics.h"

namespace k8lite::controllers {

struct AutoscalerMemory {
  struct Entry {
    Instant at;
    int64_t value = 0;
  };
  std::vector<Entry> recommendations;  // replicas that were asked for
  std::vector<Entry> added, removed;   // replicas, by a behaviour's policies
};

struct TargetScale {
  int64_t wanted = 0, current = 0;  // spec and status
  std::string selector;
};

struct AutoscalerInput {
  const json::Doc& hpa;  // autoscaling/v2
  Result<TargetScale> scale;
  const std::vector<json::Doc>& pods;          // of the namespace, that the selector matches
  Result<std::vector<json::Doc>> metrics;      // of metrics.k8s.io for that selector
  std::vector<std::string> rivals;             // other autoscalers whose selector matches one of the pods: "ns/name"
  AutoscalerMemory memory;
  Instant now;
  AutoscalerSettings settings;
};

struct AutoscalerEvent {
  bool warning = false;
  std::string reason, message;
};
struct AutoscalerPlan {
  json::Node status;
  std::vector<AutoscalerEvent> events;
  AutoscalerMemory memory;
  std::optional<int64_t> rescale;  // to this many; then call rescaled()
  int64_t from = 0;
  std::string reason;              // of the rescale
};
AutoscalerPlan plan_autoscaler(const AutoscalerInput& input);
// What became of the rescale, told in status, events and memory.
void rescaled(AutoscalerPlan& plan, const json::Doc& hpa, const Result<>& written, Instant now);

// The steps of it, for their own tests. Each tells the replicas and why (condition's reason and message).
struct Bounded {
  int64_t replicas = 0;
  std::string reason, message;
};
Bounded within_default_limits(int64_t current, int64_t wanted, int64_t least, int64_t most);
Bounded within_behavior(json::Value behavior, const AutoscalerMemory& memory, int64_t current, int64_t wanted, int64_t least, int64_t most, Instant now);
// The recommendation after its window; remembers `wanted`.
Bounded stabilized(json::Value behavior, AutoscalerMemory& memory, int64_t current, int64_t wanted, Instant now, const AutoscalerSettings& settings);

}  // namespace k8lite::controllers
