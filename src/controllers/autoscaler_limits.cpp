// How fast and how far an autoscaler may go: policies of its behaviour, stabilisation windows, bounds.
#include <algorithm>
#include <cmath>
#include <limits>

#include "controllers/autoscaler_plan.h"

namespace k8lite::controllers {
namespace {

using json::Value;
using Entries = std::vector<AutoscalerMemory::Entry>;

constexpr int64_t kUpFactor = 2, kUpLeast = 4;  // without a behaviour: double, or to four

// What a direction's rules are where they say nothing (Kubernetes API reference, HPAScalingRules).
struct Policy {
  bool percent = false;
  int64_t value = 0, period_s = 0;
};
std::vector<Policy> policies_of(Value rules, bool up) {
  std::vector<Policy> out;
  for (Value p : rules["policies"].items()) out.push_back({p["type"].equals("Percent"), p["value"].int_or(0), p["periodSeconds"].int_or(0)});
  if (!out.empty()) return out;
  if (up) return {{false, 4, 15}, {true, 100, 15}};
  return {{true, 100, 15}};
}

int64_t changed_since(const Entries& entries, Instant since) {
  int64_t n = 0;
  for (const auto& e : entries)
    if (e.at > since) n += e.value;
  return n;
}

// How far the policies let it go from what it was at each policy's start.
int64_t limit_of(Value rules, const AutoscalerMemory& memory, int64_t current, bool up, Instant now) {
  std::string select = rules["selectPolicy"].str("Max");
  if (select == "Disabled") return current;
  std::optional<int64_t> limit;
  for (const Policy& p : policies_of(rules, up)) {
    Instant since = now - seconds(p.period_s);
    int64_t start = current - changed_since(memory.added, since) + changed_since(memory.removed, since);
    double share = static_cast<double>(p.value) / 100;
    int64_t to = up ? (p.percent ? static_cast<int64_t>(std::ceil(static_cast<double>(start) * (1 + share))) : start + p.value)
                    : (p.percent ? static_cast<int64_t>(static_cast<double>(start) * (1 - share)) : start - p.value);
    // The greatest change is the most replicas when going up, the fewest when going down.
    bool greatest = (select != "Min") == up;
    limit = !limit ? to : greatest ? std::max(*limit, to) : std::min(*limit, to);
  }
  return *limit;
}

int64_t window_of(Value behavior, bool up, const AutoscalerSettings& settings) {
  Value rules = behavior[up ? "scaleUp" : "scaleDown"];
  return rules["stabilizationWindowSeconds"].int_or(up ? 0 : settings.downscale_window.count() / 1'000'000);
}

}  // namespace

Bounded within_default_limits(int64_t current, int64_t wanted, int64_t least, int64_t most) {
  int64_t limit = std::max(kUpFactor * current, kUpLeast);
  bool by_rate = most > limit;
  if (wanted < least) return {least, "TooFewReplicas", "the desired replica count is less than the minimum replica count"};
  if (wanted > std::min(most, limit))
    return by_rate ? Bounded{limit, "ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate"} : Bounded{most, "TooManyReplicas", "the desired replica count is more than the maximum replica count"};
  return {wanted, "DesiredWithinRange", "the desired count is within the acceptable range"};
}

Bounded within_behavior(Value behavior, const AutoscalerMemory& memory, int64_t current, int64_t wanted, int64_t least, int64_t most, Instant now) {
  if (wanted > current) {
    int64_t limit = std::max(limit_of(behavior["scaleUp"], memory, current, true, now), current);
    if (most > limit && wanted > limit) return {limit, "ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate"};
    if (most <= limit && wanted > most) return {most, "TooManyReplicas", "the desired replica count is more than the maximum replica count"};
  } else if (wanted < current) {
    int64_t limit = std::min(limit_of(behavior["scaleDown"], memory, current, false, now), current);
    if (least < limit && wanted < limit) return {limit, "ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate"};
    if (least >= limit && wanted < least) return {least, "TooFewReplicas", "the desired replica count is less than the minimum replica count"};
  }
  return {wanted, "DesiredWithinRange", "the desired count is within the acceptable range"};
}

Bounded stabilized(Value behavior, AutoscalerMemory& memory, int64_t current, int64_t wanted, Instant now, const AutoscalerSettings& settings) {
  Instant up_from = now - seconds(window_of(behavior, true, settings)), down_from = now - seconds(window_of(behavior, false, settings));
  int64_t lowest = wanted, highest = wanted;
  for (const auto& r : memory.recommendations) {
    if (r.at > up_from) lowest = std::min(lowest, r.value);
    if (r.at > down_from) highest = std::max(highest, r.value);
  }
  std::erase_if(memory.recommendations, [&](const auto& r) { return r.at <= up_from && r.at <= down_from; });
  memory.recommendations.push_back({now, wanted});
  int64_t out = std::min(std::max(current, lowest), highest);
  if (!behavior) out = highest;  // only going down is held back
  if (out == wanted) return {out, "ReadyForNewScale", "recommended size matches current size"};
  if (behavior && wanted >= current) return {out, "ScaleUpStabilized", "recent recommendations were lower than current one, applying the lowest recent recommendation"};
  return {out, "ScaleDownStabilized", "recent recommendations were higher than current one, applying the highest recent recommendation"};
}

}  // namespace k8lite::controllers
