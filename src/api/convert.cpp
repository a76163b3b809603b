#include "api/convert.h"

#include <span>
#include <string>
#include <utility>

namespace k8lite::api {
namespace {

using json::Node;

// ---- events ----

constexpr std::pair<std::string_view, std::string_view> kEventFields[] = {  // core/v1, events.k8s.io/v1
    {"involvedObject", "regarding"},
    {"message", "note"},
    {"reportingComponent", "reportingController"},
    {"source", "deprecatedSource"},
    {"firstTimestamp", "deprecatedFirstTimestamp"},
    {"lastTimestamp", "deprecatedLastTimestamp"},
    {"count", "deprecatedCount"},
};

void event_to_stored(Node& e) {
  for (auto& member : e.members())
    for (const auto& [core, newer] : kEventFields)
      if (member.first == newer) {
        member.first = core;
        break;
      }
  if (e.find("apiVersion")) e.set("apiVersion", "v1");
}

void event_from_stored(Node& e) {
  for (auto& member : e.members())
    for (const auto& [core, newer] : kEventFields)
      if (member.first == core) {
        member.first = newer;
        break;
      }
}

// Clients of the newer group say when, and nothing that only the older ones know (ValidateEventCreate).
void event_check_new(const Node& e, std::vector<Cause>& causes) {
  if (e.get("eventTime").str().empty()) causes.push_back({"FieldValueRequired", "Required value", "eventTime"});
  if (const std::string& type = e.get("type").str(); type != "Normal" && type != "Warning")
    causes.push_back({"FieldValueInvalid", "Invalid value: \"\": has invalid value: " + type, "type"});
  constexpr std::pair<const char*, const char*> kOld[] = {
      {"deprecatedFirstTimestamp", "firstTimestamp"}, {"deprecatedLastTimestamp", "lastTimestamp"}, {"deprecatedCount", "count"}, {"deprecatedSource", "source"}};
  for (const auto& [name, shown] : kOld) {
    const Node& v = e.get(name);
    bool set = v.is_object() ? !v.get("component").str().empty() || !v.get("host").str().empty() : v.is_integer() ? v.int_or(0) != 0 : !v.str().empty();
    if (set) causes.push_back({"FieldValueInvalid", "Invalid value: \"\": needs to be unset", shown});
  }
}

// ---- autoscalers ----

constexpr std::string_view kMetrics = "autoscaling.alpha.kubernetes.io/metrics", kCurrent = "autoscaling.alpha.kubernetes.io/current-metrics",
                           kConditions = "autoscaling.alpha.kubernetes.io/conditions", kBehavior = "autoscaling.alpha.kubernetes.io/behavior";

// A metric's fields in v2, by path, and in the older form. In a status "target" reads "current" on both sides, but for an Object's
// `target`, which is the described object.
struct MetricField {
  std::string_view path, old_name;
  bool zero = false;  // an amount that the older form always has
};
constexpr MetricField kResource[] = {{"name", "name"}, {"container", "container"}, {"target.averageUtilization", "targetAverageUtilization"}, {"target.averageValue", "targetAverageValue"}};
constexpr MetricField kPods[] = {{"metric.name", "metricName"}, {"metric.selector", "selector"}, {"target.averageValue", "targetAverageValue", true}};
constexpr MetricField kObject[] = {{"describedObject", "target"}, {"metric.name", "metricName"}, {"metric.selector", "selector"}, {"target.value", "targetValue", true}, {"target.averageValue", "averageValue"}};
constexpr MetricField kExternal[] = {{"metric.name", "metricName"}, {"metric.selector", "metricSelector"}, {"target.value", "targetValue"}, {"target.averageValue", "targetAverageValue"}};
struct MetricKind {
  std::string_view member;
  std::span<const MetricField> fields;
};
const MetricKind kMetricKinds[] = {{"resource", kResource}, {"containerResource", kResource}, {"pods", kPods}, {"object", kObject}, {"external", kExternal}};

std::string in_status(std::string_view name, bool status) {
  constexpr std::string_view kTarget = "target";
  if (!status || !name.starts_with(kTarget) || name == kTarget) return std::string(name);
  return "current" + std::string(name.substr(kTarget.size()));
}

Node& at_path(Node& object, std::string_view path) {
  size_t dot = path.find('.');
  return dot == path.npos ? object[path] : at_path(object[path.substr(0, dot)], path.substr(dot + 1));
}

Node older_metric(const Node& metric, bool status) {
  Node out = Node::obj({{"type", metric.get("type")}});
  for (const auto& [member, fields] : kMetricKinds) {
    if (!metric.get(member).is_object()) continue;
    for (const MetricField& f : fields) {
      std::string path = in_status(f.path, status);
      const Node& v = metric.get(member).path(path);
      if (v.exists()) out[member].set(in_status(f.old_name, status), v);
      else if (f.zero) out[member].set(in_status(f.old_name, status), "0");
    }
  }
  return out;
}

Node newer_metric(const Node& metric, bool status) {
  Node out = Node::obj({{"type", metric.get("type")}});
  for (const auto& [member, fields] : kMetricKinds) {
    const Node& old = metric.get(member);
    if (!old.is_object()) continue;
    for (const MetricField& f : fields) {
      const Node& v = old.get(in_status(f.old_name, status));
      if (!v.exists() || v.is_null()) continue;
      if (f.zero && v == Node("0") && old.size() > 1 && old.get("averageValue").exists()) continue;
      at_path(out[member], in_status(f.path, status)) = v;
    }
    if (status) continue;
    Node& target = out[member]["target"];
    target.set("type", target.get("averageUtilization").exists() ? "Utilization" : target.get("averageValue").exists() ? "AverageValue" : "Value");
  }
  return out;
}

bool is_cpu_use(const Node& metric, std::string_view where) {
  return metric.get("resource").get("name").str() == "cpu" && metric.get("resource").get(where).get("averageUtilization").exists();
}

// The behaviour's annotation has the names of Go's fields.
Node recased(const Node& value, bool up) {
  if (value.is_array()) {
    Node out = Node::array();
    for (const Node& item : value.items()) out.append(recased(item, up));
    return out;
  }
  if (!value.is_object()) return value;
  Node out = Node::object();
  for (const auto& [key, member] : value.members()) {
    if (member.is_null()) continue;
    std::string name = key;
    char& first = name[0];
    if (up && first >= 'a' && first <= 'z') first = static_cast<char>(first - 'a' + 'A');
    if (!up && first >= 'A' && first <= 'Z') first = static_cast<char>(first - 'A' + 'a');
    out.set(name, recased(member, up));
  }
  return out;
}

void drop_annotations(Node& hpa) {
  Node* metadata = hpa.find("metadata");
  Node* annotations = metadata ? metadata->find("annotations") : nullptr;
  if (!annotations) return;
  for (auto name : {kMetrics, kCurrent, kConditions, kBehavior}) annotations->erase(name);
  if (annotations->size() == 0) metadata->erase("annotations");
}

void hpa_from_stored(Node& hpa) {
  drop_annotations(hpa);
  auto note = [&hpa](std::string_view name, const Node& value) { hpa["metadata"]["annotations"].set(name, value.dump()); };
  if (Node* spec = hpa.find("spec")) {
    Node others = Node::array();
    for (const Node& m : spec->get("metrics").items()) {
      if (is_cpu_use(m, "target")) spec->set("targetCPUUtilizationPercentage", m.path("resource.target.averageUtilization"));
      else others.append(older_metric(m, false));
    }
    spec->erase("metrics");
    if (others.size()) note(kMetrics, others);
    if (const Node& behavior = spec->get("behavior"); behavior.is_object()) note(kBehavior, recased(behavior, true));
    spec->erase("behavior");
  }
  if (Node* status = hpa.find("status")) {
    Node current = Node::array();
    for (const Node& m : status->get("currentMetrics").items()) {
      if (is_cpu_use(m, "current")) status->set("currentCPUUtilizationPercentage", m.path("resource.current.averageUtilization"));
      current.append(older_metric(m, true));
    }
    if (current.size()) note(kCurrent, current);
    if (const Node& conditions = status->get("conditions"); conditions.size()) note(kConditions, conditions);
    status->erase("currentMetrics");
    status->erase("conditions");
  }
}

void hpa_to_stored(Node& hpa) {
  auto noted = [&hpa](std::string_view name) {
    auto parsed = Node::parse(hpa.get("metadata").get("annotations").get(name).str());
    return parsed.ok() ? std::move(*parsed) : Node();
  };
  Node others = noted(kMetrics), current = noted(kCurrent), conditions = noted(kConditions), behavior = noted(kBehavior);
  drop_annotations(hpa);
  if (hpa.find("apiVersion")) hpa.set("apiVersion", "autoscaling/v2");
  if (Node* spec = hpa.find("spec")) {
    Node metrics = Node::array();
    for (const Node& m : others.items()) metrics.append(newer_metric(m, false));
    if (const Node& percent = spec->get("targetCPUUtilizationPercentage"); percent.exists())
      metrics.append(Node::obj({{"type", "Resource"}, {"resource", Node::obj({{"name", "cpu"}, {"target", Node::obj({{"type", "Utilization"}, {"averageUtilization", percent}})}})}}));
    spec->erase("targetCPUUtilizationPercentage");
    if (metrics.size()) spec->set("metrics", std::move(metrics));
    if (behavior.is_object()) spec->set("behavior", recased(behavior, false));
  }
  Node* status = hpa.find("status");
  if (!status) return;
  Node metrics = Node::array();
  for (const Node& m : current.items()) metrics.append(newer_metric(m, true));
  if (const Node& percent = status->get("currentCPUUtilizationPercentage"); percent.exists() && !metrics.size())
    metrics.append(Node::obj({{"type", "Resource"}, {"resource", Node::obj({{"name", "cpu"}, {"current", Node::obj({{"averageUtilization", percent}})}})}}));
  status->erase("currentCPUUtilizationPercentage");
  if (metrics.size()) status->set("currentMetrics", std::move(metrics));
  if (conditions.size()) status->set("conditions", std::move(conditions));
}

constexpr Conversion kConversions[] = {
    {"autoscaling", "v1", "horizontalpodautoscalers", "autoscaling", "v2", hpa_to_stored, hpa_from_stored},
    {"events.k8s.io", "v1", "events", "", "v1", event_to_stored, event_from_stored, event_check_new},
};

}  // namespace

const Conversion* conversion_of(std::string_view group, std::string_view version, std::string_view plural) {
  for (const Conversion& c : kConversions)
    if (c.group == group && c.version == version && c.plural == plural) return &c;
  return nullptr;
}

}  // namespace k8lite::api
