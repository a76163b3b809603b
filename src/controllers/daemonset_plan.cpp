#include "controllers/daemonset_plan.h"

#include <algorithm>

#include "api/placement.h"
#include "controllers/deployment_plan.h"

namespace k8lite::controllers {

using json::Doc;
using json::Node;
using json::Value;

namespace {

constexpr std::string_view kHash = "controller-revision-hash";

struct Tolerated {
  std::string_view key, effect;
};
constexpr Tolerated kDaemonTolerations[] = {
    {"node.kubernetes.io/not-ready", "NoExecute"},       {"node.kubernetes.io/unreachable", "NoExecute"},   {"node.kubernetes.io/disk-pressure", "NoSchedule"},
    {"node.kubernetes.io/memory-pressure", "NoSchedule"}, {"node.kubernetes.io/pid-pressure", "NoSchedule"}, {"node.kubernetes.io/unschedulable", "NoSchedule"},
};

bool over(const Doc& pod) { return pod.path("status.phase").equals("Failed") || pod.path("status.phase").equals("Succeeded"); }
bool going(const Doc& pod) { return static_cast<bool>(pod.path("metadata.deletionTimestamp")); }
bool older(const Doc& a, const Doc& b) { return std::make_pair(a.path("metadata.creationTimestamp").str(), name_of(a)) < std::make_pair(b.path("metadata.creationTimestamp").str(), name_of(b)); }

struct OnNode {
  bool should_run = false, should_stay = false;
  std::vector<Doc> pods;  // neither over nor going
  const Doc *old_pod = nullptr, *new_pod = nullptr;
};

// The pod's spec as the node sees it, tolerations of daemons included.
Doc simulated(const Doc& set, const std::string& hash) { return Doc::from(daemon_pod(set, Node::obj({{"metadata", Node::object()}, {"spec", set.path("spec.template.spec").to_node()}}), "", hash)); }

void manage(const Doc& set, std::map<std::string, OnNode>& nodes, const std::vector<Doc>& pods, DaemonSetPlan& plan, bool surge, const std::string& hash, Instant now) {
  int64_t min_ready = set.path("spec.minReadySeconds").int_or(0);
  std::map<std::string, bool> occupied;  // nodes where a pod is still on its way out
  for (const Doc& p : pods) {
    auto it = nodes.find(target_node(p.root()));
    if (it == nodes.end()) {  // its node is gone, or not known yet: what stands there already is not ours to judge
      if (!going(p) && p.path("spec.nodeName").empty()) plan.remove.push_back(name_of(p));
      continue;
    }
    if (going(p)) {
      occupied[it->first] = true;
    } else if (!it->second.should_stay || over(p)) {
      plan.remove.push_back(name_of(p));
      if (p.path("status.phase").equals("Failed")) plan.failed.push_back(name_of(p));
      occupied[it->first] = true;
    } else {
      it->second.pods.push_back(p);
    }
  }
  for (auto& [name, n] : nodes) {
    // Those of older templates first, then by age: two pods may be born in the same second.
    std::sort(n.pods.begin(), n.pods.end(), [&hash](const Doc& a, const Doc& b) {
      bool a_new = a["metadata"]["labels"][kHash].equals(hash), b_new = b["metadata"]["labels"][kHash].equals(hash);
      return a_new != b_new ? b_new : older(a, b);
    });
    if (n.should_run && n.pods.empty() && !occupied[name]) plan.create.push_back(name);
    size_t keep = 1;
    if (surge && n.pods.size() == 2 && !pod_is_available(n.pods[1].root(), min_ready, now)) keep = 2;  // the newer one takes over when it is available
    while (n.pods.size() > keep) {
      // With surge the available newcomer stays, without it the oldest.
      size_t victim = surge && n.pods.size() == 2 ? 0 : n.pods.size() - 1;
      plan.remove.push_back(name_of(n.pods[victim]));
      n.pods.erase(n.pods.begin() + static_cast<long>(victim));
    }
  }
}

void roll(const Doc& set, std::map<std::string, OnNode>& nodes, DaemonSetPlan& plan, int64_t desired, bool surging, Instant now) {
  int64_t min_ready = set.path("spec.minReadySeconds").int_or(0);
  Value rolling = set.path("spec.updateStrategy.rollingUpdate");
  int64_t surge = int_or_percent(rolling["maxSurge"], desired, true, 0), unavailable = int_or_percent(rolling["maxUnavailable"], desired, true, 1);
  std::vector<std::pair<std::string, const Doc*>> broken, fine;
  int64_t busy = 0;
  for (auto& [name, n] : nodes) {
    if (!n.should_run) continue;
    auto available = [&](const Doc* p) { return p && pod_is_available(p->root(), min_ready, now); };
    if (surging) {
      if (n.new_pod && !available(n.new_pod)) ++busy;
      if (n.old_pod && !n.new_pod) (available(n.old_pod) ? fine : broken).emplace_back(name, n.old_pod);
    } else if (n.new_pod || !n.old_pod) {
      busy += !available(n.new_pod);
    } else if (!available(n.old_pod)) {
      ++busy;
      broken.emplace_back(name, n.old_pod);
    } else {
      fine.emplace_back(name, n.old_pod);
    }
  }
  auto take = [&](const std::pair<std::string, const Doc*>& one) {
    if (surging) plan.create.push_back(one.first);
    else plan.remove.push_back(name_of(*one.second));
  };
  for (const auto& one : broken) take(one);
  int64_t left = (surging ? surge : unavailable) - busy;
  for (size_t i = 0; i < fine.size() && static_cast<int64_t>(i) < left; ++i) take(fine[i]);
}

}  // namespace

std::string target_node(Value pod) {
  if (!pod.path("spec.nodeName").empty()) return pod.path("spec.nodeName").str();
  for (Value term : pod.path("spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms").items())
    for (Value f : term["matchFields"].items())
      if (f["key"].equals("metadata.name") && f["operator"].equals("In")) return f["values"].at(0).str();
  return "";
}

Node daemon_pod(const Doc& set, Node pod, const std::string& node, const std::string& hash) {
  pod["metadata"]["labels"].set(kHash, hash);
  pod["metadata"]["labels"].set("pod-template-generation", std::to_string(set.path("metadata.generation").int_or(1)));
  Node& spec = pod["spec"];
  auto tolerate = [&spec](std::string_view key, std::string_view effect) {
    for (const Node& t : spec.get("tolerations").items())
      if (t.get("key").str() == key && t.get("effect").str() == effect) return;
    spec["tolerations"].append(Node::obj({{"key", key}, {"operator", "Exists"}, {"effect", effect}}));
  };
  for (auto t : kDaemonTolerations) tolerate(t.key, t.effect);
  if (spec.get("hostNetwork").bool_or(false)) tolerate("node.kubernetes.io/network-unavailable", "NoSchedule");
  if (!node.empty()) {
    Node term = Node::obj({{"matchFields", Node::arr({Node::obj({{"key", "metadata.name"}, {"operator", "In"}, {"values", Node::arr({node})}})})}});
    spec["affinity"]["nodeAffinity"].set("requiredDuringSchedulingIgnoredDuringExecution", Node::obj({{"nodeSelectorTerms", Node::arr({std::move(term)})}}));
  }
  return pod;
}

DaemonSetPlan plan_daemon_set(const Doc& set, const std::vector<Doc>& all_nodes, const std::vector<Doc>& pods, const std::string& hash, Instant now) {
  DaemonSetPlan plan;
  Doc model = simulated(set, hash);
  std::string only = model.path("spec.nodeName").str();
  std::map<std::string, OnNode> nodes;
  int64_t desired = 0;
  for (const Doc& n : all_nodes) {
    OnNode& on = nodes[name_of(n)];
    bool selected = (only.empty() || only == name_of(n)) && api::node_selected(model["spec"], n.root());
    on.should_run = selected && !api::untolerated_taint(model.path("spec.tolerations"), n.root());
    on.should_stay = selected && !api::untolerated_taint(model.path("spec.tolerations"), n.root(), true);
    desired += on.should_run;
  }
  bool rolling = !set.path("spec.updateStrategy.type").equals("OnDelete");
  bool surging = rolling && int_or_percent(set.path("spec.updateStrategy.rollingUpdate.maxSurge"), desired, true, 0) > 0;
  manage(set, nodes, pods, plan, surging, hash, now);
  int64_t current = 0, misplaced = 0, ready = 0, updated = 0, available = 0, min_ready = set.path("spec.minReadySeconds").int_or(0);
  for (auto& [name, n] : nodes) {
    for (const Doc& p : n.pods) (p["metadata"]["labels"][kHash].equals(hash) ? n.new_pod : n.old_pod) = &p;
    if (n.should_run && !n.pods.empty()) {
      ++current;
      const Doc& shown = n.new_pod && (!n.old_pod || pod_is_available(n.new_pod->root(), min_ready, now)) ? *n.new_pod : n.pods.front();
      ready += pod_is_ready(shown.root());
      available += pod_is_available(shown.root(), min_ready, now);
      updated += n.new_pod != nullptr;
    }
    misplaced += !n.should_run && !n.pods.empty();
  }
  if (rolling) roll(set, nodes, plan, desired, surging, now);
  plan.status = Node::obj({{"currentNumberScheduled", current}, {"numberMisscheduled", misplaced}, {"desiredNumberScheduled", desired}, {"numberReady", ready}, {"observedGeneration", set.path("metadata.generation").int_or(0)}});
  if (updated) plan.status.set("updatedNumberScheduled", updated);
  if (available) plan.status.set("numberAvailable", available);
  if (desired > available) plan.status.set("numberUnavailable", desired - available);
  if (set.path("status.collisionCount")) plan.status.set("collisionCount", set.path("status.collisionCount").int_or(0));
  return plan;
}

}  // namespace k8lite::controllers
