// Keeps as many pods as a ReplicaSet asks for.
#pragma once
#include <mutex>

#include "controllers/context.h"

namespace k8lite::controllers {

class ReplicaSetController : public Base {
 public:
  explicit ReplicaSetController(Context& context);
  Result<machinery::Action> reconcile(const std::string& key) override;

 private:
  // Pods written but not seen by the informer yet: while there are some, nothing is counted (the cache would lie).
  struct Expected {
    std::vector<std::string> created, deleted;  // pod keys
    Duration since{0};
  };
  bool settled(const std::string& key);
  Result<std::vector<json::Doc>> claim(const json::Doc& set, bool deleting);
  machinery::Informer &sets_, &pods_;
  std::mutex mutex_;
  std::map<std::string, Expected> expected_;
};

}  // namespace k8lite::controllers
