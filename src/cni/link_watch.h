// Tells when this machine's links, addresses or default route change (rtnetlink's multicast groups). Sleeps in the kernel meanwhile.
#pragma once
#include <functional>
#include <memory>

#include "base/result.h"

namespace k8lite::cni {

class LinkWatch {
 public:
  virtual ~LinkWatch() = default;  // ends the watching; no call comes afterwards
  // `changed` is called on a thread of the watch's own, once for changes that come together, in the network namespace of the caller.
  static Result<std::unique_ptr<LinkWatch>> start(std::function<void()> changed);
};

}  // namespace k8lite::cni
