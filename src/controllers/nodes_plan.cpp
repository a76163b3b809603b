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

bool node_is_well(const Doc& node, Duration silent_for) { return silent_for < kNodeGrace && condition_status(node, "Ready") == "True"; }

std::string zone_of(Value node) {
  Value labels = node["metadata"]["labels"];
  return labels["topology.kubernetes.io/region"].str() + "/" + labels["topology.kubernetes.io/zone"].str();
}

Eviction EvictionPace::ask(const std::string& zone, const std::map<std::string, Zone>& zones, Duration now, Duration& again) {
  constexpr int64_t kLargeZone = 50, kUnhealthyPercent = 55;
  constexpr Duration kPace = seconds(10), kSlowPace = seconds(100), kLookAgain = seconds(5);
  bool all_ill = std::none_of(zones.begin(), zones.end(), [](const auto& z) { return z.second.well > 0; });
  again = kLookAgain;
  if (all_ill) return Eviction::Never;
  auto it = zones.find(zone);
  const Zone z = it == zones.end() ? Zone{} : it->second;
  Duration pace = kPace;
  if (z.well > 0 && z.ill > 2 && z.ill * 100 >= kUnhealthyPercent * (z.ill + z.well)) {
    if (z.ill + z.well <= kLargeZone) return Eviction::NotYet;
    pace = kSlowPace;
  }
  auto next = next_.find(zone);
  if (next != next_.end() && next->second > now) {
    again = next->second - now;
    return Eviction::NotYet;
  }
  next_[zone] = now + pace;
  return Eviction::Now;
}

PodNetworks::PodNetworks(const std::string& cluster_cidr, int bits) : bits_(bits) {
  auto parts = split(cluster_cidr, '/');
  auto base = ipv4(parts[0]);
  auto cluster_bits = parts.size() == 2 ? parse_int(parts[1]) : std::nullopt;
  if (!base || !cluster_bits || *cluster_bits < 0 || *cluster_bits > bits) return;
  base_ = *base;
  count_ = uint32_t{1} << (bits - *cluster_bits);
}

std::string PodNetworks::at(uint32_t i) const {
  uint32_t a = base_ + i * (uint32_t{1} << (32 - bits_));
  return std::to_string(a >> 24) + "." + std::to_string(a >> 16 & 255) + "." + std::to_string(a >> 8 & 255) + "." + std::to_string(a & 255) + "/" + std::to_string(bits_);
}

std::string PodNetworks::take() {
  if (held_.size() >= count_) return "";
  for (uint32_t i = 0; i < count_; ++i) {
    std::string text = at(next_);
    next_ = (next_ + 1) % count_;
    if (!held_.count(text)) return hold(text), text;
  }
  return "";
}

void PodNetworks::hold(const std::string& cidr) { ++held_[cidr]; }

void PodNetworks::release(const std::string& cidr) {
  if (auto it = held_.find(cidr); it != held_.end() && --it->second == 0) held_.erase(it);
}

namespace {

// The taints the node should have: others' as they are, ours as its conditions say.
Node wanted_taints(const Doc& node, std::string_view ready_taint, Eviction eviction, Instant now) {
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
  if (!ready_taint.empty()) {
    add(ready_taint, "NoSchedule");
    bool there = false;  // what was granted once stays granted
    for (Value t : node.path("spec.taints").items()) there |= (t["key"].equals(kNotReady) || t["key"].equals(kUnreachable)) && t["effect"].equals("NoExecute");
    if (eviction == Eviction::Now || (eviction == Eviction::NotYet && there)) add(ready_taint, "NoExecute");
  }
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

NodePlan plan_node(const Doc& node, Duration silent_for, const std::vector<Doc>& pods, Instant now, Eviction eviction) {
  NodePlan plan;
  std::string ready = condition_status(node, "Ready");
  if (silent_for >= kNodeGrace) {
    plan.unknown = ready != "Unknown";
    ready = "Unknown";
  } else {
    plan.again = kNodeGrace - silent_for;
  }
  plan.taints = wanted_taints(node, ready == "True" ? std::string_view() : ready == "False" ? kNotReady : kUnreachable, eviction, now);
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
