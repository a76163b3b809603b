// What a scheduling cycle looks at: nodes with what their pods already take. Pure data, kept up to date by the change.
#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"

namespace k8lite::scheduler {

// Amounts by resource: "cpu" in thousandths, everything else whole.
using Amounts = std::map<std::string, int64_t>;

// What a pod asks for: the sum of its containers and sidecars, or its largest init container, plus overhead; what the pod itself
// asks for (spec.resources) takes the place of that sum. cpu and memory always there.
Amounts pod_requests(json::Value pod);

struct PodOnNode {
  json::Doc pod;
  Amounts requests;
};

struct NodeInfo {
  json::Doc node;
  Amounts allocatable, requested;
  std::map<std::string, PodOnNode> pods;   // by key
  std::string name() const { return node.path("metadata.name").str(); }
  void add(const std::string& key, const json::Doc& pod);
  void remove(const std::string& key);
};

class Snapshot {
 public:
  void set_node(const json::Doc& node);
  void remove_node(const std::string& name);
  // A pod that is bound (or assumed to be) to the node its spec names; a finished or unbound one is taken out.
  void set_pod(const std::string& key, const json::Doc& pod);
  void remove_pod(const std::string& key);
  const std::map<std::string, NodeInfo>& nodes() const { return nodes_; }
  // A pod that had others ended on this node and waits for their room; until it is bound, gone or nominated elsewhere.
  void nominate(const std::string& key, const std::string& node, const json::Doc& pod);
  const std::map<std::string, json::Doc>& nominated(const std::string& node) const;
  // Labels of namespaces, for the namespaceSelector of affinity terms.
  void set_namespace(const json::Doc& ns);
  void remove_namespace(const std::string& name) { namespaces_.erase(name); }
  json::Value namespace_labels(const std::string& name) const;
  // What pods' claims stand for: by "namespace/name", by name, by name.
  std::map<std::string, json::Doc> claims, classes;
  std::vector<json::Doc> volumes() const;
  void set_volume(const std::string& name, const json::Doc& volume);  // empty: it is gone
  json::Doc volume(const std::string& name) const;

 private:
  std::map<std::string, NodeInfo> nodes_;
  std::map<std::string, std::string> node_of_;  // pod key -> node, also of nodes not there (yet)
  std::map<std::string, std::map<std::string, json::Doc>> waiting_;  // pods of unknown nodes
  std::map<std::string, std::map<std::string, json::Doc>> nominated_;  // by node
  std::map<std::string, json::Doc> namespaces_, volumes_;
};

}  // namespace k8lite::scheduler
