#include "controllers/nodes_plan.h"

#include <algorithm>
#include <set>

#include "api/placement.h"
#include "base/strings.h"

namespace k8lite::controllers {
namespace {

using json::Doc;
using json::Node;
using json::Value;

constexpr std::string_view kNotReady = "node.kubernetes.io/not-ready", kUnreachable = "node.kubernetes.io/unreachable", kUnschedulable = "node.kubernetes.io/unschedulable";

// Conditions that keep new pods away while they are True.
constexpr std::pair<std::string_view, std::string_view> kConditionTaints[] = {
    {"MemoryPressure", "node.kubernetes.io/memory-pressure"}, {"DiskPressure", "node.kubernetes.io/disk-pressure"}, {"PIDPressure", "node.kubernetes.io/pid-pressure"}, {"NetworkUnavailable", "node.kubernetes.io/network-unavailable"}};

std::string condition_status(const Doc& node, std::string_view type) {
  for (Value c : node.path("status.conditions").items())
    if (c["type"].equals(type)) return c["status"].str("Unknown");
  return "Unknown";
}

bool managed(Value taint) {
  for (const auto& [condition, key] : kConditionTaints)
    if (taint["key"].equals(key)) return true;
  return taint["key"].equals(kNotReady) || taint["key"].equals(kUnreachable) || taint["key"].equals(kUnschedulable);
}

// When the pod has to go; nothing: it may stay for ever. Of several tolerations of one taint the first counts, as upstream.
std::optional<Instant> leaves_at(Value pod, Value taints, Instant now) {
  std::optional<Instant> out;
  for (Value taint : taints.items()) {
    if (!taint["effect"].equals("NoExecute")) continue;
    Value used;
    for (Value t : pod.path("spec.tolerations").items())
      if (!used && api::tolerates(t, taint)) used = t;
    if (used && !used["tolerationSeconds"]) continue;
    Instant since = parse_rfc3339(taint["timeAdded"].str()).value_or(now);
    Instant leave = used ? since + seconds(std::max<int64_t>(0, used["tolerationSeconds"].int_or(0))) : now;
    if (!out || leave < *out) out = leave;
  }
  return out;
}

std::optional<uint32_t> ipv4(std::string_view text) {
  uint32_t v = 0;
  auto parts = split(text, '.');
  if (parts.size() != 4) return {};
  for (auto p : parts) {
    auto n = parse_int(p);
    if (!n || *n < 0 || *n > 255) return {};
    v = v << 8 | static_cast<uint32_t>(*n);
  }
  return v;
}

}  // namespace

std::string next_pod_cidr(const std::string& cluster_cidr, const std::vector<std::string>& used, int bits) {
  auto parts = split(cluster_cidr, '/');
  auto base = ipv4(parts[0]);
  auto cluster_bits = parts.size() == 2 ? parse_int(parts[1]) : std::nullopt;
  if (!base || !cluster_bits || *cluster_bits > bits) return "";
  std::set<std::string> taken(used.begin(), used.end());
  uint32_t step = uint32_t{1} << (32 - bits), n = uint32_t{1} << (bits - *cluster_bits);
  for (uint32_t i = 0; i < n; ++i) {
    uint32_t a = *base + i * step;
    std::string text = std::to_string(a >> 24) + "." + std::to_string(a >> 16 & 255) + "." + std::to_string(a >> 8 & 255) + "." + std::to_string(a & 255) + "/" + std::to_string(bits);
    if (!taken.count(text)) return text;
  }
  return "";
}

namespace {

// The taints the node should have: others' as they are, ours as its conditions say.
Node wanted_taints(const Doc& node, std::string_view ready_taint, Instant now) {
  Node out = Node::array(), kept = Node::array();
  auto add = [&](std::string_view key, const char* effect) {
    std::string since = rfc3339(now);
    for (Value t : node.path("spec.taints").items())
      if (t["key"].equals(key) && t["effect"].equals(effect)) since = t["timeAdded"].str(since);
    out.append(Node::obj({{"key", std::string(key)}, {"effect", effect}, {"timeAdded", since}}));
  };
  for (Value t : node.path("spec.taints").items()) {
    if (managed(t)) continue;
    out.append(t.to_node());
    if (t["effect"].equals("NoExecute") && !t["timeAdded"]) out.items().back().set("timeAdded", rfc3339(now));
  }
  if (!ready_taint.empty()) add(ready_taint, "NoSchedule"), add(ready_taint, "NoExecute");
  for (const auto& [condition, key] : kConditionTaints)
    if (condition_status(node, condition) == "True") add(key, "NoSchedule");
  if (node.path("spec.unschedulable").bool_or(false)) add(kUnschedulable, "NoSchedule");
  return out;
}

bool same_taints(const Node& a, const Node& b) {
  auto keys = [](const Node& list) {
    std::multiset<std::string> out;
    for (const Node& t : list.items()) out.insert(t.get("key").str() + "=" + t.get("value").str() + ":" + t.get("effect").str() + (t.get("effect").str() == "NoExecute" ? "@" + t.get("timeAdded").str() : ""));
    return out;
  };
  return keys(a) == keys(b);
}

}  // namespace

NodePlan plan_node(const Doc& node, Duration silent_for, const std::vector<Doc>& pods, Instant now) {
  NodePlan plan;
  std::string ready = condition_status(node, "Ready");
  if (silent_for >= kNodeGrace) {
    plan.unknown = ready != "Unknown";
    ready = "Unknown";
  } else {
    plan.again = kNodeGrace - silent_for;
  }
  plan.taints = wanted_taints(node, ready == "True" ? std::string_view() : ready == "False" ? kNotReady : kUnreachable, now);
  plan.change_taints = !same_taints(plan.taints, node.path("spec.taints").to_node());
  Doc taints = Doc::from(plan.taints);
  for (const Doc& p : pods) {
    if (!p.path("spec.nodeName").equals(name_of(node)) || p.path("metadata.deletionTimestamp")) continue;
    auto leave = leaves_at(p.root(), taints.root(), now);
    if (!leave) continue;
    if (*leave <= now) plan.evict.push_back(machinery::object_key(p.root()));
    else if (plan.again == Duration{0} || *leave - now < plan.again) plan.again = *leave - now;
  }
  return plan;
}

}  // namespace k8lite::controllers
