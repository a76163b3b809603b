#include "scheduler/snapshot.h"

#include <algorithm>

#include "base/quantity.h"

namespace k8lite::scheduler {
namespace {

using json::Value;

int64_t amount(std::string_view name, Value text) {
  auto q = Quantity::parse(text.is_string() ? text.str() : std::string(text.raw()));
  if (!q) return 0;
  return name == "cpu" ? q->milli_value() : q->value();
}

Amounts amounts_of(Value map) {
  Amounts out;
  for (auto m : map.members()) out[m.key()] = amount(m.key(), m.value);
  return out;
}

void add(Amounts& to, const Amounts& from) {
  for (const auto& [name, n] : from) to[name] += n;
}

// Of a container that is resized in place, the most of what it asks for, was given and has; a resize that can never be is not counted.
Amounts requests_of(Value pod, Value container, std::string_view statuses) {
  Amounts out = amounts_of(container["resources"]["requests"]);
  for (Value s : pod["status"][statuses].items()) {
    if (!s["name"].equals(container["name"].str())) continue;
    Amounts held = amounts_of(s["allocatedResources"]);
    for (const auto& [name, n] : amounts_of(s["resources"]["requests"])) held[name] = std::max(held[name], n);
    bool infeasible = false;
    for (Value c : pod.path("status.conditions").items()) infeasible |= c["type"].equals("PodResizePending") && c["reason"].equals("Infeasible");
    for (const auto& [name, n] : held) out[name] = infeasible ? n : std::max(out[name], n);
  }
  return out;
}

bool over(Value pod) {
  std::string phase = pod.path("status.phase").str();
  return phase == "Succeeded" || phase == "Failed";
}

}  // namespace

Amounts pod_requests(Value pod) {
  Amounts sum{{"cpu", 0}, {"memory", 0}}, sidecars, largest;
  for (Value c : pod.path("spec.containers").items()) add(sum, requests_of(pod, c, "containerStatuses"));
  for (Value c : pod.path("spec.initContainers").items()) {
    Amounts own = requests_of(pod, c, "initContainerStatuses");
    if (c["restartPolicy"].equals("Always")) {
      add(sidecars, own);
      own = sidecars;
    } else {
      add(own, sidecars);  // it runs beside the sidecars started before it
    }
    for (const auto& [name, n] : own) largest[name] = std::max(largest[name], n);
  }
  add(sum, sidecars);
  for (const auto& [name, n] : largest) sum[name] = std::max(sum[name], n);
  for (const auto& [name, n] : amounts_of(pod.path("spec.resources.requests"))) sum[name] = n;
  add(sum, amounts_of(pod.path("spec.overhead")));
  return sum;
}

void NodeInfo::add(const std::string& key, const json::Doc& pod) {
  remove(key);
  PodOnNode p{pod, pod_requests(pod.root())};
  for (const auto& [name, n] : p.requests) requested[name] += n;
  pods.emplace(key, std::move(p));
}

void NodeInfo::remove(const std::string& key) {
  auto it = pods.find(key);
  if (it == pods.end()) return;
  for (const auto& [name, n] : it->second.requests) requested[name] -= n;
  pods.erase(it);
}

void Snapshot::set_node(const json::Doc& node) {
  std::string name = node.path("metadata.name").str();
  NodeInfo& info = nodes_[name];
  info.node = node;
  info.allocatable = amounts_of(node.path("status.allocatable"));
  if (auto it = waiting_.find(name); it != waiting_.end()) {
    for (auto& [key, pod] : it->second) info.add(key, pod);
    waiting_.erase(it);
  }
}

void Snapshot::remove_node(const std::string& name) {
  auto it = nodes_.find(name);
  if (it == nodes_.end()) return;
  for (auto& [key, p] : it->second.pods) waiting_[name][key] = p.pod;
  nodes_.erase(it);
}

void Snapshot::set_pod(const std::string& key, const json::Doc& pod) {
  std::string node = pod.path("spec.nodeName").str();
  auto it = node_of_.find(key);
  if (it != node_of_.end() && it->second != node) remove_pod(key);
  if (node.empty() || over(pod.root())) return remove_pod(key);
  nominate(key, "", pod);
  node_of_[key] = node;
  if (auto n = nodes_.find(node); n != nodes_.end()) n->second.add(key, pod);
  else waiting_[node][key] = pod;
}

void Snapshot::nominate(const std::string& key, const std::string& node, const json::Doc& pod) {
  for (auto it = nominated_.begin(); it != nominated_.end();) {
    it->second.erase(key);
    it = it->second.empty() ? nominated_.erase(it) : std::next(it);
  }
  if (!node.empty()) nominated_[node][key] = pod;
}

const std::map<std::string, json::Doc>& Snapshot::nominated(const std::string& node) const {
  static const std::map<std::string, json::Doc> kNone;
  auto it = nominated_.find(node);
  return it == nominated_.end() ? kNone : it->second;
}

void Snapshot::set_namespace(const json::Doc& ns) { namespaces_[ns.path("metadata.name").str()] = ns; }

json::Value Snapshot::namespace_labels(const std::string& name) const {
  auto it = namespaces_.find(name);
  return it == namespaces_.end() ? json::Value() : it->second["metadata"]["labels"];
}

void Snapshot::set_volume(const std::string& name, const json::Doc& volume) {
  if (volume) volumes_[name] = volume;
  else volumes_.erase(name);
}

json::Doc Snapshot::volume(const std::string& name) const {
  auto it = volumes_.find(name);
  return it == volumes_.end() ? json::Doc() : it->second;
}

std::vector<json::Doc> Snapshot::volumes() const {
  std::vector<json::Doc> out;
  for (const auto& [name, v] : volumes_) out.push_back(v);
  return out;
}

void Snapshot::remove_pod(const std::string& key) {
  nominate(key, "", {});
  auto it = node_of_.find(key);
  if (it == node_of_.end()) return;
  if (auto n = nodes_.find(it->second); n != nodes_.end()) n->second.remove(key);
  if (auto w = waiting_.find(it->second); w != waiting_.end()) w->second.erase(key);
  node_of_.erase(it);
}

}  // namespace k8lite::scheduler
