// The folders that the built-in provisioner gave out on this node: removed when their volume is to be deleted, before its finalizer goes.
#pragma once
#include "base/clock.h"
#include "machinery/controller.h"

namespace k8lite::kubelet {

class LocalVolumes : public machinery::Controller {
 public:
  // `root`: the folder below which they lie; nothing outside of it is ever touched.
  LocalVolumes(machinery::Client& client, const Clock& clock, std::string node, std::string hostname, std::string root);
  std::string_view name() const override { return "local-volumes"; }
  machinery::WorkQueue& queue() override { return queue_; }
  Result<machinery::Action> reconcile(const std::string& name) override;
  void start() { volumes_.start(); }
  void stop() { volumes_.stop(); }

 private:
  bool is_mine(const json::Doc& volume) const;
  machinery::Client& client_;
  const std::string node_, hostname_, root_;
  machinery::Informer volumes_;
  machinery::WorkQueue queue_;
};

}  // namespace k8lite::kubelet
