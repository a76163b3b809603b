#include "api/placement.h"

#include "base/strings.h"

namespace k8lite::api {

using json::Value;

namespace {

bool expression_matches(Value e, Value have) {
  std::string op = e["operator"].str();
  auto listed = [&] {
    for (Value v : e["values"].items())
      if (have.equals(v.str())) return true;
    return false;
  };
  if (op == "In") return have && listed();
  if (op == "NotIn") return !have || !listed();
  if (op == "Exists") return static_cast<bool>(have);
  if (op == "DoesNotExist") return !have;
  auto a = parse_int(have.str()), b = parse_int(e["values"].at(0).str());
  if (!a || !b) return false;
  return op == "Gt" ? *a > *b : op == "Lt" && *a < *b;
}

}  // namespace

bool tolerates(Value toleration, Value taint) {
  if (!toleration["effect"].empty() && toleration["effect"].str() != taint["effect"].str()) return false;
  if (!toleration["key"].empty() && toleration["key"].str() != taint["key"].str()) return false;
  if (toleration["key"].empty() && !toleration["operator"].equals("Exists")) return false;
  return toleration["operator"].equals("Exists") || toleration["value"].str() == taint["value"].str();
}

Value untolerated_taint(Value tolerations, Value node, bool only_no_execute) {
  for (Value taint : node.path("spec.taints").items()) {
    if (taint["effect"].equals("PreferNoSchedule") || (only_no_execute && !taint["effect"].equals("NoExecute"))) continue;
    bool tolerated = false;
    for (Value t : tolerations.items()) tolerated |= tolerates(t, taint);
    if (!tolerated) return taint;
  }
  return {};
}

bool node_selector_term_matches(Value term, Value node) {
  if (term["matchExpressions"].size() == 0 && term["matchFields"].size() == 0) return false;
  for (Value e : term["matchExpressions"].items())
    if (!expression_matches(e, node["metadata"]["labels"][e["key"].str()])) return false;
  for (Value f : term["matchFields"].items())
    if (!f["key"].equals("metadata.name") || !expression_matches(f, node["metadata"]["name"])) return false;
  return true;
}

bool node_selected(Value pod_spec, Value node) {
  for (auto m : pod_spec["nodeSelector"].members())
    if (!node["metadata"]["labels"][m.key()].equals(m.value.str())) return false;
  Value required = pod_spec.path("affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution");
  if (!required) return true;
  for (Value term : required["nodeSelectorTerms"].items())
    if (node_selector_term_matches(term, node)) return true;
  return false;
}

}  // namespace k8lite::api
