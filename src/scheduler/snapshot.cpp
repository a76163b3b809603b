#include "scheduler/snapshot.h"

#include <algorithm>

namespace k8lite::scheduler {
namespace {

using json::Value;

bool over(Value pod) {
  Value phase = pod.path("status.phase");
  return phase.equals("Succeeded") || phase.equals("Failed");
}

constexpr std::string_view kZone = "topology.kubernetes.io/zone", kHostname = "kubernetes.io/hostname";

}  // namespace

std::string full_image_name(std::string name) {
  size_t slash = name.rfind('/'), from = slash == name.npos ? 0 : slash;
  if (name.find(':', from) == name.npos && name.find('@') == name.npos) name += ":latest";
  return name;
}

void NodeInfo::set(const json::Doc& doc) {
  node = doc;
  id = doc.path("metadata.name").str();
  labels = node["metadata"]["labels"];
  taints = node["spec"]["taints"];
  unschedulable = node["spec"]["unschedulable"].bool_or(false);
  zone = labels[kZone].str();
  hostname = labels[kHostname].str();
  prefers_not = false;
  for (Value t : taints.items()) prefers_not |= t["effect"].equals("PreferNoSchedule");
  allocatable = amounts_of(node["status"]["allocatable"]);
  room_for_pods = node["status"]["allocatable"]["pods"] ? allocatable.get("pods") : -1;
  images.clear();
  for (Value image : node["status"]["images"].items())
    for (Value n : image["names"].items()) images[n.str()] = image["sizeBytes"].int_or(0);
}

std::string_view NodeInfo::label(std::string_view key, std::string& buffer) const {
  if (key == kZone) return zone;
  if (key == kHostname) return hostname;
  buffer = labels[key].str();
  return buffer;
}

void NodeInfo::add(const PodPtr& pod) {
  remove(pod->key);
  requested.add(pod->requests);
  weight.add(pod->weight);
  pods.emplace(pod->key, pod);
}

void NodeInfo::remove(const std::string& key) {
  auto it = pods.find(key);
  if (it == pods.end()) return;
  requested.add(it->second->requests, -1);
  weight.add(it->second->weight, -1);
  pods.erase(it);
}

void Snapshot::count_images(const NodeInfo& node, int by) {
  for (const auto& [name, size] : node.images)
    if ((image_nodes_[name] += by) == 0) image_nodes_.erase(name);
}

void Snapshot::set_node(const json::Doc& node) {
  std::string name = node.path("metadata.name").str();
  auto [it, fresh] = nodes_.try_emplace(name);
  NodeInfo& info = it->second;
  std::string zone = info.zone;
  count_images(info, -1);
  info.set(node);
  count_images(info, 1);
  order_is_old_ |= fresh || zone != info.zone;
  if (auto w = waiting_.find(name); w != waiting_.end()) {
    for (auto& [key, pod] : w->second) {
      info.add(pod);
      index(pod, &info, true);
    }
    waiting_.erase(w);
  }
}

void Snapshot::remove_node(const std::string& name) {
  auto it = nodes_.find(name);
  if (it == nodes_.end()) return;
  for (auto& [key, p] : it->second.pods) {
    index(p, &it->second, false);
    waiting_[name][key] = p;
  }
  count_images(it->second, -1);
  nodes_.erase(it);
  order_is_old_ = true;
}

const std::vector<const NodeInfo*>& Snapshot::order() const {
  if (!std::exchange(order_is_old_, false)) return order_;
  std::map<std::string_view, std::vector<const NodeInfo*>> zones;
  for (const auto& [name, node] : nodes_) zones[node.zone].push_back(&node);
  order_.clear();
  for (size_t i = 0; order_.size() < nodes_.size(); ++i)
    for (const auto& [zone, nodes] : zones)
      if (i < nodes.size()) order_.push_back(nodes[i]);
  return order_;
}

void Snapshot::index(const PodPtr& pod, const NodeInfo* node, bool in) {
  auto one = [&pod, node, in](Places& places) {
    if (in)
      places[pod.get()] = node;
    else
      places.erase(pod.get());
  };
  Places& of_namespace = by_namespace_[pod->ns];
  one(of_namespace);
  if (of_namespace.empty()) by_namespace_.erase(pod->ns);
  if (!pod->affinity.empty() || !pod->anti_affinity.empty() || !pod->preferred.empty()) one(with_affinity_);
  if (!pod->anti_affinity.empty()) one(with_anti_affinity_);
  if (pod->owner.empty() || pod->ending) return;
  auto& counts = by_owner_[pod->owner];
  if ((counts[node] += in ? 1 : -1) == 0) counts.erase(node);
  if (counts.empty()) by_owner_.erase(pod->owner);
}

void Snapshot::put(const PodPtr& pod, const std::string& node) {
  remove_pod(pod->key);
  node_of_[pod->key] = node;
  auto n = nodes_.find(node);
  if (n == nodes_.end()) {
    waiting_[node][pod->key] = pod;
    return;
  }
  n->second.add(pod);
  index(pod, &n->second, true);
}

void Snapshot::set_pod(const std::string& key, const json::Doc& pod) {
  std::string node = pod.path("spec.nodeName").str();
  if (node.empty() || over(pod.root())) return remove_pod(key);
  put(std::make_shared<PodInfo>(pod), node);
}

void Snapshot::assume(const PodPtr& pod, const std::string& node) { put(pod, node); }

void Snapshot::nominate(const std::string& key, const std::string& node, const json::Doc& pod) {
  if (auto it = nominated_node_.find(key); it != nominated_node_.end()) {
    auto n = nominated_.find(it->second);
    n->second.erase(key);
    if (n->second.empty()) nominated_.erase(n);
    nominated_node_.erase(it);
  }
  if (node.empty()) return;
  nominated_[node][key] = std::make_shared<PodInfo>(pod);
  nominated_node_[key] = node;
}

const std::map<std::string, PodPtr>& Snapshot::nominated(const std::string& node) const {
  static const std::map<std::string, PodPtr> kNone;
  if (nominated_.empty()) return kNone;
  auto it = nominated_.find(node);
  return it == nominated_.end() ? kNone : it->second;
}

std::string Snapshot::nominated_node(const std::string& key) const {
  auto it = nominated_node_.find(key);
  return it == nominated_node_.end() ? "" : it->second;
}

void Snapshot::set_namespace(const json::Doc& ns) { namespaces_[ns.path("metadata.name").str()] = ns; }

json::Value Snapshot::namespace_labels(const std::string& name) const {
  auto it = namespaces_.find(name);
  return it == namespaces_.end() ? json::Value() : it->second["metadata"]["labels"];
}

void Snapshot::set_volume(const std::string& name, const json::Doc& volume) {
  if (volume)
    volumes_[name] = volume;
  else
    volumes_.erase(name);
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

void Snapshot::set_budget(const std::string& key, const json::Doc& budget) {
  budgets_.erase(key);
  if (!budget) return;
  auto selector = api::LabelSelector::from_object(budget.path("spec.selector"));
  if (!selector.ok()) return;
  Budget b{budget.path("metadata.namespace").str(),
           *selector,
           false,
           budget.path("status.disruptionsAllowed").int_or(0),
           {}};
  b.selects_none = !budget.path("spec.selector") ||
                   selector->empty();  // upstream's preemption does not count those that select everything
  for (auto m : budget.path("status.disruptedPods").members()) b.disrupted.insert(m.key());
  budgets_.emplace(key, std::move(b));
}

const Snapshot::Places& Snapshot::pods_of_namespace(const std::string& ns) const {
  static const Places kNone;
  auto it = by_namespace_.find(ns);
  return it == by_namespace_.end() ? kNone : it->second;
}

const std::unordered_map<const NodeInfo*, int64_t>& Snapshot::pods_of_owner(const std::string& uid) const {
  static const std::unordered_map<const NodeInfo*, int64_t> kNone;
  auto it = by_owner_.find(uid);
  return it == by_owner_.end() ? kNone : it->second;
}

int64_t Snapshot::nodes_with_image(const std::string& image) const {
  auto it = image_nodes_.find(image);
  return it == image_nodes_.end() ? 0 : it->second;
}

void Snapshot::remove_pod(const std::string& key) {
  nominate(key, "", {});
  auto it = node_of_.find(key);
  if (it == node_of_.end()) return;
  if (auto n = nodes_.find(it->second); n != nodes_.end()) {
    if (auto p = n->second.pods.find(key); p != n->second.pods.end()) index(p->second, &n->second, false);
    n->second.remove(key);
  }
  if (auto w = waiting_.find(it->second); w != waiting_.end() && w->second.erase(key) && w->second.empty())
    waiting_.erase(w);
  node_of_.erase(it);
}

}  // namespace k8lite::scheduler
