// What a scheduling cycle looks at: nodes with what their pods already take. Pure data, kept up to date by the change:
// its cost grows with what changed, not with the cluster.
#pragma once
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "scheduler/pod_info.h"

namespace k8lite::scheduler {

struct NodeInfo {
  json::Doc node;
  std::string id;                                   // its name
  std::string zone, hostname;                       // of its labels
  json::Value labels, taints;                       // of `node`
  bool unschedulable = false, prefers_not = false;  // has taints of the effect PreferNoSchedule
  Amounts allocatable, requested;
  int64_t room_for_pods = -1;                          // -1: it does not say
  Amounts weight;                                      // what its pods take, for scores
  std::map<std::string, int64_t, std::less<>> images;  // sizes by name
  std::map<std::string, PodPtr> pods;                  // by key
  const std::string& name() const { return id; }
  std::string_view label(std::string_view key,
                         std::string& buffer) const;  // "" : it has none; `buffer` may hold the text
  void set(const json::Doc& doc);
  void add(const PodPtr& pod);
  void remove(const std::string& key);
};

// A PodDisruptionBudget, as far as preemption asks.
struct Budget {
  std::string ns;
  api::LabelSelector selector;
  bool selects_none = false;
  int64_t allowed = 0;
  std::set<std::string> disrupted;  // names of pods that are counted already
};

class Snapshot {
 public:
  void set_node(const json::Doc& node);
  void remove_node(const std::string& name);
  // A pod that is bound (or assumed to be) to the node its spec names; a finished or unbound one is taken out.
  void set_pod(const std::string& key, const json::Doc& pod);
  void assume(const PodPtr& pod, const std::string& node);
  void remove_pod(const std::string& key);
  const std::map<std::string, NodeInfo>& nodes() const { return nodes_; }
  // The nodes in the order in which they are tried: zone by zone in turn, so that a part of them is of all zones.
  const std::vector<const NodeInfo*>& order() const;
  // A pod that had others ended on this node and waits for their room; until it is bound, gone or nominated elsewhere.
  void nominate(const std::string& key, const std::string& node, const json::Doc& pod);
  const std::map<std::string, PodPtr>& nominated(const std::string& node) const;
  std::string nominated_node(const std::string& key) const;
  // Labels of namespaces, for the namespaceSelector of affinity terms.
  void set_namespace(const json::Doc& ns);
  void remove_namespace(const std::string& name) { namespaces_.erase(name); }
  json::Value namespace_labels(const std::string& name) const;
  // What pods' claims stand for: by "namespace/name", by name, by name.
  std::map<std::string, json::Doc> claims, classes;
  std::vector<json::Doc> volumes() const;
  void set_volume(const std::string& name, const json::Doc& volume);  // empty: it is gone
  json::Doc volume(const std::string& name) const;
  void set_budget(const std::string& key, const json::Doc& budget);  // empty: it is gone
  const std::map<std::string, Budget>& budgets() const { return budgets_; }

  // Indexes: what a cycle asks for without walking all pods.
  using Places = std::unordered_map<const PodInfo*, const NodeInfo*>;
  const Places& pods_of_namespace(const std::string& ns) const;
  const std::unordered_map<const NodeInfo*, int64_t>& pods_of_owner(const std::string& uid) const;
  const Places& pods_with_affinity() const { return with_affinity_; }            // any term
  const Places& pods_with_anti_affinity() const { return with_anti_affinity_; }  // required terms
  int64_t nodes_with_image(const std::string& image) const;

 private:
  void put(const PodPtr& pod, const std::string& node);
  void index(const PodPtr& pod, const NodeInfo* node, bool in);
  void count_images(const NodeInfo& node, int by);

  std::map<std::string, NodeInfo> nodes_;
  mutable std::vector<const NodeInfo*> order_;
  mutable bool order_is_old_ = true;
  std::unordered_map<std::string, std::string> node_of_;            // pod key -> node, also of nodes not there (yet)
  std::map<std::string, std::map<std::string, PodPtr>> waiting_;    // pods of unknown nodes
  std::map<std::string, std::map<std::string, PodPtr>> nominated_;  // by node
  std::unordered_map<std::string, std::string> nominated_node_;     // by pod
  std::map<std::string, json::Doc> namespaces_, volumes_;
  std::map<std::string, Budget> budgets_;
  std::unordered_map<std::string, Places> by_namespace_;
  std::unordered_map<std::string, std::unordered_map<const NodeInfo*, int64_t>> by_owner_;
  Places with_affinity_, with_anti_affinity_;
  std::map<std::string, int64_t> image_nodes_;
};

// An image's name with the tag that is meant when there is none.
std::string full_image_name(std::string name);

}  // namespace k8lite::scheduler
