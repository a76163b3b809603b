#include "controllers/autoscaler_plan.h"

#include <algorithm>

#include "base/quantity.h"
#include "base/strings.h"

namespace k8lite::controllers {
namespace {

using json::Node;
using json::Value;

struct Condition {
  std::string type, status, reason, message;
};

// The kinds of metrics: their member in the spec, and the reason when one cannot be had.
struct MetricKind {
  std::string_view type, member, failure;
};
constexpr MetricKind kMetricKinds[] = {{"Resource", "resource", "FailedGetResourceMetric"},
                                       {"ContainerResource", "containerResource", "FailedGetContainerResourceMetric"},
                                       {"Pods", "pods", "FailedGetPodsMetric"},
                                       {"Object", "object", "FailedGetObjectMetric"},
                                       {"External", "external", "FailedGetExternalMetric"}};

constexpr Duration kLongestPeriod = seconds(1800);  // of a policy

// One text of many pieces: chains of + are a page of code each.
std::string text(std::initializer_list<std::string_view> pieces) {
  std::string out;
  for (auto p : pieces) out.append(p);
  return out;
}
Status failure(std::initializer_list<std::string_view> pieces) { return internal_error(text(pieces)); }

std::string milli_text(int64_t milli) { return Quantity::milli(milli).str(); }

class Planner {
 public:
  explicit Planner(const AutoscalerInput& in) : in_(in), spec_(in.hpa["spec"]), old_(in.hpa["status"]) {
    plan_.memory = in.memory;
    conditions_ = old_["conditions"] ? old_["conditions"].to_node() : Node::array();
  }

  AutoscalerPlan plan() {
    if (!in_.scale.ok()) {
      std::string why = in_.scale.status().message();
      warn("FailedGetScale", why);
      condition({"AbleToScale", "False", "FailedGetScale", text({"the HPA controller was unable to get the target's current scale: ", why})});
      finish(old_["currentReplicas"].int_or(0), old_["desiredReplicas"].int_or(0), old_["currentMetrics"].to_node());
      return std::move(plan_);
    }
    condition({"AbleToScale", "True", "SucceededGetScale", "the HPA controller was able to get the target's current scale"});
    current_ = in_.scale->wanted;
    least_ = spec_["minReplicas"].int_or(1);
    most_ = spec_["maxReplicas"].int_or(1);
    // What it was before the first look counts as asked for: otherwise the first one would scale down at once.
    if (plan_.memory.recommendations.empty()) plan_.memory.recommendations.push_back({in_.now, current_});
    if (current_ == 0 && least_ != 0) {
      condition({"ScalingActive", "False", "ScalingDisabled", "scaling is disabled since the replica count of the target is zero"});
      finish(0, 0, {});
    } else if (current_ > most_) {
      rescale(most_, "Current number of replicas above Spec.MaxReplicas", {});
    } else if (current_ < least_) {
      rescale(least_, "Current number of replicas below Spec.MinReplicas", {});
    } else {
      by_metrics();
    }
    return std::move(plan_);
  }

 private:
  void warn(std::string reason, std::string message) { plan_.events.push_back({true, std::move(reason), std::move(message)}); }

  void condition(const Condition& c) {
    for (Node& have : conditions_.items()) {
      if (have.get("type").str() != c.type) continue;
      if (have.get("status").str() != c.status) have.set("lastTransitionTime", rfc3339(in_.now));
      have.set("status", c.status);
      have.set("reason", c.reason);
      have.set("message", c.message);
      return;
    }
    conditions_.append(Node::obj({{"type", c.type}, {"status", c.status}, {"lastTransitionTime", rfc3339(in_.now)}, {"reason", c.reason}, {"message", c.message}}));
  }

  void finish(int64_t current, int64_t desired, Node metrics) {
    Node status = Node::obj({{"currentReplicas", current}, {"desiredReplicas", desired}});
    if (metrics.is_array()) status.set("currentMetrics", std::move(metrics));
    if (old_["lastScaleTime"]) status.set("lastScaleTime", old_["lastScaleTime"].to_node());
    status.set("conditions", conditions_);
    plan_.status = std::move(status);
  }

  void rescale(int64_t to, std::string why, Node metrics) {
    plan_.rescale = to;
    plan_.from = current_;
    plan_.reason = std::move(why);
    finish(current_, to, std::move(metrics));
  }

  // ---- one metric ----

  struct Proposal {
    int64_t replicas = 0;
    std::string name;  // as messages tell it
    Node status;
  };

  Result<ReplicaAnswer> ask(Value source, const std::string& resource, const std::string& container, bool utilization) {
    auto figures = in_.metrics.ok() ? figures_of(*in_.metrics, resource, container) : failure({"unable to fetch metrics from resource metrics API: ", in_.metrics.status().message()});
    if (!figures.ok()) return failure({"unable to get metrics for resource ", resource, ": ", figures.status().message()});
    Value behavior = spec_["behavior"];
    auto tolerance = [&](std::string_view direction) {
      Value t = behavior[direction]["tolerance"];
      auto q = Quantity::parse(t.is_string() ? t.str() : std::string(t.raw()));
      return t && q ? q->as_double() : in_.settings.tolerance;
    };
    ReplicaQuestion q{in_.pods, std::move(figures).value(), resource, container, current_, tolerance("scaleUp"), tolerance("scaleDown"), in_.now, in_.settings};
    if (utilization) return replicas_for_utilization(std::move(q), source["target"]["averageUtilization"].int_or(1));
    auto target = Quantity::parse(source["target"]["averageValue"].is_string() ? source["target"]["averageValue"].str() : std::string(source["target"]["averageValue"].raw()));
    return replicas_for_average(std::move(q), target ? target->milli_value() : 0);
  }

  Result<Proposal> by_resource(Value metric, const MetricKind& kind) {
    Value source = metric[kind.member];
    std::string resource = source["name"].str(), container = source["container"].str();
    bool utilization = !source["target"]["averageValue"];
    if (utilization && !source["target"]["averageUtilization"]) return internal_error("invalid resource metric source: neither an average utilization target nor an average value (usage) target was set");
    auto answer = ask(source, resource, container, utilization);
    if (!answer.ok()) return failure({"failed to get ", resource, utilization ? " utilization: " : " usage: ", answer.status().message()});
    Proposal p{answer->replicas, text({resource, utilization ? " resource utilization (percentage of request)" : " resource"}), {}};
    Node current = Node::obj({{"averageValue", milli_text(answer->average)}});
    if (utilization) current.set("averageUtilization", answer->utilization);
    p.status = Node::obj({{"type", kind.type}, {kind.member, Node::obj({{"name", resource}})}});
    if (!container.empty()) p.status[kind.member].set("container", container);
    p.status[kind.member].set("current", std::move(current));
    return p;
  }

  // Metrics of applications come from an API that clusters add; this one has none.
  Status foreign(Value metric, const MetricKind& kind) const {
    std::string name = metric[kind.member]["metric"]["name"].str();
    if (kind.type == "External") return failure({"unable to get external metric ", in_.hpa.path("metadata.namespace").str(), "/", name, ": no external metrics API (external.metrics.k8s.io) registered"});
    return failure({"unable to get metric ", name, ": no custom metrics API (custom.metrics.k8s.io) registered"});
  }

  static Status prefixed(const MetricKind& kind, Value source, const std::string& why) {
    std::string name = (kind.type == "External" ? source["metric"] : source)["name"].str();
    std::string_view what = kind.type == "Resource" ? " resource" : kind.type == "ContainerResource" ? " container" : kind.type == "External" ? " external" : "";
    return failure({"failed to get ", what.empty() ? kind.member : std::string_view(name), what, " metric value: ", why});
  }

  // The error's message is that of the whole; `why` becomes the condition when this is the first to fail.
  Result<Proposal> proposal(Value metric, Condition& why) {
    auto unable = [&](std::string reason, const std::string& message) {
      warn(reason, message);
      why = {"ScalingActive", "False", std::move(reason), text({"the HPA was unable to compute the replica count: ", message})};
    };
    for (const MetricKind& kind : kMetricKinds) {
      if (!metric["type"].equals(kind.type)) continue;
      bool resource = kind.member == "resource" || kind.member == "containerResource";
      Result<Proposal> p = resource ? by_resource(metric, kind) : Result<Proposal>(foreign(metric, kind));
      if (p.ok()) return p;
      unable(std::string(kind.failure), p.status().message());
      return prefixed(kind, metric[kind.member], p.status().message());
    }
    std::string message = "unknown metric source type " + json::quoted(metric["type"].str());
    unable("InvalidMetricSourceType", message);
    return internal_error(message);
  }

  // ---- all of them ----

  bool selector_is_good() {
    const std::string& selector = in_.scale->selector;
    std::string failure;
    if (selector.empty()) {
      failure = "selector is required";
      warn("SelectorRequired", failure);
      condition({"ScalingActive", "False", "InvalidSelector", "the HPA target's scale is missing a selector"});
    } else if (!in_.rivals.empty()) {
      std::vector<std::string> all = in_.rivals;
      all.push_back(in_.hpa.path("metadata.namespace").str() + "/" + in_.hpa.path("metadata.name").str());
      std::sort(all.begin(), all.end());
      failure = text({"pods by selector ", selector, " are controlled by multiple HPAs: [", join(all, " "), "]"});
      warn("AmbiguousSelector", failure);
      condition({"ScalingActive", "False", "AmbiguousSelector", failure});
    }
    if (failure.empty()) return true;
    fail(failure, {});
    return false;
  }

  void fail(const std::string& why, Node metrics) {
    warn("FailedComputeMetricsReplicas", why);
    finish(current_, old_["desiredReplicas"].int_or(0), std::move(metrics));
  }

  void by_metrics() {
    if (!selector_is_good()) return;
    Node statuses = Node::array();
    int64_t wanted = 0, invalid = 0, count = 0;
    std::string name, first_error;
    Condition first_condition;
    for (Value metric : spec_["metrics"].items()) {
      ++count;
      Condition why;
      auto p = proposal(metric, why);
      if (!p.ok()) {
        if (invalid++ == 0) first_condition = std::move(why), first_error = p.status().message();
        statuses.append(Node::obj({{"type", ""}}));
        continue;
      }
      statuses.append(std::move(p->status));
      if (name.empty() || p->replicas > wanted) wanted = p->replicas, name = p->name;
    }
    if (count == 0) return finish(current_, current_, {});  // defaulting puts one in; none asks for nothing
    std::string all = text({"invalid metrics (", std::to_string(invalid), " invalid out of ", std::to_string(count), "), first error is: ", first_error});
    // Without all of them nobody knows that fewer would do.
    if (invalid > 0 && (invalid >= count || wanted < current_)) {
      condition(first_condition);
      return fail(all, std::move(statuses));
    }
    condition({"ScalingActive", "True", "ValidMetricFound", text({"the HPA was able to successfully calculate a replica count from ", name})});
    std::string why = wanted > current_ ? name + " above target" : "All metrics below target";
    int64_t to = limited(wanted);
    if (to != current_) return rescale(to, std::move(why), std::move(statuses));
    finish(current_, current_, std::move(statuses));
  }

  int64_t limited(int64_t wanted) {
    Value behavior = spec_["behavior"];
    if (behavior.is_null()) behavior = {};
    Bounded calm = stabilized(behavior, plan_.memory, current_, wanted, in_.now, in_.settings);
    condition({"AbleToScale", "True", calm.reason, calm.message});
    Bounded to = behavior ? within_behavior(behavior, plan_.memory, current_, calm.replicas, least_, most_, in_.now) : within_default_limits(current_, calm.replicas, least_, most_);
    condition({"ScalingLimited", to.replicas == calm.replicas ? "False" : "True", to.reason, to.message});
    return to.replicas;
  }

  const AutoscalerInput& in_;
  const Value spec_, old_;
  AutoscalerPlan plan_;
  Node conditions_;
  int64_t current_ = 0, least_ = 1, most_ = 1;
};

void set_able(Node& status, std::string_view value, std::string_view reason, const std::string& message, Instant now) {
  for (Node& c : status["conditions"].items()) {
    if (c.get("type").str() != "AbleToScale") continue;
    if (c.get("status").str() != value) c.set("lastTransitionTime", rfc3339(now));
    c.set("status", value);
    c.set("reason", reason);
    c.set("message", message);
  }
}

}  // namespace

AutoscalerPlan plan_autoscaler(const AutoscalerInput& input) { return Planner(input).plan(); }

void rescaled(AutoscalerPlan& plan, const json::Doc& hpa, const Result<>& written, Instant now) {
  std::string size = std::to_string(*plan.rescale);
  if (!written.ok()) {
    const std::string& why = written.status().message();
    plan.events.push_back({true, "FailedRescale", text({"New size: ", size, "; reason: ", plan.reason, "; error: ", why})});
    set_able(plan.status, "False", "FailedUpdateScale", text({"the HPA controller was unable to update the target scale: ", why}), now);
    plan.status.set("desiredReplicas", hpa.path("status.desiredReplicas").int_or(0));
    return;
  }
  plan.events.push_back({false, "SuccessfulRescale", text({"New size: ", size, "; reason: ", plan.reason})});
  set_able(plan.status, "True", "SucceededRescale", "the HPA controller was able to update the target scale to " + size, now);
  plan.status.set("lastScaleTime", rfc3339(now));
  for (auto* list : {&plan.memory.added, &plan.memory.removed}) std::erase_if(*list, [now](const auto& e) { return now - e.at > kLongestPeriod; });
  int64_t change = *plan.rescale - plan.from;
  if (change > 0) plan.memory.added.push_back({now, change});
  else plan.memory.removed.push_back({now, -change});
}

}  // namespace k8lite::controllers
