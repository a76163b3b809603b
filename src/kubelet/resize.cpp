#include "kubelet/resize.h"

#include "api/usage.h"
#include "kubelet/pod_plan.h"

namespace k8lite::kubelet {

using json::Doc;
using json::Node;
using json::Value;

namespace {

bool resizable(std::string_view list, Value container) { return list == "containers" || is_sidecar(container); }

Node resources_node(Value resources) {
  Node out = Node::object();
  for (const char* list : {"limits", "requests"})
    if (resources[list].size()) out.set(list, resources[list].to_node());
  return out;
}

bool differs(const Node& a, const Node& b, const char* resource) {
  for (const char* list : {"limits", "requests"}) {
    auto x = Quantity::parse(a.get(list).get(resource).str()), y = Quantity::parse(b.get(list).get(resource).str());
    if (x.has_value() != y.has_value() || (x && !(*x == *y))) return true;
  }
  return false;
}

}  // namespace

Allocation resources_of(Value pod) {
  Allocation out;
  for (std::string_view list : {"containers", "initContainers"})
    for (Value c : pod["spec"][list].items())
      if (resizable(list, c)) out[c["name"].str()] = resources_node(c["resources"]);
  return out;
}

Allocation told_allocation(Value pod) {
  Allocation out = resources_of(pod);
  for (const char* list : {"containerStatuses", "initContainerStatuses"})
    for (Value s : pod["status"][list].items()) {
      auto it = out.find(s["name"].str());
      if (it == out.end() || !s["resources"]) continue;
      Node told = resources_node(s["resources"]);
      // A status may know less of a resource than the spec: only what can be resized is taken over.
      for (const char* kind : {"limits", "requests"})
        for (const char* name : {"cpu", "memory"})
          if (!told.get(kind).get(name).str().empty()) it->second[kind].set(name, told.get(kind).get(name).str());
    }
  return out;
}

Doc with_resources(const Doc& pod, const Allocation& allocation) {
  bool same = true;
  for (const auto& [name, given] : resources_of(pod.root()))
    if (auto it = allocation.find(name); it != allocation.end())
      same &= !differs(given, it->second, "cpu") && !differs(given, it->second, "memory");
  if (same) return pod;
  Node out = pod.root().to_node();
  for (const char* list : {"containers", "initContainers"}) {
    if (!out["spec"].get(list).exists()) continue;
    Node changed = Node::array();
    for (const Node& c : out["spec"].get(list).items()) {
      Node copy = c;
      auto it = allocation.find(c.get("name").str());
      if (it != allocation.end())
        for (const char* kind : {"limits", "requests"})
          if (it->second.get(kind).exists()) copy["resources"].set(kind, it->second.get(kind));
      changed.append(std::move(copy));
    }
    out["spec"].set(list, std::move(changed));
  }
  return Doc::from(out);
}

void add_requests(Value pod, int64_t& cpu_milli, int64_t& memory) {
  api::Usage usage = api::pod_usage(pod["spec"], api::PodSide::Requests, true);
  if (auto it = usage.find("cpu"); it != usage.end()) cpu_milli += it->second.milli_value();
  if (auto it = usage.find("memory"); it != usage.end()) memory += it->second.value();
}

ResizeVerdict judge_resize(Value pod, const NodeRoom& room) {
  int64_t cpu = 0, memory = 0;
  add_requests(pod, cpu, memory);
  auto said = [](const char* what, const char* resource, int64_t requested, int64_t used, int64_t capacity) {
    std::string text =
        std::string("Node didn't have enough ") + what + ": " + resource + ", requested: " + std::to_string(requested);
    if (used >= 0) text += ", used: " + std::to_string(used);
    return text + ", capacity: " + std::to_string(capacity);
  };
  if (cpu > room.cpu_milli) return {"Infeasible", said("capacity", "cpu", cpu, -1, room.cpu_milli)};
  if (memory > room.memory) return {"Infeasible", said("capacity", "memory", memory, -1, room.memory)};
  if (cpu + room.used_cpu_milli > room.cpu_milli)
    return {"Deferred", said("resource", "cpu", cpu, room.used_cpu_milli, room.cpu_milli)};
  if (memory + room.used_memory > room.memory)
    return {"Deferred", said("resource", "memory", memory, room.used_memory, room.memory)};
  return {};
}

ResizeStep resize_step(Value container, const Node& has, const Node& given) {
  ResizeStep step = ResizeStep::Nothing;
  for (const char* resource : {"cpu", "memory"}) {
    if (!differs(has, given, resource)) continue;
    if (step == ResizeStep::Nothing) step = ResizeStep::Apply;
    for (Value policy : container["resizePolicy"].items())
      if (policy["resourceName"].equals(resource) && policy["restartPolicy"].equals("RestartContainer"))
        step = ResizeStep::Restart;
  }
  return step;
}

}  // namespace k8lite::kubelet
