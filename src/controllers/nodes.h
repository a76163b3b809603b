// Gives nodes their pod networks, notices those that fell silent, and clears away pods that nobody ends any more: those of nodes that
// are gone, those stuck on a node that is out of service, and the oldest of very many that are over.
#pragma once
#include <mutex>
#include <set>

#include "controllers/nodes_plan.h"

namespace k8lite::controllers {

class NodeController : public Base {
 public:
  explicit NodeController(Context& context);
  Result<machinery::Action> reconcile(const std::string& key) override;

 private:
  void pod_changed(const json::Doc& before, const json::Doc& after);
  std::vector<json::Doc> pods_on(const std::string& node);
  Result<bool> give_network(const json::Doc& node);  // true: one was written
  Result<> mark_unknown(const json::Doc& node);
  Result<machinery::Action> clean_up(const std::string& node);  // it is no more: nor are its pods
  Result<machinery::Action> remove_finished();
  Result<> end_pod(const json::Doc& pod, const char* reason, const std::string& message, bool at_once);
  Eviction may_evict(const json::Doc& node, Duration& again);
  machinery::Informer &nodes_, &leases_, &pods_;
  std::mutex mutex_;
  std::map<std::string, Duration> seen_, gone_;  // mono, by node: last renewal; first noticed as deleted
  std::map<std::string, std::set<std::string>> on_node_;  // keys of pods
  std::set<std::string> finished_;                        // keys of pods that are over
  PodNetworks networks_;
  std::map<std::string, std::string> given_;  // networks, by the node's uid
  EvictionPace pace_;
  std::map<std::string, EvictionPace::Zone> zones_;  // as counted at `counted_`: not for each of many nodes anew
  Duration counted_{-1};
  std::set<std::string> granted_;  // nodes whose turn has come, until they are well
};

}  // namespace k8lite::controllers
