// Where pods may stand: selectors, affinity, tolerations, taints, topology spread.
#include <set>

#include "api/rules/check.h"
#include "api/selector.h"
#include "base/strings.h"

namespace k8lite::api::rules {
namespace {

void check_values(Check& c, const Node& values) {
  for (size_t i = 0; i < values.items().size(); ++i) c.format(item("values", i), values.items()[i], Format::LabelValue);
}

void check_label_requirement(Check& c, const Node& r, const Node&) {
  const std::string& op = r.get("operator").str();
  bool some = r.get("values").size() > 0;
  if (op == "In" || op == "NotIn") {
    if (!some) c.required("values", "must be specified when `operator` is 'In' or 'NotIn'");
  } else if (op == "Exists" || op == "DoesNotExist") {
    if (some) c.forbidden("values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
  } else {
    c.invalid("operator", Node(op), "not a valid selector operator");
  }
  c.format("key", Node(r.get("key").str()), Format::Qualified);
  check_values(c, r.get("values"));
}

void check_node_expression(Check& c, const Node& r) {
  const std::string& op = r.get("operator").str();
  size_t n = r.get("values").size();
  if (op == "In" || op == "NotIn") {
    if (n == 0) c.required("values", "must be specified when `operator` is 'In' or 'NotIn'");
  } else if (op == "Exists" || op == "DoesNotExist") {
    if (n > 0) c.forbidden("values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
  } else if (op == "Gt" || op == "Lt") {
    if (n != 1) c.required("values", "must be specified single value when `operator` is 'Lt' or 'Gt'");
  } else {
    c.invalid("operator", Node(op), "not a valid selector operator");
  }
  c.format("key", Node(r.get("key").str()), Format::Qualified);
  if (c.path.find("referredDuringScheduling") == c.path.npos)
    check_values(c, r.get("values"));  // preferred terms may name what no node can have
}

void check_node_field(Check& c, const Node& r) {
  const std::string& op = r.get("operator").str();
  if (op != "In" && op != "NotIn")
    c.invalid("operator", Node(op), "not a valid selector operator");
  else if (r.get("values").size() != 1)
    c.required("values", "must be only one value when `operator` is 'In' or 'NotIn' for node field selector");
  if (r.get("key").str() != "metadata.name")
    return c.invalid("key", Node(r.get("key").str()), "not a valid field selector key");
  for (size_t i = 0; i < r.get("values").items().size(); ++i)
    c.format(item("values", i), r.get("values").items()[i], Format::Subdomain);
}

void check_node_term(Check& c, const Node& term, const Node&) {
  for (const char* list : {"matchExpressions", "matchFields"})
    for (size_t i = 0; i < term.get(list).items().size(); ++i) {
      Step step(c, item(list, i));
      if (std::string_view(list) == "matchFields")
        check_node_field(c, term.get(list).items()[i]);
      else
        check_node_expression(c, term.get(list).items()[i]);
    }
}

std::set<std::string> selector_keys(const Node& selector) {
  std::set<std::string> keys;
  for (const auto& [key, value] : selector.get("matchLabels").members()) keys.insert(key);
  for (const Node& e : selector.get("matchExpressions").items()) keys.insert(e.get("key").str());
  return keys;
}

void check_label_keys(Check& c, const char* list, const Node& keys, const Node& selector) {
  if (keys.size() == 0) return;
  if (!selector.exists()) return c.forbidden(list, "must not be specified when labelSelector is not set");
  for (size_t i = 0; i < keys.items().size(); ++i) c.format(item(list, i), keys.items()[i], Format::Qualified);
}

void check_pod_affinity_term(Check& c, const Node& t, const Node&) {
  const Node &match = t.get("matchLabelKeys"), &mismatch = t.get("mismatchLabelKeys");
  check_label_keys(c, "matchLabelKeys", match, t.get("labelSelector"));
  check_label_keys(c, "mismatchLabelKeys", mismatch, t.get("labelSelector"));
  std::set<std::string> others;
  for (const Node& other : mismatch.items()) others.insert(other.str());
  for (size_t i = 0; i < match.items().size(); ++i)
    if (others.count(match.items()[i].str()))
      c.invalid(item("matchLabelKeys", i), match.items()[i], "exists in both matchLabelKeys and mismatchLabelKeys");
}

void check_spread(Check& c, const Node& s, const Node&) {
  if (const Node& n = s.get("minDomains"); n.exists() && s.get("whenUnsatisfiable").str() != "DoNotSchedule")
    c.invalid("minDomains", n,
              "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not " + s.get("whenUnsatisfiable").str());
  const Node& keys = s.get("matchLabelKeys");
  if (keys.size() && !s.get("labelSelector").exists())
    c.forbidden("matchLabelKeys", "must not be specified when labelSelector is not set");
  auto selected = selector_keys(s.get("labelSelector"));
  for (size_t i = 0; i < keys.items().size(); ++i) {
    c.format(item("matchLabelKeys", i), keys.items()[i], Format::Qualified);
    if (selected.count(keys.items()[i].str()))
      c.invalid(item("matchLabelKeys", i), keys.items()[i], "exists in both matchLabelKeys and labelSelector");
  }
}

std::string joined_mistakes(Format f, std::string_view text) { return join(mistakes(f, text), ";"); }

void check_toleration(Check& c, const Node& t, const Node&) {
  const std::string &op = t.get("operator").str(), &effect = t.get("effect").str(), &value = t.get("value").str();
  if (t.get("key").str().empty() && op != "Exists")
    c.invalid("operator", Node(op),
              "operator must be Exists when `key` is empty, which means \"match all values and all keys\"");
  if (t.get("tolerationSeconds").exists() && effect != "NoExecute")
    c.invalid("effect", Node(effect), "effect must be 'NoExecute' when `tolerationSeconds` is set");
  if (op.empty() || op == "Equal") {
    if (std::string why = joined_mistakes(Format::LabelValue, value); !why.empty())
      c.invalid("operator", Node(value), why);
  } else if (op == "Exists") {
    if (!value.empty()) c.invalid("operator", Node(value), "value must be empty when `operator` is 'Exists'");
  } else if (op == "Gt" || op == "Lt") {
    auto n = parse_int(value);
    if (!n || std::to_string(*n) != value)
      c.invalid("value", Node(value), "value must be an integer when `operator` is 'Gt' or 'Lt'");
  } else {
    c.unsupported("operator", t.get("operator"), "Equal,Exists");
  }
  if (!effect.empty()) c.one_of("effect", t.get("effect"), "NoSchedule,PreferNoSchedule,NoExecute");
}

constexpr TypeHook kHooks[] = {
    {"meta/v1.LabelSelectorRequirement", check_label_requirement},
    {"core/v1.NodeSelectorTerm", check_node_term},
    {"core/v1.PodAffinityTerm", check_pod_affinity_term},
    {"core/v1.TopologySpreadConstraint", check_spread},
    {"core/v1.Toleration", check_toleration},
};

}  // namespace

void check_taints(Check& c, std::string_view child, const Node& taints) {
  std::set<std::string> seen;
  for (size_t i = 0; i < taints.items().size(); ++i) {
    const Node& taint = taints.items()[i];
    Step step(c, item(child, i));
    c.format("key", Node(taint.get("key").str()), Format::Qualified);
    if (std::string why = joined_mistakes(Format::LabelValue, taint.get("value").str()); !why.empty())
      c.invalid("value", taint.get("value"), why);
    if (taint.get("effect").str().empty())
      c.required("effect");
    else
      c.one_of("effect", taint.get("effect"), "NoSchedule,PreferNoSchedule,NoExecute");
    if (seen.insert(taint.get("effect").str() + " " + taint.get("key").str()).second) continue;
    c.duplicate("", taint);
    c.causes.back().message += ": taints must be unique by key and effect pair";
  }
}

bool selects(const Node& selector, const Node& labels) {
  json::Doc s = json::Doc::from(selector), l = json::Doc::from(labels.exists() ? labels : Node::object());
  auto parsed = LabelSelector::from_object(s.root());
  return parsed.ok() && parsed->matches(l.root());
}

Hooks scheduling_hooks() { return kHooks; }

}  // namespace k8lite::api::rules
