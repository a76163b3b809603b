#include "scheduler/amounts.h"

#include <algorithm>

#include "base/quantity.h"

namespace k8lite::scheduler {
namespace {

using json::Value;

constexpr int64_t kUnnamedCpu = 100, kUnnamedMemory = int64_t{200} << 20;

int64_t amount(std::string_view name, Value text) {
  auto q = Quantity::parse(text.is_string() ? text.str() : std::string(text.raw()));
  if (!q) return 0;
  return name == "cpu" ? q->milli_value() : q->value();
}

// Of what is resized in place, the most of what is asked for, was given and is had; a resize that can never be is not
// counted.
void look_at_status(Value status, bool infeasible, Amounts& out) {
  if (!status["allocatedResources"] && !status["resources"]) return;
  Amounts held = amounts_of(status["allocatedResources"]);
  held.raise_to(amounts_of(status["resources"]["requests"]));
  if (infeasible)
    out = held;
  else
    out.raise_to(held);
}

struct Asking {
  Value pod;
  bool for_scores, infeasible = false;

  Amounts container(Value c, std::string_view statuses) const {
    Value requests = c["resources"]["requests"];
    Amounts out = amounts_of(requests);
    for (Value s : pod["status"][statuses].items())
      if (s["name"].equals(c["name"].str())) look_at_status(s, infeasible, out);
    if (!for_scores) return out;
    Value whole = pod.path("spec.resources.requests");  // what the pod names its containers need not
    if (!requests["cpu"] && !whole["cpu"]) out.cpu = kUnnamedCpu;
    if (!requests["memory"] && !whole["memory"]) out.memory = kUnnamedMemory;
    return out;
  }

  Amounts all() const {
    Amounts sum, sidecars, largest;
    for (Value c : pod.path("spec.containers").items()) sum.add(container(c, "containerStatuses"));
    for (Value c : pod.path("spec.initContainers").items()) {
      Amounts own = container(c, "initContainerStatuses");
      if (c["restartPolicy"].equals("Always")) {
        sidecars.add(own);
        own = sidecars;
      } else {
        own.add(sidecars);  // it runs beside the sidecars started before it
      }
      largest.raise_to(own);
    }
    sum.add(sidecars);
    sum.raise_to(largest);
    if (Value whole = pod.path("spec.resources.requests")) {
      Amounts own = amounts_of(whole);
      look_at_status(pod["status"], infeasible, own);
      for (auto m : whole.members()) sum[m.key()] = own.get(m.key());
    }
    sum.add(amounts_of(pod.path("spec.overhead")));
    return sum;
  }
};

Amounts ask(Value pod, bool for_scores) {
  Asking a{pod, for_scores};
  for (Value c : pod.path("status.conditions").items())
    a.infeasible |= c["type"].equals("PodResizePending") && c["reason"].equals("Infeasible");
  return a.all();
}

}  // namespace

int64_t Amounts::get(std::string_view name) const {
  if (name == "cpu") return cpu;
  if (name == "memory") return memory;
  if (name == "ephemeral-storage") return storage;
  for (const auto& [key, n] : more)
    if (key == name) return n;
  return 0;
}

int64_t& Amounts::operator[](std::string_view name) {
  if (name == "cpu") return cpu;
  if (name == "memory") return memory;
  if (name == "ephemeral-storage") return storage;
  for (auto& [key, n] : more)
    if (key == name) return n;
  return more.emplace_back(std::string(name), 0).second;
}

void Amounts::add(const Amounts& o, int64_t times) {
  cpu += times * o.cpu;
  memory += times * o.memory;
  storage += times * o.storage;
  for (const auto& [name, n] : o.more) (*this)[name] += times * n;
}

void Amounts::raise_to(const Amounts& o) {
  cpu = std::max(cpu, o.cpu);
  memory = std::max(memory, o.memory);
  storage = std::max(storage, o.storage);
  for (const auto& [name, n] : o.more) {
    int64_t& mine = (*this)[name];
    mine = std::max(mine, n);
  }
}

void Amounts::set_from(Value map) {
  for (auto m : map.members()) {
    std::string name = m.key();
    (*this)[name] = amount(name, m.value);
  }
}

Amounts amounts_of(Value map) {
  Amounts out;
  out.set_from(map);
  return out;
}

Amounts pod_requests(Value pod) { return ask(pod, false); }
Amounts pod_weight(Value pod) { return ask(pod, true); }

}  // namespace k8lite::scheduler
