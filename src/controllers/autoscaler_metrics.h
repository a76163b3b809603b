// How many replicas the use of a resource asks for: what pods are counted, what is assumed of those without figures, and within which
// tolerance nothing changes. Pure. (Kubernetes documentation, "Horizontal Pod Autoscaling", "Algorithm details".)
#pragma once
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"

namespace k8lite::controllers {

struct AutoscalerSettings {
  Duration cpu_initialization = seconds(300);  // a starting pod's CPU is believed only when it is ready
  Duration initial_readiness = seconds(30);    // unready since so soon after its start: never ready
  Duration downscale_window = seconds(300);    // of autoscalers without a behaviour of their own
  double tolerance = 0.1;
};

// Of one pod, in thousandths of the resource's unit.
struct PodFigure {
  int64_t value = 0;
  Instant timestamp;
  Duration window{0};
};
using PodFigures = std::map<std::string, PodFigure>;

// From objects of metrics.k8s.io; `container` "": the sum of all.
Result<PodFigures> figures_of(const std::vector<json::Doc>& metrics, const std::string& resource, const std::string& container);

struct ReplicaQuestion {
  const std::vector<json::Doc>& pods;  // that the target's selector matches
  PodFigures figures;
  std::string resource, container;
  int64_t replicas = 0;  // of the target's spec
  double tolerance_up = 0.1, tolerance_down = 0.1;
  Instant now;
  const AutoscalerSettings& settings;
};
struct ReplicaAnswer {
  int64_t replicas = 0;
  int64_t utilization = 0;  // percent of the requests
  int64_t average = 0;      // thousandths, a pod
};
Result<ReplicaAnswer> replicas_for_utilization(ReplicaQuestion question, int64_t target_percent);
Result<ReplicaAnswer> replicas_for_average(ReplicaQuestion question, int64_t target_milli);

}  // namespace k8lite::controllers
