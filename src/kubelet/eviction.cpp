#include "kubelet/eviction.h"

#include <algorithm>

#include "base/quantity.h"
#include "base/strings.h"
#include "kubelet/pod_plan.h"

namespace k8lite::kubelet {
namespace {

using json::Value;

constexpr int64_t kSystemCritical = 2'000'000'000;

struct SignalRow {
  std::string_view name, resource;
};
constexpr SignalRow kRows[kSignals] = {{"memory.available", "memory"},   {"nodefs.available", "ephemeral-storage"},
                                       {"nodefs.inodesFree", "inodes"},  {"imagefs.available", "ephemeral-storage"},
                                       {"imagefs.inodesFree", "inodes"}, {"pid.available", "pids"}};

Result<Signal> signal_of(std::string_view name) {
  for (int i = 0; i < kSignals; ++i)
    if (kRows[i].name == name) return static_cast<Signal>(i);
  return bad_request("unsupported eviction signal " + std::string(name));
}

Result<Amount> amount_of(std::string_view text) {
  Amount a;
  bool percent = text.ends_with('%');
  auto q = Quantity::parse(percent ? text.substr(0, text.size() - 1) : text);
  if (!q || q->is_negative() || (percent && q->as_double() > 100))
    return bad_request("\"" + std::string(text) + "\" is neither a quantity nor a percentage");
  if (percent)
    a.percent = q->as_double();
  else
    a.value = q->value();
  return a;
}

bool* condition_of(Pressure& p, Signal s) {
  return s == Signal::MemoryAvailable ? &p.memory : s == Signal::PidAvailable ? &p.pid : &p.disk;
}

std::string text_of(int64_t amount, Signal s) {
  bool bytes = s == Signal::MemoryAvailable || s == Signal::NodefsAvailable || s == Signal::ImagefsAvailable;
  return bytes ? Quantity::of(amount, Quantity::Format::BinarySI).str() : std::to_string(amount);
}

int64_t limit_of(Value container) {
  auto q = Quantity::parse(container["resources"]["limits"]["ephemeral-storage"].str());
  return q ? q->value() : 0;
}

}  // namespace

std::string_view signal_name(Signal s) { return kRows[static_cast<int>(s)].name; }
std::string_view resource_name(Signal s) { return kRows[static_cast<int>(s)].resource; }

EvictionSettings default_eviction() {
  EvictionSettings s;
  s.thresholds = {{Signal::MemoryAvailable, {100 << 20, 0}, false},
                  {Signal::NodefsAvailable, {0, 5}, false},
                  {Signal::NodefsInodesFree, {0, 5}, false},
                  {Signal::ImagefsAvailable, {0, 5}, false},
                  {Signal::ImagefsInodesFree, {0, 5}, false}};
  s.minimum_reclaim = {{"nodefs.available", {0, 10}}, {"imagefs.available", {0, 10}}};
  return s;
}

Result<> parse_thresholds(std::string_view text, bool soft, EvictionSettings& out) {
  std::erase_if(out.thresholds, [soft](const Threshold& t) { return t.soft == soft; });
  if (trim(text).empty()) return {};
  for (auto part : split(text, ',')) {
    size_t less = part.find('<');
    if (less == part.npos) return bad_request("\"" + std::string(part) + "\" is not SIGNAL<QUANTITY");
    Threshold t{};
    t.soft = soft;
    TRY(t.signal, signal_of(trim(part.substr(0, less))));
    TRY(t.amount, amount_of(trim(part.substr(less + 1))));
    // A threshold of 0 % (or 100 %) switches a signal off.
    if (t.amount.percent >= 100 || (t.amount.percent == 0 && t.amount.value == 0)) continue;
    out.thresholds.push_back(t);
  }
  // Memory first: it is what hurts soonest.
  std::stable_sort(out.thresholds.begin(), out.thresholds.end(), [](const Threshold& a, const Threshold& b) {
    return a.signal < b.signal && a.signal == Signal::MemoryAvailable;
  });
  return {};
}

Result<> parse_reclaim(std::string_view text, EvictionSettings& out) {
  out.minimum_reclaim.clear();
  for (auto part : split(text, ',')) {
    size_t equals = part.find('=');
    if (equals == part.npos) return bad_request("\"" + std::string(part) + "\" is not SIGNAL=QUANTITY");
    TRY(Signal s, signal_of(trim(part.substr(0, equals))));
    TRY(out.minimum_reclaim[std::string(signal_name(s))], amount_of(trim(part.substr(equals + 1))));
  }
  return {};
}

EvictionDecision decide_eviction(const EvictionSettings& settings, const Observations& seen, EvictionState& state,
                                 Duration mono) {
  EvictionDecision out;
  state.met_since.resize(settings.thresholds.size());
  Pressure now;
  for (size_t i = 0; i < settings.thresholds.size(); ++i) {
    const Threshold& t = settings.thresholds[i];
    const Observation& o = seen[static_cast<int>(t.signal)];
    if (o.capacity <= 0) continue;
    int64_t least = t.amount.of(o.capacity);
    // Once met, it is so until the minimum to reclaim lies on top.
    if (state.met_since[i] != Duration{0})
      if (auto it = settings.minimum_reclaim.find(std::string(signal_name(t.signal)));
          it != settings.minimum_reclaim.end())
        least += it->second.of(o.capacity);
    if (o.available >= least) {
      state.met_since[i] = Duration{0};
      continue;
    }
    if (state.met_since[i] == Duration{0}) state.met_since[i] = std::max<Duration>(mono, Duration{1});
    *condition_of(now, t.signal) = true;
    auto grace = t.soft ? settings.soft_grace.find(std::string(signal_name(t.signal))) : settings.soft_grace.end();
    if (t.soft && grace != settings.soft_grace.end() && mono - state.met_since[i] < grace->second) continue;
    if (!out.reclaim || (out.soft_only && !t.soft && t.signal == out.reclaim->signal))
      out.reclaim = &t, out.soft_only = t.soft;
  }
  auto held = [&](bool is, Duration& last) {
    if (is) last = std::max<Duration>(mono, Duration{1});
    return is || (last != Duration{0} && mono - last < settings.transition);
  };
  out.pressure = {held(now.memory, state.memory_seen), held(now.disk, state.disk_seen), held(now.pid, state.pid_seen)};
  return out;
}

std::string choose_victim(Signal signal, const std::vector<PodUse>& pods) {
  auto over = [signal](const PodUse& p) {
    if (signal == Signal::MemoryAvailable) return p.memory > p.memory_request;
    if (signal == Signal::PidAvailable) return false;
    return p.disk > p.disk_request;
  };
  auto much = [signal](const PodUse& p) {
    if (signal == Signal::MemoryAvailable) return p.memory - p.memory_request;
    if (signal == Signal::PidAvailable) return p.pids;
    return p.disk - p.disk_request;
  };
  const PodUse* best = nullptr;
  for (const PodUse& p : pods) {
    if (p.critical) continue;
    if (!best || over(p) != over(*best) ? !best || over(p)
        : p.priority != best->priority  ? p.priority < best->priority
                                        : much(p) > much(*best))
      best = &p;
  }
  return best ? best->uid : "";
}

bool is_critical(Value pod) {
  Value annotations = pod.path("metadata.annotations");
  if (std::string source = annotations["kubernetes.io/config.source"].str(); !source.empty() && source != "api")
    return true;
  return annotations["kubernetes.io/config.mirror"].exists() || pod.path("spec.priority").int_or(0) >= kSystemCritical;
}

std::string refused_under(const Pressure& p, Value pod) {
  if (!p.any() || is_critical(pod)) return {};
  if (p.memory && !p.disk && !p.pid) {
    if (qos_of(pod) != Qos::BestEffort) return {};
    for (Value t : pod.path("spec.tolerations").items()) {
      bool key =
          t["key"].equals("node.kubernetes.io/memory-pressure") || (t["key"].empty() && t["operator"].equals("Exists"));
      if (key && (t["effect"].empty() || t["effect"].equals("NoSchedule"))) return {};
    }
  }
  std::string names;
  for (auto [is, name] : {std::pair{p.memory, "MemoryPressure"}, {p.disk, "DiskPressure"}, {p.pid, "PIDPressure"}})
    if (is) names += (names.empty() ? "" : " ") + std::string(name);
  return "The node had condition: [" + names + "]. ";
}

std::string eviction_message(const Threshold& t, const Observation& o) {
  return "The node was low on resource: " + std::string(resource_name(t.signal)) +
         ". Threshold quantity: " + text_of(t.amount.of(o.capacity), t.signal) +
         ", available: " + text_of(o.available, t.signal) + ". ";
}

std::string consumption_message(std::string_view container, int64_t used, const std::string& request, Signal s) {
  return "Container " + std::string(container) + " was using " + text_of(used, s) + ", request is " + request +
         ", has larger consumption of " + std::string(resource_name(s)) + ". ";
}

bool has_disk_limits(Value pod) {
  for (Value v : pod.path("spec.volumes").items())
    if (Value dir = v["emptyDir"]; dir["sizeLimit"] && !dir["medium"].equals("Memory")) return true;
  for (std::string_view list : {"containers", "initContainers"})
    for (Value c : pod["spec"][list].items())
      if (limit_of(c) > 0) return true;
  return false;
}

std::string over_disk_limits(Value pod, const DiskUseOfPod& use) {
  int64_t total = 0, limits = 0;
  for (Value v : pod.path("spec.volumes").items()) {
    auto it = use.empty_dirs.find(v["name"].str());
    if (it == use.empty_dirs.end()) continue;
    total += it->second;
    auto limit = Quantity::parse(v["emptyDir"]["sizeLimit"].str());
    if (limit && !limit->is_zero() && it->second > limit->value())
      return "Usage of EmptyDir volume \"" + it->first + "\" exceeds the limit \"" + limit->str() + "\". ";
  }
  std::string over;
  for (std::string_view list : {"containers", "initContainers"})
    for (Value c : pod["spec"][list].items()) {
      auto it = use.containers.find(c["name"].str());
      int64_t used = it == use.containers.end() ? 0 : it->second, limit = limit_of(c);
      total += used;
      if (list == "containers" || is_sidecar(c)) limits += limit;
      if (limit > 0 && used > limit && over.empty())
        over = "Container " + c["name"].str() + " exceeded its local ephemeral storage limit \"" +
               Quantity::parse(c["resources"]["limits"]["ephemeral-storage"].str())->str() + "\". ";
    }
  if (limits > 0 && total > limits)
    return "Pod ephemeral local storage usage exceeds the total limit of containers " +
           Quantity::of(limits, Quantity::Format::BinarySI).str() + ". ";
  return over;
}

}  // namespace k8lite::kubelet
