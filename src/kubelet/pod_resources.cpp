// What a pod's spec asks of the machine: its class of service, its cgroups' limits, who dies first when memory is
// short.
#include <algorithm>

#include "base/quantity.h"
#include "base/strings.h"
#include "kubelet/pod_plan.h"

namespace k8lite::kubelet {

using json::Value;

Qos qos_of(Value pod) {
  bool any = false, guaranteed = true;
  for (std::string_view list : {"containers", "initContainers"})
    for (Value c : pod["spec"][list].items())
      for (std::string_view name : {"cpu", "memory"}) {
        auto limit = Quantity::parse(c["resources"]["limits"][name].str()),
             request = Quantity::parse(c["resources"]["requests"][name].str());
        bool has_limit = limit && !limit->is_zero(), has_request = request && !request->is_zero();
        any |= has_limit || has_request;
        guaranteed &= has_limit && (!has_request || *request == *limit);
      }
  return !any ? Qos::BestEffort : guaranteed ? Qos::Guaranteed : Qos::Burstable;
}

std::string_view qos_name(Qos q) {
  return q == Qos::Guaranteed ? "Guaranteed" : q == Qos::Burstable ? "Burstable" : "BestEffort";
}

std::string pod_cgroup(Value pod) {
  std::string uid = pod.path("metadata.uid").str();
  switch (qos_of(pod)) {
    case Qos::Guaranteed:
      return "kubepods/pod" + uid;
    case Qos::Burstable:
      return "kubepods/burstable/pod" + uid;
    case Qos::BestEffort:
      return "kubepods/besteffort/pod" + uid;
  }
  return {};
}

runtime::Resources container_resources(Value c) {
  runtime::Resources r;
  auto quantity = [&c](std::string_view list, std::string_view name) {
    return Quantity::parse(c["resources"][list][name].str());
  };
  if (auto m = quantity("limits", "memory")) r.memory_limit = m->value();
  auto request = quantity("requests", "cpu"), limit = quantity("limits", "cpu");
  r.cpu_shares = runtime::shares_of_milli_cpu(request ? request->milli_value() : 0);
  if (limit && !limit->is_zero())
    r.cpu_quota_us = std::max<int64_t>(limit->milli_value() * r.cpu_period_us / 1000, 1000);
  return r;
}

runtime::Resources pod_limits(Value pod) {
  runtime::Resources r;
  int64_t cpu_request = 0, cpu_limit = 0, init_request = 0;
  bool all_cpu = true, all_memory = true;
  auto add = [&](Value c, bool counts) {
    auto quantity = [&c](std::string_view list, std::string_view name) {
      return Quantity::parse(c["resources"][list][name].str());
    };
    auto request = quantity("requests", "cpu"), limit = quantity("limits", "cpu"),
         memory = quantity("limits", "memory");
    if (!counts) {
      init_request = std::max(init_request, request ? request->milli_value() : 0);
      return;
    }
    cpu_request += request ? request->milli_value() : 0;
    all_cpu &= limit && !limit->is_zero();
    all_memory &= memory && !memory->is_zero();
    cpu_limit += limit ? limit->milli_value() : 0;
    r.memory_limit += memory ? memory->value() : 0;
  };
  for (Value c : pod.path("spec.containers").items()) add(c, true);
  for (Value c : pod.path("spec.initContainers").items()) {
    add(c, is_sidecar(c));
    // An init container without a limit, or with a larger one, must find room too.
    if (!is_sidecar(c)) all_cpu = all_memory = false;
  }
  r.cpu_shares = runtime::shares_of_milli_cpu(std::max(cpu_request, init_request));
  if (all_cpu && cpu_limit > 0) r.cpu_quota_us = std::max<int64_t>(cpu_limit * r.cpu_period_us / 1000, 1000);
  if (!all_memory) r.memory_limit = 0;
  return r;
}

namespace {

constexpr int64_t kNodeCritical = 2'000'001'000;  // priority of system-node-critical

int64_t burstable_score(Value c, int64_t node_memory) {
  auto request = Quantity::parse(c["resources"]["requests"]["memory"].str());
  int64_t memory = request ? request->value() : 0;
  return std::clamp<int64_t>(1000 - (node_memory > 0 ? 1000 * memory / node_memory : 0), 3, 999);
}

}  // namespace

int64_t oom_score_adj(Value pod, Value c, int64_t node_memory) {
  if (pod.path("spec.priority").int_or(0) >= kNodeCritical) return -997;
  switch (qos_of(pod)) {
    case Qos::Guaranteed:
      return -997;
    case Qos::BestEffort:
      return 1000;
    case Qos::Burstable:
      break;
  }
  int64_t score = burstable_score(c, node_memory);
  // A sidecar goes after the containers that it serves.
  if (is_sidecar(c))
    for (Value main : pod.path("spec.containers").items()) score = std::min(score, burstable_score(main, node_memory));
  return score;
}

int port_of(Value container, Value port) {
  if (!port.is_string()) return static_cast<int>(port.int_or(0));
  for (Value p : container["ports"].items())
    if (p["name"].equals(port.str())) return static_cast<int>(p["containerPort"].int_or(0));
  return static_cast<int>(parse_int(port.str()).value_or(0));
}

}  // namespace k8lite::kubelet
