#include "controllers/autoscaler_metrics.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/quantity.h"

namespace k8lite::controllers {
namespace {

using json::Doc;
using json::Value;

int64_t milli(Value quantity) {
  auto q = Quantity::parse(quantity.is_string() ? quantity.str() : std::string(quantity.raw()));
  return q ? q->milli_value() : 0;
}

std::string pod_name(const Doc& pod) { return pod.path("metadata.name").str(); }

struct Groups {
  int64_t ready = 0;
  std::set<std::string> unready, missing, ignored;
};

Value ready_condition(const Doc& pod) {
  for (Value c : pod.path("status.conditions").items())
    if (c["type"].equals("Ready")) return c;
  return {};
}

// CPU of a pod that has not settled yet says nothing of what it will need.
bool cpu_is_unsettled(const Doc& pod, const PodFigure& figure, const ReplicaQuestion& q) {
  Value ready = ready_condition(pod);
  auto started = parse_rfc3339(pod.path("status.startTime").str());
  if (!ready || !started) return true;
  Instant since = parse_rfc3339(ready["lastTransitionTime"].str()).value_or(Instant{0});
  bool not_ready = ready["status"].equals("False");
  if (*started + q.settings.cpu_initialization > q.now) return not_ready || figure.timestamp < since + figure.window;
  return not_ready && *started + q.settings.initial_readiness > since;
}

Groups group_pods(const ReplicaQuestion& q) {
  Groups out;
  for (const Doc& pod : q.pods) {
    std::string name = pod_name(pod), phase = pod.path("status.phase").str();
    auto figure = q.figures.find(name);
    if (pod.path("metadata.deletionTimestamp") || phase == "Failed") out.ignored.insert(name);
    else if (phase == "Pending") out.unready.insert(name);
    else if (figure == q.figures.end()) out.missing.insert(name);
    else if (q.resource == "cpu" && cpu_is_unsettled(pod, figure->second, q)) out.unready.insert(name);
    else ++out.ready;
  }
  return out;
}

// What a pod's containers ask for together, or the one container that is meant.
Result<int64_t> request_of(const Doc& pod, const std::string& resource, const std::string& container) {
  Value whole = pod.path("spec.resources.requests")[resource];
  if (container.empty() && whole) return milli(whole);
  int64_t sum = 0;
  bool found = container.empty();
  for (const char* list : {"containers", "initContainers"})
    for (Value c : pod["spec"][list].items()) {
      bool counts = std::string_view(list) == "containers" || c["restartPolicy"].equals("Always");
      if (!counts || (!container.empty() && !c["name"].equals(container))) continue;
      Value request = c["resources"]["requests"][resource];
      if (!request) return internal_error("missing request for " + resource + " in container " + c["name"].str() + " of Pod " + pod_name(pod));
      sum += milli(request);
      found = true;
    }
  if (!found) return internal_error("container " + container + " not found in Pod " + pod_name(pod));
  return sum;
}

bool within(const ReplicaQuestion& q, double ratio) { return 1.0 - q.tolerance_down <= ratio && ratio <= 1.0 + q.tolerance_up; }

// The use against the target: 1.0 is just right. Pods are weighed by `requests`, or all alike where there are none.
struct Ratio {
  double ratio = 0;
  int64_t utilization = 0, average = 0;
};
struct Measure {
  int64_t target = 0;  // percent of the requests, or thousandths a pod
  std::map<std::string, int64_t> requests;
  bool by_request = false;

  Result<Ratio> of(const PodFigures& figures) const {
    int64_t total = 0, requested = 0, count = 0;
    for (const auto& [name, f] : figures) {
      auto it = requests.find(name);
      if (by_request && it == requests.end()) continue;
      total += f.value;
      requested += by_request ? it->second : 0;
      ++count;
    }
    if (by_request && requested == 0) return internal_error("no metrics returned matched known pods");
    Ratio r;
    r.average = count ? total / count : 0;
    r.utilization = by_request ? total * 100 / requested : 0;
    r.ratio = static_cast<double>(by_request ? r.utilization : r.average) / static_cast<double>(std::max<int64_t>(target, 1));
    return r;
  }
  // What a pod without figures is thought to use when fewer pods might do: all of its share.
  int64_t full(const std::string& name) const {
    if (!by_request) return target;
    auto it = requests.find(name);
    return it == requests.end() ? 0 : it->second * std::max<int64_t>(100, target) / 100;
  }
};

int64_t rounded_up(double replicas) { return static_cast<int64_t>(std::ceil(std::min(replicas, 2e9))); }

Result<ReplicaAnswer> replicas_for(ReplicaQuestion q, const Measure& measure) {
  Groups groups = group_pods(q);
  for (const auto& name : groups.ignored) q.figures.erase(name);
  for (const auto& name : groups.unready) q.figures.erase(name);
  if (q.figures.empty()) return internal_error("did not receive metrics for targeted pods (pods might be unready)");
  TRY(Ratio first, measure.of(q.figures));
  ReplicaAnswer out{q.replicas, first.utilization, first.average};
  bool up_with_unready = !groups.unready.empty() && first.ratio > 1.0;
  if (!up_with_unready && groups.missing.empty()) {
    if (!within(q, first.ratio)) out.replicas = rounded_up(first.ratio * static_cast<double>(groups.ready));
    return out;
  }
  // Whoever says nothing is taken to be on the careful side: busy when there would be fewer pods, idle when there would be more.
  for (const auto& name : groups.missing)
    if (first.ratio != 1.0) q.figures[name].value = first.ratio < 1.0 ? measure.full(name) : 0;
  if (up_with_unready)
    for (const auto& name : groups.unready) q.figures[name].value = 0;
  TRY(Ratio second, measure.of(q.figures));
  bool turned = (first.ratio < 1.0 && second.ratio > 1.0) || (first.ratio > 1.0 && second.ratio < 1.0);
  if (within(q, second.ratio) || turned) return out;
  int64_t wanted = rounded_up(second.ratio * static_cast<double>(q.figures.size()));
  if ((second.ratio < 1.0 && wanted > q.replicas) || (second.ratio > 1.0 && wanted < q.replicas)) return out;
  out.replicas = wanted;
  return out;
}

Duration window_of(Value metrics) { return parse_go_duration(metrics["window"].str()).value_or(Duration{0}); }

}  // namespace

Result<PodFigures> figures_of(const std::vector<Doc>& metrics, const std::string& resource, const std::string& container) {
  if (metrics.empty()) return internal_error("no metrics returned from resource metrics API");
  PodFigures out;
  for (const Doc& m : metrics) {
    PodFigure f{0, parse_rfc3339(m["timestamp"].str()).value_or(Instant{0}), window_of(m.root())};
    bool found = false, missing = m["containers"].size() == 0;
    for (Value c : m["containers"].items()) {
      if (!container.empty() && !c["name"].equals(container)) continue;
      found = true;
      Value used = c["usage"][resource];
      missing |= !used;
      f.value += milli(used);
    }
    if (!container.empty() && !found) return internal_error("container " + container + " not present in metrics for pod " + m.path("metadata.namespace").str() + "/" + pod_name(m));
    if (!missing) out[pod_name(m)] = f;
  }
  return out;
}

Result<ReplicaAnswer> replicas_for_utilization(ReplicaQuestion q, int64_t target_percent) {
  if (q.pods.empty()) return internal_error("no pods returned by selector while calculating replica count");
  Measure measure{target_percent, {}, true};
  Groups groups = group_pods(q);
  PodFigures counted = q.figures;
  for (const auto& name : groups.ignored) counted.erase(name);
  for (const auto& name : groups.unready) counted.erase(name);
  if (counted.empty()) return internal_error("did not receive metrics for targeted pods (pods might be unready)");
  for (const Doc& pod : q.pods) {
    TRY(int64_t request, request_of(pod, q.resource, q.container));
    measure.requests[pod_name(pod)] = request;
  }
  return replicas_for(std::move(q), measure);
}

Result<ReplicaAnswer> replicas_for_average(ReplicaQuestion q, int64_t target_milli) {
  if (q.pods.empty()) return internal_error("no pods returned by selector while calculating replica count");
  return replicas_for(std::move(q), Measure{target_milli, {}, false});
}

}  // namespace k8lite::controllers
