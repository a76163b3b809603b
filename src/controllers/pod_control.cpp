#include "controllers/pod_control.h"

#include <algorithm>

#include "controllers/adoption.h"

namespace k8lite::controllers {

using json::Doc;
using json::Node;
using machinery::Operation;

namespace {
constexpr size_t kBurst = 500;
}

Node pod_from_template(const Doc& owner, json::Value pod_template) {
  Node pod = Node::obj({{"apiVersion", "v1"}, {"kind", "Pod"}, {"metadata", Node::object()}, {"spec", pod_template["spec"].to_node()}});
  for (const char* field : {"labels", "annotations", "finalizers"})
    if (pod_template["metadata"][field]) pod["metadata"].set(field, pod_template["metadata"][field].to_node());
  pod["metadata"].set("generateName", name_of(owner) + "-");
  pod["metadata"].set("namespace", namespace_of(owner));
  pod["metadata"]["ownerReferences"] = Node::arr({owner_reference(owner)});
  return pod;
}

bool PodControl::settled(const std::string& key) {
  std::lock_guard lock(mutex_);
  auto it = expected_.find(key);
  if (it == expected_.end()) return true;
  Expected& e = it->second;
  std::erase_if(e.created, [this](const std::string& pod) { return static_cast<bool>(pods_.get(pod)); });
  std::erase_if(e.deleted, [this](const std::string& pod) {
    Doc d = pods_.get(pod);
    return !d || d.path("metadata.deletionTimestamp");
  });
  if (!e.created.empty() || !e.deleted.empty())
    if (context_.clock.mono() - e.since < kExpectationLimit) return false;
  expected_.erase(it);
  return true;
}

void PodControl::forget(const std::string& key) {
  std::lock_guard lock(mutex_);
  expected_.erase(key);
}

Status PodControl::carry_out(const std::string& key, const Doc& owner, PodOrders orders) {
  const std::string ns = namespace_of(owner);
  std::vector<Operation> operations;
  const size_t creates = std::min(orders.create.size(), kBurst);
  for (size_t i = 0; i < creates; ++i) operations.push_back({Operation::Kind::Create, {"", "v1", "pods", ns, "", ""}, Doc::from(orders.create[i]), {}, {}, as_manager(), {}});
  for (const auto& name : orders.remove) operations.push_back({Operation::Kind::Delete, {"", "v1", "pods", ns, name, ""}, {}, {}, {}, {}, {}});
  if (operations.empty()) return {};
  auto results = context_.client.submit(std::move(operations));
  Status failure;
  Expected e;
  e.since = context_.clock.mono();
  for (size_t i = 0; i < results.size(); ++i) {
    if (i < creates && results[i].ok()) {
      e.created.push_back(machinery::object_key(results[i]->root()));
      context_.events.record(owner.root(), "Normal", "SuccessfulCreate", "Created pod: " + name_of(*results[i]));
    } else if (i < creates) {
      if (failure.ok()) failure = results[i].status();
      context_.events.record(owner.root(), "Warning", "FailedCreate", "Error creating: " + results[i].status().message());
    } else if (results[i].ok() || results[i].status().is(Reason::NotFound)) {
      const std::string& name = orders.remove[i - creates];
      e.deleted.push_back(machinery::object_key(ns, name));
      context_.events.record(owner.root(), "Normal", "SuccessfulDelete", "Deleted pod: " + name);
    }
  }
  std::lock_guard lock(mutex_);
  expected_[key] = std::move(e);
  return failure;
}

Result<std::vector<Doc>> PodControl::claim(const Doc& owner, const api::LabelSelector& selector) {
  const std::string ns = namespace_of(owner), uid = uid_of(owner);
  const bool deleting = static_cast<bool>(owner.path("metadata.deletionTimestamp"));
  std::vector<Doc> mine;
  for (const Doc& p : pods_.owned_by(uid)) {
    if (selector.matches(p["metadata"]["labels"])) {
      mine.push_back(p);
      continue;
    }
    if (deleting || p.path("metadata.deletionTimestamp")) continue;
    Node patch = Node::object(), rest = Node::array();
    for (json::Value o : p.path("metadata.ownerReferences").items())
      if (!o["uid"].equals(uid)) rest.append(o.to_node());
    patch["metadata"].set("uid", uid_of(p));
    patch["metadata"].set("ownerReferences", rest.size() ? std::move(rest) : Node());
    auto r = context_.client.patch({"", "v1", "pods", ns, name_of(p), ""}, machinery::PatchType::Merge, patch.dump(), as_manager());
    if (!r.ok() && !r.status().is(Reason::NotFound)) return r.status();
  }
  if (deleting || selector.empty()) return mine;
  for (const Doc& p : pods_.list(ns)) {
    if (controller_of(p.root()) || !pod_is_active(p.root()) || !selector.matches(p["metadata"]["labels"])) continue;
    TRY(bool alive, may_adopt(context_.client, owner));
    if (!alive) break;
    Node patch = Node::object();
    patch["metadata"].set("uid", uid_of(p));
    patch["metadata"]["ownerReferences"] = p.path("metadata.ownerReferences").exists() ? p.path("metadata.ownerReferences").to_node() : Node::array();
    patch["metadata"]["ownerReferences"].append(owner_reference(owner));
    auto r = context_.client.patch({"", "v1", "pods", ns, name_of(p), ""}, machinery::PatchType::Merge, patch.dump(), as_manager());
    if (!r.ok() && !r.status().is(Reason::NotFound) && !r.status().is(Reason::Conflict)) return r.status();
    if (r.ok()) mine.push_back(*r);
  }
  return mine;
}

}  // namespace k8lite::controllers
