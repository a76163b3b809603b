// The Targets column of autoscalers: each metric as "what: is/wanted" (Kubernetes' server-side printing), and the sums of metrics.k8s.io.
#include "api/columns.h"
#include "base/quantity.h"
#include "base/strings.h"

namespace k8lite::api::print {
namespace {

std::string text_of(Value v, std::string_view otherwise) { return v.empty() ? std::string(otherwise) : v.str(); }
std::string percent(Value v, std::string_view otherwise) {
  return v ? std::to_string(v.int_or(0)) + "%" : std::string(otherwise);
}

// External and Object: a value of the whole, or an average of the pods.
std::string whole_or_average(Value wanted, Value current) {
  if (wanted["averageValue"]) return text_of(current["averageValue"], "<unknown>") + "/" + wanted["averageValue"].str() + " (avg)";
  if (!current.exists()) return "<unknown>/" + text_of(wanted["value"], "0");
  return text_of(current["value"], "0") + "/" + text_of(wanted["value"], "0");
}

std::string metric(Value spec, Value status) {
  constexpr std::string_view kTypes[][2] = {{"External", "external"}, {"Object", "object"}, {"Pods", "pods"}, {"Resource", "resource"},
                                            {"ContainerResource", "containerResource"}};
  std::string_view member;
  for (const auto& [type, name] : kTypes)
    if (spec["type"].equals(type)) member = name;
  if (member.empty()) return "<unknown type>";
  Value wanted = spec[member]["target"], current = status[member]["current"];
  if (member == "external" || member == "object") return whole_or_average(wanted, current);
  if (member == "pods") return text_of(current["averageValue"], current ? "0" : "<unknown>") + "/" + wanted["averageValue"].str();
  std::string name = spec[member]["name"].str() + ": ";
  if (wanted["averageValue"]) return name + text_of(current["averageValue"], current ? "0" : "<unknown>") + "/" + wanted["averageValue"].str();
  return name + percent(current["averageUtilization"], "<unknown>") + "/" + percent(wanted["averageUtilization"], "<auto>");
}

std::string targets(Value hpa) {
  std::vector<std::string> all;
  size_t i = 0;
  for (Value spec : hpa.path("spec.metrics").items()) all.push_back(metric(spec, hpa.path("status.currentMetrics").at(i++)));
  if (all.empty()) return "<none>";
  constexpr size_t kShown = 2;
  std::string out = all[0];
  if (all.size() > 1) out += ", " + all[1];
  if (all.size() > kShown) out += " + " + std::to_string(all.size() - kShown) + " more...";
  return out;
}

}  // namespace

Cells hpa_cells(Value h, Instant now) {
  Value ref = h["spec"]["scaleTargetRef"], least = h["spec"]["minReplicas"];
  return {name(h), ref["kind"].str() + "/" + ref["name"].str(), targets(h), least ? std::to_string(least.int_or(0)) : "<unset>",
          h.path("spec.maxReplicas").int_or(0), h.path("status.currentReplicas").int_or(0), age(h, now)};
}

Cells pod_usage_cells(Value pod, Instant) {
  Quantity cpu, memory = Quantity::of(0, Quantity::Format::BinarySI);
  for (Value c : pod["containers"].items()) {
    if (auto q = Quantity::parse(c["usage"]["cpu"].str())) cpu = cpu + *q;
    if (auto q = Quantity::parse(c["usage"]["memory"].str())) memory = memory + *q;
  }
  return {name(pod), cpu.str(), memory.str(), pod["window"].str()};
}

}  // namespace k8lite::api::print
