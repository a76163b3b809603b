// What every controller of pods needs: making and ending pods in one write, waiting until the cache has seen them, claiming those that
// match its selector.
#pragma once
#include <mutex>

#include "api/selector.h"
#include "controllers/context.h"

namespace k8lite::controllers {

struct PodOrders {
  std::vector<json::Node> create;   // whole Pods
  std::vector<std::string> remove;  // names
};

// A Pod as `owner`'s template describes it, controlled by the owner; without a name.
json::Node pod_from_template(const json::Doc& owner, json::Value pod_template);

class PodControl {
 public:
  PodControl(Context& context, machinery::Informer& pods) : context_(context), pods_(pods) {}
  // While pods written for `key` are not in the cache yet nothing may be counted: the cache would lie. After 30 s the watch has lost
  // something, and counting begins again.
  bool settled(const std::string& key);
  void forget(const std::string& key);
  // Creates at most 500 and deletes, tells it in events of the owner, and returns the first failure of a create.
  Status carry_out(const std::string& key, const json::Doc& owner, PodOrders orders);
  // The pods of this owner: those it controls and that match; matching orphans are adopted (unless it is being deleted), pods that do
  // not match any more are let go.
  Result<std::vector<json::Doc>> claim(const json::Doc& owner, const api::LabelSelector& selector);

 private:
  struct Expected {
    std::vector<std::string> created, deleted;  // pod keys
    Duration since{0};
  };
  machinery::WriteOptions as_manager() const { return {}; }
  Context& context_;
  machinery::Informer& pods_;
  std::mutex mutex_;
  std::map<std::string, Expected> expected_;
};

constexpr auto kExpectationLimit = seconds(30);

}  // namespace k8lite::controllers
