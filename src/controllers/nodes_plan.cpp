#include "controllers/nodes_plan.h"

#include <algorithm>
#include <set>

#include "base/strings.h"

namespace k8lite::controllers {
namespace {

using json::Doc;
using json::Node;
using json::Value;

constexpr std::string_view kNotReady = "node.kubernetes.io/not-ready", kUnreachable = "node.kubernetes.io/unreachable", kUnschedulable = "node.kubernetes.io/unschedulable";

std::string ready_status(const Doc& node) {
  for (Value c : node.path("status.conditions").items())
    if (c["type"].equals("Ready")) return c["status"].str("Unknown");
  return "Unknown";
}

bool managed(Value taint) { return taint["key"].equals(kNotReady) || taint["key"].equals(kUnreachable) || taint["key"].equals(kUnschedulable); }

// How long a pod may stay with this NoExecute taint: nothing = for ever, 0 = goes at once.
std::optional<Duration> tolerated_for(Value pod, std::string_view key) {
  std::optional<Duration> out = Duration{0};
  for (Value t : pod.path("spec.tolerations").items()) {
    bool key_fits = t["key"].empty() ? t["operator"].equals("Exists") : t["key"].equals(key);
    bool effect_fits = t["effect"].empty() || t["effect"].equals("NoExecute");
    bool value_fits = t["operator"].equals("Exists") || t["value"].empty();
    if (!key_fits || !effect_fits || !value_fits) continue;
    if (!t["tolerationSeconds"]) return std::nullopt;
    out = std::max(*out, Duration(seconds(t["tolerationSeconds"].int_or(0))));
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

NodePlan plan_node(const Doc& node, Duration silent_for, const std::vector<Doc>& pods, Instant now) {
  NodePlan plan;
  std::string ready = ready_status(node);
  if (silent_for >= kNodeGrace) {
    plan.unknown = ready != "Unknown";
    ready = "Unknown";
  } else {
    plan.again = kNodeGrace - silent_for;
  }
  std::string_view wanted = ready == "True" ? std::string_view() : ready == "False" ? kNotReady : kUnreachable;
  plan.taints = Node::array();
  std::string since = rfc3339(now);
  for (Value t : node.path("spec.taints").items()) {
    if (!managed(t)) plan.taints.append(t.to_node());
    if (t["key"].equals(wanted) && t["timeAdded"]) since = t["timeAdded"].str();
  }
  if (!wanted.empty()) {
    plan.taints.append(Node::obj({{"key", std::string(wanted)}, {"effect", "NoSchedule"}, {"timeAdded", since}}));
    plan.taints.append(Node::obj({{"key", std::string(wanted)}, {"effect", "NoExecute"}, {"timeAdded", since}}));
  }
  if (node.path("spec.unschedulable").bool_or(false)) plan.taints.append(Node::obj({{"key", std::string(kUnschedulable)}, {"effect", "NoSchedule"}, {"timeAdded", since}}));
  auto keys = [](const Node& list) {
    std::multiset<std::string> out;
    for (const Node& t : list.items()) out.insert(t.get("key").str() + t.get("effect").str());
    return out;
  };
  plan.change_taints = keys(plan.taints) != keys(node.path("spec.taints").to_node());
  auto started = parse_rfc3339(since);
  if (wanted.empty() || !started) return plan;
  for (const Doc& p : pods) {
    if (!p.path("spec.nodeName").equals(name_of(node)) || p.path("metadata.deletionTimestamp")) continue;
    auto stay = tolerated_for(p.root(), wanted);
    if (!stay) continue;
    Duration left = *started + *stay - now;
    if (left <= Duration{0}) plan.evict.push_back(machinery::object_key(p.root()));
    else if (plan.again == Duration{0} || left < plan.again) plan.again = left;
  }
  return plan;
}

}  // namespace k8lite::controllers
