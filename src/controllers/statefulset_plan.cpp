#include "controllers/statefulset_plan.h"

#include <algorithm>

#include "base/strings.h"
#include "controllers/deployment_plan.h"

namespace k8lite::controllers {

using json::Doc;
using json::Node;
using json::Value;

namespace {

constexpr std::string_view kRevision = "controller-revision-hash";

bool going(const Doc& p) { return static_cast<bool>(p.path("metadata.deletionTimestamp")); }
bool over(const Doc& p) { return p.path("status.phase").equals("Failed") || p.path("status.phase").equals("Succeeded"); }
bool running(const Doc& p) { return p.path("status.phase").equals("Running"); }

class Planner {
 public:
  Planner(const Doc& set, const std::string& current, const std::string& update, Instant now) : set_(set), current_(current.empty() ? update : current), update_(update), now_(now) {
    start_ = set.path("spec.ordinals.start").int_or(0);
    replicas_ = set.path("spec.replicas").int_or(1);
    min_ready_ = set.path("spec.minReadySeconds").int_or(0);
    ordered_ = !set.path("spec.podManagementPolicy").equals("Parallel");
    rolling_ = !set.path("spec.updateStrategy.type").equals("OnDelete");
  }

  StatefulSetPlan run(const std::vector<Doc>& pods) {
    for (const Doc& p : pods) {
      int64_t ordinal = ordinal_of(name_of(set_), name_of(p));
      if (ordinal < 0) continue;
      (ordinal >= start_ && ordinal < start_ + replicas_ ? slots_ : condemned_)[ordinal] = p;
    }
    for (const auto& [ordinal, p] : condemned_) plan_.condemned.push_back(name_of(p));
    count(pods);
    // Nothing is made or ended while the set itself goes; its pods go by garbage collection.
    if (!set_.path("metadata.deletionTimestamp") && fill() && shrink()) update();
    make_status();
    return std::move(plan_);
  }

 private:
  bool healthy(const Doc& p) const { return running(p) && !going(p) && pod_is_available(p.root(), min_ready_, now_); }
  bool is_update(const Doc& p) const { return p["metadata"]["labels"][kRevision].equals(update_); }

  void count(const std::vector<Doc>& pods) {
    for (const Doc& p : pods) {
      if (ordinal_of(name_of(set_), name_of(p)) < 0) continue;
      if (!over(p)) ++total_;
      if (running(p) && pod_is_ready(p.root())) {
        ++ready_;
        if (pod_is_available(p.root(), min_ready_, now_)) ++available_;
        else plan_.waiting = true;
      }
      if (going(p) || over(p)) continue;
      current_count_ += p["metadata"]["labels"][kRevision].equals(current_);
      update_count_ += is_update(p);
    }
  }

  bool wants_current(int64_t ordinal) const {
    if (!rolling_ || current_ == update_) return false;
    Value rolling = set_.path("spec.updateStrategy.rollingUpdate");
    if (!rolling["partition"]) return ordinal < start_ + set_.path("status.currentReplicas").int_or(0);
    return ordinal < start_ + rolling["partition"].int_or(0);
  }

  // True when every wanted pod is there (and, in order, healthy).
  bool fill() {
    for (int64_t ordinal = start_; ordinal < start_ + replicas_; ++ordinal) {
      auto it = slots_.find(ordinal);
      if (it == slots_.end()) {
        bool from_current = wants_current(ordinal);
        plan_.create.push_back({ordinal, from_current});
        ++total_;
        ++(from_current ? current_count_ : update_count_);
        if (!from_current && current_ == update_) current_count_ = update_count_;
        if (ordered_) return false;
        continue;
      }
      const Doc& p = it->second;
      if (over(p) && !going(p)) {
        plan_.remove.push_back(name_of(p));  // made anew when it is gone
        if (ordered_) return false;
        continue;
      }
      if (ordered_ && !healthy(p)) return false;
    }
    return true;
  }

  // From the highest ordinal down; true when no pod is too many (or they need no order).
  bool shrink() {
    const Doc* unhealthy = nullptr;  // the first one, which may always go
    for (const auto* group : {&slots_, &condemned_})
      for (const auto& [ordinal, p] : *group)
        if (!healthy(p) && !unhealthy) unhealthy = &p;
    for (auto it = condemned_.rbegin(); it != condemned_.rend(); ++it) {
      const Doc& p = it->second;
      if (going(p)) {
        if (ordered_) return false;
        continue;
      }
      if (ordered_ && !healthy(p) && unhealthy && name_of(p) != name_of(*unhealthy)) return false;
      plan_.remove.push_back(name_of(p));
      if (ordered_) return false;
    }
    return true;
  }

  void update() {
    if (!rolling_) return;
    Value rolling = set_.path("spec.updateStrategy.rollingUpdate");
    int64_t partition = rolling["partition"].int_or(0), room = std::max<int64_t>(1, int_or_percent(rolling["maxUnavailable"], replicas_, true, 1));
    for (auto it = slots_.rbegin(); it != slots_.rend(); ++it) room -= !healthy(it->second);
    for (auto it = slots_.rbegin(); it != slots_.rend() && it->first >= start_ + partition; ++it) {
      const Doc& p = it->second;
      if (is_update(p) || going(p)) continue;
      // One that is broken is replaced first of all: it is not available anyway.
      bool broken = !healthy(p);
      if (!broken && room <= 0) return;
      plan_.remove.push_back(name_of(p));
      if (p["metadata"]["labels"][kRevision].equals(current_)) --current_count_;
      if (!broken) --room;
      else if (ordered_) return;
    }
  }

  void make_status() {
    bool finished = current_ != update_ && update_count_ == total_ && ready_ == total_ && total_ == replicas_ && plan_.remove.empty() && plan_.create.empty();
    std::string current = finished ? update_ : current_;
    if (finished) current_count_ = update_count_;
    plan_.status = Node::obj({{"observedGeneration", set_.path("metadata.generation").int_or(0)}, {"replicas", total_}, {"availableReplicas", available_}});
    if (ready_) plan_.status.set("readyReplicas", ready_);
    if (current_count_ > 0) plan_.status.set("currentReplicas", current_count_);
    if (update_count_) plan_.status.set("updatedReplicas", update_count_);
    plan_.status.set("currentRevision", current);
    plan_.status.set("updateRevision", update_);
    plan_.status.set("collisionCount", set_.path("status.collisionCount").int_or(0));
    if (set_.path("status.conditions")) plan_.status.set("conditions", set_.path("status.conditions").to_node());
  }

  const Doc& set_;
  const std::string current_, update_;
  const Instant now_;
  int64_t start_, replicas_, min_ready_;
  bool ordered_, rolling_;
  std::map<int64_t, Doc> slots_, condemned_;
  int64_t total_ = 0, ready_ = 0, available_ = 0, current_count_ = 0, update_count_ = 0;
  StatefulSetPlan plan_;
};

}  // namespace

StatefulSetPlan plan_stateful_set(const Doc& set, const std::vector<Doc>& pods, const std::string& current, const std::string& update, Instant now) { return Planner(set, current, update, now).run(pods); }

int64_t ordinal_of(const std::string& set, const std::string& pod) {
  if (!pod.starts_with(set + "-")) return -1;
  std::string tail = pod.substr(set.size() + 1);
  auto n = parse_int(tail);
  return n && *n >= 0 && std::to_string(*n) == tail ? *n : -1;
}

Node stateful_pod(const Doc& set, Node pod, int64_t ordinal, const std::string& revision) {
  std::string name = name_of(set) + "-" + std::to_string(ordinal);
  Node& meta = pod["metadata"];
  meta.erase("generateName");
  meta.set("name", name);
  meta["labels"].set(kRevision, revision);
  meta["labels"].set("statefulset.kubernetes.io/pod-name", name);
  meta["labels"].set("apps.kubernetes.io/pod-index", std::to_string(ordinal));
  Node& spec = pod["spec"];
  spec.set("hostname", name);
  if (!set.path("spec.serviceName").empty()) spec.set("subdomain", set.path("spec.serviceName").str());
  for (Value t : set.path("spec.volumeClaimTemplates").items()) {
    std::string volume = t["metadata"]["name"].str();
    Node kept = Node::array();
    for (const Node& v : spec.get("volumes").items())
      if (v.get("name").str() != volume) kept.append(v);
    kept.append(Node::obj({{"name", volume}, {"persistentVolumeClaim", Node::obj({{"claimName", volume + "-" + name}})}}));
    spec.set("volumes", std::move(kept));
  }
  return pod;
}

std::vector<Node> claims_of(const Doc& set, const std::string& pod) {
  std::vector<Node> out;
  for (Value t : set.path("spec.volumeClaimTemplates").items()) {
    Node c = Node::obj({{"apiVersion", "v1"}, {"kind", "PersistentVolumeClaim"}, {"metadata", Node::obj({{"name", t["metadata"]["name"].str() + "-" + pod}, {"namespace", namespace_of(set)}})}, {"spec", t["spec"].to_node()}});
    for (const char* field : {"labels", "annotations"})
      if (t["metadata"][field]) c["metadata"].set(field, t["metadata"][field].to_node());
    for (auto m : set.path("spec.selector.matchLabels").members()) c["metadata"]["labels"].set(m.key(), m.value.str());
    if (set.path("spec.persistentVolumeClaimRetentionPolicy.whenDeleted").equals("Delete")) c["metadata"]["ownerReferences"] = Node::arr({owner_reference(set)});
    out.push_back(std::move(c));
  }
  return out;
}

}  // namespace k8lite::controllers
