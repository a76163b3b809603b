// Gives nodes their pod networks, and notices those that fell silent.
#pragma once
#include <mutex>

#include "controllers/context.h"

namespace k8lite::controllers {

class NodeController : public Base {
 public:
  explicit NodeController(Context& context);
  Result<machinery::Action> reconcile(const std::string& key) override;

 private:
  Result<> mark_unknown(const json::Doc& node);
  Result<machinery::Action> clean_up(const std::string& node);  // it is no more: nor are its pods
  machinery::Informer &nodes_, &leases_, &pods_;
  std::mutex mutex_;
  std::map<std::string, Duration> seen_, gone_;  // mono, by node: last renewal; first noticed as deleted
};

}  // namespace k8lite::controllers
